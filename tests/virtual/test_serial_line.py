"""A serial line keeps its pace."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from racklet_virtual.serial_line import SerialLine

BAUD = 115_200


@given(st.binary(min_size=1, max_size=500), st.lists(st.integers(0, 20_000), max_size=20))
def test_everything_comes_out_in_order_and_never_faster_than_the_baud_rate(data: bytes, steps_us: list[int]) -> None:
    line = SerialLine(BAUD, capacity=1000)
    line.put(data, 0)
    out, at_us = b"", 0
    for step_us in steps_us:
        at_us += step_us
        out += line.advance(at_us)
        assert len(out) <= at_us * BAUD / 10 / 1e6 + 1
    out += line.advance(line.free_us)
    assert out == data
    assert not line.busy


def test_what_does_not_fit_is_refused() -> None:
    line = SerialLine(BAUD, capacity=4)
    assert line.put(b"abcdef", 0) == 4
    assert line.advance(1_000_000) == b"abcd"


def test_an_idle_line_saves_no_time_up() -> None:
    line = SerialLine(BAUD, capacity=100)
    line.put(b"x" * 10, 5_000_000)
    assert line.advance(5_000_000) == b""


def test_a_delay_holds_the_line_still() -> None:
    line = SerialLine(BAUD, capacity=100)
    line.put(b"x" * 10, 0)
    line.delay(1_000)
    assert line.advance(1_000) == b""
    assert len(line.advance(2_000)) == 10
