"""The truth about one virtual node, and what can be done to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from racklet_virtual.hardware import HatHardware
    from racklet_virtual.node import Habit
    from racklet_virtual.record import SentBoot
    from racklet_virtual.script import NodeState
    from racklet_virtual.shell import Order

_BROWN_OUT_VOLTS = 4.1


class VirtualNode:
    """One node as a checker sees it: exact, without the HAT's errors. `moved` is told after every change."""

    def __init__(self, hardware: HatHardware, now_us: Callable[[], int], moved: Callable[[], None]) -> None:
        self._hardware = hardware
        self._now_us = now_us
        self._moved = moved

    @property
    def name(self) -> str:
        """Its name."""
        return self._hardware.node.profile.name

    @property
    def state(self) -> NodeState:
        """What it does."""
        self._advance()
        return self._hardware.node.state

    @property
    def phase(self) -> str:
        """The phase of its boot, or its state once that is over."""
        self._advance()
        return self._hardware.node.phase

    @property
    def starts(self) -> int:
        """How often it started, with the supply or by itself."""
        self._advance()
        return self._hardware.node.starts

    @property
    def supply_on(self) -> bool:
        """Whether the latch of its supply is set."""
        self._advance()
        return self._hardware.supply.latch_on

    @property
    def volts(self) -> float:
        """The voltage of its rail."""
        self._advance()
        return self._hardware.supply.volts

    @property
    def amperes(self) -> float:
        """The current it draws, without ripple."""
        self._advance()
        return self._hardware.supply.amperes

    @property
    def joules(self) -> float:
        """The energy it took since the world began."""
        self._advance()
        return self._hardware.supply.totals.joules

    @property
    def boots(self) -> tuple[SentBoot, ...]:
        """Its newest boots, one for each switching on of the supply, oldest first."""
        self._advance()
        return self._hardware.record.boots

    def sent(self, boot: SentBoot) -> bytes:
        """Return what it sent during a boot."""
        self._advance()
        return self._hardware.record.read(boot)

    def obey(self, order: Order) -> None:
        """Make it work, hang, panic, reboot or power off."""
        self._advance()
        self._hardware.node.obey(order, self._now_us())
        self._moved()

    def reset(self, *, holds_low: bool = True) -> None:
        """Make it start again by itself; its line is low meanwhile, or stays high."""
        self._advance()
        self._hardware.node.reset(self._now_us(), holds_low=holds_low)
        self._moved()

    def set_habit(self, habit: Habit) -> None:
        """Choose what it does at every boot from the next one on. Raises NodeRefusesError."""
        self._hardware.node.set_habit(habit)

    def brown_out(self, duration_ms: int) -> None:
        """Let its rail sag, so that it resets while its supply stays on."""
        self._advance()
        self._hardware.supply.sag(_BROWN_OUT_VOLTS, self._now_us() + duration_ms * 1000)
        self._moved()

    def overload(self, amperes: float, duration_ms: int) -> None:
        """Draw that much more from its rail."""
        self._advance()
        self._hardware.overload(amperes, self._now_us() + duration_ms * 1000)
        self._moved()

    def _advance(self) -> None:
        self._hardware.advance(self._now_us())
