// Runs Thumb code several times as fast as rp2040js's core, to the same effect and in the same number of cycles: what
// computes, branches, and touches RAM, flash or ROM. Everything else, peripherals above all, is left to that core, an
// instruction at a time, with the clock set right; so is all that concerns exceptions. tests/chip compares the two.

const ROM_BYTES = 0x4000;
const FLASH_START = 0x10000000;
const FLASH_MASK = 0xff000000 | 0; // XIP; its aliases are rare
const RAM_START = 0x20000000;
const EXC_RETURN = 0xf0000000 >>> 0;
const SP = 13;
const LR = 14;
const PC = 15;

// What an instruction is, by its 16 bits; 0 is left to rp2040js. Named as in the ARMv6-M manual, chapter A6.7.
const KINDS = [
  'SLOW', 'LSL_I', 'LSR_I', 'ASR_I', 'ADD_R', 'SUB_R', 'ADD_3', 'SUB_3', 'MOV_I', 'CMP_I', 'ADD_8', 'SUB_8', 'AND',
  'EOR', 'LSL_R', 'LSR_R', 'ASR_R', 'ADC', 'SBC', 'ROR', 'TST', 'RSB', 'CMP_R', 'CMN', 'ORR', 'MUL', 'BIC', 'MVN',
  'ADD_HI', 'CMP_HI', 'MOV_HI', 'BX', 'BLX', 'LDR_PC', 'STR_R', 'STRH_R', 'STRB_R', 'LDRSB_R', 'LDR_R', 'LDRH_R',
  'LDRB_R', 'LDRSH_R', 'STR_I', 'LDR_I', 'STRB_I', 'LDRB_I', 'STRH_I', 'LDRH_I', 'STR_SP', 'LDR_SP', 'ADR', 'ADD_SP',
  'SP_UP', 'SP_DOWN', 'SXTH', 'SXTB', 'UXTH', 'UXTB', 'PUSH', 'POP', 'REV', 'REV16', 'REVSH', 'NOP', 'STM', 'LDM',
  'B_COND', 'B', 'BL',
];
const K = Object.fromEntries(KINDS.map((name, number) => [name, number]));

const PATTERNS = [
  ['00000', 'LSL_I'], ['00001', 'LSR_I'], ['00010', 'ASR_I'], ['0001100', 'ADD_R'], ['0001101', 'SUB_R'],
  ['0001110', 'ADD_3'], ['0001111', 'SUB_3'], ['00100', 'MOV_I'], ['00101', 'CMP_I'], ['00110', 'ADD_8'],
  ['00111', 'SUB_8'], ['0100000000', 'AND'], ['0100000001', 'EOR'], ['0100000010', 'LSL_R'], ['0100000011', 'LSR_R'],
  ['0100000100', 'ASR_R'], ['0100000101', 'ADC'], ['0100000110', 'SBC'], ['0100000111', 'ROR'], ['0100001000', 'TST'],
  ['0100001001', 'RSB'], ['0100001010', 'CMP_R'], ['0100001011', 'CMN'], ['0100001100', 'ORR'], ['0100001101', 'MUL'],
  ['0100001110', 'BIC'], ['0100001111', 'MVN'], ['01000100', 'ADD_HI'], ['01000101', 'CMP_HI'], ['01000110', 'MOV_HI'],
  ['010001110', 'BX'], ['010001111', 'BLX'], ['01001', 'LDR_PC'], ['0101000', 'STR_R'], ['0101001', 'STRH_R'],
  ['0101010', 'STRB_R'], ['0101011', 'LDRSB_R'], ['0101100', 'LDR_R'], ['0101101', 'LDRH_R'], ['0101110', 'LDRB_R'],
  ['0101111', 'LDRSH_R'], ['01100', 'STR_I'], ['01101', 'LDR_I'], ['01110', 'STRB_I'], ['01111', 'LDRB_I'],
  ['10000', 'STRH_I'], ['10001', 'LDRH_I'], ['10010', 'STR_SP'], ['10011', 'LDR_SP'], ['10100', 'ADR'],
  ['10101', 'ADD_SP'], ['101100000', 'SP_UP'], ['101100001', 'SP_DOWN'], ['1011001000', 'SXTH'],
  ['1011001001', 'SXTB'], ['1011001010', 'UXTH'], ['1011001011', 'UXTB'], ['1011010', 'PUSH'], ['1011110', 'POP'],
  ['1011101000', 'REV'], ['1011101001', 'REV16'], ['1011101011', 'REVSH'], ['1011111100000000', 'NOP'],
  ['11000', 'STM'], ['11001', 'LDM'], ['1101', 'B_COND'], ['11011110', 'SLOW'], ['11011111', 'SLOW'], ['11100', 'B'],
  ['11110', 'BL'],
];

