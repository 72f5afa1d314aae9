"""Where in a boot log a time is, and which boot ran then."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from racklet_hostd.errors import NoSuchBootError
from racklet_hostd.store import BootCause, BootLog
from tests.hostd.store_rig import HAT, SESSION, begun_log, opened, read_all

# Times as they come, with wall clocks that are set; what is done meanwhile; and which times are asked for.
TIMES = st.lists(st.integers(0, 300), min_size=1, max_size=60)
DEEDS = st.sampled_from(["", "", "sync", "tend", "gap"])


def expected(log: BootLog, unix_ms: int) -> int:
    """Return what `offset_at` should, by reading everything."""
    return next((piece.offset for piece in read_all(log) if piece.at_ms >= unix_ms), log.end)


@settings(deadline=None, max_examples=60)
@given(times=TIMES, deeds=st.lists(DEEDS, min_size=60, max_size=60), asked=st.lists(st.integers(0, 310), max_size=10))
def test_the_first_place_at_or_after_a_time_is_found(times: list[int], deeds: list[str], asked: list[int]) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        opened(Path(folder), segment_bytes=400, plain_bytes=100) as store,
    ):
        log = begun_log(store.node("node-1"))
        for at_ms, deed in zip(times, deeds, strict=False):
            if deed == "gap":
                log.append_gap(log.end, at_ms, 5, "ring_full")
            log.append(log.end, at_ms, b"%5d " % at_ms * 8)
            if deed in {"sync", "tend"}:
                store.sync()
            if deed == "tend":
                store.tend(0)
        for unix_ms in (*asked, *times):
            assert log.offset_at(unix_ms) == expected(log, unix_ms)


def test_what_retention_took_may_have_come_then_as_well(tmp_path: Path) -> None:
    with opened(tmp_path, log_bytes_per_node=3000, segment_bytes=500) as store:
        log = begun_log(store.node("node-1"))
        for second in range(40):
            log.append(log.end, second * 1000, b"x" * 400)
            store.sync()
            store.tend(0)
        first = next(piece for piece in read_all(log)[1:])
        assert log.offset_at(1000) == log.offset_at(first.at_ms) == 0
        assert log.offset_at(first.at_ms + 1) == first.end


def test_a_boot_that_retention_took_has_no_times(tmp_path: Path) -> None:
    with opened(tmp_path, boots_per_node=1) as store:
        node = store.node("node-1")
        log = begun_log(node)
        for boot in (2, 3):
            begun_log(node, boot)
            store.sync()
            store.tend(0)
        with pytest.raises(NoSuchBootError):
            log.offset_at(0)


def test_the_boot_that_ran_at_a_time_is_found_stored_or_not(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        node = store.node("node-1")
        assert node.boot_at(0) is None
        node.attach(SESSION, HAT, boot_continues=False)
        for boot in range(1, 7):
            node.begin_boot(boot, boot * 1000, cause=BootCause.SUPPLY_ON, lost_boots=0)
            if boot == 3:
                store.sync()
        found = [node.boot_at(unix_ms) for unix_ms in (0, 999, 1000, 2500, 3000, 4000, 5999, 1 << 60)]
        assert [log.number for log in found if log] == [1, 1, 1, 2, 3, 4, 5, 6]
        store.sync()
        found = [node.boot_at(unix_ms) for unix_ms in (0, 999, 1000, 2500, 3000, 4000, 5999, 1 << 60)]
        assert [log.number for log in found if log] == [1, 1, 1, 2, 3, 4, 5, 6]


def test_a_boot_that_is_not_stored_yet_ran_at_any_time_when_it_is_the_only_one(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        log = begun_log(store.node("node-1"))
        assert store.node("node-1").boot_at(0) is log
