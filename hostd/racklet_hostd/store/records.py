"""What a boot log is made of, and how it lies in a file.

A record is a header of 28 bytes, little-endian, and a payload:

    magic     4  A5 'R' 'L' 01 for bytes, 02 for a gap, 03 for bytes of which some came damaged
    length    4  of the payload
    offset    8
    at_ms     8
    crc       4  CRC-32 of the 24 bytes before it and of the payload, begun with the file's seed

The payload of a gap is the number of lost bytes (8) and the reason in UTF-8. Damaged bytes stand behind the numbers of
framing errors, parity errors and breaks (2 each). The seed is random, so that a node cannot
print a record that is taken for one when the file is damaged.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from zlib import crc32

from racklet_link.events import Damage

MAX_PAYLOAD_BYTES = 4096  # the link brings 448 at most; a length beyond this is damage
MAX_REASON_BYTES = 64

_CHUNK_MAGIC = b"\xa5RL\x01"
_GAP_MAGIC = b"\xa5RL\x02"
_DAMAGED_MAGIC = b"\xa5RL\x03"
ANY_MAGIC = b"\xa5RL"
_HEAD = struct.Struct("<4sIQQ")
_WHOLE_HEAD = struct.Struct("<4sIQQI")
_CRC = struct.Struct("<I")
_LOST = struct.Struct("<Q")
_DAMAGE = struct.Struct("<HHH")
_DAMAGE_MAX = 0xFFFF  # of each kind; a HAT tells of 448 bytes at a time


class Chunk(NamedTuple):
    """Bytes of a boot log.

    Attributes:
        offset: of the first byte.
        at_ms: unix time when the first byte came; of a chunk that was cut at its front, still that time.
        data: the bytes as the node sent them; never empty.
        damage: what came with them on the line; of a chunk that was cut at its front, None. The first byte is damaged.
    """

    offset: int
    at_ms: int
    data: bytes
    damage: Damage | None = None

    @property
    def end(self) -> int:
        """The offset after the last byte."""
        return self.offset + len(self.data)


class GapPiece(NamedTuple):
    """A stretch of a boot log that is lost.

    Attributes:
        offset: of the first lost byte.
        at_ms: unix time when the loss was noticed.
        lost_bytes: how many; 0 when it is not known.
        reason: what the HAT said ("ring_full", "uart_overrun", "baud_detection"), or "hat_restart", or one of the
            store's own: "disk_full", "disk_error", "store_behind", "missing", "damaged", "retention".
    """

    offset: int
    at_ms: int
    lost_bytes: int
    reason: str

    @property
    def end(self) -> int:
        """The offset after the last lost byte."""
        return self.offset + self.lost_bytes


Piece = Chunk | GapPiece


def encode(pieces: Iterable[Piece], seed: int) -> bytes:
    """Return the records of `pieces` in a file with this seed."""
    parts: list[bytes] = []
    for piece in pieces:
        if isinstance(piece, GapPiece):
            magic, payload = _GAP_MAGIC, _LOST.pack(piece.lost_bytes) + piece.reason.encode()
        elif piece.damage is None:
            magic, payload = _CHUNK_MAGIC, piece.data
        else:
            damage = (min(count, _DAMAGE_MAX) for count in piece.damage)
            magic, payload = _DAMAGED_MAGIC, _DAMAGE.pack(*damage) + piece.data
        head = _HEAD.pack(magic, len(payload), piece.offset, piece.at_ms)
        parts += (head, _CRC.pack(crc32(payload, crc32(head, seed))), payload)
    return b"".join(parts)


class Scan:
    """Reads `blob`, the bytes of a file with this seed."""

    def __init__(self, blob: bytes, seed: int) -> None:
        self._blob = blob
        self._seed = seed

    def pieces(self, offset: int, end: int, at_ms: int) -> Iterator[tuple[int, Piece]]:
        """Yield the pieces from `offset` to `end`, without a seam, each with its place in the bytes.

        What is damaged comes out as a gap with the time of the piece before it, `at_ms` when there is none.
        """
        place = 0
        while place < len(self._blob) or offset < end:
            found = self._decode(place)
            if found is None or found[0].offset != offset or found[0].end > end:
                resume = self._next_sound(place, offset, end)
                upto = end if resume is None else resume[1].offset
                yield place, GapPiece(offset, at_ms, upto - offset, "damaged")
                offset = upto
                place = len(self._blob) if resume is None else resume[0]
                continue
            piece, after = found
            yield place, piece
            offset, place, at_ms = piece.end, after, piece.at_ms

    def _decode(self, place: int) -> tuple[Piece, int] | None:
        """Return the record at `place` and the place after it; None when it is cut off or damaged."""
        start = place + _WHOLE_HEAD.size
        if start > len(self._blob):
            return None
        magic, length, offset, at_ms, crc = _WHOLE_HEAD.unpack_from(self._blob, place)
        after = start + length
        if length > MAX_PAYLOAD_BYTES + _DAMAGE.size or after > len(self._blob):
            return None
        payload = self._blob[start:after]
        if crc32(payload, crc32(self._blob[place : place + _HEAD.size], self._seed)) != crc:
            return None
        piece = _piece(magic, offset, at_ms, payload)
        return None if piece is None else (piece, after)

    def _next_sound(self, place: int, offset: int, end: int) -> tuple[int, Piece] | None:
        """Return the first sound record from `place` on that continues the log at or after `offset`."""
        while (place := self._blob.find(ANY_MAGIC, place)) >= 0:
            found = self._decode(place)
            if found is not None and offset <= found[0].offset and found[0].end <= end:
                return place, found[0]
            place += 1
        return None


def _piece(magic: bytes, offset: int, at_ms: int, payload: bytes) -> Piece | None:
    """Return what a sound record holds; None when it is of no kind that we know."""
    if magic == _CHUNK_MAGIC:
        return Chunk(offset, at_ms, payload)
    if magic == _DAMAGED_MAGIC and len(payload) > _DAMAGE.size:
        return Chunk(offset, at_ms, payload[_DAMAGE.size :], Damage(*_DAMAGE.unpack_from(payload)))
    if magic == _GAP_MAGIC and len(payload) >= _LOST.size:
        return GapPiece(offset, at_ms, _LOST.unpack_from(payload)[0], payload[_LOST.size :].decode(errors="replace"))
    return None
