// The Pico's flash chip, and the way to it: the SSI in its serial mode, and the pad that selects the chip.
// rp2040js knows the flash as memory that can be read only: it has no IO_QSPI, and its SSI answers one command.

const SECTOR_BYTES = 4096;
const BLOCK_BYTES = 65536;
const PAGE_BYTES = 256;
const ERASED = 0xff;

// A W25Q16JV, the Pico's chip. Data sheet 9.6: typical times, in nanoseconds.
const PROGRAM_NANOS = 400_000;
const ERASE_NANOS = { [SECTOR_BYTES]: 45_000_000, [BLOCK_BYTES]: 150_000_000 };
const JEDEC_ID = [0xef, 0x40, 0x15];

const WRITE_STATUS = 0x01;
const PAGE_PROGRAM = 0x02;
const READ_DATA = 0x03;
const WRITE_DISABLE = 0x04;
const READ_STATUS_1 = 0x05;
const WRITE_ENABLE = 0x06;
const SECTOR_ERASE = 0x20;
const READ_STATUS_2 = 0x35;
const READ_UNIQUE_ID = 0x4b;
const READ_JEDEC_ID = 0x9f;
const BLOCK_ERASE = 0xd8;
const ADDRESSED = 4; // a command, and three bytes of address
const BUSY = 1;
const ENABLED = 2;
const QUAD_ENABLED = 2;

/** What a loss of power leaves of an operation that it interrupts: all of it, a part of it, nothing. */
export const CUTS = ['before', 'torn', 'after'];

/** Thrown when the power goes at a flash operation that was chosen for it. */
export class PowerCut extends Error {}

/** A serial NOR flash. Its memory survives resets and losses of power. */
export class NorFlash {
  constructor(memory, uniqueId) {
    this.memory = memory;
    this.uniqueId = uniqueId;
    this.operations = 0; // programs and erases since it was made
    this.busyUntil = 0;
    this.cut = null; // { at: the number of an operation, how: one of CUTS }
    this.deselect();
  }

  /** The next operations belong to a new start of the chip. */
  deselect() {
    this.sent = [];
    this.writable = false;
  }

  /** A byte goes in while another comes out. */
  shift(byte, nanos) {
    const { sent } = this;
    sent.push(byte);
    const at = sent.length - 1;
    switch (sent[0]) {
      case READ_STATUS_1:
        return (nanos < this.busyUntil ? BUSY : 0) | (this.writable ? ENABLED : 0);
      case READ_STATUS_2:
        return QUAD_ENABLED; // as the second stage of the boot left it
      case READ_JEDEC_ID:
        return JEDEC_ID[at - 1] ?? 0;
      case READ_UNIQUE_ID:
        return at > ADDRESSED ? (this.uniqueId[at - ADDRESSED - 1] ?? 0) : ERASED;
      case READ_DATA:
        return at >= ADDRESSED ? (this.memory[this.#address() + at - ADDRESSED] ?? ERASED) : ERASED;
      default:
        return ERASED;
    }
  }

  /** The chip is deselected: what was sent takes effect. */
  finish(nanos) {
    const { sent } = this;
    this.sent = [];
    switch (sent[0]) {
      case WRITE_ENABLE:
        this.writable = true;
        return;
      case WRITE_DISABLE:
      case WRITE_STATUS:
        this.writable = false;
        return;
      case SECTOR_ERASE:
      case BLOCK_ERASE:
        if (sent.length >= ADDRESSED) this.#erase(sent, nanos);
        return;
      case PAGE_PROGRAM:
        if (sent.length > ADDRESSED) this.#program(sent, nanos);
        return;
    }
  }

  #address(sent = this.sent) {
    return ((sent[1] << 16) | (sent[2] << 8) | sent[3]) % this.memory.length;
  }

  #erase(sent, nanos) {
    const size = sent[0] === SECTOR_ERASE ? SECTOR_BYTES : BLOCK_BYTES;
    const start = this.#address(sent) & ~(size - 1);
    // Torn, the first half of each sector is erased and the rest is neither old nor new.
    this.#operate(nanos, ERASE_NANOS[size], (torn) => {
      this.memory.fill(ERASED, start, start + (torn ? size / 2 : size));
      if (torn) for (let at = start + size / 2; at < start + size; at++) this.memory[at] |= 0x5a;
    });
  }

  #program(sent, nanos) {
    const data = sent.slice(ADDRESSED, ADDRESSED + PAGE_BYTES);
    const start = this.#address(sent);
    const page = start & ~(PAGE_BYTES - 1);
    // Torn, the first half is programmed, and of the next byte some bits are.
    this.#operate(nanos, PROGRAM_NANOS, (torn) => {
      const whole = torn ? data.length >> 1 : data.length;
      for (let index = 0; index < whole; index++) {
        this.memory[page | ((start + index) & (PAGE_BYTES - 1))] &= data[index];
      }
      if (torn) this.memory[page | ((start + whole) & (PAGE_BYTES - 1))] &= data[whole] | 0x0f;
    });
  }

  #operate(nanos, lasts, change) {
    if (!this.writable) return;
    this.writable = false;
    this.operations++;
    const cut = this.cut !== null && this.operations === this.cut.at ? this.cut.how : null;
    if (cut !== 'before') change(cut === 'torn');
    if (cut !== null) throw new PowerCut();
    this.busyUntil = nanos + lasts;
  }
}

