"""Records: what was encoded comes back, and no damage to a file is silent or fatal."""

import zlib

from hypothesis import given
from hypothesis import strategies as st

from racklet_hostd.store import Chunk, GapPiece, Piece
from racklet_hostd.store.records import MAX_PAYLOAD_BYTES, Scan, encode
from racklet_link.events import Damage

SEED = 0x12345678
TIMES = st.integers(0, 1 << 47)
DATA = st.binary(min_size=1, max_size=80) | st.just(encode([Chunk(5, 5, b"a record within a record")], SEED + 1))


@st.composite
def logs(draw: st.DrawFn) -> list[Piece]:
    """Return the pieces of some log, without a seam."""
    offset = draw(st.integers(0, 1 << 40))
    pieces: list[Piece] = []
    for _ in range(draw(st.integers(1, 12))):
        if draw(st.booleans()):
            pieces.append(Chunk(offset, draw(TIMES), draw(DATA)))
        else:
            pieces.append(GapPiece(offset, draw(TIMES), draw(st.integers(0, 1 << 33)), draw(st.text(max_size=16))))
        offset = pieces[-1].end
    return pieces


def scanned(blob: bytes, pieces: list[Piece]) -> list[Piece]:
    return [piece for _, piece in Scan(blob, SEED).pieces(pieces[0].offset, pieces[-1].end, 0)]


def known_bytes(pieces: list[Piece]) -> dict[int, int]:
    return {
        piece.offset + index: byte
        for piece in pieces
        if isinstance(piece, Chunk)
        for index, byte in enumerate(piece.data)
    }


@given(logs())
def test_what_was_encoded_is_what_is_scanned(pieces: list[Piece]) -> None:
    assert scanned(encode(pieces, SEED), pieces) == pieces


@given(logs(), st.data())
def test_every_place_that_a_scan_tells_is_one_where_a_scan_can_begin(pieces: list[Piece], data: st.DataObject) -> None:
    blob = encode(pieces, SEED)
    index = data.draw(st.integers(0, len(pieces) - 1))
    place = list(Scan(blob, SEED).pieces(pieces[0].offset, pieces[-1].end, 0))[index][0]
    assert scanned(blob[place:], pieces[index:]) == pieces[index:]


@given(logs(), st.data())
def test_flipped_bits_turn_bytes_into_gaps_and_never_into_other_bytes(pieces: list[Piece], data: st.DataObject) -> None:
    blob = bytearray(encode(pieces, SEED))
    for place in data.draw(st.lists(st.integers(0, len(blob) * 8 - 1), min_size=1, max_size=4)):
        blob[place // 8] ^= 1 << place % 8
    check_seamless_and_true(scanned(bytes(blob), pieces), pieces)


@given(logs(), st.data())
def test_a_file_without_its_end_reads_as_a_gap_from_there_on(pieces: list[Piece], data: st.DataObject) -> None:
    blob = encode(pieces, SEED)
    found = scanned(blob[: data.draw(st.integers(0, len(blob)))], pieces)
    check_seamless_and_true(found, pieces)
    assert found[:-1] == pieces[: len(found[:-1])]


@given(logs(), st.data())
def test_a_record_that_is_not_there_reads_as_a_gap(pieces: list[Piece], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(pieces) - 1))
    blob = encode(pieces[:index] + pieces[index + 1 :], SEED)
    check_seamless_and_true(scanned(blob, pieces), pieces)


@given(logs(), st.binary(max_size=400))
def test_any_bytes_read_as_a_log_without_a_seam(pieces: list[Piece], blob: bytes) -> None:
    check_seamless_and_true(scanned(blob, pieces), pieces)


def test_one_damaged_record_costs_only_its_own_bytes() -> None:
    pieces: list[Piece] = [Chunk(index * 10, 7, b"0123456789") for index in range(5)]
    blob = bytearray(encode(pieces, SEED))
    blob[2 * len(blob) // 5 + 30] ^= 0x10
    assert scanned(bytes(blob), pieces) == [*pieces[:2], GapPiece(20, 7, 10, "damaged"), *pieces[3:]]


def test_the_largest_payload_comes_back() -> None:
    pieces: list[Piece] = [Chunk(0, 0, bytes(MAX_PAYLOAD_BYTES))]
    assert scanned(encode(pieces, SEED), pieces) == pieces


def check_seamless_and_true(found: list[Piece], pieces: list[Piece]) -> None:
    offset = pieces[0].offset
    for piece in found:
        assert piece.offset == offset
        offset = piece.end
    assert offset == pieces[-1].end
    assert known_bytes(found).items() <= known_bytes(pieces).items()


def test_damage_comes_back_with_its_bytes_and_is_cut_at_what_a_record_can_tell() -> None:
    pieces: list[Piece] = [Chunk(0, 5, b"ab", Damage(1, 0, 70_000)), Chunk(2, 6, b"c")]
    assert scanned(encode(pieces, SEED), pieces) == [Chunk(0, 5, b"ab", Damage(1, 0, 65_535)), Chunk(2, 6, b"c")]


def test_the_largest_damaged_record_comes_back() -> None:
    pieces: list[Piece] = [Chunk(0, 5, b"x" * MAX_PAYLOAD_BYTES, Damage(1, 2, 3))]
    assert scanned(encode(pieces, SEED), pieces) == pieces


def test_a_record_of_an_unknown_kind_is_damage() -> None:
    pieces: list[Piece] = [Chunk(0, 5, b"")]
    blob = encode(pieces, SEED).replace(b"RL\x01", b"RL\x03")
    head, payload = blob[:24], blob[28:]
    blob = head + zlib.crc32(payload, zlib.crc32(head, SEED)).to_bytes(4, "little") + payload
    assert [piece for _, piece in Scan(blob, SEED).pieces(0, 3, 9)] == [GapPiece(0, 9, 3, "damaged")]
