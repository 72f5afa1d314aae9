"""What the HAT can test of itself, for SelfTest. Loaded when somebody asks for it. Nothing here moves the supply."""

import time

import machine

from racklet_hat import config
from racklet_hat.power_monitor import MonitorError
from racklet_link.kernels import const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from racklet_hat.board import Board, NodeUart
    from racklet_hat.ports import PowerMonitor

_STEP_MONITOR = const(1)
_STEP_PINS = const(2)
_STEP_LATCH = const(3)
_STEP_UART = const(4)
_RESULT_DONE = const(1)
_RESULT_INVALID = const(4)
_RESULT_NOT_REACHED = const(6)
_RESULT_NO_MONITOR = const(9)
_STEP_FIELD = const(1)

_INA226_IDS = const(0xFE)  # the maker's, then the part's
_INA228_IDS = const(0x3E)
_INA226 = const(0x2260)
_FLOATING_MS = const(10)  # the pins' filters take 10 us; the UART's ring holds 13 ms at 1500000 baud
_LOOKS_A_MS = const(10)
_HELD = const(7)
# RP2040 data sheet 4.2.8: UARTCR and its loopback bit, in the aliases that set and clear bits (2.1.2).
_UARTCR_SET = const(0x2030)
_UARTCR_CLEAR = const(0x3030)
_LOOPBACK = const(0x80)
_PATTERN = b"\x00\xff\x55\xaa\x0f\xf0\x81\x7e"
_TOTAL_MASK = const(0x7FFFFFF)
_ANSWER_MS = const(100)  # 8 characters take 0.7 ms at 115200 baud


def run(step: int, board: "Board") -> "tuple[int, int]":
    """Take a step; return its Result and the Reply's detail."""
    if step == _STEP_MONITOR:
        return _identity(board.monitor)
    if step == _STEP_PINS:
        pins = (config.GATE_STATE, config.POWER_GOOD, config.ALERT, config.NODE_HALTED)
        return _RESULT_DONE, sum(machine.Pin(pin).value() << place for place, pin in enumerate(pins))
    if step == _STEP_LATCH:
        held = _let_go()
        return _RESULT_DONE if held in (0, _HELD) else _RESULT_NOT_REACHED, held
    if step == _STEP_UART:
        came = _hear_itself(board.uart)
        return _RESULT_DONE if came == len(_PATTERN) else _RESULT_NOT_REACHED, came
    return _RESULT_INVALID, _STEP_FIELD


def _identity(monitor: "PowerMonitor") -> "tuple[int, int]":
    try:
        first = _INA226_IDS if monitor.read_16(_INA226_IDS + 1) == _INA226 else _INA228_IDS
        return _RESULT_DONE, monitor.read_16(first) << 16 | monitor.read_16(first + 1)
    except MonitorError:
        return _RESULT_NO_MONITOR, 0


def _let_go() -> int:
    """Let the gate's pins float; return whether the latch was set before, all the time, and afterwards."""
    state = machine.Pin(config.GATE_STATE)
    pins = [machine.Pin(config.GATE_SET), machine.Pin(config.GATE_CLEAR)]
    before = was_set = state.value()
    for pin in pins:
        pin.init(machine.Pin.IN)
    for _ in range(_FLOATING_MS * _LOOKS_A_MS):
        time.sleep_us(1000 // _LOOKS_A_MS)
        was_set &= state.value()
    for pin in pins:
        pin.init(machine.Pin.OUT, value=0)
    return before | was_set << 1 | state.value() << 2


def _hear_itself(uart: "NodeUart") -> int:
    """Join the UART's output with its input; return how many bytes came back as they were sent."""
    start = uart.total()
    machine.mem32[config.UART_BASE + _UARTCR_SET] = _LOOPBACK
    uart.write(bytearray(_PATTERN), 0, len(_PATTERN))
    for _ in range(_ANSWER_MS):
        time.sleep_ms(1)
        if (uart.total() - start) & _TOTAL_MASK >= len(_PATTERN):
            break
    machine.mem32[config.UART_BASE + _UARTCR_CLEAR] = _LOOPBACK
    came = 0
    for place, byte in enumerate(_PATTERN):
        came += uart.ring[(start + place) % config.UART_ENTRIES] == byte
    return came if (uart.total() - start) & _TOTAL_MASK == len(_PATTERN) else 0
