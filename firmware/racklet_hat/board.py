"""The HAT's hardware. Only this module knows the `machine` module; everything else is handed what it needs."""

import os
import sys
import time
from array import array

import machine
import micropython
import rp2
from micropython import const

from racklet_hat import config
from racklet_hat.power_monitor import Monitor, MonitorError
from racklet_hat.rings import UART_RING, UART_RING_BITS
from racklet_link.kernels import read_waiting, write_ready

TYPE_CHECKING = False
if TYPE_CHECKING:
    from racklet_hat.ports import PowerMonitor

_RESET_CAUSE_POWER_ON = const(1)
_RESET_CAUSE_WATCHDOG = const(2)
_RESET_CAUSE_SOFT = const(3)

_WATCHDOG_MS = const(8_000)  # the RP2040 can do 8388 ms
_WATCHDOG_CLEAR = const(0x4005B000)  # RP2040 data sheet 4.7.6: CTRL, in the alias that clears bits (2.1.2)
_WATCHDOG_ENABLE = const(0x40000000)
_UART_BUFFERS = const(32)  # bytes, the least: what is received goes by DMA, and 32 are typed in one turn
# RP2040 data sheet 4.2.8: offsets of UART registers, and the bits in them.
_UARTIMSC = const(0x38)
_TX_INTERRUPT = const(0x20)
_UARTDMACR = const(0x48)
_RX_DMA = const(0x1)
_TRANSFERS = const(0x8000000)  # of one run of the DMA, a multiple of the ring: 15 minutes at 1500000 baud
_COUNT_AND_START = const(7)  # RP2040 data sheet 2.5.7: the word of a channel at which a count starts it
_HALFWORD = const(1)
_DIE_ID = const(0xFF)  # of an INA226; an INA228 has nothing there and reads as something else
_INA226 = const(0x2260)
_SCRATCH = const(0x4005800C)  # 4.7.6: SCRATCH0 keeps what it holds over every reset but that of a power loss
_WITNESS = const(0x5241434B)
RESTORE_FILE = "restore"
KEY_FILE = "link-key"  # removed by whoever resets the HAT to factory state: docs/hotswap.md
_KEPT_MAX = const(64)
_CTRL_C = const(3)


