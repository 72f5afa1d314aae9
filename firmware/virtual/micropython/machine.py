"""`machine` for MicroPython's unix port: every call goes to the world that started this process.

It has what Racklet's firmware uses of the RP2040's `machine`, with the RP2040's constants and errors; what is not
modelled is not here, or raises. Calls on the hot paths do not allocate.

RACKLET_WORLD names two open sockets, "CALLS,EDGES". CALLS keeps message boundaries: an 8-byte header (operation,
argument, number, microseconds) and a payload go out; for some operations a status byte and a fixed number of bytes
come back. EDGES brings the number of a pin whenever it has fallen, if the firmware asked for that. There are no
interrupts here: a handler runs when the firmware next looks at its DMA, which it does every 5 ms; on an RP2040 it takes
microseconds. What the UART receives comes by DMA only, see `rp2`.
"""

import os
import select
import struct
import time

from micropython import const

PWRON_RESET = const(1)
WDT_RESET = const(3)
SOFT_RESET = const(5)

_IDENTITY = const(0)
_PIN_DRIVE = const(1)
_PIN_READ = const(2)
_I2C_READ = const(3)
_I2C_WRITE = const(4)
_ADC_READ = const(5)
_UART_OPEN = const(12)
_UART_WRITE = const(7)
_WDT_START = const(8)
_WDT_FEED = const(9)
_RESET = const(10)
_WDT_STOP = const(11)
_PIN_IRQ = const(14)
_SCRATCH_READ = const(15)
_SCRATCH_WRITE = const(16)
_UART_LOOP = const(17)

_HEADER = "<BBHI"
_HEADER_BYTES = const(8)
_MAX_PAYLOAD = const(512)
_MAX_TICKS = const(0x3FFFFFFF)
_FLOATING = const(2)

_IN = const(0)
_OUT = const(1)
_OPEN_DRAIN = const(2)
_LAST_ADC_CHANNEL = const(4)  # above it, ADC() takes the pin's number
_FIRST_ADC_PIN = const(26)
_MAX_WATCHDOG_MS = const(8388)
_WATCHDOG_CLEAR = const(0x4005B000)
_SCRATCH = const(0x4005800C)
_WATCHDOG_ENABLE = const(0x40000000)
_UART1_IMSC = const(0x40038038)
_TX_INTERRUPT = const(0x20)
_UART1_DMACR = const(0x40038048)
_RX_DMA = const(1)
_UART1_CR_SET = const(0x4003A030)
_UART1_CR_CLEAR = const(0x4003B030)
_LOOPBACK = const(0x80)

_SOFT = const(0)
_HARD = const(1)

_calls_fd, _edges_fd = (int(fd) for fd in os.getenv("RACKLET_WORLD").split(","))
_calls = open(_calls_fd, "rb+")
_edges = open(_edges_fd, "rb")
_edges_poll = select.poll()
_edges_poll.register(_edges, select.POLLIN)
_edge = bytearray(1)
_handlers = {}
_message = bytearray(_HEADER_BYTES + _MAX_PAYLOAD)
_reply = bytearray(1 + _MAX_PAYLOAD)


def _tell(operation, argument, number=0, size=0):
    """Send a call that has no reply; its payload lies in _message already."""
    struct.pack_into(_HEADER, _message, 0, operation, argument, number, time.ticks_us() & _MAX_TICKS)
    if _calls.write(_message, _HEADER_BYTES + size) != _HEADER_BYTES + size:
        raise SystemExit


def _ask(operation, argument, number, size, reply_size):
    """Send a call and wait for its reply, which lands in _reply from 1 on. Raises OSError when the status says so."""
    _tell(operation, argument, number, size)
    if _calls.readinto(_reply, 1 + reply_size) != 1 + reply_size:
        raise SystemExit  # the world is gone
    if _reply[0]:
        raise OSError(_reply[0])


def _put(data, at):
    for index in range(len(data)):
        _message[at + index] = data[index]


def run_handlers():
    """Run the handlers of the pins that have fallen. Each is called as in an interrupt: with the pin."""
    for _ in _edges_poll.ipoll(0):
        if _edges.readinto(_edge) and _edge[0] in _handlers:
            handler, pin = _handlers[_edge[0]]
            handler(pin)


def unique_id():
    _ask(_IDENTITY, 0, 0, 0, 9)
    return bytes(_reply[1:9])


def reset_cause():
    _ask(_IDENTITY, 0, 0, 0, 9)
    return _reply[9]


def _end(kind):
    _tell(_RESET, kind)
    while True:  # the world ends this process
        time.sleep_ms(1000)


def reset():
    _end(_HARD)


def soft_reset():
    _end(_SOFT)


def freq():
    return 125_000_000


def idle():
    time.sleep_ms(1)


def disable_irq():
    return 1


def enable_irq(state=1):
    pass


