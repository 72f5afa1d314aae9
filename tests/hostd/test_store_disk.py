"""A disk that takes no more: boot logs stop with a gap, everything else goes on, and logging resumes."""

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from racklet_hostd.store import Chunk, GapPiece, LogFailure
from racklet_link.events import StoredPositions
from tests.hostd.store_rig import SESSION, begun_log, data_of, fill, opened, read_all

KIB = 1024


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let the system refuse to make any file of this process larger."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MiB of its own."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(tmp_path)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def use_up(disk: Path, kept: int) -> Path:
    """Fill the disk but for `kept` bytes; return the file that does it."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(64 * KIB)):
                pass
        except OSError:
            file.truncate(file.tell() - kept)
    return ballast


def test_logging_stops_before_the_disk_is_full_and_everything_else_goes_on(small_disk: Path) -> None:
    with opened(small_disk, free_bytes_kept=512 * KIB) as store:
        node = store.node("node-1")
        log = begun_log(node)
        first = fill(log, 4000)
        assert store.sync().failures == ()
        ballast = use_up(small_disk, 400 * KIB)
        fill(log, 8000)
        event = store.events.append("node-1", 1, "test", "")
        node.add_energy(SESSION, 5)
        report = store.sync()
        assert report.failures == (
            LogFailure("node-1", 1, 8000, "disk_full", f"[Errno 28] No space left on device: '{small_disk}/logs'"),
        )
        assert not report.index_problem
        assert report.positions["node-1"] == StoredPositions(1, 12_000, 1)
        assert (node.energy_uj, store.events.list(None, None, 1)) == (5, [event])
        assert store.sync().failures == ()
        fill(log, 1000)
        assert [failure.dropped_bytes for failure in store.sync().failures] == [1000]
        ballast.unlink()
        last = fill(log, 4000)
        assert store.sync().failures == ()
        check_one_gap(read_all(log), first, GapPiece(4000, 2000, 9000, "disk_full"), last)
        assert node.totals.log_lost_bytes == log.lost_bytes == 9000
    with opened(small_disk) as store:
        check_one_gap(read_all(store.node("node-1").boot_log(1)), first, GapPiece(4000, 2000, 9000, "disk_full"), last)


def test_a_disk_that_is_full_to_the_last_byte_costs_bytes_but_no_counter_and_no_event(small_disk: Path) -> None:
    with opened(small_disk) as store:
        node = store.node("node-1")
        log = begun_log(node)
        first = fill(log, 4000)
        node.add_energy(SESSION, 5)
        store.sync()
        ballast = use_up(small_disk, 0)
        fill(log, 300 * KIB, step=KIB)
        node.add_energy(SESSION, 9)
        events = [store.events.append("node-1", 1, "test", "x" * 400) for _ in range(500)]
        for _ in range(2):
            report = store.sync()
            assert "full" in report.index_problem
            assert report.positions["node-1"] == StoredPositions(1, 4000, 1)
            assert node.energy_uj == 5
        ballast.unlink()
        assert not store.sync().index_problem
        assert node.positions() == StoredPositions(1, 4000 + 300 * KIB, 1)
        assert node.energy_uj == 9
        assert store.events.list(None, None, 1000) == events[::-1]
    with opened(small_disk) as store:
        log = begun_log(store.node("node-1"))
        last = fill(log, 800)
        check_one_gap(read_all(log), first, GapPiece(4000, 2000, 300 * KIB, "disk_full"), last)


def test_a_gap_for_a_full_disk_outlives_hostd(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        log = begun_log(store.node("node-1"))
        first = fill(log, 100 * KIB)
        store.sync()
        with file_size_limit(110 * KIB):
            fill(log, 50 * KIB)
            assert [failure.reason for failure in store.sync().failures] == ["disk_full"]
    with opened(tmp_path) as store:
        log = begun_log(store.node("node-1"))
        assert log.end == 150 * KIB
        last = fill(log, 4000)
        store.sync()
        check_one_gap(read_all(log), first, GapPiece(100 * KIB, 2000, 50 * KIB, "disk_full"), last)


def test_a_part_that_was_written_before_the_disk_was_full_is_cut(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        log = begun_log(store.node("node-1"))
        with file_size_limit(300 * KIB):
            for _ in range(3):
                fill(log, 310 * KIB, step=KIB)
                assert [failure.dropped_bytes for failure in store.sync().failures] == [310 * KIB]
                assert [path.stat().st_size for path in (tmp_path / "logs" / "node-1").iterdir()] == [0]
            last = fill(log, 8000)
            assert store.sync().failures == ()
        check_one_gap(read_all(log), b"", GapPiece(0, 2000, 930 * KIB, "disk_full"), last)


def test_one_log_that_cannot_be_written_disturbs_no_other(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        broken, sound = begun_log(store.node("node-1")), begun_log(store.node("node-2"))
        (tmp_path / "logs" / "node-1").rename(tmp_path / "away")
        (tmp_path / "logs" / "node-1").write_text("in the way")
        for log in (broken, sound):
            fill(log, 1000)
        report = store.sync()
        assert [(failure.node, failure.reason) for failure in report.failures] == [("node-1", "disk_error")]
        assert "Not a directory" in report.failures[0].problem
        assert data_of(read_all(sound))[:8] == b"0000000 "
        assert broken.read(0, 10) == [GapPiece(0, 2000, 1000, "disk_error")]


def check_one_gap(pieces: list[Chunk | GapPiece], first: bytes, gap: GapPiece, last: bytes) -> None:
    index = pieces.index(gap)
    assert data_of(pieces[:index]) == first
    assert data_of(pieces[index + 1 :]) == last
