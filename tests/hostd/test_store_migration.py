"""The index of an earlier version is brought to this one, and everything in it is there."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from racklet_hostd.store import BootCause, Chunk, GapPiece
from racklet_hostd.store.schema import SCHEMA_VERSION
from racklet_link.events import StoredPositions
from tests.hostd.store_rig import HAT, SESSION, opened, read_all

T0 = 1_700_000_000_000


@pytest.fixture
def state_v1(tmp_path: Path) -> Path:
    """A state folder as version 1 left it: its index as SQL, its segment files as they were."""
    source = Path(__file__).parent / "state_v1"
    shutil.copytree(source / "logs", tmp_path / "logs")
    with closing(sqlite3.connect(tmp_path / "index.sqlite3")) as index:
        index.executescript((source / "index.sql").read_text(encoding="utf-8"))
        assert index.execute("PRAGMA user_version").fetchone() == (1,)
    return tmp_path


def version_of(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "index.sqlite3")) as index:
        (version,) = index.execute("PRAGMA user_version").fetchone()
    return int(version)


def test_everything_of_version_1_is_there_and_goes_on(state_v1: Path) -> None:
    with opened(state_v1) as store:
        node = store.node("node-1")
        assert version_of(state_v1) == SCHEMA_VERSION
        pieces = read_all(node.boot_log(1))
        text = b"".join(piece.data for piece in pieces if isinstance(piece, Chunk))
        assert text == b"".join(
            b"boot 1, line %02d: what the node said before racklet kept times\r\n" % line for line in range(20)
        )
        assert [piece.lost_bytes for piece in pieces if isinstance(piece, GapPiece)] == [30]
        assert (node.totals.boots, node.energy_uj, node.totals.log_lost_bytes) == (2, 123_456, 30)
        assert [event.message for event in store.events.list(None, None, 10)] == ["The supply is on."]
        stored = node.attach(SESSION, HAT, boot_continues=False)
        assert stored == StoredPositions(2, 85, 2)
        log = node.begin_boot(2, T0, cause=BootCause.SUPPLY_ON, lost_boots=0)
        log.append(85, T0 + 200_000, b"and on")
        assert store.sync().failures == ()
        assert log.read(68, 100)[-1] == Chunk(85, T0 + 200_000, b"and on")


def test_times_in_segments_of_version_1_are_found_by_looking_into_them(state_v1: Path) -> None:
    with opened(state_v1) as store:
        log = store.node("node-1").boot_log(1)
        assert log.read(log.offset_at(T0 + 11_500), 20)[0] == Chunk(12 * 63, T0 + 12_000, b"boot 1, line 12: wha")
        assert log.offset_at(T0 + 60_000) == log.end


def test_segments_of_version_1_are_compressed_and_know_their_times_then(state_v1: Path) -> None:
    with opened(state_v1, plain_bytes=100) as store:
        log = store.node("node-1").boot_log(1)
        before = read_all(log)
        assert store.tend(0) == ""
        assert len(list((state_v1 / "logs" / "node-1").glob("1-*.zst"))) == 2
        assert read_all(log) == before
        assert log.offset_at(T0 + 11_500) == 12 * 63


def test_a_version_that_was_left_half_way_is_begun_again(state_v1: Path) -> None:
    with closing(sqlite3.connect(state_v1 / "index.sqlite3")) as index:
        index.execute("BEGIN IMMEDIATE")
        index.execute("ALTER TABLE segments ADD COLUMN latest_ms INTEGER NOT NULL DEFAULT 0")
    with opened(state_v1) as store:
        assert len(read_all(store.node("node-1").boot_log(1))) == 21
    assert version_of(state_v1) == SCHEMA_VERSION
