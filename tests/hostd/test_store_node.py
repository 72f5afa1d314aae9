"""Nodes: HAT sessions, the numbers of boots, and counters that never go back."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from racklet_hostd.errors import BadPositionError, NoSuchBootError, StoreBehindError
from racklet_hostd.store import BootCause, Chunk, GapPiece, NodeStore, Store
from racklet_hostd.store.database import HATS_KEPT, SESSIONS_KEPT
from racklet_hostd.store.hat_counters import CHARGE_MODULUS_UC, ENERGY_MODULUS_UJ
from racklet_hostd.store.node_store import MAX_COUNT, UNSTORED_LIMIT
from racklet_link.events import StoredPositions
from tests.hostd.store_rig import HAT, LIMITS, SESSION, begun_log, data_of, fill, opened, read_all


def test_nothing_is_stored_of_a_new_session(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        assert store.node("node-1").attach(SESSION, HAT, boot_continues=False) == StoredPositions(0, 0, 1)
        assert store.sync().positions == {"node-1": StoredPositions(0, 0, 1)}


def test_positions_move_with_the_sync_only(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        node = store.node("node-1")
        fill(begun_log(node), 900)
        assert node.positions() == StoredPositions(0, 0, 1)
        assert store.sync().positions["node-1"] == node.positions() == StoredPositions(1, 900, 1)


def test_a_session_is_resumed_where_it_was_when_hostd_starts_again(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        node = store.node("node-1")
        begun_log(node)
        log = node.begin_boot(2, 3000, cause=BootCause.SUPPLY_ON, lost_boots=0)
        log.append(0, 3000, b"abc")
    with opened(tmp_path) as store:
        node = store.node("node-1")
        assert node.attach(SESSION, HAT, boot_continues=False) == StoredPositions(2, 3, 1)
        log = node.begin_boot(2, 3000, cause=BootCause.SUPPLY_ON, lost_boots=0)
        log.append(2, 3001, b"cd")
        assert log.number == 2
        assert node.hat_boot_log(2) is log is node.newest
        assert log.read(0, 10) == [Chunk(0, 3000, b"abc"), Chunk(3, 3001, b"d")]


def test_a_boot_begins_once_however_often_the_hat_says_so(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        log = begun_log(store.node("node-1"))
        assert begun_log(store.node("node-1")) is log
        store.sync()
        assert begun_log(store.node("node-1")) is log
        assert len(store.node("node-1").boots(None, 10)) == 1


def test_bytes_of_two_boots_that_were_not_yet_acknowledged_are_taken_again_without_harm(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        node = store.node("node-1")
        for _ in range(2):
            begun_log(node).append(0, 2000, b"first")
            node.begin_boot(2, 3000, cause=BootCause.SUPPLY_ON, lost_boots=0).append(0, 3000, b"second")
        assert read_all(node.boot_log(1)) == [Chunk(0, 2000, b"first")]
        assert read_all(node.boot_log(2)) == [Chunk(0, 3000, b"second")]
        assert store.sync().positions["node-1"] == StoredPositions(2, 6, 1)


def test_a_boot_that_is_acknowledged_in_full_does_not_begin_again(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        node = store.node("node-1")
        begun_log(node, 2)
        store.sync()
        with pytest.raises(BadPositionError, match="began boot 1 after boot 2"):
            begun_log(node, 1)
        assert node.hat_boot_log(1) is None


def test_a_new_session_has_boots_of_its_own(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        node = store.node("node-1")
        begun_log(node).append(0, 2000, b"old")
        log = begun_log(node, session=8)
        log.append(0, 3000, b"new")
        assert log.number == 2
        store.sync()
        assert node.positions() == StoredPositions(1, 3, 1)
        assert [boot.number for boot in node.boots(None, 10)] == [2, 1]


def test_a_boot_goes_on_in_the_session_of_a_hat_that_restarted(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        node = store.node("node-1")
        begun_log(node).append(0, 2000, b"before")
        node.attach(8, HAT, boot_continues=True)
        log = node.begin_boot(1, 3000, cause=BootCause.FOUND_RUNNING, lost_boots=0)
        log.append(0, 3001, b"after")
        assert log.number == 1
        assert store.sync().positions["node-1"] == StoredPositions(1, 5, 1)
    with opened(tmp_path) as store:
        node = store.node("node-1")
        node.attach(8, HAT, boot_continues=True)
        node.begin_boot(1, 3000, cause=BootCause.FOUND_RUNNING, lost_boots=0).append(3, 3002, b"er all")
        assert read_all(node.boot_log(1)) == [
            Chunk(0, 2000, b"before"),
            GapPiece(6, 3000, 0, "hat_restart"),
            Chunk(6, 3001, b"after"),
            Chunk(11, 3002, b" all"),
        ]
        assert node.begin_boot(2, 4000, cause=BootCause.SUPPLY_ON, lost_boots=0).number == 2


def test_a_boot_that_continues_one_which_is_not_known_is_a_new_one(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        node = store.node("node-1")
        node.attach(SESSION, HAT, boot_continues=True)
        log = node.begin_boot(1, 3000, cause=BootCause.FOUND_RUNNING, lost_boots=0)
        assert (log.number, log.cause, log.read(0, 10)) == (1, BootCause.FOUND_RUNNING, [])


def test_lost_boots_take_numbers_and_count_their_bytes(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        node = store.node("node-1")
        begun_log(node)
        log = node.begin_boot(4, 3000, cause=BootCause.SUPPLY_ON, lost_boots=2, lost_bytes=700)
        assert log.number == 4
        for energy_uj in (1, 2):
            node.add_energy(SESSION, energy_uj)
            store.sync()
            assert (node.totals.boots, node.totals.log_lost_bytes) == (2, 700)


def test_two_hats_may_take_turns_in_one_slot(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        node = store.node("node-1")
        for turn in range(3):
            for session, hat in ((SESSION, b"hat-a"), (8, b"hat-b")):
                stored = node.attach(session, hat, boot_continues=True)
                assert stored.log_offset == 2 * turn
                log = node.begin_boot(1, 1000, cause=BootCause.FOUND_RUNNING, lost_boots=0)
                log.append(2 * turn, 2000, b"%d%c" % (turn, hat[-1]))
                store.sync()
        pieces = read_all(node.boot_log(1))
        assert b"".join(piece.data for piece in pieces if isinstance(piece, Chunk)) == b"0a0b1a1b2a2b"


def test_a_hat_that_came_from_another_slot_begins_a_boot_of_its_own(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        there, here = store.node("node-1"), store.node("node-2")
        there.attach(SESSION, b"hat-a", boot_continues=False)
        here.attach(SESSION, b"hat-b", boot_continues=False)
        for node in (there, here):
            node.begin_boot(1, 1000, cause=BootCause.SUPPLY_ON, lost_boots=0).append(0, 1000, b"before")
        store.sync()
        here.attach(8, b"hat-a", boot_continues=True)
        here.begin_boot(1, 2000, cause=BootCause.FOUND_RUNNING, lost_boots=0).append(0, 2000, b"after")
        store.sync()
        assert [[piece.data for piece in read_all(here.boot_log(number))] for number in (1, 2)] == [
            [b"before"],
            [b"after"],
        ]


def test_a_session_number_that_another_hat_had_is_a_new_session(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        node = store.node("node-1")
        fill(begun_log(node), 100)
        store.sync()
        node.attach(8, b"hat-b", boot_continues=False)
        assert node.attach(SESSION, b"hat-c", boot_continues=False) == StoredPositions(0, 0, 1)


def test_old_sessions_are_forgotten(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        node = store.node("node-1")
        for session in range(1, SESSIONS_KEPT + 3):
            fill(begun_log(node, session=session), 100)
            store.sync()
            store.tend(0)
        assert node.attach(2, HAT, boot_continues=False) == StoredPositions(0, 0, 1)
        assert node.attach(3, HAT, boot_continues=False) == StoredPositions(1, 100, 1)


def test_a_session_whose_boot_is_no_longer_kept_goes_on_in_a_new_one(tmp_path: Path) -> None:
    with opened(tmp_path, boots_per_node=2) as store:
        node = store.node("node-1")
        fill(begun_log(node), 100)
        for session in range(8, 12):
            begun_log(node, session=session)
            store.sync()
            store.tend(0)
        assert node.attach(SESSION, HAT, boot_continues=False) == StoredPositions(1, 100, 1)
        assert node.hat_boot_log(1) is None
        log = node.begin_boot(1, 5000, cause=BootCause.FOUND_RUNNING, lost_boots=0)
        log.append(100, 5000, b"more")
        assert log.read(0, 200) == [GapPiece(0, 5000, 100, "missing"), Chunk(100, 5000, b"more")]


def test_a_hat_that_boots_faster_than_it_is_stored_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        node = store.node("node-1")
        for boot in range(1, UNSTORED_LIMIT + 1):
            begun_log(node, boot)
        with pytest.raises(StoreBehindError, match="node-1 began more than 64 boots"):
            begun_log(node, UNSTORED_LIMIT + 1)
        store.sync()
        assert begun_log(node, UNSTORED_LIMIT + 1).number == UNSTORED_LIMIT + 1


def test_a_hat_that_restarts_faster_than_it_is_stored_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        node = store.node("node-1")
        for session in range(1, 1000):
            node.attach(session, HAT, boot_continues=False)
        for session in range(1, UNSTORED_LIMIT + 2):
            node.attach(session, HAT, boot_continues=False)
            node.add_energy(session, 5)
        with pytest.raises(StoreBehindError):
            node.attach(2000, HAT, boot_continues=False)
        store.sync()
        store.tend(0)
        assert node.attach(2000, HAT, boot_continues=False) == StoredPositions(0, 0, 1)
        assert node.energy_uj == 5 * (UNSTORED_LIMIT + 1)


def test_a_node_without_a_hat_session_has_no_positions(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        node = store.node("node-1")
        assert store.sync().positions == {}
        assert node.newest is None
        with pytest.raises(BadPositionError, match="node-1: no HAT session is attached"):
            node.positions()


def test_boots_are_listed_newest_first_stored_or_not(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        node = store.node("node-1")
        for boot in range(1, 6):
            fill(begun_log(node, boot), boot * 10)
            if boot == 3:
                store.sync()
        assert [(boot.number, boot.end) for boot in node.boots(None, 10)] == [(n, n * 10) for n in (5, 4, 3, 2, 1)]
        assert [boot.number for boot in node.boots(5, 2)] == [4, 3]
        assert [boot.number for boot in node.boots(1 << 70, 1)] == [5]
        assert node.boots(1, 10) == []


def test_a_boot_log_is_the_same_object_for_all_who_hold_it(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        node = store.node("node-1")
        log = begun_log(node)
        assert node.boot_log(1) is node.newest is log
        begun_log(node, 2)
        store.sync()
        assert node.boot_log(1) is log


def test_energy_adds_up_over_sessions_and_hosts(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        node = store.node("node-1")
        node.attach(SESSION, HAT, boot_continues=False)
        assert node.add_energy(SESSION, 500) == 500
        assert node.add_energy(SESSION, 700) == 700
        node.attach(8, HAT, boot_continues=False)
        assert node.add_energy(8, 50) == 750
    with opened(tmp_path) as store:
        node = store.node("node-1")
        assert node.energy_uj == 750
        node.attach(8, HAT, boot_continues=False)
        assert node.add_energy(8, 60) == 760
        node.attach(SESSION, HAT, boot_continues=False)
        assert node.add_energy(SESSION, 700) == 760
        assert node.add_energy(SESSION, 710) == 770


def test_energy_that_goes_back_adds_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        node = store.node("node-1")
        node.attach(SESSION, HAT, boot_continues=False)
        assert [node.add_energy(SESSION, value) for value in (500, 400, 450, 500, 501)] == [500, 500, 500, 500, 501]


def test_energy_is_published_once_it_is_durable(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        node = store.node("node-1")
        node.attach(SESSION, HAT, boot_continues=False)
        node.add_energy(SESSION, 500)
        assert node.energy_uj == 0
        store.sync()
        assert node.energy_uj == node.totals.energy_uj == 500


def test_energy_alone_may_wait_and_is_counted_once(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        node = store.node("node-1")
        log = begun_log(node)
        store.sync()
        node.add_energy(SESSION, 500)
        store.sync(idle_too=False)
        assert node.energy_uj == 0
        log.append(0, 2000, b"abc")
        store.sync(idle_too=False)
        assert node.energy_uj == 500
        node.add_energy(SESSION, 700)
        store.sync(idle_too=False)
        shutil.copytree(tmp_path, tmp_path / "crashed")
    with opened(tmp_path / "crashed") as store:
        node = store.node("node-1")
        assert node.energy_uj == 500
        node.attach(SESSION, HAT, boot_continues=False)
        assert node.add_energy(SESSION, 710) == 710


def test_energy_of_a_hat_that_left_waits_no_longer(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        node = store.node("node-1")
        node.attach(SESSION, HAT, boot_continues=False)
        node.add_energy(SESSION, 500)
        node.attach(8, HAT, boot_continues=False)
        store.sync(idle_too=False)
        assert node.energy_uj == 500


def test_a_sync_of_nothing_but_energy_writes_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        node = store.node("node-1")
        begun_log(node)
        store.sync()
        size = (tmp_path / "index.sqlite3-wal").stat().st_size
        for energy_uj in range(1, 50):
            node.add_energy(SESSION, energy_uj)
            store.sync(idle_too=False)
        assert (tmp_path / "index.sqlite3-wal").stat().st_size == size


def told(node: NodeStore, session: int, uj: int) -> tuple[int, int]:
    """Tell both counters; return the node's."""
    return node.add_energy(session, uj), node.add_charge(session, uj)


