// The computer at the other end of the USB cable: finds the serial port of the chip, opens it, moves packets.
//
// rp2040js has such a host as well, but it takes every packet at once, so that the chip never sees a slow reader; answers
// a waiting OUT endpoint with empty packets, an interrupt every 10 µs; and sends no start of frame, which TinyUSB counts.

const DEVICE_TO_HOST = 0x80;
const SET_ADDRESS = { type: 0x00, request: 5, value: 1 };
const GET_CONFIGURATION = { type: DEVICE_TO_HOST, request: 6, value: 0x200 };
const SET_CONFIGURATION = { type: 0x00, request: 9, value: 1 };
const SET_CONTROL_LINE_STATE = { type: 0x21, request: 0x22 };
const DTR_AND_RTS = 3;
const CONFIGURATION_HEAD_BYTES = 9;
const INTERFACE = 4;
const ENDPOINT = 5;
const CDC_DATA = 10;
const BULK = 2;

const PACKET_BYTES = 64;
const PACKET_NANOS = 53_000; // USB 2.0, table 5-9: 19 full packets in a frame of 1 ms
const FRAME_NANOS = 1_000_000;
const BETWEEN_REQUESTS_NANOS = 100_000;

const BUFFER_CONTROL = 0x80; // in the DPRAM: IN and OUT of each endpoint
const AVAILABLE = 1 << 10;
const FULL = 1 << 15;
const LENGTH = 0x3ff;
const SECOND_BUFFER_SHIFT = 16;
const INTERRUPT_ON_START_OF_FRAME = 1 << 17; // INTR, INTE
const SOF_RD = 0x48;
const INTE = 0x90;

