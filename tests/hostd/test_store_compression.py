"""Closed segments are compressed; every byte is read as before, and what a crash leaves is tidied."""

import shutil
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from racklet_hostd.store import BootLog, Chunk, GapPiece, Piece, Store
from racklet_hostd.store.compression import FRAME_BYTES, compressed, decompressed, pieces_in
from racklet_hostd.store.records import encode
from racklet_hostd.store.rows import Segment
from racklet_hostd.store.upkeep import COMPRESSED_AT_ONCE_FILES
from tests.hostd.store_rig import begun_log, content, data_of, fill, opened, read_all
from tests.hostd.test_store_disk import file_size_limit

KIB = 1024


def files_of(folder: Path, suffix: str) -> list[Path]:
    return sorted((folder / "logs" / "node-1").glob(f"*{suffix}"))


def grow(store: Store, log: BootLog, *, segments: int, size: int = 70 * KIB) -> bytes:
    """Fill so many segments of 64 KiB, each with one sync."""
    data = b""
    for _ in range(segments):
        data += fill(log, size)
        assert store.sync().failures == ()
    return data


def test_a_segment_that_another_one_follows_is_compressed_and_read_as_before(tmp_path: Path) -> None:
    with opened(tmp_path, segment_bytes=64 * KIB) as store:
        log = begun_log(store.node("node-1"))
        data = grow(store, log, segments=4)
        size = sum(path.stat().st_size for path in files_of(tmp_path, ".log"))
        assert store.tend(0) == ""
        assert [len(files_of(tmp_path, suffix)) for suffix in (".log", ".zst")] == [1, 3]
        assert sum(path.stat().st_size for path in files_of(tmp_path, "")) < size / 2
        assert data_of(read_all(log)) == data
    with opened(tmp_path, segment_bytes=64 * KIB) as store:
        assert data_of(read_all(store.node("node-1").boot_log(1))) == data