class Pin:
    IN = _IN
    OUT = _OUT
    OPEN_DRAIN = _OPEN_DRAIN
    PULL_UP = const(1)
    PULL_DOWN = const(2)
    IRQ_FALLING = const(4)
    IRQ_RISING = const(8)

    def __init__(self, id, mode=-1, pull=-1, *, value=None):
        self.number = id.number if isinstance(id, Pin) else id
        self._mode = _IN
        if mode != -1:
            self.init(mode, pull, value=value)

    def init(self, mode=-1, pull=-1, *, value=None):
        if mode != -1:
            self._mode = mode
        if self._mode == _IN:
            _tell(_PIN_DRIVE, self.number, _FLOATING)
        elif value is not None or self._mode == _OUT:
            self.value(value or 0)
        else:
            self.value(1)

    def value(self, level=None):
        if level is None:
            _ask(_PIN_READ, self.number, 0, 0, 1)
            return _reply[1]
        floats = level and self._mode == _OPEN_DRAIN
        _tell(_PIN_DRIVE, self.number, _FLOATING if floats else 1 if level else 0)
        return None

    def __call__(self, level=None):
        return self.value(level)

    def on(self):
        self.value(1)

    def off(self):
        self.value(0)

    def high(self):
        self.value(1)

    def low(self):
        self.value(0)

    def toggle(self):
        self.value(1 - self.value())

    def irq(self, handler=None, trigger=12, hard=False):
        if trigger != self.IRQ_FALLING:
            raise ValueError("only falling edges are modelled")
        _handlers[self.number] = (handler, self)
        _tell(_PIN_IRQ, self.number)


class I2C:
    def __init__(self, id, *, scl=None, sda=None, freq=400_000, timeout=50_000):
        self._id = id

    def readfrom_mem_into(self, addr, memaddr, buf, *, addrsize=8):
        size = len(buf)
        _message[_HEADER_BYTES] = memaddr
        _ask(_I2C_READ, addr, size, 1, size)
        for index in range(size):
            buf[index] = _reply[1 + index]

    def readfrom_mem(self, addr, memaddr, nbytes, *, addrsize=8):
        data = bytearray(nbytes)
        self.readfrom_mem_into(addr, memaddr, data)
        return bytes(data)

    def writeto_mem(self, addr, memaddr, buf, *, addrsize=8):
        _message[_HEADER_BYTES] = memaddr
        _put(buf, _HEADER_BYTES + 1)
        _ask(_I2C_WRITE, addr, 0, 1 + len(buf), 0)


class UART:
    """It only sends."""

    def __init__(self, id, baudrate=115200, **options):
        self._id = id
        self.init(baudrate, **options)

    def init(self, baudrate=115200, *, tx=None, rx=None, rxbuf=None, txbuf=None, timeout=0, **format):
        if timeout:
            raise ValueError("UART timeout is not modelled")
        struct.pack_into("<I", _message, _HEADER_BYTES, baudrate)
        _ask(_UART_OPEN, self._id, 0, 4, 0)

    def write(self, buf, start=0, size=-1):
        sent = min(len(buf) - start if size < 0 else size, _MAX_PAYLOAD)
        for index in range(sent):
            _message[_HEADER_BYTES + index] = buf[start + index]
        _tell(_UART_WRITE, self._id, 0, sent)
        return sent

    def txdone(self):
        return True

    def flush(self):
        pass

    def deinit(self):
        pass


class ADC:
    def __init__(self, id):
        number = id.number if isinstance(id, Pin) else id
        self._pin = number if number > _LAST_ADC_CHANNEL else _FIRST_ADC_PIN + number

    def read_u16(self):
        _ask(_ADC_READ, self._pin, 0, 0, 2)
        return _reply[1] | _reply[2] << 8


class WDT:
    def __init__(self, id=0, timeout=5000):
        if not 1 <= timeout <= _MAX_WATCHDOG_MS:
            raise ValueError("timeout must be 1 to 8388 ms")
        _tell(_WDT_START, id, timeout)

    def feed(self):
        _tell(_WDT_FEED, 0)


class RTC:
    def datetime(self, when=None):
        """The unix port's clock is the host's: setting it does nothing."""


class _Memory:
    """Of the chip's registers, those that the firmware uses, with what it writes."""

    def __getitem__(self, address):
        if address != _SCRATCH:
            raise ValueError("only SCRATCH0 is modelled")
        _ask(_SCRATCH_READ, 0, 0, 0, 4)
        return struct.unpack_from("<I", _reply, 1)[0]

    def __setitem__(self, address, value):
        if address == _SCRATCH:
            struct.pack_into("<I", _message, _HEADER_BYTES, value)
            _tell(_SCRATCH_WRITE, 0, 0, 4)
        elif address == _WATCHDOG_CLEAR and value == _WATCHDOG_ENABLE:
            _tell(_WDT_STOP, 0)
        elif address in (_UART1_CR_SET, _UART1_CR_CLEAR) and value == _LOOPBACK:
            _tell(_UART_LOOP, address == _UART1_CR_SET)
        elif (address, value) not in ((_UART1_IMSC, _TX_INTERRUPT), (_UART1_DMACR, _RX_DMA)):
            raise ValueError("this register, or this value, is not modelled")


mem32 = _Memory()