class Board:
    """A Racklet HAT, revision A, with a Raspberry Pi Pico."""

    def __init__(self) -> None:
        self.rail = Rail()
        self.usb = UsbPort()
        self.uart = NodeUart()
        i2c = machine.I2C(
            config.MONITOR_I2C,
            scl=machine.Pin(config.MONITOR_SCL),
            sda=machine.Pin(config.MONITOR_SDA),
            freq=config.I2C_HZ,
        )
        self.monitor = _fitted_monitor(i2c)
        self._input = machine.ADC(machine.Pin(config.INPUT_ADC))
        self._identify_led = machine.Pin(config.IDENTIFY_LED, machine.Pin.OUT, value=0)
        self._status_led = machine.Pin(config.STATUS_LED, machine.Pin.OUT, value=0)
        self._watchdog = None

    def input_uv(self) -> int:
        """Return the input voltage in µV, at most 36.3 V."""
        return self._input.read_u16() * config.INPUT_UV_PER_COUNT

    def light(self, status: bool, identify: bool) -> None:
        """Switch the two LEDs."""
        self._status_led.value(status)
        self._identify_led.value(identify)

    def feed_watchdog(self) -> None:
        """Put off the reset for another 8 s. The first call starts the watchdog."""
        if self._watchdog is None:
            self._watchdog = machine.WDT(timeout=_WATCHDOG_MS)
        self._watchdog.feed()

    def restart(self) -> None:
        """Start anew, as the watchdog does it. The supply's latch holds."""
        machine.reset()

    def give_to_person(self) -> None:
        """Make the REPL usable for as long as somebody wants it: Ctrl-C interrupts, the watchdog sleeps."""
        self.uart.stop()
        micropython.kbd_intr(_CTRL_C)
        machine.mem32[_WATCHDOG_CLEAR] = _WATCHDOG_ENABLE

    def load(self, name: str) -> bytearray:
        """Return what `save` kept in the flash by this name; nothing when there is nothing."""
        try:
            with open(name, "rb") as file:  # noqa: PTH123 - MicroPython has no pathlib
                return bytearray(file.read(_KEPT_MAX))
        except OSError:
            return bytearray()

    def save(self, name: str, kept: "bytes | bytearray") -> None:
        """Keep some bytes in the flash. Raises OSError. A Pico hears nothing meanwhile, for 50 ms or so."""
        with open(name, "wb") as file:  # noqa: PTH123 - likewise
            file.write(kept)

    def set_clock(self, unix_ms: int) -> None:
        """Set the real-time clock, which dates files and tracebacks."""
        now = time.gmtime(unix_ms // 1000)
        machine.RTC().datetime((now[0], now[1], now[2], now[6], now[3], now[4], now[5], 0))


class Rail:
    """The supply's switch: a latch that pulses set and clear, so that it holds through anything the MCU does."""

    def __init__(self) -> None:
        # Inputs until they are written: a pin that becomes an output shall not make an edge.
        self._set = machine.Pin(config.GATE_SET, machine.Pin.OUT, value=0)
        self._clear = machine.Pin(config.GATE_CLEAR, machine.Pin.OUT, value=0)
        self._state = machine.Pin(config.GATE_STATE, machine.Pin.IN)
        self._soft_off = machine.Pin(config.SOFT_OFF, machine.Pin.OPEN_DRAIN, value=1)
        self._alert = machine.Pin(config.ALERT, machine.Pin.IN, machine.Pin.PULL_UP)
        self._alerted = False
        self._alert.irq(self._on_alert, machine.Pin.IRQ_FALLING, hard=True)
        self._halted = machine.Pin(config.NODE_HALTED, machine.Pin.IN, machine.Pin.PULL_DOWN)

    def is_set(self) -> bool:
        """Tell what the latch holds."""
        return bool(self._state.value())

    def set(self) -> None:
        """Switch the supply on."""
        _pulse(self._set)

    def clear(self) -> None:
        """Switch the supply off."""
        _pulse(self._clear)

    def take_alert(self) -> bool:
        """Tell whether the monitor's alert has cut the supply since the last call."""
        if not self._alerted:
            return False
        self._alerted = False
        self.clear()  # the line was high for an unknown time
        return True

    def _on_alert(self, _pin: machine.Pin) -> None:
        """Cut, within the interrupt: CLEAR wins over SET, and stays high until `take_alert`. Nothing allocates."""
        self._clear.value(1)
        self._alerted = True

    def ask(self, active: bool) -> None:
        """Press or release the node's power button."""
        self._soft_off.value(not active)

    def is_halted(self) -> bool:
        """Tell whether the node says that it has halted."""
        return bool(self._halted.value())


class NodeUart:
    """The node's UART. A DMA channel moves what it receives to a ring; another starts that again whenever it has ended.

    So nothing waits for the processor, and every entry is counted. `set_baud` makes it ready.
    """

    def __init__(self) -> None:
        self.ring = UART_RING
        self._rx = machine.Pin(config.NODE_RX)
        tx = machine.Pin(config.NODE_TX)
        self._uart = machine.UART(config.NODE_UART, tx=tx, rx=self._rx, rxbuf=_UART_BUFFERS, txbuf=_UART_BUFFERS)
        self._count = array("I", (_TRANSFERS,))
        self._dma = rp2.DMA()
        self._restart = rp2.DMA()
        self._restart.config(
            read=self._count,
            write=self._dma.registers[_COUNT_AND_START : _COUNT_AND_START + 1],  # pyright: ignore[reportAttributeAccessIssue] - MicroPython has it
            count=1,
            ctrl=self._restart.pack_ctrl(inc_read=False, inc_write=False),
        )
        ctrl = self._dma.pack_ctrl(
            size=_HALFWORD,
            inc_read=False,
            ring_size=UART_RING_BITS,
            ring_sel=True,
            treq_sel=config.UART_RX_DREQ,
            chain_to=self._restart.channel,  # pyright: ignore[reportAttributeAccessIssue] - likewise
        )
        self._dma.config(read=config.UART_BASE, write=self.ring, count=_TRANSFERS, ctrl=ctrl, trigger=True)

    def total(self) -> int:
        """Return how many entries came so far, modulo 2**27."""
        return -self._dma.count & (_TRANSFERS - 1)  # pyright: ignore[reportAttributeAccessIssue] - likewise

    def is_low(self) -> bool:
        """Tell whether the node's line is low now."""
        return not self._rx.value()

    def set_baud(self, baud: int) -> None:
        """Listen and send at this rate. `machine.UART` would take what comes for itself, so its interrupt goes off."""
        self._uart.init(baudrate=baud, rxbuf=_UART_BUFFERS, txbuf=_UART_BUFFERS)
        machine.mem32[config.UART_BASE + _UARTIMSC] = _TX_INTERRUPT
        machine.mem32[config.UART_BASE + _UARTDMACR] = _RX_DMA

    def write(self, buf: bytearray, start: int, size: int) -> int:
        """Send a part of `buf[start:start + size]`; return how many bytes."""
        return self._uart.write(buf, start, size) or 0  # pyright: ignore[reportCallIssue] - MicroPython does

    def stop(self) -> None:
        """Let go of the ring's memory, which may be used for something else from here on."""
        self._dma.ctrl = 0  # pyright: ignore[reportAttributeAccessIssue] - likewise; or its end would start it again
        self._dma.active(0)


class UsbPort:
    """The USB serial port as bytes, without waiting. Ctrl-C is a byte like any other."""

    def __init__(self) -> None:
        micropython.kbd_intr(-1)
        self._in = sys.stdin.buffer
        self._out = sys.stdout.buffer
        self._last = 0

    def read(self, buf: bytearray) -> int:
        """Read what waits into `buf`, until that is full or behind CR, Ctrl-C; return how many bytes.

        What is not read stays for the REPL. MicroPython's stdin waits until it has as many as are asked for.
        """
        count = read_waiting(self._in, buf, self._last)
        if count:
            self._last = buf[count - 1]
        return count

    def write(self, buf: bytearray, start: int, end: int) -> int:
        """Write `buf[start:end]` for as long as the port takes it at once; return where the rest starts."""
        return write_ready(self._out, buf, start, end)


def _fitted_monitor(i2c: machine.I2C) -> "PowerMonitor":
    """Return the driver of the monitor that is fitted; the INA228's when none answers. The other takes no memory."""
    parts = (i2c, config.MONITOR_ADDRESS, config.MONITOR_SHUNT_UOHM)
    try:
        is_ina226 = Monitor(*parts).read_16(_DIE_ID) == _INA226
    except MonitorError:
        is_ina226 = False
    if is_ina226:
        from racklet_hat.ina226 import Ina226  # noqa: PLC0415 - only what is fitted is loaded

        return Ina226(*parts)
    from racklet_hat.ina228 import Ina228  # noqa: PLC0415 - likewise

    return Ina228(*parts)


def unique_id() -> bytes:
    """Return the MCU's unique id: 8 bytes."""
    return machine.unique_id()


def reset_cause() -> int:
    """Return the ResetCause of this start. Call it once: what witnesses that the power stayed is set here.

    A soft reset of an RP2040 leaves the cause of the reset before in place.
    """
    cause = machine.reset_cause()
    stayed = machine.mem32[_SCRATCH] == _WITNESS
    machine.mem32[_SCRATCH] = _WITNESS
    if cause == machine.PWRON_RESET and stayed:
        return _RESET_CAUSE_SOFT
    if cause == machine.PWRON_RESET:
        return _RESET_CAUSE_POWER_ON
    return _RESET_CAUSE_WATCHDOG if cause == machine.WDT_RESET else _RESET_CAUSE_SOFT


def random(size: int) -> bytes:
    """Return random bytes. An RP2040 makes them from the jitter of its ring oscillator."""
    return os.urandom(size)


def new_session() -> int:
    """Return a random number of 30 bits that is not 0."""
    return int.from_bytes(os.urandom(4), "little") & 0x3FFFFFFF or 1


def _pulse(pin: machine.Pin) -> None:
    pin.value(1)
    time.sleep_us(1500)  # the latch wants 1 ms; nothing else waits so long
    pin.value(0)
