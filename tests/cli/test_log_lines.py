"""Lines and their times, whatever the borders of the pieces."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racklet_hostd.cli import log_lines
from racklet_hostd.cli.log_lines import LineSplitter, LineStamper, LogLine, stamp

TEXT = st.lists(st.sampled_from([b"\n", b"\r", b"\r\n", b"a", b"bc", b"\xff", b"\x1b[31m", b"\x00"])).map(b"".join)
CUTS = st.lists(st.integers(0, 60), max_size=10)
START_MS = 1_790_000_000_123


def cut(data: bytes, cuts: list[int]) -> list[tuple[int, bytes]]:
    """Return the pieces of `data` and their offsets."""
    borders = [0, *sorted(min(place, len(data)) for place in cuts), len(data)]
    return [(start, data[start:end]) for start, end in pairwise(borders) if start < end]


def whole_lines(data: bytes) -> list[tuple[int, bytes]]:
    """Return the lines of `data`, found in another way, and their offsets."""
    return [(match.start(), match.group()) for match in re.finditer(rb"[^\n]*(?:\n|\Z)", data) if match.group()]


def time_of(offset: int, pieces: list[tuple[int, bytes]]) -> int:
    """Return when the piece that holds `offset` came, if each came at its own offset in ms."""
    return START_MS + max(start for start, _ in pieces if start <= offset)


@given(TEXT, CUTS)
def test_each_line_has_the_time_of_its_first_byte(data: bytes, cuts: list[int]) -> None:
    pieces = cut(data, cuts)
    stamper = LineStamper()
    stamped = b"".join(stamper.feed(part, START_MS + start) for start, part in pieces)
    lines = [(offset, line.lstrip(b"\r")) for offset, line in whole_lines(data)]
    assert stamped == b"".join(stamp(time_of(offset, pieces)).encode() + line for offset, line in lines if line)


@given(TEXT, CUTS)
def test_nothing_but_a_leading_carriage_return_waits_for_the_rest_of_its_line(data: bytes, cuts: list[int]) -> None:
    stamper = LineStamper()
    for _, part in cut(data, cuts):
        assert stamper.feed(part, START_MS).endswith(part.rpartition(b"\n")[2].lstrip(b"\r"))


@given(TEXT, CUTS)
def test_lines_are_whole_with_offset_and_time_of_their_first_byte(data: bytes, cuts: list[int]) -> None:
    pieces = cut(data, cuts)
    splitter = LineSplitter()
    lines = [line for start, part in pieces for line in splitter.feed(part, start, START_MS + start)]
    lines += splitter.finish()
    assert lines == [LogLine(offset, time_of(offset, pieces), line) for offset, line in whole_lines(data)]


@given(TEXT, CUTS)
def test_a_long_line_becomes_several_without_loss(data: bytes, cuts: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_lines, "LONGEST_LINE", 5)
        splitter = LineSplitter()
        lines = []
        for start, part in cut(data, cuts):
            lines += splitter.feed(part, start, START_MS)
            assert len(splitter._held) < 5
        lines += splitter.finish()
    assert b"".join(line.data for line in lines) == data
    assert all(len(line.data) <= 5 and data[line.offset :].startswith(line.data) for line in lines)


def test_a_broken_line_goes_on_as_another_one() -> None:
    stamper = LineStamper()
    first = stamper.feed(b"half", START_MS) + stamper.break_line()
    assert first == stamp(START_MS).encode() + b"half\n"
    assert stamper.break_line() == b""
    assert stamper.feed(b"rest", START_MS + 5) == stamp(START_MS + 5).encode() + b"rest"


def test_a_time_is_local_and_in_milliseconds() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.123  ", stamp(START_MS))
