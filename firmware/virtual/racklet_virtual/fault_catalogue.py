"""What can be done to a running rack, by name: the words of `racklet-virtual fault`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from racklet_virtual.attached_node import NodeRefusesError
from racklet_virtual.faults import FaultRates
from racklet_virtual.hardware import AMBIENT_CELSIUS
from racklet_virtual.microcontroller import ResetCause
from racklet_virtual.node import Habit
from racklet_virtual.shell import Order
from racklet_virtual.supply import Stuck

if TYPE_CHECKING:
    from collections.abc import Callable

    from racklet_virtual.board import VirtualHat
    from racklet_virtual.rack import VirtualRack

_CHATTER_BYTES_PER_SECOND = 200_000
_MAX_MS = 600_000


class FaultError(Exception):
    """A fault cannot be injected as asked; the message says why."""


@dataclass(frozen=True, slots=True)
class Words:
    """The arguments of one fault, read one after another. Each method raises FaultError."""

    given: tuple[str, ...]

    def choice(self, index: int, choices: tuple[str, ...], default: str) -> str:
        """Return one of some words."""
        word = self.given[index] if index < len(self.given) else default
        if word not in choices:
            raise FaultError(f"expected one of {', '.join(choices)}, not {word!r}")
        return word

    def number(self, index: int, low: float, high: float, default: float) -> float:
        """Return a number within bounds."""
        word = self.given[index] if index < len(self.given) else str(default)
        try:
            value = float(word)
        except ValueError as error:
            raise FaultError(f"expected a number, not {word!r}") from error
        if not low <= value <= high:
            raise FaultError(f"expected {low:g} to {high:g}, not {word}")
        return value


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that can be done to a HAT or its node."""

    arguments: str
    help: str
    inject: Callable[[VirtualRack, VirtualHat, Words], None]


def _replug(rack: VirtualRack, hat: VirtualHat, words: Words) -> None:
    slot = words.given[0] if words.given else hat.slot
    if not slot or slot.startswith(".") or "/" in slot:
        raise FaultError(f"{slot!r} is no slot: expected a name such as usb-1.7")
    rack.replug(hat, slot)


def _set_rate(hat: VirtualHat, words: Words, field: str, highest: float) -> None:
    rate = words.number(0, 0.0, highest, 0.0)
    hat.damage_line(dataclasses.replace(hat.cable.to_host_faults.rates, **{field: rate}))


def _reset(_: VirtualRack, hat: VirtualHat, words: Words) -> None:
    causes = {cause.name.lower().replace("_", "-"): cause for cause in ResetCause}
    hat.reset_microcontroller(causes[words.choice(0, tuple(causes), "watchdog")])


def _stick(_: VirtualRack, hat: VirtualHat, words: Words) -> None:
    how = words.choice(0, ("on", "off", "no"), "on")
    hat.stick_supply(None if how == "no" else Stuck(how))


def _connect_monitor(_: VirtualRack, hat: VirtualHat, words: Words) -> None:
    hat.connect_monitor(connected=words.choice(0, ("off", "on"), "off") == "on")


def _chatter(_: VirtualRack, hat: VirtualHat, words: Words) -> None:
    hat.cable.chatter(_CHATTER_BYTES_PER_SECOND, words.number(0, 0.0, 3600.0, 2.0))


def _overload(_: VirtualRack, hat: VirtualHat, words: Words) -> None:
    hat.node.overload(words.number(0, 0.0, 20.0, 5.0), round(words.number(1, 1, _MAX_MS, 1000)))


def _heat(_: VirtualRack, hat: VirtualHat, words: Words) -> None:
    hat.hardware.ambient_celsius = words.number(0, -40.0, 150.0, 95.0)


def _make_noise(_: VirtualRack, hat: VirtualHat, words: Words) -> None:
    hat.hardware.uart.noise = words.number(0, 0.0, 1.0, 0.0)


def _set_habit(_: VirtualRack, hat: VirtualHat, words: Words) -> None:
    hat.node.set_habit(Habit(words.choice(0, tuple(habit.value for habit in Habit), "normal")))


