"""The journal: what a sync stored is there after a crash, whatever of the files had reached the disk."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from racklet_hostd.errors import StoreError
from racklet_hostd.store import BootCause, NodeStore, Store
from racklet_hostd.store.journal_file import JournalFile
from racklet_hostd.store.node_store import UNINDEXED_LIMIT
from racklet_hostd.store.upkeep import JOURNALED_TURNS
from racklet_link.events import StoredPositions
from tests.hostd.store_rig import HAT, SESSION, begun_log, data_of, fill, opened, read_all
from tests.hostd.test_store_disk import file_size_limit

KIB = 1024
LARGE = 1 << 30


def journal_entries(folder: Path) -> int:
    """Count what is in both parts of the journal."""
    with closing(sqlite3.connect(folder / "index.sqlite3")) as index:
        (in_index,) = index.execute("SELECT count(*) FROM journal").fetchone()
        (epoch,) = index.execute("SELECT value FROM counters WHERE name = 'journal_epoch'").fetchone()
    with closing(JournalFile(folder / "journal", epoch)) as file:
        return int(in_index) + len(list(file.entries()))


def crashed(store: Store, folder: Path) -> Path:
    """Sync, and return a copy of the state folder as a crash leaves it."""
    assert store.sync().failures == ()
    copy = folder.parent / f"{folder.name}-crashed"
    shutil.copytree(folder, copy)
    return copy


def log_files(folder: Path) -> list[Path]:
    return sorted((folder / "logs" / "node-1").iterdir())


@pytest.mark.parametrize("harm", ["none", "empty", "half", "zeros", "gone"])
def test_files_that_were_not_flushed_are_written_again(tmp_path: Path, harm: str) -> None:
    with opened(tmp_path / "state", journal_bytes=LARGE, segment_bytes=2000) as store:
        log = begun_log(store.node("node-1"))
        data = b""
        for _ in range(5):
            data += fill(log, 1500)
            store.sync()
        store.node("node-1").add_energy(SESSION, 77)
        copy = crashed(store, tmp_path / "state")
    for path in log_files(copy):
        blob = path.read_bytes()
        harmed = {"none": blob, "empty": b"", "half": blob[: len(blob) // 2], "zeros": bytes(len(blob))}.get(harm)
        path.unlink() if harmed is None else path.write_bytes(harmed)
    with opened(copy) as store:
        node = store.node("node-1")
        assert data_of(read_all(node.boot_log(1))) == data
        assert node.attach(SESSION, HAT, boot_continues=False) == StoredPositions(1, len(data), 1)
        assert (node.energy_uj, node.totals.log_bytes, node.totals.boots) == (77, len(data), 1)
    assert journal_entries(copy) == 0


def test_the_index_is_brought_up_to_date_once_a_minute(tmp_path: Path) -> None:
    with opened(tmp_path, journal_bytes=LARGE) as store:
        log = begun_log(store.node("node-1"))
        kept = []
        for _ in range(JOURNALED_TURNS):
            fill(log, 10)
            store.sync()
            assert store.tend(0) == ""
            kept.append(journal_entries(tmp_path))
        assert kept == [*range(1, JOURNALED_TURNS), 0]


def test_a_large_journal_is_emptied_at_once(tmp_path: Path) -> None:
    with opened(tmp_path, journal_bytes=100 * KIB) as store:
        log = begun_log(store.node("node-1"))
        kept = []
        for _ in range(4):
            fill(log, 40 * KIB)
            store.sync()
            store.tend(0)
            kept.append(journal_entries(tmp_path))
        assert kept == [1, 2, 0, 1]


def test_a_node_that_begins_many_boots_is_not_kept_in_memory(tmp_path: Path) -> None:
    with opened(tmp_path, journal_bytes=LARGE) as store:
        node = store.node("node-1")
        for boot in range(1, 10 * UNINDEXED_LIMIT):
            fill(begun_log(node, boot), 10)
            store.sync()
            store.tend(0)
            assert len(node._live) <= UNINDEXED_LIMIT + 2
        assert_boots(node, 10 * UNINDEXED_LIMIT - 1)


def assert_boots(node: NodeStore, newest: int) -> None:
    assert [boot.number for boot in node.boots(None, 1000)] == list(range(newest, 0, -1))


def test_what_only_the_journal_has_is_listed_read_and_resumed(tmp_path: Path) -> None:
    with opened(tmp_path, journal_bytes=LARGE) as store:
        node = store.node("node-1")
        data = fill(begun_log(node), 1000)
        store.sync()
        begun_log(node, 1, session=8)
        store.sync()
        store.tend(0)
        assert journal_entries(tmp_path) == 2
        assert_boots(node, 2)
        assert data_of(read_all(node.boot_log(1))) == data
        assert node.attach(SESSION, HAT, boot_continues=False) == StoredPositions(1, 1000, 1)
        assert node.begin_boot(1, 0, cause=BootCause.SUPPLY_ON, lost_boots=0).number == 1


def test_a_file_that_cannot_be_flushed_gets_its_bytes_again(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        log = begun_log(store.node("node-1"))
        data = fill(log, 3000)
        store.sync()
        (path,) = log_files(tmp_path)
        path.unlink()
        assert store.tend(0) == ""
        assert data_of(read_all(log)) == data


def test_a_file_that_cannot_be_flushed_at_all_is_told_and_the_others_are_indexed(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        broken, sound = begun_log(store.node("node-1")), begun_log(store.node("node-2"))
        for log in (broken, sound):
            fill(log, 3000)
        store.sync()
        (path,) = log_files(tmp_path)
        path.unlink()
        path.mkdir()
        assert "Is a directory" in store.tend(0)
        assert journal_entries(tmp_path) == 0
        assert len(data_of(read_all(sound))) == 3000
        assert [piece.end for piece in read_all(broken)] == [3000]
        path.rmdir()


def test_a_disk_that_is_too_full_for_what_was_acknowledged_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    with opened(tmp_path / "state", journal_bytes=LARGE) as store:
        data = fill(begun_log(store.node("node-1")), 90 * KIB)
        copy = crashed(store, tmp_path / "state")
    for path in log_files(copy):
        path.write_bytes(b"")
    said = r"acknowledged last cannot be written .*too large"
    with file_size_limit(60 * KIB), pytest.raises(StoreError, match=said), opened(copy):
        pass
    with opened(copy) as store:
        assert data_of(read_all(store.node("node-1").boot_log(1))) == data


def test_what_lies_in_the_index_and_in_the_file_is_carried_out_in_the_order_in_which_it_came(tmp_path: Path) -> None:
    with opened(tmp_path / "state", journal_bytes=LARGE) as store:
        node = store.node("node-1")
        log = begun_log(node)
        data = b""
        for turn in range(6):
            data += fill(log, 700)
            node.add_energy(SESSION, turn)
            if turn % 2:
                store.events.append("node-1", 1000, "test", "")
            store.sync()
        copy = crashed(store, tmp_path / "state")
    assert journal_entries(copy) == 6
    for path in log_files(copy):
        path.write_bytes(b"")
    with opened(copy) as store:
        node = store.node("node-1")
        assert data_of(read_all(node.boot_log(1))) == data
        assert (node.energy_uj, node.totals.log_bytes) == (5, len(data))
        assert len(store.events.list(None, None, 10)) == 3


def test_an_entry_of_the_file_that_failed_does_not_undo_what_came_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes may have reached the disk although its flush failed; its node was stored again, in the index."""
    with opened(tmp_path / "state", journal_bytes=LARGE) as store:
        log = begun_log(store.node("node-1"))
        store.sync()
        data = fill(log, 700)

        def broken(_: int) -> None:
            raise OSError(5, "Input/output error")

        with monkeypatch.context() as patched:
            patched.setattr(os, "fdatasync", broken)
            assert "Input/output error" in store.sync().index_problem
        data += fill(log, 700)
        store.events.append("node-1", 1000, "test", "")
        copy = crashed(store, tmp_path / "state")
    with opened(copy) as store:
        node = store.node("node-1")
        assert data_of(read_all(node.boot_log(1))) == data
        assert node.attach(SESSION, HAT, boot_continues=False) == StoredPositions(1, len(data), 1)
