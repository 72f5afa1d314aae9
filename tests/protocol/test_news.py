"""What a link tells: in its order, and console bytes that came together as one piece."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from racklet_link.events import Damage, LinkEvent, LogData, LogGap
from racklet_link.news import RECORD_MS, TOLD_TOGETHER_BYTES, TOLD_TOGETHER_MS, LinkNews


def told_together(events: list[LinkEvent]) -> list[LinkEvent]:
    news = LinkNews()
    news.tell(events)
    return news.take()


def printed(*at_ms: int, boot: int = 1, size: int = 10) -> list[LinkEvent]:
    return [LogData(boot, size * index, ms, bytes([index % 256]) * size) for index, ms in enumerate(at_ms)]


def test_data_that_came_together_is_told_as_one() -> None:
    events = printed(1000, 1003, 1006)
    assert told_together(events) == [LogData(1, 0, 1000, b"\0" * 10 + b"\1" * 10 + b"\2" * 10)]


def test_the_last_record_may_be_of_the_longest_time() -> None:
    near, far = 1000 + TOLD_TOGETHER_MS - RECORD_MS, 1000 + TOLD_TOGETHER_MS - RECORD_MS + 1
    assert len(told_together(printed(1000, near))) == 1
    assert len(told_together(printed(1000, far))) == 2


def test_of_a_record_before_another_the_end_is_known() -> None:
    told = told_together(printed(1000, 1030, 1000 + TOLD_TOGETHER_MS, 1100))
    assert [event.offset for event in told if isinstance(event, LogData)] == [0, 20, 30]


def test_damage_stays_at_its_byte() -> None:
    first, second, third = (event for event in printed(1000, 1001, 1002) if isinstance(event, LogData))
    damaged = second._replace(damage=Damage(1, 0, 0))
    told = told_together([first, damaged, third])
    assert told == [first, damaged._replace(data=second.data + third.data)]


def test_what_stands_between_is_told_between() -> None:
    first, second, third = printed(1000, 1001, 1002)
    between = LogGap(1, 10, 1001, 5, "GAP_REASON_RING_FULL")
    assert told_together([between, first, between, second, third, between])[:3] == [between, first, between]
    assert len(told_together([between, first, between, second, third, between])) == 5


def test_the_bytes_of_two_boots_are_told_apart() -> None:
    events = [*printed(1000), *printed(1001, boot=2)]
    assert told_together(events) == events


def test_a_clock_that_goes_back_joins_nothing() -> None:
    events = printed(1000, 900)
    assert told_together(events) == events


@settings(max_examples=200, deadline=None)
@given(steps=st.lists(st.integers(-20, 60), max_size=30), size=st.integers(1, 448))
def test_no_byte_is_lost_moved_or_dated_wrong_by_telling_it_with_others(steps: list[int], size: int) -> None:
    times = [1000 + sum(steps[: index + 1]) for index in range(len(steps))]
    events = printed(*times, size=size)
    told = [event for event in told_together(events) if isinstance(event, LogData)]
    assert b"".join(event.data for event in told) == b"".join(
        event.data for event in events if isinstance(event, LogData)
    )
    for event in told:
        assert len(event.data) <= max(size, TOLD_TOGETHER_BYTES)
        inside = times[event.offset // size : (event.offset + len(event.data)) // size]
        assert max(inside) - event.at_ms <= TOLD_TOGETHER_MS
        assert min(inside) >= event.at_ms


def test_a_boot_that_begins_says_nothing_about_when_the_bytes_before_it_came() -> None:
    events = [LogData(1, 0, 1000, b"a"), LogData(1, 1, 1000 + TOLD_TOGETHER_MS - 1, b"b"), LogData(2, 0, 1048, b"c")]
    assert told_together([*events]) == events


def test_what_was_taken_is_not_told_again_and_what_comes_then_begins_a_piece() -> None:
    news = LinkNews()
    first, second = printed(1000, 1001)
    news.tell([first])
    assert news.take() == [first]
    assert news.take() == []
    news.tell([second])
    assert news.take() == [second]


def test_a_piece_has_no_more_bytes_than_may_be_told_together() -> None:
    told = told_together(printed(*[1000] * 9, size=TOLD_TOGETHER_BYTES // 4))
    assert [len(event.data) for event in told if isinstance(event, LogData)] == [
        TOLD_TOGETHER_BYTES,
        TOLD_TOGETHER_BYTES,
        TOLD_TOGETHER_BYTES // 4,
    ]
