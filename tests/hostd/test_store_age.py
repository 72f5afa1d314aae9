"""Retention by age: what is too old goes, oldest first and counted, and never what is in use."""

from pathlib import Path

import pytest

from racklet_hostd.errors import NoSuchBootError
from racklet_hostd.store import BootCause, GapPiece, NodeStore, Store
from racklet_hostd.store.upkeep import AGE_PERIOD_MS
from tests.hostd.store_rig import HAT, SESSION, data_of, opened, read_all

DAY_MS = 86_400_000
T0 = 1_700_000_000_000


def boot_on(store: Store, day: int, hat_boot: int, *, size: int = 100) -> NodeStore:
    """Let node-1 have a boot on a day, and store it."""
    node = store.node("node-1")
    node.attach(SESSION, HAT, boot_continues=False)
    log = node.begin_boot(hat_boot, T0 + day * DAY_MS, cause=BootCause.SUPPLY_ON, lost_boots=0)
    log.append(0, T0 + day * DAY_MS, b"x" * size)
    assert store.sync().failures == ()
    return node


def test_boots_older_than_the_limit_go_oldest_first_and_are_counted(tmp_path: Path) -> None:
    with opened(tmp_path, log_days=7) as store:
        for day in range(10):
            node = boot_on(store, day, day + 1)
        held = node.boot_log(1)
        assert store.tend(T0 + 10 * DAY_MS + 1) == ""
        assert [boot.number for boot in node.boots(None, 20)] == [10, 9, 8, 7, 6, 5]
        assert (node.totals.retired_boots, node.totals.retired_bytes) == (4, 400)
        assert len(list((tmp_path / "logs" / "node-1").iterdir())) == 6
        with pytest.raises(NoSuchBootError):
            held.read(0, 10)
    with opened(tmp_path, log_days=7) as store:
        node = store.node("node-1")
        assert (len(node.boots(None, 20)), node.totals.retired_boots) == (6, 4)


def test_the_newest_boot_stays_however_old_it_is(tmp_path: Path) -> None:
    with opened(tmp_path, log_days=1) as store:
        boot_on(store, 0, 1)
        node = boot_on(store, 0, 2)
        store.tend(T0 + 1000 * DAY_MS)
        assert [boot.number for boot in node.boots(None, 20)] == [2]
        assert data_of(read_all(node.boot_log(2))) == b"x" * 100


def test_no_limit_means_any_age(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        boot_on(store, 0, 1)
        node = boot_on(store, 0, 2)
        store.tend(T0 + 100_000 * DAY_MS)
        assert len(node.boots(None, 20)) == 2


@pytest.mark.parametrize("is_compressed", [True, False])
def test_a_boot_of_many_days_loses_its_old_segments(tmp_path: Path, *, is_compressed: bool) -> None:
    with opened(tmp_path, log_days=3, segment_bytes=1000, plain_bytes=100) as store:
        node = boot_on(store, 0, 1, size=1000)
        log = node.boot_log(1)
        for day in range(1, 10):
            log.append(1000 * day, T0 + day * DAY_MS, b"y" * 1000)
            store.sync()
        if is_compressed:
            for _ in range(2):
                store.tend(0)
        store.tend(T0 + 10 * DAY_MS)
        pieces = read_all(log)
        assert pieces[0] == GapPiece(0, T0, 7000, "retention")
        assert data_of(pieces[1:]) == b"y" * 3000
        assert node.totals.retired_bytes == 7000
        assert node.totals.retired_boots == 0
        assert len(list((tmp_path / "logs" / "node-1").iterdir())) == 3


def test_ages_are_looked_at_once_an_hour(tmp_path: Path) -> None:
    with opened(tmp_path, log_days=1) as store:
        boot_on(store, 0, 1)
        node = boot_on(store, 0, 2)
        begin_ms = T0 + DAY_MS - AGE_PERIOD_MS // 2
        kept = []
        for passed_ms in (0, AGE_PERIOD_MS - 1, AGE_PERIOD_MS):
            store.tend(begin_ms + passed_ms)
            kept.append(len(node.boots(None, 20)))
        assert kept == [2, 2, 1]


def test_a_boot_of_unsaved_bytes_is_in_use(tmp_path: Path) -> None:
    with opened(tmp_path, log_days=1) as store:
        node = boot_on(store, 0, 1)
        node.begin_boot(2, T0, cause=BootCause.SUPPLY_ON, lost_boots=0).append(0, T0, b"unsaved")
        store.tend(T0 + 9 * DAY_MS)
        assert [boot.number for boot in node.boots(None, 20)] == [2, 1]
        assert store.sync().failures == ()
        store.tend(T0 + 10 * DAY_MS)
        assert [boot.number for boot in node.boots(None, 20)] == [2]
        assert node.totals.log_bytes == 107
