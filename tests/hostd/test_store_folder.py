"""The state folder: one hostd at a time, and a sentence when it cannot be used."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from racklet_hostd.errors import StoreError, StoreLockedError
from racklet_hostd.store import Store
from racklet_hostd.store.schema import SCHEMA_VERSION, VERSIONS
from tests.hostd.store_rig import HAT, LIMITS, SESSION, begun_log, fill, opened, read_all


def test_a_folder_is_made_with_all_above_it_and_for_its_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "state"
    with opened(folder):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_second_hostd_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(StoreLockedError, match=r"in use by another racklet-hostd \(process \d+\)"):
        Store.open(tmp_path, LIMITS)
    with opened(tmp_path):
        pass


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_text("")
    with pytest.raises(StoreError, match=f"the state folder {path} cannot be used: File exists"):
        Store.open(path, LIMITS)


def test_an_index_that_is_damaged_is_named(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    (tmp_path / "index.sqlite3").write_bytes(b"no index " * 1000)
    with pytest.raises(StoreError, match=r"index\.sqlite3: file is not a database"):
        Store.open(tmp_path, LIMITS)


def test_an_index_of_the_first_version_is_taken_up_with_all_it_holds(tmp_path: Path) -> None:
    index = sqlite3.connect(tmp_path / "index.sqlite3", isolation_level=None)
    with closing(index):
        index.executescript(VERSIONS[0] + "PRAGMA user_version = 1;")
        index.execute("INSERT INTO nodes VALUES ('node-1', 3, 500, 2, 7, 1, 0, 0)")
        index.execute("INSERT INTO sessions VALUES ('node-1', 7, 1, x'6861742d61', 0, 0, 4, 0, 400)")
    with opened(tmp_path) as store:
        node = store.node("node-1")
        assert (node.totals.energy_uj, node.totals.charge_uc, node.totals.boots) == (500, 0, 2)
        assert node.attach(SESSION, HAT, boot_continues=False).event_sequence == 4
        assert node.add_energy(SESSION, 450) == 550


def test_an_index_of_a_newer_hostd_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "index.sqlite3")) as index:
        index.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(StoreError, match="written by a newer racklet-hostd"):
        Store.open(tmp_path, LIMITS)


def test_boot_logs_without_their_index_are_refused_and_stay(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        fill(begun_log(store.node("node-1")), 100)
    (tmp_path / "index.sqlite3").unlink()
    with pytest.raises(StoreError, match=r"has boot logs but no index\.sqlite3"):
        Store.open(tmp_path, LIMITS)
    assert list((tmp_path / "logs" / "node-1").iterdir())


def test_what_was_being_written_when_hostd_ended_is_cut(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        fill(begun_log(store.node("node-1")), 100)
    folder = tmp_path / "logs" / "node-1"
    (path,) = folder.iterdir()
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(b"torn")
    (folder / "2-0.log").write_bytes(b"never heard of")
    with opened(tmp_path) as store:
        log = store.node("node-1").boot_log(1)
        assert [entry.stat().st_size for entry in folder.iterdir()] == [size]
        assert len(read_all(log)) == 1


def test_a_store_that_is_closed_says_so(tmp_path: Path) -> None:
    store = Store.open(tmp_path, LIMITS)
    node = store.node("node-1")
    store.close()
    with pytest.raises(StoreError):
        node.boot_log(1)
