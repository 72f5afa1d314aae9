"""Events: each once, in order, with numbers that only grow."""

import shutil
from pathlib import Path

import pytest

from racklet_hostd.store import Event, EventStore
from racklet_hostd.store.events import MESSAGE_LIMIT, PENDING_LIMIT
from racklet_link.events import StoredPositions
from tests.hostd.store_rig import HAT, SESSION, opened


def append(events: EventStore, count: int, node: str = "node-1") -> list[Event]:
    return [events.append(node, 1000 + index, "test", f"event {index}") for index in range(count)]


def test_events_are_listed_newest_first_and_followed_oldest_first_stored_or_not(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        written = append(store.events, 5)
        store.sync()
        written += append(store.events, 5)
        assert store.events.newest_sequence == written[-1].sequence
        assert store.events.list(None, None, 100) == written[::-1]
        assert store.events.list(None, written[7].sequence, 4) == written[3:7][::-1]
        assert store.events.since(written[3].sequence, 4) == written[3:7]
        assert store.events.since(written[3].sequence, 100) == written[3:]
        assert store.events.since(written[-1].sequence + 1, 100) == []
        assert store.events.since(1 << 70, 100) == store.events.list(None, 0, 100) == []


def test_events_of_one_node_are_found_among_others(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        one, two = [], []
        for _ in range(3):
            one += append(store.events, 2)
            two += append(store.events, 3, "node-2")
            store.sync()
        one += append(store.events, 1)
        two += append(store.events, 1, "node-2")
        assert store.events.list("node-2", None, 5) == two[::-1][:5]
        assert store.events.since(one[1].sequence, 5, "node-1") == one[1:6]


def test_events_outlive_hostd_and_their_numbers_go_on(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        written = append(store.events, 3)
    with opened(tmp_path) as store:
        assert store.events.newest_sequence == written[-1].sequence
        assert store.events.append("", 5, "test", "later").sequence == written[-1].sequence + 1
        assert store.events.list("node-1", None, 10) == written[::-1]


@pytest.mark.parametrize("syncs", [0, 1])
def test_a_number_that_was_seen_is_not_used_again_after_a_crash(tmp_path: Path, syncs: int) -> None:
    with opened(tmp_path / "state") as store:
        for _ in range(syncs):
            append(store.events, 1)
            store.sync()
        shutil.copytree(tmp_path / "state", tmp_path / "crashed")
        seen = append(store.events, 3)
    with opened(tmp_path / "crashed") as store:
        assert append(store.events, 1)[0].sequence > seen[-1].sequence


def test_an_event_of_a_hat_is_recorded_once(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        first = store.events.append("node-1", 1, "trip", "first", hat_session=SESSION, hat_sequence=1)
        assert store.events.append("node-1", 9, "trip", "again", hat_session=SESSION, hat_sequence=1) == first
        store.sync()
        assert store.events.append("node-1", 9, "trip", "again", hat_session=SESSION, hat_sequence=1) == first
        for session, sequence, node in ((SESSION, 2, "node-1"), (8, 1, "node-1"), (SESSION, 1, "node-2")):
            assert store.events.append(node, 9, "trip", "", hat_session=session, hat_sequence=sequence) != first
        assert len(store.events.list(None, None, 10)) == 4


def test_the_positions_tell_which_events_of_the_hat_are_durable(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        node = store.node("node-1")
        node.attach(SESSION, HAT, boot_continues=False)
        for sequence in (1, 2, 5):
            store.events.append("node-1", 1, "trip", "", hat_session=SESSION, hat_sequence=sequence)
        assert node.positions() == StoredPositions(0, 0, 1)
        assert store.sync().positions["node-1"] == StoredPositions(0, 0, 6)
    with opened(tmp_path) as store:
        assert store.node("node-1").attach(SESSION, HAT, boot_continues=False) == StoredPositions(0, 0, 6)


def test_the_oldest_events_beyond_the_limit_go_and_are_counted(tmp_path: Path) -> None:
    with opened(tmp_path, events=10) as store:
        written = append(store.events, 8)
        store.sync()
        written += append(store.events, 8)
        store.sync()
        assert store.events.list(None, None, 100) == written[::-1][:10]
        assert store.events.retired == 6
    with opened(tmp_path, events=10) as store:
        assert store.events.retired == 6
        append(store.events, 1)
        store.sync()
        assert len(store.events.list(None, None, 100)) == 10


def test_events_that_nobody_stores_are_bounded_and_the_loss_is_told(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        written = append(store.events, PENDING_LIMIT + 7)
        assert store.events.list(None, None, 2 * PENDING_LIMIT)[-1] == written[7]
        assert sum(event.lost_before for event in written) == 7


def test_whatever_a_message_says_it_can_be_stored(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        event = store.events.append("node-1", 1 << 70, "test", "\udcff\0" + "x" * 1000)
        assert len(event.message) == MESSAGE_LIMIT
        assert not store.sync().index_problem
        assert store.events.list(None, None, 1) == [event]