def _clear(rack: VirtualRack, hat: VirtualHat, __: Words) -> None:
    hat.damage_line(FaultRates())
    hat.cable.stop_chatter()
    hat.stick_supply(None)
    hat.connect_monitor(connected=True)
    hat.hardware.uart.noise = 0.0
    hat.hardware.ambient_celsius = AMBIENT_CELSIUS
    hat.node.overload(0.0, 1)
    hat.node.set_habit(Habit.NORMAL)
    if not hat.plugged:
        rack.replug(hat, hat.slot)


def _order(order: Order) -> Callable[[VirtualRack, VirtualHat, Words], None]:
    return lambda _, hat, __: hat.node.obey(order)


FAULTS = {
    "unplug": Fault("", "pull the USB cable; the HAT and its node run on", lambda _, hat, __: hat.unplug()),
    "replug": Fault("[SLOT]", "plug it in again, where it was or elsewhere", _replug),
    "bit-errors": Fault(
        "RATE", "flip so many of the bits on the link", lambda _, hat, words: _set_rate(hat, words, "bit_errors", 0.1)
    ),
    "drop": Fault(
        "RATE", "lose so many of the chunks on the link", lambda _, hat, words: _set_rate(hat, words, "drops", 1.0)
    ),
    "duplicate": Fault(
        "RATE", "send so many of the chunks twice", lambda _, hat, words: _set_rate(hat, words, "duplicates", 1.0)
    ),
    "chatter": Fault("[SECONDS]", "flood the host with garbage", _chatter),
    "reset": Fault("[watchdog|power-on|soft]", "reset the microcontroller", _reset),
    "power-loss": Fault(
        "[MS]",
        "take the HAT's input power away for a while",
        lambda _, hat, words: hat.lose_power(round(words.number(0, 1, _MAX_MS, 1000))),
    ),
    "input-loss": Fault(
        "[MS]",
        "the same, while USB keeps the microcontroller alive",
        lambda _, hat, words: hat.lose_input(round(words.number(0, 1, _MAX_MS, 1000))),
    ),
    "stuck": Fault("[on|off|no]", "break the gate of the supply, or mend it", _stick),
    "monitor": Fault("[off|on]", "take the power monitor off its bus, or put it back", _connect_monitor),
    "brown-out": Fault(
        "[MS]",
        "let the rail sag, so that the node resets",
        lambda _, hat, words: hat.node.brown_out(round(words.number(0, 1, _MAX_MS, 60))),
    ),
    "overload": Fault("[AMPERES [MS]]", "draw more from the rail", _overload),
    "heat": Fault("[CELSIUS]", "make it that hot around the power monitor", _heat),
    "hang": Fault("", "the node stops answering", _order(Order.HANG)),
    "panic": Fault("", "the node's kernel panics", _order(Order.PANIC)),
    "reboot": Fault("", "the node reboots by itself", _order(Order.REBOOT)),
    "poweroff": Fault("", "the node shuts down and halts", _order(Order.POWEROFF)),
    "work": Fault("", "the node works hard for a while", _order(Order.WORK)),
    "node-reset": Fault(
        "[low|high]",
        "the node starts again without a word; its line is low meanwhile, or stays high",
        lambda _, hat, words: hat.node.reset(holds_low=words.choice(0, ("low", "high"), "low") == "low"),
    ),
    "line-noise": Fault("RATE", "damage so many of the characters that the node sends", _make_noise),
    "habit": Fault("[HABIT]", f"what the node does at every boot: {', '.join(Habit)}", _set_habit),
    "clear": Fault("", "end all of these, and plug it in", _clear),
}


def inject(rack: VirtualRack, node_name: str, fault: str, arguments: tuple[str, ...]) -> None:
    """Do to a node's HAT what a fault's name says. Raises FaultError, or RackError for an unknown node."""
    if fault not in FAULTS:
        raise FaultError(f"no fault {fault!r}; there are {', '.join(FAULTS)}")
    try:
        FAULTS[fault].inject(rack, rack.hat(node_name), Words(arguments))
    except NodeRefusesError as error:
        raise FaultError(str(error)) from error
