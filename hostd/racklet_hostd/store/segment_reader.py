"""Reading a boot log's segments from any offset or time."""

from bisect import bisect_right
from collections.abc import Iterator
from itertools import pairwise
from operator import attrgetter, itemgetter
from threading import Lock

from racklet_hostd.store.compression import pieces_in
from racklet_hostd.store.records import GapPiece, Piece, Scan
from racklet_hostd.store.rows import Frame, Segment, SegmentName
from racklet_hostd.store.segments import SegmentFolder

MARK_EVERY_BYTES = 32 << 10  # of a segment: a search reads no more records in vain than lie between two marks

_offset_of_mark = itemgetter(0)
_offset_of = attrgetter("offset")


class SegmentReader:
    """Reads the segments of one boot, and remembers where in them a search may begin.

    May be used from several threads.
    """

    def __init__(self, node: str, boot: int, files: SegmentFolder) -> None:
        self._node = node
        self._boot = boot
        self._files = files
        self._lock = Lock()
        self._marks: dict[int, list[tuple[int, int]]] = {}  # by segment: offsets, and where their records begin

    def pieces(self, segment: Segment, offset: int, at_ms: int) -> Iterator[Piece]:
        """Yield the pieces of `segment`, without a seam, from `offset` or earlier on.

        What is damaged comes out as a gap with the time of the piece before it, `at_ms` when there is none.
        """
        if segment.frames:
            return _damage_joined(self._compressed_pieces(segment, offset, at_ms))
        return self._plain_pieces(segment, offset, at_ms)

    def forget_before(self, offset: int) -> None:
        """Let go of the segments that begin before `offset`."""
        with self._lock:
            self._marks = {start: marks for start, marks in self._marks.items() if start >= offset}

    def _compressed_pieces(self, segment: Segment, offset: int, at_ms: int) -> Iterator[Piece]:
        name = SegmentName(self._node, self._boot, segment.start, is_compressed=True)
        first = max(0, bisect_right(segment.frames, offset, key=_offset_of) - 1)
        for frame, following in pairwise((*segment.frames[first:], Frame(segment.end, segment.size, 0))):
            blob = self._files.read(name, frame.position, following.position)
            for piece in pieces_in(blob, segment.seed, frame.offset, following.offset, at_ms):
                at_ms = piece.at_ms
                yield piece

    def _plain_pieces(self, segment: Segment, offset: int, at_ms: int) -> Iterator[Piece]:
        marks = self._marks.setdefault(segment.start, [(segment.start, 0)])
        begin, position = marks[bisect_right(marks, max(offset, segment.start), key=_offset_of_mark) - 1]
        blob = self._files.read(SegmentName(self._node, self._boot, segment.start), position, segment.size)
        before = -1
        for place, piece in Scan(blob, segment.seed).pieces(begin, segment.end, at_ms):
            if piece.offset != before:  # so that a mark stands before the gap of unknown length at its offset
                self._mark(marks, piece.offset, position + place)
            before = piece.offset
            yield piece

    def _mark(self, marks: list[tuple[int, int]], offset: int, position: int) -> None:
        if position >= marks[-1][1] + MARK_EVERY_BYTES:
            with self._lock:
                if position >= marks[-1][1] + MARK_EVERY_BYTES:
                    marks.append((offset, position))


def _damage_joined(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Yield the pieces, with damage that goes from one frame into the next as one gap."""
    damage: GapPiece | None = None
    for piece in pieces:
        if isinstance(piece, GapPiece) and piece.reason == "damaged":
            damage = damage._replace(lost_bytes=damage.lost_bytes + piece.lost_bytes) if damage else piece
            continue
        if damage is not None:
            yield damage
            damage = None
        yield piece
    if damage is not None:
        yield damage
