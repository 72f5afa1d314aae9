"""A node that draws what a load profile says. Pure: time comes in as microseconds."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from racklet_virtual.node import SOFT_OFF_US
from racklet_virtual.script import NodeState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from racklet_virtual.node import Habit, NodeProfile, Sent
    from racklet_virtual.record import SentBoots
    from racklet_virtual.shell import Order

_PROFILE = Path(__file__).parent / "load_profile.csv"
_STOPPING_AMPERES, _STOPPING_US = 0.60, 900_000
_HALTED_AMPERES = 0.06


@dataclass(frozen=True, slots=True)
class Load:
    """A stretch of a load profile: one current, or two of them in turn, `burst_us` each."""

    phase: str
    duration_us: int
    amperes: float
    burst_amperes: float = 0.0
    burst_us: int = 0


def load_profile(path: Path = _PROFILE) -> tuple[Load, ...]:
    """Return the profile that is kept beside this module; its head says where it is from."""
    with path.open(newline="") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return tuple(
            Load(
                row["phase"],
                round(float(row["seconds"]) * 1e6),
                float(row["amperes"]),
                float(row["burst_amperes"]),
                round(float(row["burst_ms"]) * 1e3),
            )
            for row in rows
        )


class ProfileNode:
    """Follows the loads from when its supply is good: those before the first "idle" once, the others for ever.

    Asked to stop it halts after a second, unless it has not come to the first "idle" yet. Its console is silent.
    """

    def __init__(self, profile: NodeProfile, record: SentBoots, loads: Sequence[Load]) -> None:
        self.profile = profile
        self.record = record
        self.state = NodeState.OFF
        self.starts = 0
        self.amperes = 0.0
        self._loads = loads
        self._first_idle = next(index for index, load in enumerate(loads) if load.phase == "idle")
        self._index = 0
        self._end_us = 0  # of the load, or of the shutdown
        self._swap_us: int | None = None  # between the two currents of a burst
        self._asked_us: int | None = None

    @property
    def phase(self) -> str:
        """The load it follows, or its state."""
        return self._loads[self._index].phase if self._follows else self.state.value

    @property
    def halted(self) -> bool:
        """The halted output: it has shut down and waits for the cut."""
        return self.state is NodeState.HALTED

    @property
    def sending(self) -> bool:
        """Never."""
        return False

    def power(self, *, on: bool, at_us: int) -> None:
        """The rail is good, or too low to run."""
        if on and self.state is NodeState.OFF:
            self.starts += 1
            self.state = NodeState.BOOTING
            self._follow(0, at_us)
        elif not on and self.state is not NodeState.OFF:
            self._rest(NodeState.OFF, 0.0)

    def ask_to_stop(self, *, asked: bool, at_us: int) -> None:
        """The soft-off input: asked while it is held low."""
        if not asked:
            self._asked_us = None
        elif self._asked_us is None:
            self._asked_us = at_us

    def type(self, data: bytes, at_us: int) -> None:
        """Nobody listens on its console."""

    def obey(self, order: Order, at_us: int) -> None:
        """There is no shell to order it."""

    def set_habit(self, habit: Habit) -> None:
        """It has its profile and no habits."""

    def reset(self, at_us: int, *, holds_low: bool = True) -> None:  # noqa: ARG002  there is nothing on its line
        """Start again without a word, the supply unmoved. Nothing when it is off."""
        if self.state is not NodeState.OFF:
            self._rest(NodeState.OFF, 0.0)
            self.power(on=True, at_us=at_us)

    def advance(self, at_us: int) -> None:
        """Let everything happen up to `at_us`."""
        while (change_us := self.next_change_us()) is not None and change_us <= at_us:
            if self._stop_due_us() == change_us:
                self._rest(NodeState.STOPPING, _STOPPING_AMPERES)
                self._end_us = change_us + _STOPPING_US
            elif self.state is NodeState.STOPPING:
                self._rest(NodeState.HALTED, _HALTED_AMPERES)
            elif change_us == self._end_us:
                following = self._index + 1
                self._follow(following if following < len(self._loads) else self._first_idle, change_us)
            else:
                self._swap(change_us)

    def next_change_us(self) -> int | None:
        """When it next draws something else."""
        times = [self._stop_due_us(), self._swap_us]
        if self._follows or self.state is NodeState.STOPPING:
            times.append(self._end_us)
        return min((time_us for time_us in times if time_us is not None), default=None)

    def line_free_us(self) -> None:
        """No byte ever waits."""

    def holds_low(self, _at_us: int) -> bool:
        """Whether its line is low: while it has no power."""
        return self.state is NodeState.OFF

    @property
    def went_low(self) -> bool:
        """Never: nobody listens."""
        return False

    def take_output(self) -> list[Sent]:
        """Return nothing: it says nothing."""
        return []

    def delay(self, by_us: int) -> None:
        """A node that sends nothing is never behind its line."""

    async def stop(self) -> None:
        """Nothing of it is outside."""

    @property
    def _follows(self) -> bool:
        return self.state in (NodeState.BOOTING, NodeState.IDLE)

    def _stop_due_us(self) -> int | None:
        asked_us = self._asked_us
        return asked_us + SOFT_OFF_US if asked_us is not None and self.state is NodeState.IDLE else None

    def _follow(self, index: int, at_us: int) -> None:
        load = self._loads[index]
        self._index = index
        self._end_us = at_us + load.duration_us
        self._swap_us = at_us + load.burst_us if load.burst_us else None
        self.amperes = load.amperes
        if index >= self._first_idle:
            self.state = NodeState.IDLE

    def _swap(self, at_us: int) -> None:
        load = self._loads[self._index]
        self.amperes = load.burst_amperes if self.amperes == load.amperes else load.amperes
        self._swap_us = at_us + load.burst_us

    def _rest(self, state: NodeState, amperes: float) -> None:
        self.state = state
        self.amperes = amperes
        self._swap_us = None