def test_the_segment_of_a_boot_that_ended_is_compressed_and_a_growing_one_is_not(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        node = store.node("node-1")
        data = grow(store, begun_log(node), segments=1)
        assert store.tend(0) == ""
        assert not files_of(tmp_path, ".zst")
        begun_log(node, 2).append(0, 2000, b"next")
        store.sync()
        assert store.tend(0) == ""
        assert [path.name for path in files_of(tmp_path, "")] == ["1-0.log.zst", "2-0.log"]
        assert data_of(read_all(node.boot_log(1))) == data


def test_a_boot_that_goes_on_after_it_was_compressed_gets_a_new_segment(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        node = store.node("node-1")
        data = grow(store, begun_log(node), segments=1)
        begun_log(node, session=8)
        store.sync()
        store.tend(0)
        assert files_of(tmp_path, "1-0.log.zst")
        log = begun_log(node)
        assert log.number == 1
        data += fill(log, 500)
        store.sync()
        assert data_of(read_all(log)) == data
        assert [path.name for path in files_of(tmp_path, "")] == ["1-0.log.zst", f"1-{70 * KIB}.log"]
    with opened(tmp_path) as store:
        assert data_of(read_all(store.node("node-1").boot_log(1))) == data


def test_what_is_little_stays_plain(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        log = begun_log(store.node("node-1"))
        log.append(0, 1, b"x" * 900)
        begun_log(store.node("node-1"), 2)
        store.sync()
        store.tend(0)
        assert len(files_of(tmp_path, ".log")) == 1


def test_even_noise_becomes_smaller() -> None:
    noise = b"".join(bytes([(n * n * n >> 7) % 256, n % 251]) for n in range(4000))
    for pieces in ([Chunk(0, 1, noise[:1])], [Chunk(size, 1, noise[:448]) for size in range(0, 448_000, 448)]):
        plain = encode(pieces, 1)
        found = compressed(plain, Segment(0, pieces[-1].end, len(plain), 1, 1))
        assert found is not None
        assert len(found[0]) < len(plain)


def test_one_round_compresses_a_bounded_number_and_the_next_goes_on(tmp_path: Path) -> None:
    with opened(tmp_path, plain_bytes=100) as store:
        node = store.node("node-1")
        for boot in range(1, 2 * COMPRESSED_AT_ONCE_FILES):
            fill(begun_log(node, boot), 3000)
        store.sync()
        rounds = []
        for _ in range(3):
            store.tend(0)
            rounds.append(len(files_of(tmp_path, ".zst")))
        assert rounds == [COMPRESSED_AT_ONCE_FILES, 2 * COMPRESSED_AT_ONCE_FILES - 2, 2 * COMPRESSED_AT_ONCE_FILES - 2]


def test_what_was_not_compressed_when_hostd_ended_is_compressed_by_the_next(tmp_path: Path) -> None:
    with opened(tmp_path, segment_bytes=64 * KIB) as store:
        data = grow(store, begun_log(store.node("node-1")), segments=3)
    with opened(tmp_path, segment_bytes=64 * KIB) as store:
        log = store.node("node-1").boot_log(1)
        store.tend(0)
        assert len(files_of(tmp_path, ".zst")) == 2
        assert data_of(read_all(log)) == data


def test_reading_goes_on_while_a_segment_is_compressed(tmp_path: Path) -> None:
    with opened(tmp_path, segment_bytes=64 * KIB) as store:
        log = begun_log(store.node("node-1"))
        data = grow(store, log, segments=4, size=300 * KIB)
        reading = log._pieces(0)
        pieces: list[Piece] = [next(reading)]
        store.tend(0)
        pieces += reading
        assert len(files_of(tmp_path, ".zst")) == 3
        assert data_of(pieces) == data


def test_many_read_while_segments_are_compressed(tmp_path: Path) -> None:
    with opened(tmp_path, segment_bytes=64 * KIB) as store:
        log = begun_log(store.node("node-1"))
        data = grow(store, log, segments=24)
        found: list[bytes] = []
        readers = [threading.Thread(target=lambda: found.append(data_of(read_all(log)))) for _ in range(4)]
        for reader in readers:
            reader.start()
        for _ in range(4):
            store.tend(0)
        for reader in readers:
            reader.join()
        assert len(files_of(tmp_path, ".zst")) == 23
        assert found == [data] * 4


def test_retention_counts_the_size_on_disk(tmp_path: Path) -> None:
    with opened(tmp_path, segment_bytes=64 * KIB, log_bytes_per_node=300 * KIB) as store:
        node = store.node("node-1")
        log = begun_log(node)
        for _ in range(12):
            grow(store, log, segments=1)
            store.tend(0)
        assert node.totals.retired_bytes == 0
        assert data_of(read_all(log))
        for _ in range(60):
            grow(store, log, segments=1)
            store.tend(0)
        assert node.totals.retired_bytes > 0
        sizes = [path.stat().st_size for path in files_of(tmp_path, "")]
        assert 300 * KIB - 80 * KIB < sum(sizes) <= 300 * KIB


def test_a_damaged_frame_is_a_gap_and_the_others_are_read(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        data = grow(store, begun_log(store.node("node-1")), segments=2, size=220 * KIB)
        begun_log(store.node("node-1"), 2)
        store.sync()
        store.tend(0)
    (path,) = files_of(tmp_path, ".zst")
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 3)
        file.write(b"\0" * 50)
    with opened(tmp_path) as store:
        pieces = read_all(store.node("node-1").boot_log(1))
        gaps = [piece for piece in pieces if isinstance(piece, GapPiece)]
        assert [gap.reason for gap in gaps] == ["damaged"]
        assert 0 < gaps[0].lost_bytes <= FRAME_BYTES
        assert all(found in {None, byte} for found, byte in zip(content(pieces), data, strict=True))


@pytest.mark.parametrize("kept", [None, 0, 1, 500])
def test_a_compressed_file_that_is_gone_or_cut_is_a_gap(tmp_path: Path, kept: int | None) -> None:
    with opened(tmp_path) as store:
        data = grow(store, begun_log(store.node("node-1")), segments=1, size=300 * KIB)
        begun_log(store.node("node-1"), 2)
        store.sync()
        store.tend(0)
    (path,) = files_of(tmp_path, ".zst")
    path.unlink() if kept is None else path.write_bytes(path.read_bytes()[:kept])
    with opened(tmp_path) as store:
        assert read_all(store.node("node-1").boot_log(1)) == [GapPiece(0, 1000, len(data), "damaged")]


def test_a_damaged_segment_stays_plain_so_that_its_sound_records_can_be_read(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        data = grow(store, begun_log(store.node("node-1")), segments=1)
        begun_log(store.node("node-1"), 2)
    (path,) = files_of(tmp_path, ".log")
    with path.open("r+b") as file:
        file.seek(20_000)
        file.write(b"\0" * 500)
    with opened(tmp_path) as store:
        store.tend(0)
        assert files_of(tmp_path, ".log") == [path]
        pieces = read_all(store.node("node-1").boot_log(1))
        assert sum(found is None for found in content(pieces)) <= 1200
        assert len(content(pieces)) == len(data)


def test_a_full_disk_leaves_the_segment_plain_and_is_told_and_it_is_tried_again(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        node = store.node("node-1")
        data = grow(store, begun_log(node), segments=1)
        begun_log(node, 2)
    with opened(tmp_path) as store:
        node = store.node("node-1")
        with file_size_limit(1000):
            for _ in range(2):
                assert "File too large" in store.tend(0)
        assert data_of(read_all(node.boot_log(1))) == data
        assert store.tend(0) == ""
        assert data_of(read_all(node.boot_log(1))) == data
        assert [path.name for path in files_of(tmp_path, "")] == ["1-0.log.zst"]


def test_a_file_that_cannot_be_written_is_told_once_and_disturbs_no_other(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        node = store.node("node-1")
        grow(store, begun_log(node), segments=1)
        grow(store, begun_log(node, 2), segments=1)
        begun_log(node, 3)
        store.sync()
        (tmp_path / "logs" / "node-1" / "1-0.log.zst").mkdir()
        assert "Is a directory" in store.tend(0)
        assert store.tend(0) == ""
        assert [path.name for path in files_of(tmp_path, "")] == ["1-0.log", "1-0.log.zst", "2-0.log.zst"]


@pytest.mark.parametrize("is_committed", [True, False])
def test_a_crash_while_compressing_keeps_every_byte_and_leaves_nothing_behind(
    tmp_path: Path, *, is_committed: bool
) -> None:
    live, crashed = tmp_path / "live", tmp_path / "crashed"
    with opened(live, segment_bytes=64 * KIB) as store:
        data = grow(store, begun_log(store.node("node-1")), segments=3)
    shutil.copytree(live, crashed)
    with opened(live, segment_bytes=64 * KIB) as store:
        store.node("node-1")
        store.tend(0)
    for path in files_of(live, ".zst"):
        blob = path.read_bytes()
        (crashed / path.relative_to(live)).write_bytes(blob if is_committed else blob[: len(blob) // 2])
    if is_committed:
        shutil.copy(live / "index.sqlite3", crashed)
    with opened(crashed, segment_bytes=64 * KIB) as store:
        assert data_of(read_all(store.node("node-1").boot_log(1))) == data
        names = [path.name for path in files_of(crashed, "")]
        assert [name for name in names if name.endswith(".zst")] == (
            ["1-0.log.zst", "1-71680.log.zst"] if is_committed else []
        )
        assert len(names) == 3


def piece_lists() -> st.SearchStrategy[list[Piece]]:
    """Pieces of a log without a seam; a gap of unknown length stands before bytes, as the store writes it."""
    chunk = st.binary(min_size=1, max_size=60)
    step = st.tuples(st.integers(0, 3), chunk, st.integers(0, 5000))

    def build(steps: list[tuple[int, bytes, int]]) -> list[Piece]:
        return list(_built(steps))

    return st.lists(step, min_size=1, max_size=40).map(build)


def _built(steps: list[tuple[int, bytes, int]]) -> Iterator[Piece]:
    offset = 0
    for kind, data, at_ms in steps:
        if kind:
            lost = 0 if kind == 1 else len(data)
            yield GapPiece(offset, at_ms, lost, "ring_full")
            offset += lost
        yield Chunk(offset, at_ms, data)
        offset += len(data)


@given(pieces=piece_lists(), start=st.integers(0, 1 << 40), seed=st.integers(0, (1 << 32) - 1))
def test_frames_hold_the_records_between_their_offsets(pieces: list[Piece], start: int, seed: int) -> None:
    pieces = [piece._replace(offset=piece.offset + start) for piece in pieces]
    plain = encode(pieces, seed)
    found = compressed(plain, Segment(start, pieces[-1].end, 1 << 30, seed, 0), frame_bytes=200)
    assert found is not None
    blob, segment = found
    ends = [*(frame.position for frame in segment.frames[1:]), segment.size]
    offsets = [*(frame.offset for frame in segment.frames), segment.end]
    assert all(before < after for before, after in pairwise(offsets))
    read: list[Piece] = []
    for frame, end, following in zip(segment.frames, ends, offsets[1:], strict=True):
        part = list(pieces_in(blob[frame.position : end], seed, frame.offset, following, 0))
        assert frame.latest_ms == max(piece.at_ms for piece in part)
        read += part
    assert read == pieces
    assert segment.latest_ms == max(piece.at_ms for piece in pieces)


@given(blob=st.binary(max_size=300))
def test_no_garbage_is_taken_for_a_frame(blob: bytes) -> None:
    assert decompressed(blob) == b"" or blob[:4] == b"\x28\xb5\x2f\xfd"


def test_a_frame_that_claims_to_be_huge_takes_no_memory() -> None:
    assert decompressed(zstandard.ZstdCompressor().compress(bytes(8 << 20))) == b""
