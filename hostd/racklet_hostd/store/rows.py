"""What the index holds of the parts of the store, row by row."""

from dataclasses import dataclass
from typing import NamedTuple

from racklet_hostd.store.model import BootSummary, Event, NodeTotals
from racklet_link.events import StoredPositions


class Segment(NamedTuple):
    """A segment file of a boot: its first offset, the offset after its last, its size in bytes, its records' seed."""

    start: int
    end: int
    size: int
    seed: int


@dataclass(frozen=True)
class NodeRow:
    """A node. `next_boot` is the number of its next boot."""

    name: str
    next_boot: int
    totals: NodeTotals


@dataclass(frozen=True)
class BootRow:
    """A boot. `dropped` says why what lies between its last segment and `end` is lost; "" when nothing is."""

    number: int
    start_ms: int
    last_byte_ms: int
    end: int
    lost_bytes: int
    from_supply_on: bool
    dropped: str

    def summary(self) -> BootSummary:
        """Return the boot as a list shows it."""
        return BootSummary(
            self.number, self.start_ms, self.last_byte_ms, self.end, self.lost_bytes, self.from_supply_on
        )


@dataclass(frozen=True)
class SessionRow:
    """A HAT session. `boot` is the number that its boot `positions.log_boot` has here; 0 before the first.

    `energy_uj` and `charge_uc` are what it told last; -1 before it told anything that counts here.
    """

    session: int
    hat_id: bytes
    positions: StoredPositions
    boot: int
    energy_uj: int
    charge_uc: int = 0


@dataclass(frozen=True)
class EventRow:
    """An event and its place at its HAT; both numbers are None when it is hostd's own."""

    event: Event
    hat_session: int | None
    hat_sequence: int | None
