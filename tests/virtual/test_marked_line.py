"""Marks come out in their places."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from racklet_virtual.marked_line import MarkedLine

BAUD = 115_200
LONG_US = 10_000_000


@given(st.lists(st.one_of(st.binary(max_size=30), st.none()), max_size=20), st.lists(st.integers(1, 3000), max_size=30))
def test_a_mark_comes_out_when_all_before_it_has_left(put: list[bytes | None], steps_us: list[int]) -> None:
    line = MarkedLine(BAUD, capacity=1000)
    wanted, pieces, at_us = [b""], [b""], 0
    for each in put:
        if each is None:
            line.mark()
            wanted.append(b"")
        else:
            line.put(each, 0)
            wanted[-1] += each
    for step_us in [*steps_us, LONG_US]:
        at_us += step_us
        first, *others = line.advance(at_us)
        pieces[-1] += first
        pieces += others
        assert sum(map(len, pieces)) <= at_us * BAUD / 10 / 1e6 + 1
    assert pieces == wanted
    assert line.free_us is None


def test_what_is_dropped_takes_its_marks_with_it() -> None:
    line = MarkedLine(BAUD, capacity=100)
    line.put(b"lost", 0)
    line.mark()
    line.drop()
    line.put(b"kept", 0)
    line.mark()
    assert line.advance(LONG_US) == [b"kept", b""]


def test_what_the_line_refuses_moves_no_mark() -> None:
    line = MarkedLine(BAUD, capacity=4)
    line.put(b"abcdef", 0)
    line.mark()
    assert line.advance(LONG_US) == [b"abcd", b""]


def test_marks_beyond_the_bound_are_as_one() -> None:
    line = MarkedLine(BAUD, capacity=4)
    for _ in range(2000):
        line.mark()
    assert len(line.advance(0)) == 1025
