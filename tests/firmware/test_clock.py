"""The HAT's clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from racklet_hat.clock import Clock

TURN_MS = 2**30


def test_a_clock_starts_at_0() -> None:
    clock = Clock()
    assert (clock.turns, clock.now_ms) == (0, 0)


def test_time_that_stands_still_is_no_turn() -> None:
    clock = Clock()
    for ticks_ms in (5, 5, 6):
        clock.turn(ticks_ms)
    assert (clock.turns, clock.now_ms) == (0, 6)


def test_milliseconds_that_go_back_are_a_turn() -> None:
    clock = Clock()
    for ticks_ms in (TURN_MS - 1, 0, 7, TURN_MS - 1, 3):
        clock.turn(ticks_ms)
    assert (clock.turns, clock.now_ms) == (2, 3)


@given(begin_ms=st.integers(0, TURN_MS - 1), spans_ms=st.lists(st.integers(0, TURN_MS - 1), max_size=30))
def test_turns_and_milliseconds_are_the_time_that_passed(begin_ms: int, spans_ms: list[int]) -> None:
    clock = Clock()
    clock.turn(begin_ms)
    now_ms = begin_ms
    for span_ms in spans_ms:
        now_ms += span_ms
        clock.turn(now_ms % TURN_MS)
        assert clock.turns * TURN_MS + clock.now_ms == now_ms
