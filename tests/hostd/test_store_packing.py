"""The pieces of a log in few bytes: every one comes back, and nothing else is taken for them."""

from __future__ import annotations

from itertools import pairwise

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from racklet_hostd.store import Chunk, GapPiece, Piece
from racklet_hostd.store.compression import compressed, pieces_in
from racklet_hostd.store.packing import NotPackedError, packed, unpacked
from racklet_hostd.store.records import encode
from racklet_hostd.store.rows import Segment
from racklet_link.events import Damage

T0 = 1_795_000_000_000
MAX_OFFSET = 1 << 62

_counts = st.integers(0, 0xFFFF)
_damages = st.none() | st.builds(Damage, _counts, _counts, _counts)
_times = st.integers(0, 253_402_300_799_999)
_chunks = st.tuples(st.just("chunk"), _times, st.binary(min_size=1, max_size=300), _damages)
_gaps = st.tuples(st.just("gap"), _times, st.integers(0, 1 << 60), st.text(max_size=16))
_steps = st.lists(st.one_of(_chunks, _gaps), min_size=1, max_size=30)


def built(start: int, steps: list[tuple[str, int, bytes | int, Damage | str | None]]) -> list[Piece]:
    pieces: list[Piece] = []
    for _, at_ms, size, more in steps:
        offset = pieces[-1].end if pieces else start
        if isinstance(size, bytes):
            pieces.append(Chunk(offset, at_ms, size, more if isinstance(more, Damage) else None))
        else:
            pieces.append(GapPiece(offset, at_ms, size, str(more)))
    return pieces


PIECES: list[Piece] = [
    Chunk(7, T0, b"U-Boot 2025.01\r\n"),
    GapPiece(23, T0 + 40, 100, "ring_full"),
    Chunk(123, T0 + 48, b"\xff\xffoops", Damage(2, 1, 0)),
    Chunk(129, T0 + 20, b"the clock was set back"),
    GapPiece(151, T0 + 90, 0, "hat_restart"),
    Chunk(151, T0 + 95, b"login: "),
]


@given(start=st.integers(0, MAX_OFFSET), steps=_steps)
def test_every_piece_comes_back(start: int, steps: list[tuple[str, int, bytes | int, Damage | str | None]]) -> None:
    pieces = built(start, steps)
    assert unpacked(packed(pieces), start, pieces[-1].end) == pieces


def test_its_bytes_stay_as_they_are() -> None:
    assert packed([Chunk(0, 5, b"ab"), Chunk(2, 3, b"c")]) == b"\xa5RP\x01" + bytes([2, 8, 4, 10, 3]) + b"abc"
    everything = bytes([6, 16 << 2, 100 << 2 & 127 | 1 | 128, 3, 6 << 2 | 2, 22 << 2, 1, 7 << 2])
    assert packed(PIECES).startswith(b"\xa5RP\x01" + everything)
    assert packed(PIECES).endswith(
        b"\x02\x01\x00\x09ring_full\x0bhat_restartU-Boot 2025.01\r\n\xff\xffoopsthe clock was set backlogin: "
    )


@pytest.mark.parametrize("size", range(len(packed(PIECES))))
def test_what_is_cut_off_is_refused(size: int) -> None:
    with pytest.raises(NotPackedError):
        unpacked(packed(PIECES)[:size], 7, PIECES[-1].end)


@pytest.mark.parametrize(("offset", "end"), [(8, PIECES[-1].end), (7, PIECES[-1].end - 1), (0, 0)])
def test_what_is_of_another_stretch_is_refused(offset: int, end: int) -> None:
    with pytest.raises(NotPackedError):
        unpacked(packed(PIECES), offset, end)


@given(blob=st.binary(max_size=60))
def test_garbage_is_refused_or_is_something_that_lies_there(blob: bytes) -> None:
    for end in (0, 3, 100):
        try:
            pieces = unpacked(b"\xa5RP\x01" + blob, 0, end)
        except NotPackedError:
            continue
        assert pieces[-1].end == end
        assert all(before.end == after.offset for before, after in pairwise(pieces))


def test_anybody_can_read_the_text_with_zstd() -> None:
    chunks = [Chunk(10 * index, T0, b"line %03d\r\n" % index) for index in range(300)]
    plain = encode(chunks, 1)
    found = compressed(plain, Segment(0, 3000, len(plain), 1, T0), frame_bytes=1000)
    assert found is not None
    with zstandard.ZstdDecompressor().stream_reader(found[0], read_across_frames=True) as reader:
        text = reader.read()
    assert all(chunk.data in text for chunk in chunks)


def test_a_frame_of_an_earlier_version_is_read() -> None:
    frame = zstandard.ZstdCompressor(level=1).compress(encode(PIECES, 42))
    assert list(pieces_in(frame, 42, 7, PIECES[-1].end, T0)) == PIECES


def test_a_damaged_frame_is_a_gap_with_the_time_before_it() -> None:
    frame = zstandard.ZstdCompressor(level=1, write_checksum=True).compress(packed(PIECES))
    for index in range(len(frame)):
        bad = frame[:index] + bytes([frame[index] ^ 1]) + frame[index + 1 :]
        found = list(pieces_in(bad, 42, 7, PIECES[-1].end, T0 - 1))
        assert found in (PIECES, [GapPiece(7, T0 - 1, PIECES[-1].end - 7, "damaged")])
