"""Compressed segments: pieces in zstd frames, each of which is read on its own. Only this module knows zstd.

A frame holds what takes FRAME_BYTES as records: a read from any offset decodes the frames it needs, 0.5 ms each, and no
more. Frames of half that size would make the file a third larger; in larger ones a damaged byte would cost more.
"""

from collections.abc import Iterable, Iterator

import zstandard

from racklet_hostd.store.packing import NotPackedError, packed, unpacked
from racklet_hostd.store.records import ANY_MAGIC, MAX_PAYLOAD_BYTES, GapPiece, Piece, Scan
from racklet_hostd.store.rows import Frame, Segment

FRAME_BYTES = 128 << 10
# Level 6 takes 11 ms of CPU for a megabyte, level 1 takes 2. It makes what fits into one frame, most boots, a twentieth
# smaller, and long logs no smaller.
_LEVEL, _LEVEL_OF_ONE_FRAME = 1, 6
_DECODED_LIMIT_BYTES = FRAME_BYTES + 4 * MAX_PAYLOAD_BYTES  # more than any frame of ours has; more is damage


def compressed(plain: bytes, segment: Segment, frame_bytes: int = FRAME_BYTES) -> tuple[bytes, Segment] | None:
    """Return the compressed file of `segment`, whose records are `plain`, and the segment as it is then.

    None when a part is damaged, so that no more of it becomes unreadable. It is always smaller: a piece alone is.
    """
    level = _LEVEL_OF_ONE_FRAME if len(plain) <= frame_bytes else _LEVEL
    compressor = zstandard.ZstdCompressor(level=level, write_checksum=True)
    parts: list[bytes] = []
    frames: list[Frame] = []
    size = 0
    try:
        for pieces in _stretches(plain, segment, frame_bytes):
            frames.append(Frame(pieces[0].offset, size, max(piece.at_ms for piece in pieces)))
            parts.append(compressor.compress(packed(pieces)))
            size += len(parts[-1])
    except _DamageError:
        return None
    latest_ms = max(frame.latest_ms for frame in frames)
    return b"".join(parts), segment._replace(size=size, latest_ms=latest_ms, frames=tuple(frames))


def pieces_in(frame: bytes, seed: int, offset: int, end: int, at_ms: int) -> Iterable[Piece]:
    """Return the pieces of a frame, which lie from `offset` to `end`, without a seam.

    What is damaged comes out as a gap with the time of the piece before it, `at_ms` when there is none.
    """
    blob = decompressed(frame)
    if blob.startswith(ANY_MAGIC):  # as it was before there was `packing`
        return (piece for _, piece in Scan(blob, seed).pieces(offset, end, at_ms))
    try:
        return unpacked(blob, offset, end)
    except NotPackedError:
        return [GapPiece(offset, at_ms, end - offset, "damaged")]


def decompressed(frame: bytes) -> bytes:
    """Return what a frame holds; b"" when it is damaged."""
    try:
        if not 0 < zstandard.frame_content_size(frame) <= _DECODED_LIMIT_BYTES:
            return b""
        return zstandard.ZstdDecompressor().decompress(frame)
    except zstandard.ZstdError:
        return b""


class _DamageError(Exception):
    """The records cannot all be read."""


def _stretches(plain: bytes, segment: Segment, frame_bytes: int) -> Iterator[list[Piece]]:
    """Yield the pieces of each frame.

    A gap of unknown length stays with the bytes at its offset, so that no two frames begin at the same offset.
    """
    begin, pieces = 0, list[Piece]()
    for place, piece in Scan(plain, segment.seed).pieces(segment.start, segment.end, 0):
        if isinstance(piece, GapPiece) and piece.reason == "damaged":
            raise _DamageError
        if place - begin >= frame_bytes and piece.offset != pieces[-1].offset:
            yield pieces
            begin, pieces = place, []
        pieces.append(piece)
    yield pieces
