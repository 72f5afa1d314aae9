"""The log of one boot: what is in memory until the next sync, and what lies in files."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from secrets import randbits
from threading import Lock

from racklet_hostd.errors import BadPositionError, NoSuchBootError
from racklet_hostd.store.model import BootSummary, bounded_ms
from racklet_hostd.store.records import MAX_PAYLOAD_BYTES, MAX_REASON_BYTES, Chunk, GapPiece, Piece, encode
from racklet_hostd.store.rows import BootRow, Segment, SegmentName
from racklet_hostd.store.segment_reader import SegmentReader
from racklet_hostd.store.segments import SegmentFolder, SegmentWrite
from racklet_link.events import Damage

# What one boot log holds in memory. A HAT has less memory, so it cannot have this much unacknowledged.
HELD_LIMIT_BYTES = 512 << 10
PIECE_COST_BYTES = 128  # of a piece in memory, beside its bytes
MAX_OFFSET = 1 << 62  # keeps every sum of offsets within what SQLite stores

_offset_of = attrgetter("offset")


@dataclass
class LogBatch:
    """What one sync takes from a boot log.

    Attributes:
        log: the boot log.
        row: the boot as it is once this is stored.
        held_bytes: what it takes in memory, which is more than it takes on the disk.
        write: what to write; None when the boot has begun and said nothing.
        segment: the segment once that is written; None when there is nothing to write or the disk did not take it.
    """

    log: "BootLog"
    row: BootRow
    held_bytes: int
    write: SegmentWrite | None
    segment: Segment | None = None


class BootLog:
    """Every byte that a node sent during one boot, addressed by offset. What is lost is a gap.

    Offsets given to `append` and `append_gap` are in the counting of the HAT session that brings them;
    everywhere else they count from the beginning of the boot. May be used from several threads.

    Attributes:
        number: the boot's number within the node.
        start_ms: unix time when it began.
        last_byte_ms: unix time when its last byte came; `start_ms` before the first.
        end: the offset after the last byte, gaps and bytes that are not yet durable included.
        lost_bytes: how many of its bytes gaps stand for; not what retention took.
        cause: why it began.
        base: the offset here of the byte that the attached HAT session calls 0.
        stored: the boot as it was committed last; None before the first time.
    """

    def __init__(self, node: str, row: BootRow, segments: Sequence[Segment], files: SegmentFolder, lock: Lock) -> None:
        self.number = row.number
        self.start_ms = row.start_ms
        self.last_byte_ms = row.last_byte_ms
        self.end = row.end
        self.lost_bytes = row.lost_bytes
        self.cause = row.cause
        self.base = 0
        self.stored: BootRow | None = None
        self._node = node
        self._lock = lock
        self._segments = tuple(segments)
        self._files = files
        self._reader = SegmentReader(node, row.number, files)
        self._retired = False
        self._dirty = False
        self._held: list[Piece] = []  # what is in no file; the sync under way has taken the first `_taken` of them
        self._held_bytes = 0
        self._taken = 0
        self._taken_bytes = 0
        self._hold_dropped(row)

    def append(self, hat_offset: int, at_ms: int, data: bytes, damage: Damage | None = None) -> None:
        """Add bytes. What is there already is left out; what is missing before them becomes a gap, "missing".

        They are durable after the next sync. When the log holds HELD_LIMIT_BYTES in memory already, which a HAT that
        waits for acknowledgements cannot reach, they are dropped and a gap says so, "store_behind".

        Raises:
            BadPositionError: the offset is beyond what any boot can reach.
        """
        with self._lock:
            offset = self.base + hat_offset
            if offset != self.end:
                skipped = self._skip_to(offset, at_ms)
                data = data[skipped:]
                damage = None if skipped else damage  # the first byte has it
            while data:
                part, data = data[:MAX_PAYLOAD_BYTES], data[MAX_PAYLOAD_BYTES:]
                self._hold(at_ms, part, damage)
                damage = None

    def append_gap(self, hat_offset: int, at_ms: int, lost_bytes: int, reason: str) -> None:
        """Add a gap, or lengthen the one before when that has the same reason. Bounds and errors as with `append`."""
        with self._lock:
            seen = self._skip_to(self.base + hat_offset, at_ms)
            if lost_bytes > seen or seen == 0:
                self._lose(at_ms, max(lost_bytes - seen, 0), reason)

    def read(self, offset: int, max_bytes: int) -> list[Piece]:
        """Return what lies from `offset` on, without a seam, at most `max_bytes` of data; [] at the end.

        A gap of unknown length comes with the bytes after it, so whoever goes on reading at the end of what it got
        sees it once. What retention took is a gap, "retention"; what the disk has damaged is one, "damaged".

        Raises:
            NoSuchBootError: retention took the boot.
        """
        if max_bytes < 1 or offset < 0:
            raise ValueError(f"cannot read {max_bytes} bytes from {offset}")
        pieces: list[Piece] = []
        for whole in self._pieces(offset):
            piece = _cut(whole, offset, max_bytes)
            pieces.append(piece)
            max_bytes -= len(piece.data) if isinstance(piece, Chunk) else min(1, piece.lost_bytes)
            if max_bytes <= 0:
                break
        while pieces and pieces[-1].end == pieces[-1].offset:
            pieces.pop()
        return pieces

    def offset_at(self, unix_ms: int) -> int:
        """Return where what came at `unix_ms` or later begins; the end when nothing did.

        That is the first such place: a wall clock that was set back may have earlier times behind it. When retention
        took what lies before it, some of that may have come then as well, and it is 0.

        Raises:
            NoSuchBootError: retention took the boot.
        """
        with self._lock:
            self._require_kept()
            segments, held = self._segments, tuple(self._held)
        for segment in segments:
            if segment.latest_ms < unix_ms:
                continue
            begin = next((frame.offset for frame in segment.frames if frame.latest_ms >= unix_ms), segment.start)
            for piece in self._segment_pieces(segment, begin):
                if piece.at_ms >= unix_ms:
                    return 0 if piece.offset == segments[0].start else piece.offset
        return next((piece.offset for piece in held if piece.at_ms >= unix_ms), self.end)

    def summary(self) -> BootSummary:
        """Return the boot as a list shows it."""
        with self._lock:
            return self._row("").summary()

    # What follows is for the node's store, which has the lock.

    def go_on(self, at_ms: int) -> None:
        """Let a HAT session that has just begun bring what follows."""
        self._lose(at_ms, 0, "hat_restart")
        self.base = self.end

    def take(self) -> LogBatch | None:
        """Begin a sync: return what is to be stored, if anything is.

        A gap of unknown length at the very end stays, and lies in the index until bytes follow, so that in a file
        every such gap stands before its bytes.
        """
        if not self.is_dirty:
            return None
        self._dirty = False
        pieces, dropped = tuple(self._held), ""
        self._taken_bytes = self._held_bytes
        last = pieces[-1] if pieces else None
        if isinstance(last, GapPiece) and not last.lost_bytes:
            pieces, dropped = pieces[:-1], last.reason
            self._taken_bytes -= PIECE_COST_BYTES
        self._taken = len(pieces)
        return LogBatch(self, self._row(dropped), self._taken_bytes, self._write_of(pieces) if pieces else None)

    def drop(self, batch: LogBatch, reason: str) -> int:
        """Put one gap in the place of what the disk did not take; return how many bytes that loses."""
        taken = self._held[: self._taken]
        lost = sum(len(piece.data) for piece in taken if isinstance(piece, Chunk))
        start = taken[0].offset
        self._held[: self._taken] = [GapPiece(start, taken[0].at_ms, batch.row.end - start, reason)]
        self._held_bytes += PIECE_COST_BYTES - self._taken_bytes
        self._taken, self._taken_bytes = 1, PIECE_COST_BYTES
        self.lost_bytes += lost
        batch.row = batch.row._replace(lost_bytes=batch.row.lost_bytes + lost, dropped=reason)
        return lost

    def commit(self, batch: LogBatch) -> None:
        """End a sync: what it took is in the file, or stands in the index as dropped."""
        self.stored = batch.row
        if batch.segment is not None:
            earlier = [segment for segment in self._segments if segment.start != batch.segment.start]
            self._segments = (*earlier, batch.segment)
            del self._held[: self._taken]
            self._held_bytes -= self._taken_bytes
        self._taken = self._taken_bytes = 0

    def put_back(self) -> None:
        """End a sync that failed: the next one takes it all again."""
        self._taken = self._taken_bytes = 0
        self._dirty = True

    def segment(self, start: int) -> Segment | None:
        """Return the segment that begins there, if it is stored and kept."""
        return next((segment for segment in self._segments if segment.start == start), None)

    def replace(self, changed: Segment) -> None:
        """Read a segment from its other file from now on."""
        self._segments = tuple(changed if segment.start == changed.start else segment for segment in self._segments)

    def forget_before(self, offset: int) -> None:
        """Let go of the segments that retention took."""
        self._segments = tuple(segment for segment in self._segments if segment.start >= offset)
        self._reader.forget_before(offset)

    def retire(self) -> None:
        """Refuse reading from now on: retention took the boot."""
        self._retired = True

    @property
    def growing_start(self) -> int:
        """Where the segment begins that gets the next bytes, unless a new one does; -1 before the first."""
        return self._segments[-1].start if self._segments else -1

    @property
    def is_dirty(self) -> bool:
        """Whether there is something that no sync has stored."""
        return self._dirty or self.stored is None

    def _row(self, dropped: str) -> BootRow:
        return BootRow(self.number, self.start_ms, self.last_byte_ms, self.end, self.lost_bytes, self.cause, dropped)

    def _write_of(self, pieces: tuple[Piece, ...]) -> SegmentWrite:
        last = self._segments[-1] if self._segments else None
        if last is None or last.size >= self._files.segment_bytes or last.frames:
            last = Segment(last.end if last else 0, 0, 0, randbits(32), 0)
        latest_ms = max(last.latest_ms, *(piece.at_ms for piece in pieces))
        name = SegmentName(self._node, self.number, last.start)
        return SegmentWrite(name, last.size, last.seed, encode(pieces, last.seed), latest_ms)

    def _hold_dropped(self, row: BootRow) -> None:
        in_files = self._segments[-1].end if self._segments else 0
        if in_files < row.end or row.dropped:
            reason = row.dropped or "damaged"
            self._held.append(GapPiece(in_files, row.last_byte_ms, row.end - in_files, reason))
            self._held_bytes = PIECE_COST_BYTES

    def _hold(self, at_ms: int, data: bytes, damage: Damage | None) -> None:
        cost = len(data) + PIECE_COST_BYTES
        if self._held_bytes + cost > HELD_LIMIT_BYTES or self.end > MAX_OFFSET:
            self._lose(at_ms, len(data), "store_behind")
            return
        self.last_byte_ms = at_ms = bounded_ms(at_ms)
        self._held.append(Chunk(self.end, at_ms, data, damage))
        self._held_bytes += cost
        self.end += len(data)
        self._dirty = True

    def _lose(self, at_ms: int, lost_bytes: int, reason: str) -> None:
        if self.end + lost_bytes > MAX_OFFSET:
            raise BadPositionError(self._node, f"boot {self.number} cannot reach offset {self.end + lost_bytes}")
        if self._held_bytes + PIECE_COST_BYTES > HELD_LIMIT_BYTES:
            reason = "store_behind"
        gap = GapPiece(self.end, bounded_ms(at_ms), lost_bytes, reason[:MAX_REASON_BYTES])
        last = self._held[-1] if len(self._held) > self._taken else None
        if isinstance(last, GapPiece) and (last.reason == gap.reason or not last.lost_bytes + lost_bytes):
            self._held[-1] = last._replace(lost_bytes=last.lost_bytes + lost_bytes)
        else:
            self._held.append(gap)
            self._held_bytes += PIECE_COST_BYTES
        self.end += lost_bytes
        self.lost_bytes += lost_bytes
        self._dirty = True

    def _skip_to(self, offset: int, at_ms: int) -> int:
        """Bring the end to `offset` if that is ahead; return how many bytes are there already."""
        if offset > self.end:
            self._lose(at_ms, offset - self.end, "missing")
        return self.end - offset

    def _pieces(self, offset: int) -> Iterator[Piece]:
        """Yield the pieces that reach beyond `offset`, in whole."""
        with self._lock:
            self._require_kept()
            segments = self._segments
            held = self._held[max(0, bisect_left(self._held, offset, key=_offset_of) - 1) :]
        if segments and offset < segments[0].start:
            yield GapPiece(offset, self.start_ms, segments[0].start - offset, "retention")
        for segment in segments:
            if segment.end > offset:
                yield from _beyond(offset, self._segment_pieces(segment, offset))
        yield from _beyond(offset, held)

    def _segment_pieces(self, segment: Segment, offset: int) -> Iterator[Piece]:
        for piece in self._reader.pieces(segment, offset, self.start_ms):
            if isinstance(piece, GapPiece) and piece.reason == "damaged":
                now = self._kept_segment(segment.start)
                if now is None:
                    yield GapPiece(piece.offset, piece.at_ms, segment.end - piece.offset, "retention")
                    return
                if now.frames != segment.frames:  # it was compressed while it was read
                    yield from self._segment_pieces(now, piece.offset)
                    return
            yield piece

    def _kept_segment(self, start: int) -> Segment | None:
        """Return the segment as it is now; None when retention took it while it was read."""
        with self._lock:
            self._require_kept()
            return self.segment(start)

    def _require_kept(self) -> None:
        if self._retired:
            raise NoSuchBootError(self._node, self.number)


def _beyond(offset: int, pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Yield those that have bytes at or after `offset`, and the gaps of unknown length among them."""
    return (piece for piece in pieces if piece.end > offset or piece.offset == offset)


def _cut(piece: Piece, offset: int, max_bytes: int) -> Piece:
    """Return the part of `piece` that begins at `offset` or later, at most `max_bytes` of data."""
    skip = max(0, offset - piece.offset)
    if isinstance(piece, GapPiece):
        return piece._replace(offset=piece.offset + skip, lost_bytes=piece.lost_bytes - skip)
    damage = None if skip else piece.damage
    return Chunk(piece.offset + skip, piece.at_ms, piece.data[skip : skip + max_bytes], damage)
