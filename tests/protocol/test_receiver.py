"""The receivers of log records and events, record by record. `test_log_ring.py` has them read a real ring."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from racklet.link.v1 import link_pb2
from racklet_link.events import BootStarted, Damage, EventReceived, LogData, LogGap
from racklet_link.limits import OFFSET_MAX
from racklet_link.news import LinkNews
from racklet_link.receiver import (
    BOOTS_REMEMBERED,
    RESEND_REQUEST_EVERY_MS,
    EventReceiver,
    Lateness,
    LogReceiver,
    Missing,
)

SUPPLY_ON, HAT_START = link_pb2.BOOT_CAUSE_SUPPLY_ON, link_pb2.BOOT_CAUSE_HAT_START
UNSPECIFIED = link_pb2.BOOT_CAUSE_UNSPECIFIED
RING_FULL = link_pb2.GAP_REASON_RING_FULL


def data(boot: int, offset: int, text: bytes) -> link_pb2.LogRecord:
    return link_pb2.LogRecord(boot=boot, offset=offset, at_ms=9, data=text)


def gap(boot: int, offset: int, lost_bytes: int) -> link_pb2.LogRecord:
    return link_pb2.LogRecord(boot=boot, offset=offset, at_ms=9, lost_bytes=lost_bytes, gap_reason=RING_FULL)


def start(boot: int, offset: int, lost_boots: int = 0, lost_bytes: int = 0) -> link_pb2.LogRecord:
    return link_pb2.LogRecord(
        boot=boot, offset=offset, at_ms=9, boot_cause=SUPPLY_ON, lost_boots=lost_boots, lost_bytes=lost_bytes
    )


def started(boot: int, lost_boots: int = 0, lost_bytes: int = 0) -> BootStarted:
    return BootStarted(boot, 9, SUPPLY_ON, lost_boots=lost_boots, lost_bytes=lost_bytes)


def lost(boot: int, offset: int, lost_bytes: int) -> LogGap:
    return LogGap(boot, offset, 9, lost_bytes, "GAP_REASON_RING_FULL")


def test_what_is_missing_is_asked_for_at_once_and_then_at_times() -> None:
    missing = Missing()
    assert missing.should_ask(100)
    assert not missing.should_ask(100 + RESEND_REQUEST_EVERY_MS - 1)
    assert missing.should_ask(100 + RESEND_REQUEST_EVERY_MS)
    assert not missing.should_ask(101 + RESEND_REQUEST_EVERY_MS)


def test_bytes_that_continue_are_passed_on() -> None:
    receiver = LogReceiver(1, 10)
    assert receiver.take(data(1, 10, b"abc")) == [LogData(1, 10, 9, b"abc")]
    assert (receiver.boot, receiver.offset) == (1, 13)


@pytest.mark.parametrize("record", [data(1, 11, b"a"), gap(1, 11, 5), data(2, 0, b"a"), start(2, 11), start(3, 0)])
def test_a_record_behind_a_hole_is_not_taken(record: link_pb2.LogRecord) -> None:
    receiver = LogReceiver(1, 10)
    assert receiver.take(record) is None
    assert (receiver.boot, receiver.offset) == (1, 10)


@pytest.mark.parametrize(
    "record",
    [
        data(1, 5, b"abcde"),
        data(1, 0, b"a"),
        gap(1, 4, 6),
        data(0, 99, b"abc"),
        start(1, 3),
        start(0, 0),
        data(1, 10, b""),
    ],
)
def test_what_came_before_is_not_told_again(record: link_pb2.LogRecord) -> None:
    receiver = LogReceiver(1, 10)
    assert receiver.take(record) == []
    assert (receiver.boot, receiver.offset) == (1, 10)


def test_of_a_record_that_came_in_part_the_rest_is_told() -> None:
    receiver = LogReceiver(1, 10)
    assert receiver.take(data(1, 8, b"abcd")) == [LogData(1, 10, 9, b"cd")]
    assert receiver.take(gap(1, 8, 10)) == [lost(1, 12, 6)]
    assert receiver.offset == 18


@pytest.mark.parametrize(
    ("reason", "name"),
    [
        (link_pb2.GAP_REASON_RING_FULL, "GAP_REASON_RING_FULL"),
        (link_pb2.GAP_REASON_UART_OVERRUN, "GAP_REASON_UART_OVERRUN"),
        (99, "GAP_REASON_UNSPECIFIED"),
    ],
)
def test_a_gap_is_told_with_its_reason_if_that_is_known(reason: int, name: str) -> None:
    record = link_pb2.LogRecord(boot=0, at_ms=9, lost_bytes=3, gap_reason=reason)
    assert LogReceiver(0, 0).take(record) == [LogGap(0, 0, 9, 3, name)]


@pytest.mark.parametrize(("cause", "told"), [(SUPPLY_ON, SUPPLY_ON), (HAT_START, HAT_START), (77, UNSPECIFIED)])
def test_the_start_of_the_next_boot_is_told_with_its_cause(cause: int, told: link_pb2.BootCause.ValueType) -> None:
    receiver = LogReceiver(1, 10)
    record = link_pb2.LogRecord(boot=2, offset=10, at_ms=9, boot_cause=cause)
    assert receiver.take(record) == [BootStarted(2, 9, told, lost_boots=0, lost_bytes=0)]
    assert (receiver.boot, receiver.offset) == (2, 0)


def test_a_start_behind_lost_boots_tells_them() -> None:
    receiver = LogReceiver(1, 10)
    assert receiver.take(start(5, 10, lost_boots=3, lost_bytes=300)) == [started(5, 3, 300)]


def test_a_start_that_speaks_of_what_came_in_part_tells_the_rest_of_that_boot_as_a_gap() -> None:
    receiver = LogReceiver(1, 10)
    receiver.take(start(2, 10))
    receiver.take(data(2, 0, b"abcd"))
    assert receiver.take(start(3, 10, lost_boots=1, lost_bytes=20)) == [lost(2, 4, 16), started(3)]


def test_a_start_that_speaks_of_what_came_whole_tells_no_loss() -> None:
    receiver = LogReceiver(1, 10)
    receiver.take(start(2, 10))
    receiver.take(data(2, 0, b"abcd"))
    assert receiver.take(start(3, 10, lost_boots=1, lost_bytes=4)) == [started(3)]


def test_a_start_that_speaks_of_several_boots_of_which_some_came_counts_the_others() -> None:
    receiver = LogReceiver(1, 10)
    receiver.take(start(2, 10))
    receiver.take(data(2, 0, b"abcd"))
    receiver.take(start(3, 4))
    receiver.take(data(3, 0, b"ef"))
    assert receiver.take(start(6, 10, lost_boots=4, lost_bytes=100)) == [started(6, 2, 94)]
    assert receiver.take(start(8, 10, lost_boots=6, lost_bytes=130)) == [started(8, 1, 30)]


def test_a_start_that_speaks_of_boots_before_this_receiver_tells_a_loss_of_unknown_size() -> None:
    receiver = LogReceiver(5, 10)
    assert receiver.take(start(6, 0, lost_boots=4, lost_bytes=500)) == [started(6)]


def test_the_sizes_of_only_so_many_boots_are_remembered() -> None:
    receiver = LogReceiver(0, 0)
    for boot in range(1, BOOTS_REMEMBERED + 10):
        receiver.take(start(boot, 0))
    assert len(receiver._ends) == BOOTS_REMEMBERED


def test_a_receiver_behind_what_the_hat_holds_takes_up_there_and_tells_the_rest() -> None:
    receiver = LogReceiver(1, 10)
    assert receiver.skip_to(4, 100, 9) == [
        BootStarted(4, 9, UNSPECIFIED, lost_boots=2, lost_bytes=0),
        LogGap(4, 0, 9, 100, "GAP_REASON_NOT_KEPT"),
    ]
    assert (receiver.boot, receiver.offset) == (4, 100)


def test_a_receiver_in_the_boot_that_the_hat_holds_takes_up_at_its_oldest_byte() -> None:
    receiver = LogReceiver(4, 10)
    assert receiver.skip_to(4, 100, 9) == [LogGap(4, 10, 9, 90, "GAP_REASON_NOT_KEPT")]


@pytest.mark.parametrize(("boot", "offset"), [(4, 10), (4, 3), (3, 999), (0, 0)])
def test_a_receiver_that_has_what_the_hat_holds_stays_where_it_is(boot: int, offset: int) -> None:
    receiver = LogReceiver(4, 10)
    assert receiver.skip_to(boot, offset, 9) == []
    assert (receiver.boot, receiver.offset) == (4, 10)


NUMBERS = st.integers(0, 6) | st.integers(0, 2**32 - 1)


@given(
    record_list=st.lists(
        st.builds(
            link_pb2.LogRecord,
            boot=NUMBERS,
            offset=NUMBERS,
            lost_bytes=NUMBERS,
            lost_boots=NUMBERS,
            boot_cause=st.integers(0, 2),
            data=st.binary(max_size=8),
        ),
        max_size=20,
    )
)
@settings(max_examples=200, deadline=None)
def test_whatever_a_hat_tells_the_position_never_goes_back_and_news_are_seamless(
    record_list: list[link_pb2.LogRecord],
) -> None:
    receiver = LogReceiver(0, 0)
    place = (0, 0)
    for record in record_list:
        for event in receiver.take(record) or []:
            if isinstance(event, BootStarted):
                assert event.boot > place[0]
                place = (event.boot, 0)
            else:
                assert (event.boot, event.offset) == place
                place = (
                    event.boot,
                    event.offset + (event.lost_bytes if isinstance(event, LogGap) else len(event.data)),
                )
        assert place == (receiver.boot, receiver.offset)


def test_the_next_event_is_passed_on() -> None:
    receiver = EventReceiver(3)
    event = link_pb2.Event(sequence=3)
    assert receiver.take(event) == [EventReceived(event, 0)]
    assert receiver.sequence == 4


def test_an_event_that_came_before_is_not_told_again() -> None:
    receiver = EventReceiver(3)
    assert receiver.take(link_pb2.Event(sequence=2)) == []
    assert receiver.sequence == 3


@pytest.mark.parametrize("lost_before", [0, 1])
def test_an_event_behind_a_hole_is_not_taken(lost_before: int) -> None:
    receiver = EventReceiver(3)
    assert receiver.take(link_pb2.Event(sequence=5, lost_before=lost_before)) is None
    assert receiver.sequence == 3


@pytest.mark.parametrize("lost_before", [2, 4])
def test_an_event_behind_lost_ones_tells_how_many_are_missing_here(lost_before: int) -> None:
    receiver = EventReceiver(3)
    event = link_pb2.Event(sequence=5, lost_before=lost_before)
    assert receiver.take(event) == [EventReceived(event, 2)]


def test_damage_is_told_with_the_bytes_it_stands_for_and_once() -> None:
    receiver = LogReceiver(1, 0)
    record = link_pb2.LogRecord(boot=1, offset=0, at_ms=9, data=b"a?c", framing_errors=1, parity_errors=2, breaks=3)
    assert receiver.take(record) == [LogData(1, 0, 9, b"a?c", Damage(1, 2, 3))]
    record.data += b"d"
    assert receiver.take(record) == [LogData(1, 3, 9, b"d")]


def test_data_that_goes_on_is_taken_the_short_way_as_it_is_the_long_one() -> None:
    short, long, news = LogReceiver(1, 0), LogReceiver(1, 0), LinkNews()
    damaged = link_pb2.LogRecord(boot=1, offset=3, at_ms=9, data=b"def", breaks=1)
    for record in (data(1, 0, b"abc"), damaged, data(1, 6, b"g")):
        assert short.take_next(record, news)
        assert news.take() == long.take(record)
    assert (short.boot, short.offset) == (long.boot, long.offset)


@pytest.mark.parametrize(
    "record",
    [data(1, 4, b"x"), data(1, 6, b"x"), data(2, 5, b"x"), gap(1, 5, 3), start(1, 5), data(1, 5, b"")],
    ids=["known", "missing before it", "another boot", "gap", "start", "empty"],
)
def test_the_short_way_takes_nothing_else(record: link_pb2.LogRecord) -> None:
    receiver, news = LogReceiver(1, 5), LinkNews()
    assert not receiver.take_next(record, news)
    assert news.take() == []
    assert (receiver.boot, receiver.offset) == (1, 5)


def test_the_short_way_takes_nothing_beyond_what_a_boot_can_reach() -> None:
    assert not LogReceiver(1, OFFSET_MAX + 1).take_next(data(1, OFFSET_MAX + 1, b"x"), LinkNews())


def test_what_comes_at_the_usual_time_is_not_late() -> None:
    lateness = Lateness()
    assert [lateness.of(hat_ms, hat_ms + 5000) for hat_ms in (10, 20, 30)] == [0, 0, 0]


def test_what_was_held_back_is_late_beside_the_quickest() -> None:
    lateness = Lateness()
    assert lateness.of(0, 1000) == 0
    assert lateness.of(100, 1180) == 80
    assert lateness.of(200, 1190) == 0  # that was the quickest
    assert lateness.of(300, 1350) == 60


def test_a_clock_that_loses_time_makes_nothing_late() -> None:
    lateness = Lateness()
    day_ms = 86_400_000
    late_ms = [lateness.of(now_ms - now_ms // 20_000, now_ms) for now_ms in range(0, day_ms, 60_000)]  # 50 ppm
    assert max(late_ms) <= 3
    assert lateness.of(day_ms - day_ms // 20_000, day_ms + 100) == pytest.approx(100, abs=3)


def test_a_clock_that_gains_time_makes_nothing_late() -> None:
    lateness = Lateness()
    assert {lateness.of(now_ms + now_ms // 20_000, now_ms) for now_ms in range(0, 86_400_000, 60_000)} == {0}
