"""Compressed segments: records in zstd frames, each of which is read on its own. Only this module knows zstd.

A frame holds FRAME_BYTES of whole records: a read from any offset decodes the frames it needs, 0.1 ms each, and no
more. Frames of half that size would make the file a third larger; in larger ones a damaged byte would cost more.
"""

from collections.abc import Iterator

import zstandard

from racklet_hostd.store.records import MAX_PAYLOAD_BYTES, GapPiece, Scan
from racklet_hostd.store.rows import Frame, Segment

FRAME_BYTES = 128 << 10
_LEVEL = 1  # boot logs shrink to a third or less for 2 ms of CPU per megabyte; level 3 saves a tenth of that
_DECODED_LIMIT_BYTES = FRAME_BYTES + 4 * MAX_PAYLOAD_BYTES  # more than any frame of ours has; more is damage


def compressed(plain: bytes, segment: Segment, frame_bytes: int = FRAME_BYTES) -> tuple[bytes, Segment] | None:
    """Return the compressed file of `segment`, whose records are `plain`, and the segment as it is then.

    None when that is of no use: a part is damaged, and must not become unreadable, or the file would not be smaller.
    """
    compressor = zstandard.ZstdCompressor(level=_LEVEL)
    parts: list[bytes] = []
    frames: list[Frame] = []
    size = 0
    try:
        for begin, end, offset, latest_ms in _stretches(plain, segment, frame_bytes):
            frames.append(Frame(offset, size, latest_ms))
            parts.append(compressor.compress(plain[begin:end]))
            size += len(parts[-1])
    except _DamageError:
        return None
    if not 0 < size < segment.size:
        return None
    latest_ms = max(frame.latest_ms for frame in frames)
    return b"".join(parts), segment._replace(size=size, latest_ms=latest_ms, frames=tuple(frames))


def decompressed(frame: bytes) -> bytes:
    """Return the records of a frame; b"" when it is damaged."""
    try:
        if not 0 < zstandard.frame_content_size(frame) <= _DECODED_LIMIT_BYTES:
            return b""
        return zstandard.ZstdDecompressor().decompress(frame)
    except zstandard.ZstdError:
        return b""


class _DamageError(Exception):
    """The records cannot all be read."""


def _stretches(plain: bytes, segment: Segment, frame_bytes: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield where each frame's records begin and end, its first offset and its latest time.

    A gap of unknown length stays with the bytes at its offset, so that no two frames begin at the same offset.
    """
    begin, offset, latest_ms, before = 0, segment.start, 0, -1
    for place, piece in Scan(plain, segment.seed).pieces(segment.start, segment.end, 0):
        if isinstance(piece, GapPiece) and piece.reason == "damaged":
            raise _DamageError
        if place - begin >= frame_bytes and piece.offset != before:
            yield begin, place, offset, latest_ms
            begin, offset, latest_ms = place, piece.offset, 0
        latest_ms = max(latest_ms, piece.at_ms)
        before = piece.offset
    yield begin, len(plain), offset, latest_ms
