"""Needles: no line that a pattern finds lacks its needle."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racklet_hostd.doctor.lines import Line
from racklet_hostd.doctor.needles import Needles, lines_with, needle_of
from racklet_hostd.doctor.phases import _FINDS_FROM, Phase, Timeline
from racklet_hostd.doctor.signatures import known_signatures
from tests.hostd.doctor.test_signatures import ENTRIES

LETTERS = st.text("abAB .1[(|)", max_size=12)


@pytest.mark.parametrize(
    ("pattern", "needle"),
    [
        ("Out of memory: Kill", b"Out of memory: Kill"),
        (r"mmc\d: error -\d{1,3} whil(?:e|st) initiali[sz]ing", b": error -"),
        (r"nder-?voltage detected!", b"voltage detected!"),
        (r"a\.b\[c", b"a.b[c"),
        (r"ab{2}cde", b"cde"),
        (r"(?:ab(?:c|d)ef)gh", b"gh"),
        (r"[]abc]d", b"d"),
        (r"a|b", b""),
        (r"\d\S", b""),
    ],
)
def test_the_longest_plain_text_of_a_pattern_is_its_needle(pattern: str, needle: bytes) -> None:
    assert needle_of(pattern) == needle


@pytest.mark.parametrize("signature", known_signatures().signatures, ids=lambda signature: signature.id)
@given(data=st.data())
def test_what_a_signature_finds_has_its_needle(signature: object, data: st.DataObject) -> None:
    pattern: re.Pattern[bytes] = signature.pattern  # type: ignore[attr-defined]
    found = data.draw(st.from_regex(pattern))
    assert signature.needle in found  # type: ignore[attr-defined]


@pytest.mark.parametrize("phase", Phase)
@given(data=st.data())
def test_what_may_end_a_phase_has_one_of_its_needles(phase: Phase, data: st.DataObject) -> None:
    if not _FINDS_FROM[phase]:
        return
    _, find = data.draw(st.sampled_from(_FINDS_FROM[phase]))
    line = data.draw(st.from_regex(find.__self__))  # type: ignore[attr-defined]
    timeline = Timeline()
    if phase is not Phase.UNKNOWN:
        timeline.see(Line(0, 0, ENTRIES[phase].strip()))
    assert timeline.phase is phase
    assert timeline.needles.found_in(line)


@given(st.lists(LETTERS), st.text("abAB .1[(|)", min_size=1, max_size=3))
def test_lines_are_found_by_their_numbers(texts: list[str], needle: str) -> None:
    lines = [text.encode() for text in texts]
    expected = {number for number, line in enumerate(lines) if needle.encode() in line}
    assert lines_with(b"\n".join(lines), [needle.encode()]) == expected


@given(st.text("abAB .1(|", min_size=1), st.lists(st.text("abAB .1(|", max_size=5), min_size=1))
def test_of_many_needles_those_that_are_there_are_found(text: str, needles: list[str]) -> None:
    found = (Needles([]) | Needles(needle.encode() for needle in needles)).found_in(text.encode())
    assert found == [needle.encode() for needle in dict.fromkeys(needles) if needle in text]


def test_without_needles_nothing_is_found() -> None:
    assert Needles([]).found_in(b"anything") == []


def test_needles_of_any_bytes_are_found_in_any_bytes() -> None:
    everything = bytes(range(256))
    for byte in everything:
        assert Needles([bytes([byte])]).found_in(everything) == [bytes([byte])]
