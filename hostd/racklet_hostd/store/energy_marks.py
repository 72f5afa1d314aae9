"""Where a node's energy counter stood when something began in a boot, so that old boots can still tell."""

from threading import Lock
from typing import NamedTuple

from racklet_hostd.store.database import Database

BEFORE_LOG = -1  # the offset of the mark at a boot's very beginning, before its first byte
PENDING_LIMIT = 10_000  # marks that wait for a sync; what comes then is dropped: a phase without its energy


class EnergyMark(NamedTuple):
    """The node's energy counter when the byte at `offset` of the log of `boot` came."""

    node: str
    boot: int
    offset: int
    energy_uj: int


class EnergyMarks:
    """The marks of all nodes. They go with their boots. May be used from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = Lock()
        self._pending: list[EnergyMark] = []

    def add(self, mark: EnergyMark) -> None:
        """Record a mark, durable after the next sync; one that is there already stays. Dropped at PENDING_LIMIT."""
        with self._lock:
            if len(self._pending) < PENDING_LIMIT:
                self._pending.append(mark)

    def of_boot(self, node: str, boot: int) -> dict[int, int]:
        """Return the energy at each offset of a boot that has a mark."""
        with self._lock:
            pending = [mark for mark in self._pending if (mark.node, mark.boot) == (node, boot)]
        waiting = {mark.offset: mark.energy_uj for mark in reversed(pending)}
        return waiting | dict(self._database.energy_marks(node, boot))

    # What follows is for Store.sync.

    def take(self) -> tuple[EnergyMark, ...]:
        """Begin a sync: return what is to be stored. No counter in it is ahead of what nodes are asked for later."""
        with self._lock:
            return tuple(self._pending)

    def save(self, marks: tuple[EnergyMark, ...]) -> None:
        """Write the marks into the index, within its transaction, and forget those of boots that are gone."""
        for mark in marks:
            self._database.save_energy_mark(*mark)
        for node in {mark.node for mark in marks}:
            self._database.forget_energy_marks(node)

    def commit(self, marks: tuple[EnergyMark, ...]) -> None:
        """End a sync: the marks are durable."""
        with self._lock:
            del self._pending[: len(marks)]
