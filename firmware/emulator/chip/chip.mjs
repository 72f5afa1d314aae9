// A Pico: an RP2040 of rp2040js, made whole where that is not, with its flash, at the end of a USB cable.

import { connectFlash } from './flash.mjs';
import { makeFastCore } from './fast_core.mjs';
import { connectI2c } from './i2c.mjs';
import { GPIOPinState, RP2040 } from './rp2040js.mjs';
import { completeUart } from './uart.mjs';
import { SerialHost } from './usb.mjs';

const FLASH_START = 0x10000000;
const SIO_FIFO_STATUS = 0x50;
const SIO_FIFO_READ = 0x58;
const FIFO_VALID = 1; // something to read
const FIFO_READY = 2; // room to write
const PSM = 0x40010;
const FORCED_OFF = 0x4; // FRCE_OFF
const SECOND_CORE = 1 << 16;
const HARD_FAULT = 3;
const SHORTEST_CHARACTER_BITS = 9.5;
const ROSC = 0x40060;
const RANDOM_BIT = 0x1c;
const OSCILLATOR_IS_STABLE = 0x80001000;
const RESETS = 0x4000c;
const WATCHDOG = 0x40058;
const UART_RESETS = [1 << 22, 1 << 23]; // of RESETS.RESET
const RESET = 0;
const UART_OF_NODE = 1;
const ADC_SAMPLE_NANOS = 2000;
const FIRST_ADC_PIN = 26;
const SAMPLE_SHIFT = 4; // from the 16 bits of read_u16 to the 12 of the chip

/** What the firmware asked the watchdog for, or what the watchdog did by itself. */
class ResetRequested extends Error {}

/** A Cortex-M0+ cannot access what is not aligned. */
class Misaligned extends Error {}

/** Complaints of rp2040js about what firmware does. Only errors are worth a line. */
class Complaints {
  debug() {}
  info() {}
  warn() {}
  error(component, message) {
    console.error(`${component}: ${message}`);
  }
}

/**
 * `world` is what surrounds the chip: `address`, `read`, `write` of its I2C bus, `sample(pin)` of its ADC, and `moved`,
 * which is told what the chip does: ['pin', number, level or null], ['uart', byte], ['baud', rate], ['reset', reason].
 */
export class Chip {
  constructor(bootrom, flash, world, isSlow = false) {
    this.isSlow = isSlow; // rp2040js's own core does all
    this.bootrom = bootrom;
    this.flash = flash;
    this.world = world;
    this.levels = new Map(); // of the pins that the world drives
    this.usbOutput = [];
    this.usbOpen = false;
    this.usbRoom = 0;
    this.nanosBefore = 0; // what the chips before this reset have lived
    // In which the processor did something. rp2040js's own count has eight more for each division, for which the code waits.
    this.cycles = 0;
    this.isPowered = false;
    this.starts = 0;
  }

  /** Nanoseconds since the first start, whatever resets came between. */
  get nanos() {
    return this.nanosBefore + (this.rp2040?.clock.nanos ?? 0);
  }

  /** Connect the power. */
  powerUp() {
    this.isPowered = true;
    this.#start(null, 0);
  }

  /** Take the power away. What is in memory is gone, what is in flash stays. */
  powerDown() {
    this.#end();
    this.isPowered = false;
    this.rp2040 = null;
  }

  /** Reset it as the RUN pin does: nothing of what the watchdog keeps survives that either. */
  reset() {
    this.#end();
    this.#start(null, 0);
  }

  /** Drive a pin from outside. */
  drive(pin, level) {
    if (this.levels.get(pin) === level) return;
    this.levels.set(pin, level);
    this.rp2040?.gpio[pin].setInputValue(level !== 0);
  }

  /** Let characters arrive at the node's UART: [nanos, entry], in order. */
  receive(entries) {
    if (!this.isPowered) return;
    for (const entry of entries) this.arriving.push(entry);
    this.#arriveLater();
  }

  /** Open the serial port, or close it. */
  openUsb(isOpen) {
    this.usbOpen = isOpen;
    this.host?.open(isOpen);
  }

  /** Send bytes to the serial port. Without power they are lost. */
  writeUsb(bytes) {
    this.host?.write(bytes);
  }

  /** Say how many bytes of the serial port the computer takes from here on. */
  setUsbRoom(bytes) {
    this.usbRoom = bytes;
    this.host?.setRoom(bytes);
  }

