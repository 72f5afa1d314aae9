"""Boot logs: every byte once, at its offset, and every loss a gap."""

import os
from pathlib import Path

import pytest

from racklet_hostd.errors import BadPositionError, NoSuchBootError
from racklet_hostd.store import BootCause, Chunk, GapPiece
from racklet_hostd.store.boot_log import HELD_LIMIT_BYTES, MAX_OFFSET
from racklet_hostd.store.model import MAX_UNIX_MS
from racklet_hostd.store.segment_reader import MARK_EVERY_BYTES
from tests.hostd.store_rig import SESSION, begun_log, content, data_of, fill, opened, read_all


def test_bytes_are_read_before_and_after_they_are_durable(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        log = begun_log(store.node("node-1"))
        log.append(0, 2000, b"U-Boot")
        assert log.read(0, 100) == [Chunk(0, 2000, b"U-Boot")]
        store.sync()
        log.append(6, 2001, b" 2024.01")
        assert log.read(0, 100) == [Chunk(0, 2000, b"U-Boot"), Chunk(6, 2001, b" 2024.01")]
        assert (log.end, log.last_byte_ms, log.lost_bytes) == (14, 2001, 0)


def test_bytes_are_read_after_the_store_was_opened_again(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        log = begun_log(store.node("node-1"))
        data = fill(log, 3000)
    with opened(tmp_path) as store:
        log = store.node("node-1").boot_log(log.number)
        assert data_of(read_all(log)) == data
        assert (log.start_ms, log.last_byte_ms, log.cause) == (1000, 2000, BootCause.SUPPLY_ON)


def test_bytes_that_are_there_already_are_left_out(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        log = begun_log(store.node("node-1"))
        log.append(0, 2000, b"abcdef")
        store.sync()
        log.append(0, 2001, b"abc")
        log.append(2, 2001, b"cdefgh")
        log.append(4, 2001, b"ef")
        assert log.read(0, 100) == [Chunk(0, 2000, b"abcdef"), Chunk(6, 2001, b"gh")]


def test_bytes_that_are_missing_before_others_are_a_gap(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        log = begun_log(store.node("node-1"))
        log.append(10, 2000, b"late")
        assert log.read(0, 100) == [GapPiece(0, 2000, 10, "missing"), Chunk(10, 2000, b"late")]
        assert log.lost_bytes == 10


def test_a_gap_that_is_there_already_in_part_is_shortened(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        log = begun_log(store.node("node-1"))
        log.append(0, 2000, b"abc")
        log.append_gap(1, 2001, 2, "ring_full")
        log.append_gap(1, 2001, 7, "ring_full")
        assert log.read(0, 100) == [Chunk(0, 2000, b"abc"), GapPiece(3, 2001, 5, "ring_full")]


def test_adjoining_gaps_with_one_reason_are_one(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        log = begun_log(store.node("node-1"))
        log.append_gap(0, 2000, 5, "ring_full")
        log.append_gap(5, 2001, 5, "ring_full")
        log.append_gap(10, 2001, 5, "uart_overrun")
        assert log.read(0, 100) == [GapPiece(0, 2000, 10, "ring_full"), GapPiece(10, 2001, 5, "uart_overrun")]


def test_a_read_begins_and_ends_within_pieces(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        log = begun_log(store.node("node-1"))
        log.append(0, 2000, b"abcdef")
        log.append_gap(6, 2001, 10, "ring_full")
        log.append(16, 2002, b"uvwxyz")
        store.sync()
        assert log.read(2, 3) == [Chunk(2, 2000, b"cde")]
        assert log.read(9, 3) == [GapPiece(9, 2001, 7, "ring_full"), Chunk(16, 2002, b"uv")]
        assert log.read(22, 3) == log.read(1000, 3) == []


@pytest.mark.parametrize(("offset", "max_bytes"), [(-1, 10), (0, 0)])
def test_a_read_of_nothing_is_refused(tmp_path: Path, offset: int, max_bytes: int) -> None:
    with opened(tmp_path) as store, pytest.raises(ValueError, match="cannot read"):
        begun_log(store.node("node-1")).read(offset, max_bytes)


def test_a_read_from_anywhere_in_many_segments_is_right(tmp_path: Path) -> None:
    with opened(tmp_path, segment_bytes=100_000) as store:
        log = begun_log(store.node("node-1"))
        data = b""
        for _ in range(8):
            data += fill(log, 40_000)
            store.sync()
        assert len(list((tmp_path / "logs" / "node-1").iterdir())) > 2
        for offset in 2 * (0, 1, 39_999, 40_000, 32_768, 100_003, 200_000, 319_999):
            for max_bytes in (1, 70_000, 400_000):
                found = log.read(offset, max_bytes)
                assert found[0].offset == offset
                assert data_of(found) == data[offset : offset + max_bytes]


def test_a_gap_of_unknown_length_is_found_where_a_search_begins(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        for boot in range(1, 40):
            log = begun_log(store.node("node-1"), boot)
            fill(log, MARK_EVERY_BYTES - 20 * boot, step=MARK_EVERY_BYTES)
            end = log.end
            log.append_gap(end, 2000, 0, "hat_restart")
            fill(log, 1000)
            store.sync()
            for _ in range(2):
                assert log.read(end, 10)[0] == GapPiece(end, 2000, 0, "hat_restart")


@pytest.mark.parametrize("is_synced", [True, False])
def test_a_gap_of_unknown_length_is_seen_once_and_with_its_bytes(tmp_path: Path, *, is_synced: bool) -> None:
    gap = GapPiece(3, 2001, 0, "hat_restart")
    with opened(tmp_path) as store:
        log = begun_log(store.node("node-1"))
        log.append(0, 2000, b"abc")
        log.append_gap(3, 2001, 0, "hat_restart")
        log.append_gap(3, 2001, 0, "hat_restart")
        assert log.read(3, 10) == []
        if is_synced:
            store.sync()
            assert log.read(3, 10) == []
        log.append(3, 2002, b"def")
        assert read_all(log) == [Chunk(0, 2000, b"abc"), gap, Chunk(3, 2002, b"def")]
    with opened(tmp_path) as store:
        log = store.node("node-1").boot_log(1)
        assert log.read(0, 3) == [Chunk(0, 2000, b"abc")]
        assert log.read(3, 3) == [gap, Chunk(3, 2002, b"def")]
        assert read_all(log) == [Chunk(0, 2000, b"abc"), gap, Chunk(3, 2002, b"def")]


def test_a_gap_of_unknown_length_at_the_end_outlives_hostd(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        log = begun_log(store.node("node-1"))
        log.append(0, 2000, b"abc")
        log.append_gap(3, 2001, 0, "hat_restart")
    with opened(tmp_path) as store:
        log = begun_log(store.node("node-1"))
        log.append(3, 2002, b"def")
        assert [type(piece) for piece in log.read(0, 10)] == [Chunk, GapPiece, Chunk]


def test_what_memory_cannot_hold_is_a_gap_and_logging_goes_on_after_the_sync(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        log = begun_log(store.node("node-1"))
        fill(log, 2600 * 400)
        assert log._held_bytes <= HELD_LIMIT_BYTES + 2 * 128
        store.sync()
        kept = log.end - log.lost_bytes
        assert HELD_LIMIT_BYTES // 2 < kept < HELD_LIMIT_BYTES
        fill(log, 1000)
        pieces = read_all(log)
        assert [piece for piece in pieces if isinstance(piece, GapPiece)] == [
            GapPiece(kept, 2000, 2600 * 400 - kept, "store_behind")
        ]
        assert pieces[-1].end == 2600 * 400 + 1000


def test_gaps_without_end_are_bounded_too(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        log = begun_log(store.node("node-1"))
        for offset in range(20_000):
            log.append_gap(offset, 2000, 1, "ring_full" if offset % 2 else "uart_overrun")
        assert log._held_bytes <= HELD_LIMIT_BYTES + 2 * 128
        assert len(content(read_all(log))) == 20_000


def test_large_data_is_stored_in_parts(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        log = begun_log(store.node("node-1"))
        data = fill(log, 20_000, step=20_000)
        store.sync()
        assert data_of(read_all(log)) == data


def test_times_beyond_the_calendar_are_bounded(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        log = begun_log(store.node("node-1"))
        log.append(0, 1 << 64, b"a")
        log.append(1, -5, b"b")
        assert [piece.at_ms for piece in log.read(0, 10)] == [MAX_UNIX_MS, 0]
        assert not store.sync().index_problem


def test_an_offset_that_no_boot_reaches_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        log = begun_log(store.node("node-1"))
        with pytest.raises(BadPositionError, match="node-1: boot 1 cannot reach offset"):
            log.append(MAX_OFFSET + 1, 2000, b"a")
        with pytest.raises(BadPositionError):
            log.append_gap(0, 2000, MAX_OFFSET + 1, "ring_full")
        assert log.end == 0
        log.append_gap(0, 2000, MAX_OFFSET, "ring_full")
        assert not store.sync().index_problem


def test_a_file_that_was_damaged_is_read_around_the_damage(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        data = fill(begun_log(store.node("node-1")), 50_000)
    (path,) = (tmp_path / "logs" / "node-1").iterdir()
    with path.open("r+b") as file:
        file.seek(20_000)
        file.write(b"\0" * 500)
    with opened(tmp_path) as store:
        log = store.node("node-1").boot_log(1)
        pieces = read_all(log)
        gaps = [piece for piece in pieces if isinstance(piece, GapPiece)]
        assert [gap.reason for gap in gaps] == ["damaged"]
        assert 400 <= gaps[0].lost_bytes <= 1200
        assert all(found in {None, byte} for found, byte in zip(content(pieces), data, strict=True))


@pytest.mark.parametrize("is_gone", [True, False])
def test_logging_goes_on_behind_a_file_that_lost_its_end(tmp_path: Path, *, is_gone: bool) -> None:
    with opened(tmp_path) as store:
        fill(begun_log(store.node("node-1")), 10_000)
    (path,) = (tmp_path / "logs" / "node-1").iterdir()
    if is_gone:
        path.unlink()
    else:
        os.truncate(path, 5000)
    with opened(tmp_path) as store:
        log = begun_log(store.node("node-1"))
        assert log.end == 10_000
        fill(log, 1000)
        assert store.sync().failures == ()
        pieces = read_all(log)
        assert "damaged" in {piece.reason for piece in pieces if isinstance(piece, GapPiece)}
        assert data_of([piece for piece in pieces if piece.offset >= 10_000])[:8] == b"0010000 "


def test_a_boot_that_never_was_is_named(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        begun_log(store.node("node-1"))
        for number in (0, 2, 1 << 70):
            with pytest.raises(NoSuchBootError, match=f"boot {number} of node-1 is not kept"):
                store.node("node-1").boot_log(number)


def test_a_boot_that_says_nothing_is_kept(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        begun_log(store.node("node-1"))
    with opened(tmp_path) as store:
        assert store.node("node-1").boot_log(1).read(0, 10) == []
        assert store.node("node-1").attach(SESSION, b"hat-a", boot_continues=False).log_boot == 1
