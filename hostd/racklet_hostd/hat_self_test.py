"""The self-test of a HAT: steps that the HAT takes, the gate moved and measured, and what each must come to."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import Enum, auto

from racklet.link.v1 import link_pb2
from racklet_hostd.caller import Caller
from racklet_hostd.model import PowerAction, SupplyState
from racklet_hostd.node import Node
from racklet_hostd.power import PowerWish
from racklet_hostd.refusals import NodeIsOnError, PowerFailedError

_MONITORS = {0x5449_2280: "INA228", 0x5449_2281: "INA228", 0x5449_2260: "INA226"}  # of TI, by maker and part
_UART_BYTES = 8
_HELD_ON = 7
_GATE_STATE, _POWER_GOOD, _ALERT = 1, 2, 4
_PINS_COMPARED = _GATE_STATE | _POWER_GOOD | _ALERT  # whether the node has halted is not the HAT's
_PIN_NAMES = ("GATE_STATE", "POWER_GOOD", "ALERT")
# hardware/README.md: 5.06 to 5.34 V unloaded, less 0.13 V at 5 A; 9 to 26 V in; off is below 0.3 V.
_ON_UV = (4_900_000, 5_350_000)
_OFF_MAX_UV = 300_000
_INPUT_UV = (8_500_000, 27_000_000)
_IDLE_MAX_UA = 5_000  # what leaks through a cut gate, and the monitor's offset
_TEMPERATURE_MC = (-10_000, 85_000)
_LOOK_MS = 10_000


class Outcome(Enum):
    """How a check ended."""

    PASSED = auto()
    FAILED = auto()
    LOOK = auto()


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its name, how it ended, what was found and what was expected, in words."""

    name: str
    outcome: Outcome
    measured: str
    expected: str


async def self_test(node: Node, caller: Caller, *, interrupt: bool) -> list[Check]:
    """Test the HAT of a node, and leave the supply as it was. Raises RefusedError; NodeIsOnError unless `interrupt`.

    Cancelling between two steps leaves the supply as it is then.
    """
    was_on = node.supply_state not in {SupplyState.OFF, SupplyState.TRIPPED}
    if was_on:
        if not interrupt:
            raise NodeIsOnError(node.name)
        await node.set_power(PowerWish(PowerAction.FORCE_OFF), caller)
    checks = [check async for check in _checks(node, caller)]
    if was_on:
        await node.set_power(PowerWish(PowerAction.ON), caller)
    return checks


async def _checks(node: Node, caller: Caller) -> AsyncIterator[Check]:
    reply = await node.test_step(link_pb2.SELF_TEST_STEP_MONITOR)
    name = _MONITORS.get(reply.detail, f"0x{reply.detail:08x}" if reply.detail else "no answer")
    yield _judged("monitor", reply.detail in _MONITORS, name, "INA228 or INA226 of TI")
    for check in _plausible(node):
        yield check
    yield _within("supply when off", reply.supply_uv, (0, _OFF_MAX_UV), 1e6, "V")
    yield _within("current when off", reply.supply_ua, (-_IDLE_MAX_UA, _IDLE_MAX_UA), 1e3, "mA")
    yield await _pins(node, "pins when off", _ALERT)
    yield await _latch(node, "latch keeps off", 0)
    reply = await node.test_step(link_pb2.SELF_TEST_STEP_UART)
    yield _judged("UART", reply.detail == _UART_BYTES, f"{reply.detail} of {_UART_BYTES} bytes", "it hears itself")
    async for check in _gate(node, caller):
        yield check
    await node.identify(_LOOK_MS)
    yield Check("LEDs", Outcome.LOOK, "for your eyes", "blue blinks for 10 s, green is lit")


async def _gate(node: Node, caller: Caller) -> AsyncIterator[Check]:
    """Switch on and off. A rail that does not follow is a finding; off is tried all the same."""
    try:
        reply = await node.set_power(PowerWish(PowerAction.ON), caller)
    except PowerFailedError as error:
        yield Check("gate on", Outcome.FAILED, str(error), "4.90 to 5.35 V")
    else:
        yield _moved("gate on", reply, _ON_UV)
        yield await _pins(node, "pins when on", _PINS_COMPARED)
        yield await _latch(node, "latch keeps on", _HELD_ON)
    try:
        reply = await node.set_power(PowerWish(PowerAction.FORCE_OFF), caller)
    except PowerFailedError as error:
        yield Check("gate off", Outcome.FAILED, str(error), "0.00 to 0.30 V")
    else:
        yield _moved("gate off", reply, (0, _OFF_MAX_UV))


def _plausible(node: Node) -> list[Check]:
    """What the newest telemetry says of the input and the temperature."""
    measured = node.measurement
    if measured is None:
        return [Check("telemetry", Outcome.FAILED, "none yet", "once a second")]
    return [
        _within("input", measured.input_uv, _INPUT_UV, 1e6, "V"),
        _within("temperature", measured.temperature_mc, _TEMPERATURE_MC, 1e3, "°C"),
    ]


async def _pins(node: Node, name: str, wanted: int) -> Check:
    reply = await node.test_step(link_pb2.SELF_TEST_STEP_PINS)
    found = reply.detail & _PINS_COMPARED
    return _judged(name, found == wanted, _pin_words(found), _pin_words(wanted))


def _pin_words(pins: int) -> str:
    return ", ".join(f"{name} {pins >> place & 1}" for place, name in enumerate(_PIN_NAMES))


async def _latch(node: Node, name: str, wanted: int) -> Check:
    reply = await node.test_step(link_pb2.SELF_TEST_STEP_LATCH)
    held = "held" if reply.detail == wanted else "moved" if reply.detail not in {0, _HELD_ON} else "is the other way"
    return _judged(name, reply.detail == wanted, held, "holds while its pins float for 10 ms")


def _moved(name: str, reply: link_pb2.Reply, limits: tuple[int, int]) -> Check:
    low, high = limits
    measured = f"{reply.supply_uv / 1e6:.2f} V in {reply.duration_ms} ms"
    return _judged(name, low <= reply.supply_uv <= high, measured, f"{low / 1e6:.2f} to {high / 1e6:.2f} V")


def _within(name: str, value: int, limits: tuple[int, int], scale: float, unit: str) -> Check:
    low, high = limits
    expected = f"{low / scale:.2f} to {high / scale:.2f} {unit}"
    return _judged(name, low <= value <= high, f"{value / scale:.2f} {unit}", expected)


def _judged(name: str, is_good: bool, measured: str, expected: str) -> Check:  # noqa: FBT001 - what it judges
    return Check(name, Outcome.PASSED if is_good else Outcome.FAILED, measured, expected)
