"""Needles: no line that a pattern finds lacks its needle."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racklet_hostd.doctor.lines import Line
from racklet_hostd.doctor.needles import Needles, lines_with, needle_of, rare
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
    assert timeline.needles.found_in(line, rare(line))


@given(st.lists(LETTERS), st.text("abAB .1[(|)", min_size=1, max_size=3))
def test_lines_are_found_by_their_numbers(texts: list[str], needle: str) -> None:
    lines = [text.encode() for text in texts]
    expected = {number for number, line in enumerate(lines) if needle.encode() in line}
    assert lines_with(b"\n".join(lines), [needle.encode()]) == expected


@given(st.text("abAB .1", min_size=1), st.text("abAB .1", max_size=5))
def test_a_needle_that_is_there_is_found_without_frequent_characters(text: str, needle: str) -> None:
    needles = Needles([needle.encode()])
    if needle in text:
        assert needles.found_in(text.encode(), rare(text.encode())) == [needle.encode()]
