"""A HAT's events as a kind and a sentence, with what was measured."""

from collections.abc import Callable

from racklet.link.v1 import link_pb2
from racklet_hostd.model import SupplyState

_MICRO = 1_000_000
_MILLI = 1_000

_BY_ALERT, _BY_HEAT = 1, 2  # Event.detail of an over-current
_POLICIES: dict[int, str] = {link_pb2.RESTORE_POLICY_LAST: "last", link_pb2.RESTORE_POLICY_ON: "on"}
_RESET_CAUSES: dict[int, str] = {
    link_pb2.RESET_CAUSE_POWER_ON: "its own power came back",
    link_pb2.RESET_CAUSE_WATCHDOG: "its watchdog was not fed",
    link_pb2.RESET_CAUSE_SOFT: "software asked for it",
}


def describe(event: link_pb2.Event) -> tuple[str, str]:
    """Return the kind in snake case, such as "over_current", and a sentence."""
    sentence = _SENTENCES.get(event.kind)
    if sentence is None:
        numbers = f"value {event.value}, limit {event.limit}, detail {event.detail}"
        return f"event_{event.kind}", f"The HAT tells of something this hostd does not know: {numbers}."
    name = link_pb2.EventKind.Name(event.kind).removeprefix("EVENT_KIND_").lower()
    return name, sentence(event)


def state_word(state: int) -> str:
    """Return a supply state as a word, such as "starting"."""
    known = SupplyState.of(state)
    return "unknown" if known is SupplyState.UNSPECIFIED else known.name.lower().replace("_", " ")


def tells_of_leaving_on(kind: str, message: str) -> bool:
    """Tell whether a recorded event says that the supply is no longer on."""
    return kind == "supply_state" and message.startswith("The supply went from on ")


def volts(uv: int) -> str:
    """Return microvolts as volts, such as "5.102 V"."""
    return f"{uv / _MICRO:.3f} V"


def amperes(ua: int) -> str:
    """Return microamperes as amperes, such as "0.613 A"."""
    return f"{ua / _MICRO:.3f} A"


def _degrees(mc: int) -> str:
    return f"{mc / _MILLI:.1f} °C"


def _supply_state(event: link_pb2.Event) -> str:
    return f"The supply went from {state_word(event.detail)} to {state_word(event.value)}."


def _over_current(event: link_pb2.Event) -> str:
    limit = amperes(event.limit)
    if event.detail == _BY_ALERT:
        return f"The current shot above the fast limit of {limit}, {amperes(event.value)} at least; the supply was cut."
    if event.detail == _BY_HEAT:
        return f"The current was above {limit} for too long, {amperes(event.value)} at last; the supply was cut."
    return f"The current was {amperes(event.value)}, above the limit of {limit}; the supply was cut."


def _over_voltage(event: link_pb2.Event) -> str:
    return f"The supply rose to {volts(event.value)}, above the limit of {volts(event.limit)}, and was cut."


def _under_voltage(event: link_pb2.Event) -> str:
    return f"The supply fell to {volts(event.value)}, below the limit of {volts(event.limit)}, and was cut."


def _over_temperature(event: link_pb2.Event) -> str:
    measured, limit = _degrees(event.value), _degrees(event.limit)
    return f"The power monitor reached {measured}, above the limit of {limit}; the supply was cut."


def _start_failed(event: link_pb2.Event) -> str:
    reached = f"{volts(event.value)} at {amperes(event.detail)}"
    return f"The supply did not come up: it reached {reached} and needs {volts(event.limit)}."


def _supply_stuck_on(event: link_pb2.Event) -> str:
    measured, limit = volts(event.value), volts(event.limit)
    return (
        f"The supply does not fall although it was cut: it is at {measured} and {amperes(event.detail)}, and should be"
        f" below {limit}."
    )


def _monitor_lost(event: link_pb2.Event) -> str:
    if event.value:
        return f"The power monitor answers what cannot be; {event.detail} readings failed."
    return f"The power monitor does not answer any more; {event.detail} readings failed."


def _monitor_back(_event: link_pb2.Event) -> str:
    return "The power monitor answers again."


def _hat_started(event: link_pb2.Event) -> str:
    return f"The HAT started: {_RESET_CAUSES.get(event.value, 'it does not know why')}."


def _task_failed(event: link_pb2.Event) -> str:
    return f"Task {event.detail} of the HAT's firmware failed and was started again."


def _node_halted(_event: link_pb2.Event) -> str:
    return "The node halted or was reset while its supply was on."


def _baud_rate(event: link_pb2.Event) -> str:
    return f"The node's console runs at {event.value} baud; the HAT listened at {event.detail} before."


def _supply_restored(event: link_pb2.Event) -> str:
    policy = _POLICIES.get(event.value, "unknown")
    return f"The input power was lost and is back: the supply is switched on, by the restore policy {policy}."


def _waveform(event: link_pb2.Event) -> str:
    when = "before" if event.value else "after"
    return f"The supply was sampled {when} the trip, {len(event.samples) // 4} times."


_SENTENCES: dict[int, Callable[[link_pb2.Event], str]] = {
    link_pb2.EVENT_KIND_SUPPLY_STATE: _supply_state,
    link_pb2.EVENT_KIND_OVER_CURRENT: _over_current,
    link_pb2.EVENT_KIND_OVER_VOLTAGE: _over_voltage,
    link_pb2.EVENT_KIND_UNDER_VOLTAGE: _under_voltage,
    link_pb2.EVENT_KIND_OVER_TEMPERATURE: _over_temperature,
    link_pb2.EVENT_KIND_START_FAILED: _start_failed,
    link_pb2.EVENT_KIND_SUPPLY_STUCK_ON: _supply_stuck_on,
    link_pb2.EVENT_KIND_MONITOR_LOST: _monitor_lost,
    link_pb2.EVENT_KIND_MONITOR_BACK: _monitor_back,
    link_pb2.EVENT_KIND_HAT_STARTED: _hat_started,
    link_pb2.EVENT_KIND_TASK_FAILED: _task_failed,
    link_pb2.EVENT_KIND_NODE_HALTED: _node_halted,
    link_pb2.EVENT_KIND_BAUD_RATE: _baud_rate,
    link_pb2.EVENT_KIND_SUPPLY_RESTORED: _supply_restored,
    link_pb2.EVENT_KIND_WAVEFORM: _waveform,
}
