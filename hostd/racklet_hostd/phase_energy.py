"""Where a node's energy counter stood when a boot, or a phase of it, began."""

from collections import deque
from typing import NamedTuple

from racklet_hostd.store import EnergyMark, EnergyMarks

SAMPLES_KEPT = 256  # a log comes some seconds after the measurements of the same time: 12 s at the shortest period
WAITING_LIMIT = 128  # beginnings that wait for the next measurement; more than that are no boot
# Between two samples the energy is taken to grow evenly, which it does not for long.
LONGEST_STRETCH_MS = 10_000


class _Sample(NamedTuple):
    at_ms: int
    energy_uj: int


class _Beginning(NamedTuple):
    boot: int
    offset: int
    at_ms: int


class PhaseEnergy:
    """Puts one node's energy counter beside the beginnings in its boots, and records that.

    Nothing is recorded of a beginning without a sample shortly before and after it: while hostd or the HAT was away.
    """

    def __init__(self, node: str, marks: EnergyMarks) -> None:
        self._node = node
        self._marks = marks
        self._samples: deque[_Sample] = deque(maxlen=SAMPLES_KEPT)
        self._waiting: deque[_Beginning] = deque(maxlen=WAITING_LIMIT)

    @property
    def newest_uj(self) -> int | None:
        """The counter at the newest sample; None before the first."""
        return self._samples[-1].energy_uj if self._samples else None

    def sample(self, at_ms: int, energy_uj: int) -> None:
        """Take the counter's value at a unix time; record the beginnings that waited for it."""
        if self._samples and at_ms <= self._samples[-1].at_ms:
            return  # the wall clock was set back; what lies between is not known
        self._samples.append(_Sample(at_ms, energy_uj))
        waiting, self._waiting = self._waiting, deque(maxlen=WAITING_LIMIT)
        for beginning in waiting:
            self.begin(*beginning)

    def begin(self, boot: int, offset: int, at_ms: int) -> None:
        """Take note that something began at `offset` of a boot, at this unix time."""
        if not self._samples or at_ms > self._samples[-1].at_ms:
            self._waiting.append(_Beginning(boot, offset, at_ms))
            return
        energy_uj = self._energy_at(at_ms)
        if energy_uj is not None:
            self._marks.add(EnergyMark(self._node, boot, offset, energy_uj))

    def _energy_at(self, at_ms: int) -> int | None:
        after = self._samples[-1]
        for before in reversed(self._samples):
            if before.at_ms <= at_ms:
                return _between(before, after, at_ms)
            after = before
        return None


def _between(before: _Sample, after: _Sample, at_ms: int) -> int | None:
    stretch_ms = after.at_ms - before.at_ms
    if stretch_ms > LONGEST_STRETCH_MS:
        return None
    grown_uj = after.energy_uj - before.energy_uj
    return before.energy_uj + (grown_uj * (at_ms - before.at_ms) // stretch_ms if stretch_ms else 0)