def test_a_session_whose_counters_continue_is_counted_on_from_the_one_before(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        node = store.node("node-1")
        node.attach(SESSION, HAT, boot_continues=False)
        assert told(node, SESSION, 500) == (500, 500)
        node.attach(8, HAT, boot_continues=True, counters_continue=True)
        assert told(node, 8, 530) == (530, 530)
        store.sync()
    with opened(tmp_path) as store:
        node = store.node("node-1")
        node.attach(9, HAT, boot_continues=True, counters_continue=True)
        assert told(node, 9, 560) == (560, 560)
        node.attach(10, HAT, boot_continues=True)
        assert told(node, 10, 5) == (565, 565)


def test_a_session_continues_the_one_that_was_attached_last_not_the_one_that_came_last(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        node = store.node("node-1")
        for session, uj in ((SESSION, 100), (8, 50), (SESSION, 400)):
            node.attach(session, HAT, boot_continues=False)
            told(node, session, uj)
        node.attach(9, HAT, boot_continues=False, counters_continue=True)
        assert told(node, 9, 410) == (460, 460)


def test_another_hat_in_between_does_not_mix_the_counters(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        node = store.node("node-1")
        node.attach(SESSION, HAT, boot_continues=False)
        told(node, SESSION, 500)
        node.attach(8, b"hat-b", boot_continues=False)
        assert told(node, 8, 7) == (507, 507)
        node.attach(9, HAT, boot_continues=False, counters_continue=True)
        assert told(node, 9, 510) == (517, 517)


def test_a_continuing_counter_that_ran_over_its_end_is_no_step_back(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        node = store.node("node-1")
        node.attach(SESSION, HAT, boot_continues=False)
        node.add_energy(SESSION, ENERGY_MODULUS_UJ - 5)
        node.add_charge(SESSION, CHARGE_MODULUS_UC - 5)
        node.attach(8, HAT, boot_continues=False, counters_continue=True)
        assert told(node, 8, 10) == (ENERGY_MODULUS_UJ + 10, CHARGE_MODULUS_UC + 10)


@pytest.mark.parametrize("restarted", [False, True])
def test_a_hat_that_is_moved_brings_no_energy_along_and_takes_none_back(tmp_path: Path, *, restarted: bool) -> None:
    def again(store: Store) -> Store:
        if not restarted:
            return store
        store.close()
        return Store.open(tmp_path, LIMITS)

    store = Store.open(tmp_path, LIMITS)
    store.node("node-1").attach(SESSION, HAT, boot_continues=False)
    assert told(store.node("node-1"), SESSION, 1000) == (1000, 1000)
    store = again(store)
    store.node("node-2").attach(SESSION, HAT, boot_continues=False)
    assert told(store.node("node-2"), SESSION, 1200) == (0, 0)
    assert told(store.node("node-2"), SESSION, 1250) == (50, 50)
    store = again(store)
    store.node("node-1").attach(SESSION, HAT, boot_continues=False)
    store = again(store)
    store.node("node-1").attach(SESSION, HAT, boot_continues=False)
    assert told(store.node("node-1"), SESSION, 1300) == (1000, 1000)
    assert told(store.node("node-1"), SESSION, 1310) == (1010, 1010)
    store.close()


def test_a_hat_that_was_never_seen_and_continues_is_counted_from_what_it_tells_first(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        node = store.node("node-1")
        node.attach(SESSION, HAT, boot_continues=False, counters_continue=True)
        assert told(node, SESSION, 10**12) == (0, 0)
        assert told(node, SESSION, 10**12 + 1) == (1, 1)


def test_only_the_hats_seen_last_are_known_by_their_place(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        for number in range(HATS_KEPT + 1):
            store.node("node-1").attach(SESSION, number.to_bytes(2, "big"), boot_continues=False)
            if number % 50 == 49:
                store.sync()
        store.sync()
    index = sqlite3.connect(tmp_path / "index.sqlite3")
    with closing(index):
        assert index.execute("SELECT count(*), min(hat_id) FROM hats").fetchone() == (HATS_KEPT, b"\x00\x01")


def test_energy_that_no_node_can_have_taken_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        node = store.node("node-1")
        node.attach(SESSION, HAT, boot_continues=False)
        with pytest.raises(BadPositionError):
            node.add_energy(SESSION, MAX_COUNT + 1)
        with pytest.raises(BadPositionError):
            node.add_energy(8, 5)
        assert node.add_energy(SESSION, 5) == 5


def test_totals_count_bytes_and_losses(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        node = store.node("node-1")
        log = begun_log(node)
        fill(log, 100)
        log.append_gap(100, 2000, 30, "ring_full")
        store.sync()
        log.append(130, 2001, b"1234567")
        assert (node.totals.boots, node.totals.log_bytes, node.totals.log_lost_bytes) == (1, 100, 30)
    with opened(tmp_path) as store:
        totals = store.node("node-1").totals
        assert (totals.boots, totals.log_bytes, totals.log_lost_bytes) == (1, 107, 30)


def test_boots_beyond_the_limit_go_oldest_first_and_are_counted(tmp_path: Path) -> None:
    with opened(tmp_path, boots_per_node=3) as store:
        node = store.node("node-1")
        silent = begun_log(node)
        held = begun_log(node, 2)
        fill(held, 100)
        for boot in range(3, 8):
            fill(begun_log(node, boot), 100)
            store.sync()
            store.tend(0)
        assert [boot.number for boot in node.boots(None, 10)] == [7, 6, 5]
        assert (node.totals.retired_boots, node.totals.retired_bytes) == (4, 300)
        assert len(list((tmp_path / "logs" / "node-1").iterdir())) == 3
        with pytest.raises(NoSuchBootError):
            node.boot_log(4)
        for log in (silent, held):
            with pytest.raises(NoSuchBootError):
                log.read(0, 10)


def test_bytes_beyond_the_limit_go_oldest_first_and_are_counted(tmp_path: Path) -> None:
    with opened(tmp_path, log_bytes_per_node=50_000, segment_bytes=10_000, plain_bytes=1 << 20) as store:
        node = store.node("node-1")
        fill(begun_log(node), 30_000)
        log = begun_log(node, 2)
        for _ in range(20):
            fill(log, 9_000)
            store.sync()
            store.tend(0)
        files = list((tmp_path / "logs" / "node-1").iterdir())
        assert 30_000 < sum(path.stat().st_size for path in files) <= 50_000
        assert [boot.number for boot in node.boots(None, 10)] == [2]
        first, *others = read_all(log)
        kept = len(data_of(others))
        assert first == GapPiece(0, 1000, 180_000 - kept, "retention")
        assert node.totals.retired_bytes == 30_000 + 180_000 - kept
        assert node.totals.retired_boots == 1
        assert log.lost_bytes == 0
    with opened(tmp_path, log_bytes_per_node=50_000, segment_bytes=10_000, plain_bytes=1 << 20) as store:
        assert read_all(store.node("node-1").boot_log(2)) == [first, *others]


def test_the_newest_segment_stays_whatever_the_limit(tmp_path: Path) -> None:
    with opened(tmp_path, log_bytes_per_node=1, boots_per_node=1) as store:
        node = store.node("node-1")
        fill(begun_log(node), 1000)
        store.sync()
        assert len(read_all(node.boot_log(1))) == 3


def test_nodes_have_nothing_to_do_with_each_other(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        begun_log(store.node("node-1")).append(0, 2000, b"one")
        begun_log(store.node("node-2")).append(0, 2000, b"two")
        store.sync()
        assert store.node("node-2").boot_log(1).read(0, 10) == [Chunk(0, 2000, b"two")]
        assert store.node("node-1").boot_log(1).read(0, 10) == [Chunk(0, 2000, b"one")]
