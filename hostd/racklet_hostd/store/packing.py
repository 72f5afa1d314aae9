"""Pieces of a boot log in the fewest bytes: what a frame of a compressed segment holds.

Beside the records that a growing file is made of, it has no checksums and no offsets: zstd's checksum stands for all
of a frame, and the index says where it begins. What is alike stands together, so that it compresses best; the bytes are
at the end in one piece, so that `zstd -dc` shows them. Numbers are varints, low bits first, as in protobuf:

    magic      A5 'R' 'P' 01
    pieces     how many
    kinds      of each: 4 times its length, and 0 for bytes, 1 for a gap, 2 for bytes of which some came damaged
    times      of each: milliseconds after the one before, the first after 1970; zigzag: 2 * n, or -2 * n - 1 if n < 0
    damages    of each of kind 2: framing errors, parity errors, breaks
    reasons    of each gap: length, UTF-8
    bytes      of all that are not gaps
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

from racklet_hostd.store.records import Chunk, GapPiece, Piece
from racklet_link.events import Damage

_MAGIC = b"\xa5RP\x01"
_BYTES, _GAP, _DAMAGED = range(3)
_VARINT_BITS_MAX = 70


class NotPackedError(Exception):
    """The bytes are not what `packed` returns, or not of this stretch of a log."""


def packed(pieces: Sequence[Piece]) -> bytes:
    """Return the pieces, which follow each other without a seam, as bytes."""
    kinds, times, damages, reasons, parts = list[bytes](), list[bytes](), list[bytes](), list[bytes](), list[bytes]()
    before_ms = 0
    for piece in pieces:
        if isinstance(piece, GapPiece):
            kinds.append(_varint(piece.lost_bytes << 2 | _GAP))
            reason = piece.reason.encode()
            reasons += (_varint(len(reason)), reason)
        else:
            kinds.append(_varint(len(piece.data) << 2 | (_DAMAGED if piece.damage else _BYTES)))
            damages += map(_varint, piece.damage or ())
            parts.append(piece.data)
        passed_ms, before_ms = piece.at_ms - before_ms, piece.at_ms
        times.append(_varint(passed_ms << 1 if passed_ms >= 0 else ~(passed_ms << 1)))
    return b"".join((_MAGIC, _varint(len(pieces)), *kinds, *times, *damages, *reasons, *parts))


def unpacked(blob: bytes, offset: int, end: int) -> list[Piece]:
    """Return the pieces, which lie from `offset` to `end`. Raises NotPackedError."""
    if not blob.startswith(_MAGIC):
        raise NotPackedError("they begin with something else")
    try:
        pieces = _pieces(blob, offset)
    except (IndexError, UnicodeDecodeError) as error:
        raise NotPackedError("they end too soon, or a reason is no text") from error
    if not pieces or pieces[-1].end != end:
        raise NotPackedError("they are of another stretch")
    return pieces


def _pieces(blob: bytes, offset: int) -> list[Piece]:
    numbers = _Numbers(blob, len(_MAGIC))
    count = numbers.take()
    if count > len(blob):
        raise IndexError
    heads = [numbers.take() for _ in range(count)]
    times = list(_times(numbers, count))
    kinds = [head & 3 for head in heads]
    damages = iter([Damage(numbers.take(), numbers.take(), numbers.take()) for _ in range(kinds.count(_DAMAGED))])
    reasons = iter([numbers.take_text() for _ in range(kinds.count(_GAP))])
    place = numbers.place
    pieces: list[Piece] = []
    for kind, head, at_ms in zip(kinds, heads, times, strict=True):
        size = head >> 2
        if kind == _GAP:
            pieces.append(GapPiece(offset, at_ms, size, next(reasons)))
        elif kind in {_BYTES, _DAMAGED}:
            pieces.append(Chunk(offset, at_ms, blob[place : place + size], next(damages) if kind else None))
            place += size
        else:
            raise IndexError
        offset += size
    if place != len(blob):
        raise IndexError
    return pieces


def _times(numbers: "_Numbers", count: int) -> Iterator[int]:
    at_ms = 0
    for _ in range(count):
        zigzag = numbers.take()
        at_ms += zigzag >> 1 ^ -(zigzag & 1)
        yield at_ms


class _Numbers:
    """Takes numbers from bytes; IndexError when they end."""

    def __init__(self, blob: bytes, place: int) -> None:
        self.place = place
        self._blob = blob

    def take(self) -> int:
        value = shift = 0
        while True:
            byte = self._blob[self.place]
            self.place += 1
            value |= (byte & 127) << shift
            if byte < 128:  # noqa: PLR2004  a varint's last byte
                return value
            shift += 7
            if shift >= _VARINT_BITS_MAX:
                raise IndexError

    def take_text(self) -> str:
        end = self.take() + self.place
        if end > len(self._blob):
            raise IndexError
        text = self._blob[self.place : end].decode()
        self.place = end
        return text


@lru_cache(maxsize=1024)  # most lengths and most times between two pieces are like others
def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:  # noqa: PLR2004  what a varint's byte holds
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
