"""Escape sequences go; every other byte stays, wherever the pieces are cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racklet_hostd.cli.escape_stripper import EscapeStripper, stripped

WILD = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from([b"\x1b", b"\x1b[", b"\x1b]0;", b"\x07", b"\x1b\\", b"\x1bP", b"\x1b[31m", b"\n", b"\x1b(B"]),
        st.integers(4_090, 4_100).map(lambda count: b"a" * count),
        st.integers(60, 70).map(lambda count: b"1" * count),
    ),
    max_size=12,
).map(b"".join)


@given(WILD, st.lists(st.integers(0, 9_000), max_size=10))
def test_where_the_bytes_are_cut_changes_nothing(data: bytes, cuts: list[int]) -> None:
    stripper = EscapeStripper()
    borders = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    assert b"".join(stripper.feed(data[start:end]) for start, end in pairwise(borders)) == stripped(data)


@given(WILD)
def test_no_escape_comes_out(data: bytes) -> None:
    assert b"\x1b" not in stripped(data)


@given(st.binary().map(lambda data: data.replace(b"\x1b", b"")))
def test_bytes_without_escapes_stay_as_they_are(data: bytes) -> None:
    assert EscapeStripper().feed(data) == data


@given(WILD)
def test_little_is_held_back(data: bytes) -> None:
    stripper = EscapeStripper()
    stripper.feed(data)
    assert len(stripper._held) <= 4_096 + 3


@pytest.mark.parametrize(
    ("sent", "left"),
    [
        (b"\x1b[0;32m  OK  \x1b[0m\r\n", b"  OK  \r\n"),
        (b"a\x1b[2J\x1b[5;1Hb\x1b[?25lc", b"abc"),
        (b"\x1b]0;title\x07a\x1b]52;c;cm0=\x1b\\b", b"ab"),
        (b"\x1bP+q\x1b\\a\x1b(Bb\x1b7c\x1bMd", b"abcd"),
        (b"\x1b]never ended\nnext line", b"\nnext line"),
        (b"\x1b\x1b[0m[31mred", b"[31mred"),
        (b"\x1b\xff\x80", b"\xff\x80"),
        (b"cut \x1b[3", b"cut "),
        ("grüße 🍓".encode(), "grüße 🍓".encode()),
    ],
)
def test_what_is_sent_leaves_this(sent: bytes, left: bytes) -> None:
    assert stripped(sent) == left
