"""What the index holds of the parts of the store, row by row."""

import struct
from dataclasses import dataclass
from typing import Any, NamedTuple

from racklet_hostd.store.model import BootCause, BootSummary, Event, NodeTotals
from racklet_link.events import StoredPositions


class SegmentName(NamedTuple):
    """Which file: the node, the boot, the offset of its first byte, and in which of its two forms."""

    node: str
    boot: int
    start: int
    is_compressed: bool = False


_FRAME = struct.Struct("<QQQ")


class Frame(NamedTuple):
    """A stretch of a compressed segment that is read on its own.

    Attributes:
        offset: of its first byte in the boot log.
        position: where it begins in the file.
        latest_ms: the latest time of its records.
    """

    offset: int
    position: int
    latest_ms: int


class Segment(NamedTuple):
    """A segment file of a boot.

    Attributes:
        start: its first offset.
        end: the offset after its last.
        size: of the file in bytes.
        seed: of its records' checksums.
        latest_ms: the latest time of its records, or later: wall clocks are set back, so it need not be the last one's.
        frames: of a compressed file; () when it holds plain records.
    """

    start: int
    end: int
    size: int
    seed: int
    latest_ms: int
    frames: tuple[Frame, ...] = ()

    @classmethod
    def of_row(cls, *row: Any) -> "Segment":  # noqa: ANN401  columns as SQLite gives them
        """Return the segment that a row of the index tells of."""
        start, end, size, seed, latest_ms, frames = row
        return cls(start, end, size, seed, latest_ms, tuple(map(Frame._make, _FRAME.iter_unpack(frames or b""))))

    def row(self) -> tuple[int | bytes | None, ...]:
        """Return the segment as a row of the index."""
        return (*self[:-1], b"".join(_FRAME.pack(*frame) for frame in self.frames) or None)


class NodeRow(NamedTuple):
    """A node. `next_boot` is the number of its next boot."""

    name: str
    next_boot: int
    totals: NodeTotals


class BootRow(NamedTuple):
    """A boot. `dropped` says why what lies between its last segment and `end` is lost; "" when nothing is."""

    number: int
    start_ms: int
    last_byte_ms: int
    end: int
    lost_bytes: int
    cause: BootCause
    dropped: str

    def summary(self) -> BootSummary:
        """Return the boot as a list shows it."""
        return BootSummary(self.number, self.start_ms, self.last_byte_ms, self.end, self.lost_bytes, self.cause)


class SessionRow(NamedTuple):
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
