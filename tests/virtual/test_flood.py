"""Text that tells of every byte where it belongs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from racklet_virtual.flood import LINE_BYTES, flood_place, flood_text

starts = st.integers(1, 0xFFFF)
offsets = st.integers(0, 1 << 36)


@given(starts, offsets, st.integers(2 * LINE_BYTES, 500))
def test_a_stretch_of_two_lines_tells_where_it_belongs(start: int, offset: int, count: int) -> None:
    assert flood_place(flood_text(start, offset, count)) == (start, offset)


@given(starts, offsets, st.integers(0, 300), st.integers(0, 300))
def test_two_stretches_side_by_side_are_one(start: int, offset: int, first: int, second: int) -> None:
    joined = flood_text(start, offset, first) + flood_text(start, offset + first, second)
    assert joined == flood_text(start, offset, first + second)


def test_other_text_belongs_nowhere() -> None:
    assert flood_place(b"\r\nBooting Linux on physical CPU 0x0\r\n") is None


def test_the_text_begins_with_its_first_line() -> None:
    assert flood_text(3, 0, LINE_BYTES).startswith(b"0003 00000000 abc")