const SSI = 0x18000;
const IO_QSPI = 0x40018;
const SSI_RXFLR = 0x24;
const SSI_SR = 0x28;
const SSI_DR0 = 0x60;
const TX_EMPTY_AND_NOT_FULL = 0x6;
const RX_NOT_EMPTY = 0x8;
const PADS_BYTES = 0x30; // a status and a control register for each of six pads
const SELECT_CTRL = 0xc;
const OUTPUT_OVERRIDE_SHIFT = 8;
const DRIVE_HIGH = 3;
const RESET_CTRL = 0x1f;
const INPUT_HIGH = 1 << 17; // of the select pad, when nobody presses BOOTSEL

/**
 * Hang the flash on a chip. `wait(untilNanos)` is called when the firmware asks a busy flash for its status: nothing
 * else happens on the chip until then but interrupts that are off, so the time can be skipped.
 */
export function connectFlash(rp2040, flash, wait) {
  const ssi = rp2040.peripherals[SSI];
  const ctrl = new Array(PADS_BYTES / 8).fill(RESET_CTRL);
  let received = [];
  let selected = true;

  const io = rp2040.peripherals[IO_QSPI];
  io.readUint32 = (offset) => {
    if (offset >= PADS_BYTES) return 0;
    return offset & 4 ? ctrl[offset >> 3] : INPUT_HIGH;
  };
  io.writeUint32 = (offset, value) => {
    if (offset >= PADS_BYTES || !(offset & 4)) return;
    ctrl[offset >> 3] = value;
    if (offset !== SELECT_CTRL) return;
    const was = selected;
    selected = ((value >> OUTPUT_OVERRIDE_SHIFT) & 3) !== DRIVE_HIGH;
    if (selected && !was) received = [];
    else if (was && !selected) flash.finish(rp2040.clock.nanos);
  };

  const readRegister = ssi.readUint32.bind(ssi);
  const writeRegister = ssi.writeUint32.bind(ssi);
  ssi.readUint32 = (offset) => {
    switch (offset) {
      case SSI_DR0:
        return received.shift() ?? 0;
      case SSI_RXFLR:
        return received.length;
      case SSI_SR:
        return TX_EMPTY_AND_NOT_FULL | (received.length ? RX_NOT_EMPTY : 0);
      default:
        return readRegister(offset);
    }
  };
  ssi.writeUint32 = (offset, value) => {
    if (offset !== SSI_DR0) {
      writeRegister(offset, value);
    } else if (ssi.ssienr) {
      const { nanos } = rp2040.clock;
      received.push(selected ? flash.shift(value & 0xff, nanos) : ERASED);
      if (flash.sent[0] === READ_STATUS_1 && nanos < flash.busyUntil) wait(flash.busyUntil);
    }
  };
}