/** A host that has the serial port open or not, and reads it or not. */
export class SerialHost {
  /** `received(bytes)` gets what the chip sends, when it is told that there is room. */
  constructor(rp2040, received) {
    this.rp2040 = rp2040;
    this.usb = rp2040.usbCtrl;
    this.received = received;
    this.room = 0; // bytes that the reader still takes
    this.toChip = [];
    this.isOpen = false;
    this.isConfigured = false;
    this.inEndpoint = this.outEndpoint = -1;
    this.requests = [];
    this.current = null;
    this.packets = []; // of the chip, not yet taken
    this.lastOfTransfer = 0;
    this.armed = 0; // bytes that the chip takes next; 0 when it is not ready
    const { clock } = rp2040;
    this.takeAlarm = clock.createAlarm(() => this.#take());
    this.giveAlarm = clock.createAlarm(() => this.#give());
    this.requestAlarm = clock.createAlarm(() => this.#sendRequest());
    this.frameAlarm = clock.createAlarm(() => this.#startFrame());
    this.#connect();
  }

  /** Open or close the port. */
  open(isOpen) {
    if (isOpen === this.isOpen) return;
    this.isOpen = isOpen;
    if (this.isConfigured) this.#tellLineState();
  }

  /** Send bytes to the chip, as fast as it takes them. */
  write(bytes) {
    for (const byte of bytes) this.toChip.push(byte);
    this.#giveLater();
  }

  /** Say for how many bytes more the reader has room. */
  setRoom(bytes) {
    this.room = bytes;
    this.#takeLater();
  }

  #connect() {
    const { usb } = this;
    usb.onUSBEnabled = () => usb.resetDevice();
    usb.onResetReceived = () => {
      this.#request(SET_ADDRESS);
      this.#request({ ...GET_CONFIGURATION, length: CONFIGURATION_HEAD_BYTES }, (head) => {
        const length = head[2] | (head[3] << 8);
        this.#request({ ...GET_CONFIGURATION, length }, (descriptors) => {
          this.#findEndpoints(descriptors);
          this.#request(SET_CONFIGURATION);
          this.isConfigured = true;
          if (this.isOpen) this.#tellLineState();
        });
      });
    };
    usb.onEndpointWrite = (endpoint, packet) => {
      if (endpoint === 0) this.#answered(packet);
    };
    usb.onEndpointRead = (endpoint, size) => {
      if (endpoint === 0) usb.endpointReadDone(0, new Uint8Array(0)); // the end of a request that was answered
      if (endpoint !== this.outEndpoint) return;
      this.armed = size;
      this.#giveLater();
    };
    const updated = usb.DPRAMUpdated.bind(usb);
    usb.DPRAMUpdated = (offset, value) => {
      if (this.inEndpoint >= 0 && offset === BUFFER_CONTROL + 8 * this.inEndpoint) this.#sends(offset, value);
      else updated(offset, value);
    };
    const read = usb.readUint32.bind(usb);
    usb.readUint32 = (offset) => {
      if (offset !== SOF_RD) return read(offset);
      usb.intRaw &= ~INTERRUPT_ON_START_OF_FRAME;
      usb.checkInterrupts();
      return Math.floor(this.rp2040.clock.nanos / FRAME_NANOS) & 0x7ff;
    };
    const write = usb.writeUint32.bind(usb);
    usb.writeUint32 = (offset, value) => {
      write(offset, value);
      if (offset === INTE && value & INTERRUPT_ON_START_OF_FRAME && !this.frameAlarm.scheduled) this.#nextFrame();
    };
  }

  #nextFrame() {
    this.frameAlarm.schedule(FRAME_NANOS - (this.rp2040.clock.nanos % FRAME_NANOS));
  }

  #startFrame() {
    const { usb } = this;
    this.frameAlarm.scheduled = false;
    if (!(usb.intEnable & INTERRUPT_ON_START_OF_FRAME)) return;
    usb.intRaw |= INTERRUPT_ON_START_OF_FRAME;
    usb.checkInterrupts();
    this.#nextFrame();
  }

  #tellLineState() {
    this.#request({ ...SET_CONTROL_LINE_STATE, value: this.isOpen ? DTR_AND_RTS : 0 });
  }

  #request(request, done = () => {}) {
    this.requests.push({ length: 0, ...request, answer: [], done });
    if (this.current === null) this.requestAlarm.schedule(BETWEEN_REQUESTS_NANOS);
  }

  #sendRequest() {
    this.current = this.requests.shift() ?? null;
    if (this.current === null) return;
    const { type, request, value, length } = this.current;
    const [low, high] = [(word) => word & 0xff, (word) => word >> 8];
    this.usb.sendSetupPacket(new Uint8Array([type, request, low(value), high(value), 0, 0, low(length), high(length)]));
  }

  #answered(packet) {
    const { current } = this;
    if (current === null) return;
    current.answer.push(...packet);
    const isComplete = current.answer.length >= current.length || packet.length < PACKET_BYTES;
    if (!isComplete) return;
    this.current = null;
    current.done(current.answer);
    this.requestAlarm.schedule(BETWEEN_REQUESTS_NANOS);
  }

  #findEndpoints(descriptors) {
    let isData = false;
    for (let at = 0; at + 1 < descriptors.length && descriptors[at] > 1; at += descriptors[at]) {
      const type = descriptors[at + 1];
      if (type === INTERFACE) isData = descriptors[at + 5] === CDC_DATA;
      if (type !== ENDPOINT || !isData || (descriptors[at + 3] & 3) !== BULK) continue;
      const address = descriptors[at + 2];
      if (address & DEVICE_TO_HOST) this.inEndpoint = address & 0xf;
      else this.outEndpoint = address & 0xf;
    }
  }

  /** The chip has one or two packets ready. It is told that they are taken when they are. */
  #sends(offset, value) {
    const { rp2040, usb } = this;
    const start = usb.getEndpointBufferOffset(this.inEndpoint, false);
    let left = value;
    let count = 0;
    for (const buffer of [0, 1]) {
      const control = value >>> (buffer * SECOND_BUFFER_SHIFT);
      if (!(control & AVAILABLE)) continue;
      const at = start + buffer * PACKET_BYTES;
      this.packets.push(rp2040.usbDPRAM.slice(at, at + (control & LENGTH)));
      left &= ~((AVAILABLE | FULL) << (buffer * SECOND_BUFFER_SHIFT));
      count++;
    }
    if (!count) return;
    this.controlWhenTaken = [offset, left];
    this.#takeLater();
  }

  #takeLater() {
    if (this.packets.length && this.room > 0 && !this.takeAlarm.scheduled) this.takeAlarm.schedule(PACKET_NANOS);
  }

  #take() {
    this.takeAlarm.scheduled = false;
    const packet = this.packets.shift();
    this.room -= packet.length;
    this.received(packet);
    if (this.packets.length) {
      this.#takeLater();
      return;
    }
    const [offset, control] = this.controlWhenTaken;
    this.rp2040.usbDPRAMView.setUint32(offset, control, true);
    this.usb.indicateBufferReady(this.inEndpoint, false);
  }

  #giveLater() {
    if (this.armed && this.toChip.length && !this.giveAlarm.scheduled) this.giveAlarm.schedule(PACKET_NANOS);
  }

  #give() {
    this.giveAlarm.scheduled = false;
    const packet = new Uint8Array(this.toChip.splice(0, Math.min(this.armed, PACKET_BYTES)));
    this.armed = 0;
    this.usb.finishRead(this.outEndpoint, packet);
  }
}
