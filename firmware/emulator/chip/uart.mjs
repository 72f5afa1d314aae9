// The PL011, for what rp2040js's lacks: error flags, overruns, FIFO levels, the receive timeout, requests to the DMA, and
// a transmitter that takes its time. Its transmit interrupt also came back at once whenever it was cleared, for ever.

const UARTDR = 0x00;
const UARTFR = 0x18;
const UARTLCR_H = 0x2c;
const UARTIFLS = 0x34;
const UARTIMSC = 0x38;
const UARTRIS = 0x3c;
const UARTMIS = 0x40;
const UARTICR = 0x44;
const UARTDMACR = 0x48;

const TX_EMPTY = 1 << 7;
const RX_FULL = 1 << 6;
const TX_FULL = 1 << 5;
const RX_EMPTY = 1 << 4;
const BUSY = 1 << 3;

const RX_INTERRUPT = 1 << 4;
const TX_INTERRUPT = 1 << 5;
const TIMEOUT_INTERRUPT = 1 << 6;
const ERROR_INTERRUPTS = 0x780; // framing, parity, break, overrun
const ERROR_SHIFT = 1; // from an entry's flags to the interrupts
const OVERRUN = 0x800;
const RX_DMA = 1;
const FIFO_DEPTH = 32;
const FIFOS_ENABLED = 0x10;
const LEVELS = [4, 8, 16, 24, 28];
const RESET_LEVELS = 0x12; // half full, both
const CHARACTER_BITS = 10;
const TIMEOUT_BITS = 32;

/**
 * Turn rp2040js's UART into a PL011. Returns what feeds it: `receive(entry)` with the error flags above the byte as in
 * UARTDR, and `reset()`. `sent(byte)` is called when a byte has left, `rated(baud)` when the rate has changed.
 */
export function completeUart(rp2040, uart, sent, rated) {
  const { clock } = rp2040;
  const transmitted = new uart.rxFIFO.constructor(FIFO_DEPTH);
  let levels = RESET_LEVELS;
  let dmaControl = 0;
  let overrun = false;
  let sending = -1;

  const characterNanos = () => (CHARACTER_BITS * 1e9) / uart.baudRate;
  const capacity = () => (uart.lineCtrlRegister & FIFOS_ENABLED ? FIFO_DEPTH : 1);
  const rxLevel = () => LEVELS[(levels >> 3) & 7] ?? FIFO_DEPTH / 2;
  const txLevel = () => LEVELS[levels & 7] ?? FIFO_DEPTH / 2;
  const check = () => rp2040.setInterrupt(uart.irq, !!(uart.interruptStatus & uart.interruptMask));
  const request = () => {
    if (dmaControl & RX_DMA && !uart.rxFIFO.empty) rp2040.dma.setDREQ(uart.dreq.rx);
    else rp2040.dma.clearDREQ(uart.dreq.rx);
  };
  const timeout = clock.createAlarm(() => {
    if (uart.rxFIFO.empty) return;
    uart.interruptStatus |= TIMEOUT_INTERRUPT;
    check();
  });

  const receive = (entry) => {
    if (!uart.enabled || !uart.rxEnabled) return;
    if (uart.rxFIFO.itemCount >= capacity()) {
      overrun = true;
      uart.interruptStatus |= OVERRUN >> ERROR_SHIFT;
    } else {
      uart.rxFIFO.push(overrun ? entry | OVERRUN : entry);
      overrun = false;
      uart.interruptStatus |= (entry >> ERROR_SHIFT) & ERROR_INTERRUPTS;
      if (uart.rxFIFO.itemCount >= rxLevel()) uart.interruptStatus |= RX_INTERRUPT;
      timeout.schedule((TIMEOUT_BITS * 1e9) / uart.baudRate);
      request();
    }
    check();
  };
  const take = () => {
    const entry = uart.rxFIFO.pull();
    if (uart.rxFIFO.itemCount < rxLevel()) uart.interruptStatus &= ~RX_INTERRUPT;
    if (uart.rxFIFO.empty) {
      uart.interruptStatus &= ~TIMEOUT_INTERRUPT;
      timeout.cancel();
    }
    request();
    check();
    return entry;
  };

  const shifted = clock.createAlarm(() => {
    sent(sending);
    sending = -1;
    start();
  });
  const start = () => {
    if (sending >= 0 || transmitted.empty) return;
    const before = transmitted.itemCount;
    sending = transmitted.pull();
    if (before > txLevel() && transmitted.itemCount <= txLevel()) uart.interruptStatus |= TX_INTERRUPT;
    shifted.schedule(characterNanos());
    check();
  };
  const transmit = (byte) => {
    if (transmitted.itemCount >= capacity()) return;
    transmitted.push(byte);
    if (transmitted.itemCount > txLevel()) uart.interruptStatus &= ~TX_INTERRUPT;
    start();
    // A FIFO that never was above its level gives the interrupt when its first byte moves on.
    if (transmitted.itemCount <= txLevel() && transmitted.empty) uart.interruptStatus |= TX_INTERRUPT;
    check();
  };

  uart.checkInterrupts = check;
  const readRegister = uart.readUint32.bind(uart);
  const writeRegister = uart.writeUint32.bind(uart);
  uart.readUint32 = (offset) => {
    switch (offset) {
      case UARTDR:
        return take();
      case UARTFR:
        return (
          (transmitted.empty ? TX_EMPTY : 0) |
          (uart.rxFIFO.itemCount >= capacity() ? RX_FULL : 0) |
          (transmitted.itemCount >= capacity() ? TX_FULL : 0) |
          (uart.rxFIFO.empty ? RX_EMPTY : 0) |
          (sending >= 0 ? BUSY : 0)
        );
      case UARTIFLS:
        return levels;
      case UARTRIS:
        return uart.interruptStatus;
      case UARTMIS:
        return uart.interruptStatus & uart.interruptMask;
      case UARTDMACR:
        return dmaControl;
      default:
        return readRegister(offset);
    }
  };
  uart.writeUint32 = (offset, value) => {
    switch (offset) {
      case UARTDR:
        transmit(value & 0xff);
        return;
      case UARTIFLS:
        levels = value & 0x3f;
        return;
      case UARTIMSC:
        uart.interruptMask = value & 0x7ff;
        check();
        return;
      case UARTICR:
        uart.interruptStatus &= ~uart.rawWriteValue;
        check();
        return;
      case UARTDMACR:
        dmaControl = value & 7;
        request();
        return;
      case UARTLCR_H:
        if (!(value & FIFOS_ENABLED)) uart.rxFIFO.reset();
        writeRegister(offset, value);
        if (uart.baudDivider) rated(uart.baudRate); // this write latches the divisors
        return;
      default:
        writeRegister(offset, value);
    }
  };

  const reset = () => {
    uart.rxFIFO.reset();
    transmitted.reset();
    timeout.cancel();
    shifted.cancel();
    sending = -1;
    overrun = false;
    levels = RESET_LEVELS;
    dmaControl = 0;
    uart.ctrlRegister = 0x300;
    uart.lineCtrlRegister = 0;
    uart.interruptMask = uart.interruptStatus = 0;
    request();
    check();
  };
  return { receive, reset };
}