function decodeAll() {
  const kinds = new Uint8Array(0x10000);
  for (const [prefix, name] of PATTERNS) {
    const shift = 16 - prefix.length;
    const start = parseInt(prefix, 2) << shift;
    kinds.fill(K[name], start, start + (1 << shift));
  }
  return kinds;
}

const KIND_OF = decodeAll();
const REGISTERS_IN = Uint8Array.from({ length: 256 }, (_, list) => list.toString(2).replaceAll('0', '').length);

/**
 * Return what runs the core for at least one and at most about `limit` cycles, and tells how many it took: until the limit,
 * or an instruction that is left to rp2040js. `state.slow` says that the next one is.
 */
export function makeFastCore(rp2040) {
  const { core } = rp2040;
  const R = new Int32Array(core.registers.buffer);
  const ram8 = rp2040.sram;
  const ram16 = new Uint16Array(ram8.buffer);
  const ram32 = new Int32Array(ram8.buffer);
  const flash8 = rp2040.flash;
  const flash16 = rp2040.flash16;
  const flash32 = new Int32Array(flash8.buffer);
  const rom32 = new Int32Array(rp2040.bootrom.buffer);
  const rom16 = new Uint16Array(rp2040.bootrom.buffer);
  const rom8 = new Uint8Array(rp2040.bootrom.buffer);
  const ramBytes = ram8.length;
  const flashBytes = flash8.length;
  const state = { slow: false };

  function run(limit) {
    let pc = R[PC] & ~1;
    let nz = core.Z ? 0 : core.N ? -1 : 1; // negative, zero or neither, as the last result
    let c = core.C ? 1 : 0;
    let v = core.V ? 1 : 0;
    let cycles = 0;
    let code = flash16;
    let codeStart = 0;
    let codeBytes = 0;
    state.slow = false;

    run: while (cycles < limit) {
      let at = (pc - codeStart) | 0;
      if (at >>> 0 >= codeBytes) {
        if (((pc - FLASH_START) >>> 0) < flashBytes) [code, codeStart, codeBytes] = [flash16, FLASH_START, flashBytes];
        else if (((pc - RAM_START) >>> 0) < ramBytes) [code, codeStart, codeBytes] = [ram16, RAM_START, ramBytes];
        else if (pc >>> 0 < ROM_BYTES) [code, codeStart, codeBytes] = [rom16, 0, ROM_BYTES];
        else break;
        at = (pc - codeStart) | 0;
      }
      const op = code[at >> 1];
      let took = 1;
      let next = (pc + 2) | 0;

      switch (KIND_OF[op]) {
        case 1: { // LSL_I
          const by = (op >> 6) & 31;
          const from = R[(op >> 3) & 7];
          if (by) c = (from >>> (32 - by)) & 1;
          R[op & 7] = nz = from << by;
          break;
        }
        case 2: { // LSR_I
          const by = (op >> 6) & 31;
          const from = R[(op >> 3) & 7];
          c = (from >>> (by ? by - 1 : 31)) & 1;
          R[op & 7] = nz = by ? (from >>> by) | 0 : 0;
          break;
        }
        case 3: { // ASR_I
          const by = (op >> 6) & 31;
          const from = R[(op >> 3) & 7];
          c = (from >> (by ? by - 1 : 31)) & 1;
          R[op & 7] = nz = from >> (by || 31);
          break;
        }
        case 4: { // ADD_R
          const a = R[(op >> 3) & 7];
          const b = R[(op >> 6) & 7];
          R[op & 7] = nz = (a + b) | 0;
          c = nz >>> 0 < a >>> 0 ? 1 : 0;
          v = ((a ^ nz) & (b ^ nz)) >>> 31;
          break;
        }
        case 5: { // SUB_R
          const a = R[(op >> 3) & 7];
          const b = R[(op >> 6) & 7];
          R[op & 7] = nz = (a - b) | 0;
          c = a >>> 0 >= b >>> 0 ? 1 : 0;
          v = ((a ^ b) & (a ^ nz)) >>> 31;
          break;
        }
        case 6: { // ADD_3
          const a = R[(op >> 3) & 7];
          const b = (op >> 6) & 7;
          R[op & 7] = nz = (a + b) | 0;
          c = nz >>> 0 < a >>> 0 ? 1 : 0;
          v = ((a ^ nz) & (b ^ nz)) >>> 31;
          break;
        }
        case 7: { // SUB_3
          const a = R[(op >> 3) & 7];
          const b = (op >> 6) & 7;
          R[op & 7] = nz = (a - b) | 0;
          c = a >>> 0 >= b ? 1 : 0;
          v = ((a ^ b) & (a ^ nz)) >>> 31;
          break;
        }
        case 8: // MOV_I
          R[(op >> 8) & 7] = nz = op & 0xff;
          break;
        case 9: { // CMP_I
          const a = R[(op >> 8) & 7];
          const b = op & 0xff;
          nz = (a - b) | 0;
          c = a >>> 0 >= b ? 1 : 0;
          v = ((a ^ b) & (a ^ nz)) >>> 31;
          break;
        }
        case 10: { // ADD_8
          const a = R[(op >> 8) & 7];
          const b = op & 0xff;
          R[(op >> 8) & 7] = nz = (a + b) | 0;
          c = nz >>> 0 < a >>> 0 ? 1 : 0;
          v = ((a ^ nz) & (b ^ nz)) >>> 31;
          break;
        }
        case 11: { // SUB_8
          const a = R[(op >> 8) & 7];
          const b = op & 0xff;
          R[(op >> 8) & 7] = nz = (a - b) | 0;
          c = a >>> 0 >= b ? 1 : 0;
          v = ((a ^ b) & (a ^ nz)) >>> 31;
          break;
        }
        case 12: // AND
          R[op & 7] = nz = R[op & 7] & R[(op >> 3) & 7];
          break;
        case 13: // EOR
          R[op & 7] = nz = R[op & 7] ^ R[(op >> 3) & 7];
          break;
        case 14: { // LSL_R
          const by = R[(op >> 3) & 7] & 0xff;
          const from = R[op & 7];
          if (by) c = by <= 32 ? (from >>> (32 - by)) & 1 : 0;
          R[op & 7] = nz = by < 32 ? from << by : 0;
          break;
        }
        case 15: { // LSR_R
          const by = R[(op >> 3) & 7] & 0xff;
          const from = R[op & 7];
          if (by) c = by <= 32 ? (from >>> (by - 1)) & 1 : 0;
          R[op & 7] = nz = by < 32 ? (from >>> by) | 0 : 0;
          break;
        }
        case 16: { // ASR_R
          const by = R[(op >> 3) & 7] & 0xff;
          const from = R[op & 7];
          if (by) c = (from >> (by <= 32 ? by - 1 : 31)) & 1;
          R[op & 7] = nz = from >> (by < 32 ? by : 31);
          break;
        }
        case 17: { // ADC
          const a = R[op & 7];
          const b = R[(op >> 3) & 7];
          const sum = (a >>> 0) + (b >>> 0) + c;
          R[op & 7] = nz = sum | 0;
          c = sum > 0xffffffff ? 1 : 0;
          v = ((a ^ nz) & (b ^ nz)) >>> 31;
          break;
        }
        case 18: { // SBC
          const a = R[op & 7];
          const b = R[(op >> 3) & 7];
          const difference = (a >>> 0) - (b >>> 0) - (1 - c);
          R[op & 7] = nz = difference | 0;
          c = difference >= 0 ? 1 : 0;
          v = ((a ^ b) & (a ^ nz)) >>> 31;
          break;
        }
        case 19: { // ROR
          const by = R[(op >> 3) & 7] & 0xff;
          const from = R[op & 7];
          const turn = by & 31;
          R[op & 7] = nz = turn ? (from >>> turn) | (from << (32 - turn)) : from;
          if (by) c = nz >>> 31;
          break;
        }
        case 20: // TST
          nz = R[op & 7] & R[(op >> 3) & 7];
          break;
        case 21: { // RSB
          const b = R[(op >> 3) & 7];
          R[op & 7] = nz = -b | 0;
          c = b === 0 ? 1 : 0;
          v = (b & nz) >>> 31;
          break;
        }
        case 22: { // CMP_R
          const a = R[op & 7];
          const b = R[(op >> 3) & 7];
          nz = (a - b) | 0;
          c = a >>> 0 >= b >>> 0 ? 1 : 0;
          v = ((a ^ b) & (a ^ nz)) >>> 31;
          break;
        }
        case 23: { // CMN
          const a = R[op & 7];
          const b = R[(op >> 3) & 7];
          nz = (a + b) | 0;
          c = nz >>> 0 < a >>> 0 ? 1 : 0;
          v = ((a ^ nz) & (b ^ nz)) >>> 31;
          break;
        }
        case 24: // ORR
          R[op & 7] = nz = R[op & 7] | R[(op >> 3) & 7];
          break;
        case 25: // MUL
          R[op & 7] = nz = Math.imul(R[op & 7], R[(op >> 3) & 7]);
          break;
        case 26: // BIC
          R[op & 7] = nz = R[op & 7] & ~R[(op >> 3) & 7];
          break;
        case 27: // MVN
          R[op & 7] = nz = ~R[(op >> 3) & 7];
          break;
        case 28: { // ADD_HI
          const from = (op >> 3) & 15;
          const to = ((op >> 4) & 8) | (op & 7);
          const sum = ((to === PC ? pc + 4 : R[to]) + (from === PC ? pc + 4 : R[from])) | 0;
          if (to === PC) {
            next = sum & ~1;
            took = 2;
          } else R[to] = to === SP ? sum & ~3 : sum;
          break;
        }
        case 29: { // CMP_HI
          const a = R[((op >> 4) & 8) | (op & 7)];
          const b = R[(op >> 3) & 15];
          nz = (a - b) | 0;
          c = a >>> 0 >= b >>> 0 ? 1 : 0;
          v = ((a ^ b) & (a ^ nz)) >>> 31;
          break;
        }
        case 30: { // MOV_HI
          const from = (op >> 3) & 15;
          const to = ((op >> 4) & 8) | (op & 7);
          const value = from === PC ? (pc + 4) | 0 : R[from];
          if (to === PC) {
            next = value & ~1;
            took = 2;
          } else R[to] = to === SP ? value & ~3 : value;
          break;
        }
        case 31: { // BX
          const to = R[(op >> 3) & 15];
          if (to >>> 0 >= EXC_RETURN) {
            state.slow = true;
            break run;
          }
          next = to & ~1;
          took = 2;
          break;
        }
        case 32: { // BLX
          const to = R[(op >> 3) & 15];
          R[LR] = next | 1;
          next = to & ~1;
          took = 2;
          break;
        }
        case 33: { // LDR_PC
          const from = ((pc + 4) & ~3) + ((op & 0xff) << 2) - codeStart;
          const to = (op >> 8) & 7;
          if (code === flash16) R[to] = flash32[from >> 2];
          else if (code === ram16) R[to] = ram32[from >> 2];
          else R[to] = rom32[from >> 2];
          took = 2;
          break;
        }
        case 34: // STR_R
        case 42: // STR_I
        case 48: { // STR_SP
          const kind = KIND_OF[op];
          const to =
            kind === 42
              ? (R[(op >> 3) & 7] + ((op >> 4) & 0x7c)) | 0
              : kind === 34
                ? (R[(op >> 3) & 7] + R[(op >> 6) & 7]) | 0
                : (R[SP] + ((op & 0xff) << 2)) | 0;
          const offset = (to - RAM_START) | 0;
          if (offset >>> 0 >= ramBytes || offset & 3) {
            state.slow = true;
            break run;
          }
          ram32[offset >> 2] = kind === 48 ? R[(op >> 8) & 7] : R[op & 7];
          took = 2;
          break;
        }
        case 38: // LDR_R
        case 43: // LDR_I
        case 49: { // LDR_SP
          const kind = KIND_OF[op];
          const from =
            kind === 43
              ? (R[(op >> 3) & 7] + ((op >> 4) & 0x7c)) | 0
              : kind === 38
                ? (R[(op >> 3) & 7] + R[(op >> 6) & 7]) | 0
                : (R[SP] + ((op & 0xff) << 2)) | 0;
          const to = kind === 49 ? (op >> 8) & 7 : op & 7;
          const offset = (from - RAM_START) | 0;
          if (from & 3) {
            state.slow = true;
            break run;
          }
          if (offset >>> 0 < ramBytes) R[to] = ram32[offset >> 2];
          else if ((from & FLASH_MASK) === FLASH_START && (from & 0xffffff) < flashBytes) {
            R[to] = flash32[(from & 0xffffff) >> 2];
          } else if (from >>> 0 < ROM_BYTES) R[to] = rom32[from >> 2];
          else {
            state.slow = true;
            break run;
          }
          took = 2;
          break;
        }
        case 35: // STRH_R
        case 46: { // STRH_I
          const by = KIND_OF[op] === 46 ? (op >> 5) & 0x3e : R[(op >> 6) & 7];
          const offset = (R[(op >> 3) & 7] + by - RAM_START) | 0;
          if (offset >>> 0 >= ramBytes || offset & 1) {
            state.slow = true;
            break run;
          }
          ram16[offset >> 1] = R[op & 7];
          took = 2;
          break;
        }
        case 36: // STRB_R
        case 44: { // STRB_I
          const by = KIND_OF[op] === 44 ? (op >> 6) & 31 : R[(op >> 6) & 7];
          const offset = (R[(op >> 3) & 7] + by - RAM_START) | 0;
          if (offset >>> 0 >= ramBytes) {
            state.slow = true;
            break run;
          }
          ram8[offset] = R[op & 7];
          took = 2;
          break;
        }
        case 39: // LDRH_R
        case 41: // LDRSH_R
        case 47: { // LDRH_I
          const kind = KIND_OF[op];
          const from = (R[(op >> 3) & 7] + (kind === 47 ? (op >> 5) & 0x3e : R[(op >> 6) & 7])) | 0;
          const offset = (from - RAM_START) | 0;
          let value;
          if (from & 1) {
            state.slow = true;
            break run;
          }
          if (offset >>> 0 < ramBytes) value = ram16[offset >> 1];
          else if ((from & FLASH_MASK) === FLASH_START && (from & 0xffffff) < flashBytes) {
            value = flash16[(from & 0xffffff) >> 1];
          } else if (from >>> 0 < ROM_BYTES) value = rom16[from >> 1];
          else {
            state.slow = true;
            break run;
          }
          R[op & 7] = kind === 41 ? (value << 16) >> 16 : value;
          took = 2;
          break;
        }
        case 37: // LDRSB_R
        case 40: // LDRB_R
        case 45: { // LDRB_I
          const kind = KIND_OF[op];
          const from = (R[(op >> 3) & 7] + (kind === 45 ? (op >> 6) & 31 : R[(op >> 6) & 7])) | 0;
          const offset = (from - RAM_START) | 0;
          let value;
          if (offset >>> 0 < ramBytes) value = ram8[offset];
          else if ((from & FLASH_MASK) === FLASH_START && (from & 0xffffff) < flashBytes) {
            value = flash8[from & 0xffffff];
          } else if (from >>> 0 < ROM_BYTES) value = rom8[from];
          else {
            state.slow = true;
            break run;
          }
          R[op & 7] = kind === 37 ? (value << 24) >> 24 : value;
          took = 2;
          break;
        }
        case 50: // ADR
          R[(op >> 8) & 7] = ((pc + 4) & ~3) + ((op & 0xff) << 2);
          break;
        case 51: // ADD_SP
          R[(op >> 8) & 7] = R[SP] + ((op & 0xff) << 2);
          break;
        case 52: // SP_UP
          R[SP] += (op & 0x7f) << 2;
          break;
        case 53: // SP_DOWN
          R[SP] -= (op & 0x7f) << 2;
          break;
        case 54: // SXTH
          R[op & 7] = (R[(op >> 3) & 7] << 16) >> 16;
          break;
        case 55: // SXTB
          R[op & 7] = (R[(op >> 3) & 7] << 24) >> 24;
          break;
        case 56: // UXTH
          R[op & 7] = R[(op >> 3) & 7] & 0xffff;
          break;
        case 57: // UXTB
          R[op & 7] = R[(op >> 3) & 7] & 0xff;
          break;
        case 58: { // PUSH
          const list = op & 0xff;
          const count = REGISTERS_IN[list] + ((op >> 8) & 1);
          const start = (R[SP] - 4 * count - RAM_START) | 0;
          if (start >>> 0 >= ramBytes - 4 * count) {
            state.slow = true;
            break run;
          }
          let to = start >> 2;
          for (let left = list, register = 0; left; left >>= 1, register++) if (left & 1) ram32[to++] = R[register];
          if (op & 0x100) ram32[to] = R[LR];
          R[SP] -= 4 * count;
          took = 1 + REGISTERS_IN[list];
          break;
        }
        case 59: { // POP
          const list = op & 0xff;
          const count = REGISTERS_IN[list] + ((op >> 8) & 1);
          const start = (R[SP] - RAM_START) | 0;
          if (start >>> 0 > ramBytes - 4 * count || (op & 0x100 && ram32[(start >> 2) + count - 1] >>> 0 >= EXC_RETURN)) {
            state.slow = true;
            break run;
          }
          let from = start >> 2;
          for (let left = list, register = 0; left; left >>= 1, register++) if (left & 1) R[register] = ram32[from++];
          took = 1 + REGISTERS_IN[list];
          if (op & 0x100) {
            next = ram32[from] & ~1;
            took += 2;
          }
          R[SP] += 4 * count;
          break;
        }
        case 60: { // REV
          const from = R[(op >> 3) & 7];
          R[op & 7] = (from << 24) | ((from & 0xff00) << 8) | ((from >> 8) & 0xff00) | (from >>> 24);
          break;
        }
        case 61: { // REV16
          const from = R[(op >> 3) & 7];
          R[op & 7] = ((from & 0x00ff00ff) << 8) | ((from >>> 8) & 0x00ff00ff);
          break;
        }
        case 62: { // REVSH
          const from = R[(op >> 3) & 7];
          R[op & 7] = ((from << 24) >> 16) | ((from >> 8) & 0xff);
          break;
        }
        case 63: // NOP
          break;
        case 64: { // STM
          const list = op & 0xff;
          const base = (op >> 8) & 7;
          const offset = (R[base] - RAM_START) | 0;
          const count = REGISTERS_IN[list];
          if (offset >>> 0 > ramBytes - 4 * count || offset & 3 || (list >> base) & 1) {
            state.slow = true;
            break run;
          }
          let to = offset >> 2;
          for (let left = list, register = 0; left; left >>= 1, register++) if (left & 1) ram32[to++] = R[register];
          R[base] += 4 * count;
          took = 1 + count;
          break;
        }
        case 65: { // LDM
          const list = op & 0xff;
          const base = (op >> 8) & 7;
          const from = R[base];
          const count = REGISTERS_IN[list];
          const offset = (from - RAM_START) | 0;
          let memory = ram32;
          let word = offset >> 2;
          if (from & 3) {
            state.slow = true;
            break run;
          }
          if (offset >>> 0 > ramBytes - 4 * count) {
            if ((from & FLASH_MASK) !== FLASH_START || (from & 0xffffff) > flashBytes - 4 * count) {
              state.slow = true;
              break run;
            }
            memory = flash32;
            word = (from & 0xffffff) >> 2;
          }
          for (let left = list, register = 0; left; left >>= 1, register++) if (left & 1) R[register] = memory[word++];
          if (!((list >> base) & 1)) R[base] = from + 4 * count;
          took = 1 + count;
          break;
        }
        case 66: { // B_COND
          let holds;
          switch ((op >> 9) & 7) {
            case 0: holds = nz === 0; break;
            case 1: holds = c === 1; break;
            case 2: holds = nz < 0; break;
            case 3: holds = v === 1; break;
            case 4: holds = c === 1 && nz !== 0; break;
            case 5: holds = nz < 0 === (v === 1); break;
            default: holds = nz < 0 === (v === 1) && nz !== 0; break;
          }
          if (holds !== ((op >> 8) & 1) > 0) {
            next = (pc + 4 + ((op << 24) >> 23)) | 0;
            took = 2;
          }
          break;
        }
        case 67: // B
          next = (pc + 4 + ((op << 21) >> 20)) | 0;
          took = 2;
          break;
        case 68: { // BL, if the second half says so
          const low = code[(at >> 1) + 1];
          if ((low & 0xd000) !== 0xd000) {
            state.slow = true;
            break run;
          }
          const sign = (op >> 10) & 1;
          const i1 = 1 - (((low >> 13) & 1) ^ sign);
          const i2 = 1 - (((low >> 11) & 1) ^ sign);
          R[LR] = (pc + 4) | 1;
          next = (pc + 4 + ((sign ? 0xff000000 : 0) | (i1 << 23) | (i2 << 22) | ((op & 0x3ff) << 12) | ((low & 0x7ff) << 1))) | 0;
          took = 3;
          break;
        }
        default:
          state.slow = true;
          break run;
      }
      pc = next;
      cycles += took;
    }

    R[PC] = pc;
    core.N = nz < 0;
    core.Z = nz === 0;
    core.C = c === 1;
    core.V = v === 1;
    core.cycles += cycles;
    return cycles;
  }

  return { run, state };
}