  /**
   * Run until a time, or until something has happened that the world must know at once. Without power, time passes.
   * Raises PowerCut when the power went in an operation of the flash that was chosen for it.
   */
  run(untilNanos) {
    this.hasNews = false;
    while (!this.hasNews && this.nanos < untilNanos) {
      if (!this.isPowered) {
        this.nanosBefore = untilNanos;
        return;
      }
      try {
        this.#execute(untilNanos);
      } catch (error) {
        if (!(error instanceof ResetRequested)) throw error;
        this.#restart();
      }
    }
  }

  #execute(untilNanos) {
    const { core, clock } = this.rp2040;
    const { run, state } = this.fastCore;
    const until = untilNanos - this.nanosBefore;
    const cycleNanos = 1e9 / this.rp2040.clkSys;
    while (clock.nanosCounter < until && !this.hasNews) {
      if (core.waiting || clock.nanosCounter < this.busyUntil) {
        // Nothing executes: go to what happens next. A busy flash wakes the processor, as its polling would.
        let next = Math.min(clock.nextAlarm?.nanos ?? until, until);
        if (!core.waiting) next = Math.min(next, this.busyUntil);
        clock.tick(Math.max(0, next - clock.nanosCounter));
        continue;
      }
      if (!core.interruptsUpdated) {
        const next = Math.min(clock.nextAlarm?.nanos ?? until, until);
        const cycles = run(Math.max(1, (next - clock.nanosCounter) / cycleNanos));
        this.cycles += cycles;
        clock.nanosCounter += cycles * cycleNanos;
      }
      const cycles = core.interruptsUpdated || state.slow ? this.#executeOne() : 0;
      this.cycles += cycles;
      const nanos = cycles * cycleNanos;
      const alarm = clock.nextAlarm;
      if (alarm !== null && alarm.nanos <= clock.nanosCounter + nanos) clock.tick(nanos);
      else clock.nanosCounter += nanos;
    }
  }

  #executeOne() {
    const { core } = this.rp2040;
    try {
      return core.executeInstruction();
    } catch (error) {
      if (!(error instanceof Misaligned)) throw error;
      console.error(`hard fault: ${error.message} by the instruction at ${(core.PC - 2).toString(16)}`);
      core.PC -= 2;
      core.exceptionEntry(HARD_FAULT);
      return 1;
    }
  }

  #start(scratch, reason) {
    const rp2040 = new RP2040();
    this.rp2040 = rp2040;
    rp2040.logger = new Complaints();
    rp2040.loadBootrom(this.bootrom);
    // The chip's constructor erases its flash. This one outlives the chip.
    rp2040.flash = this.flash.memory;
    rp2040.flash16 = new Uint16Array(rp2040.flash.buffer);
    rp2040.flashView = new DataView(rp2040.flash.buffer);
    this.fastCore = this.isSlow ? { run: () => 0, state: { slow: true } } : makeFastCore(rp2040);
    this.#faultWhenMisaligned();
    this.busyUntil = 0;
    this.flash.deselect();
    this.flash.busyUntil = 0;
    connectFlash(rp2040, this.flash, (untilNanos) => {
      this.busyUntil = untilNanos;
    });
    connectI2c(rp2040, rp2040.i2c[0], this.world);
    this.#standInForSecondCore();
    this.#connectRandomBit();
    this.#connectUart();
    this.#connectWatchdog(scratch, reason);
    this.#connectPins();
    this.#connectAdc();
    this.host = new SerialHost(rp2040, (packet) => this.usbOutput.push(...packet));
    this.host.setRoom(this.usbRoom);
    this.host.open(this.usbOpen);
    // The boot ROM would look for BOOTSEL and read the flash's first 256 bytes; it ends at the second stage, which begins it.
    rp2040.core.PC = FLASH_START;
  }

  #end() {
    this.nanosBefore = this.nanos;
    this.usbRoom = this.host?.room ?? this.usbRoom;
    this.arriving = [];
  }

  /** The watchdog has bitten: its scratch registers and its reason survive, all else begins anew. */
  #restart() {
    const { scratchData, reason } = this.rp2040.peripherals[WATCHDOG];
    this.#end();
    this.#tell('reset', reason);
    this.#start(scratchData, reason);
  }

  #tell(...news) {
    this.world.moved(this.nanos, news);
    this.hasNews = true;
  }

  /** rp2040js does what the instruction asks for, and complains. */
  #faultWhenMisaligned() {
    const { core } = this.rp2040;
    for (const [name, mask] of [['readUint32', 3], ['writeUint32', 3], ['readUint16', 1], ['writeUint16', 1]]) {
      const access = core[name].bind(core);
      core[name] = (address, value) => {
        if (address & mask) throw new Misaligned(`${name} at ${(address >>> 0).toString(16)}`);
        return access(address, value);
      };
    }
  }

  /**
   * There is one core, and of the other what its boot ROM does: when a reset of it ends it sends a zero, for which MicroPython
   * waits in every soft reset. rp2040js has neither that nor the mailbox between the two.
   */
  #standInForSecondCore() {
    const { sio } = this.rp2040;
    const psm = this.rp2040.peripherals[PSM];
    let isReset = false;
    let hasSent = false;
    const read = sio.readUint32.bind(sio);
    sio.readUint32 = (offset) => {
      if (offset === SIO_FIFO_STATUS) return hasSent ? FIFO_VALID | FIFO_READY : FIFO_READY;
      if (offset !== SIO_FIFO_READ) return read(offset);
      hasSent = false;
      return 0;
    };
    const write = psm.writeUint32.bind(psm);
    psm.writeUint32 = (offset, value) => {
      write(offset, value);
      if (offset !== FORCED_OFF) return;
      if (isReset && !(value & SECOND_CORE)) hasSent = true;
      isReset = !!(value & SECOND_CORE);
    };
  }

  /** The ring oscillator's random bit, from which MicroPython makes its random numbers. The same chip throws the same bits. */
  #connectRandomBit() {
    const oscillator = this.rp2040.peripherals[ROSC];
    let state = this.flash.uniqueId.readUInt32LE(0) ^ Math.imul(++this.starts, 0x9e3779b9);
    oscillator.writeUint32 = () => {};
    oscillator.readUint32 = (offset) => {
      if (offset !== RANDOM_BIT) return OSCILLATOR_IS_STABLE;
      state ^= state << 13; // Marsaglia's xorshift
      state ^= state >>> 17;
      state ^= state << 5;
      return state & 1;
    };
  }

  #connectUart() {
    const { rp2040 } = this;
    let told = 0;
    const completed = rp2040.uart.map((uart, number) => {
      const isNodes = number === UART_OF_NODE;
      const sent = (byte) => {
        if (isNodes) this.#tell('uart', byte);
      };
      const rated = (baud) => {
        if (!isNodes || baud === told) return;
        told = baud;
        this.arriving = []; // what was heard at another rate
        this.arrival.cancel();
        this.#tell('baud', baud);
      };
      return completeUart(rp2040, uart, sent, rated);
    });
    this.arriving = [];
    this.lastArrival = 0;
    this.arrival = rp2040.clock.createAlarm(() => {
      this.arrival.scheduled = false;
      this.lastArrival = this.nanos;
      completed[UART_OF_NODE].receive(this.arriving.shift()[1]);
      this.#arriveLater();
    });
    // rp2040js's reset controller resets nothing, and `machine.UART.init` counts on it.
    const resets = rp2040.peripherals[RESETS];
    const write = resets.writeUint32.bind(resets);
    resets.writeUint32 = (offset, value) => {
      write(offset, value);
      if (offset !== RESET) return;
      for (const number of [0, 1]) if (value & UART_RESETS[number]) completed[number].reset();
    };
  }

  #arriveLater() {
    if (!this.arriving.length || this.arrival.scheduled) return;
    // No line is faster than its rate, however late we are told of what it carried.
    const earliest = this.lastArrival + SHORTEST_CHARACTER_BITS * 1e9 / this.rp2040.uart[UART_OF_NODE].baudRate;
    this.arrival.schedule(Math.max(0, earliest - this.nanos, this.arriving[0][0] - this.nanos));
  }

  #connectWatchdog(scratch, reason) {
    const watchdog = this.rp2040.peripherals[WATCHDOG];
    if (scratch) watchdog.scratchData.set(scratch);
    watchdog.reason = reason;
    // rp2040js's calls this for ever once it has run down, for it expects that nothing of the chip is left.
    watchdog.onWatchdogTrigger = () => {
      throw new ResetRequested();
    };
  }

  #connectPins() {
    this.rp2040.gpio.forEach((pin, number) => {
      pin.addListener((state) => {
        const isDriven = state === GPIOPinState.Low || state === GPIOPinState.High;
        this.#tell('pin', number, isDriven ? Number(state === GPIOPinState.High) : null);
      });
      if (this.levels.has(number)) pin.setInputValue(this.levels.get(number) !== 0);
    });
  }

  #connectAdc() {
    const { adc } = this.rp2040;
    adc.onADCRead = (channel) => {
      adc.channelValues[channel] = this.world.sample(FIRST_ADC_PIN + channel) >> SAMPLE_SHIFT;
      adc.currentChannel = channel;
      adc.sampleAlarm.schedule(ADC_SAMPLE_NANOS);
    };
  }
}
