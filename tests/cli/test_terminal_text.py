"""Any bytes become text that does a terminal no harm."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racklet_hostd.cli.terminal_text import TerminalText, printable

COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
HOSTILE = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.text(max_size=10).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.sampled_from(
            [
                b"\x1b",
                b"\x1b[",
                b"\x1b]0;",
                b"\x07",
                b"\x1b[31m",
                b"\x1b[0m",
                b"\x1b[8m",
                b"\x1b[2J",
                b"\x1b[1;1H",
                b"\r",
                b"\n",
                b"\r\n",
                b"\x9b",
                b"\xc2\x9b",
                b"\xe2\x80\xae",
                b"\x1bP",
                b"\x1b\\",
                b";" * 30,
                b"1" * 30,
            ]
        ),
    ),
    max_size=20,
).map(b"".join)


def shown(data: bytes) -> str:
    text = TerminalText()
    return text.feed(data) + text.finish()


@given(HOSTILE)
def test_only_printable_characters_line_feeds_tabs_and_colours_come_out(data: bytes) -> None:
    rest = COLOUR.sub("", shown(data)).replace("\n", "").replace("\t", "")
    assert rest.isprintable()


@given(HOSTILE, st.lists(st.integers(0, 200), max_size=10))
def test_where_the_bytes_are_cut_changes_nothing(data: bytes, cuts: list[int]) -> None:
    text = TerminalText()
    borders = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [text.feed(data[start:end]) for start, end in pairwise(borders)]
    assert "".join(pieces) + text.finish() == shown(data)


@given(HOSTILE)
def test_little_is_held_back(data: bytes) -> None:
    text = TerminalText()
    for code in data:
        text.feed(bytes((code,)))
        assert len(text._held) <= 56


@given(HOSTILE)
def test_colours_are_off_at_the_end(data: bytes) -> None:
    colours = COLOUR.findall(shown(data))
    assert not colours or re.fullmatch(r"\x1b\[[0;]*m", colours[-1])


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert shown(text.encode()) == text


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        (b"a\r\nb\r\r\nc\n", "a\nb\nc\n"),
        (b"10%\r20%\r\n", "10%\n20%\n"),
        (b"\rlogin: ", "login: "),
        (b"\x1b]0;title\x07", r"\x1b]0;title\x07"),
        (b"\x1b]52;c;cm0gLXJm\x1b\\", r"\x1b]52;c;cm0gLXJm\x1b\\"[:-1]),
        (b"\x1bP+q\x1b\\", r"\x1bP+q\x1b\\"[:-1]),
        (b"a\x1b[2J\x1b[5;1Hb\x1b[K", "a\nb"),
        (b"\x1b[32mok\x1b[0m", "\x1b[32mok\x1b[0m"),
        (b"\x1b[32mok", "\x1b[32mok\x1b[0m"),
        (b"\x1b[38;5;8mgrey\x1b[m", "\x1b[38;5;8mgrey\x1b[m"),
        (b"\x1b[8mhidden\x1b[1;08mtoo", "hiddentoo"),
        (b"\x00\x7f\x08", r"\x00\x7f\x08"),
        (b"\xff\xc3", r"\xff\xc3"),
        (b"\xc2\x9b2J", r"\x9b2J"),
        ("safe\u202eexe.txt".encode(), r"safe\u202eexe.txt"),
        ("grüße 🍓\t✓".encode(), "grüße 🍓\t✓"),
        (b"\x1b[" + b"1;" * 40 + b"mx", r"\x1b[" + "1;" * 40 + "mx"),
    ],
)
def test_what_is_sent_is_seen_so(sent: bytes, seen: str) -> None:
    assert shown(sent) == seen


def test_own_words_get_a_line_of_their_own() -> None:
    text = TerminalText()
    assert text.feed(b"\x1b[31mhalf a li") + text.break_line() == "\x1b[31mhalf a li\x1b[0m\n"
    assert text.break_line() == ""


def test_a_recorded_boot_log_keeps_its_words() -> None:
    recording = b"".join(b"[%5d.%06d] usb 1-%d: new device\r\n" % (n, n * 7, n) for n in range(50))
    assert shown(recording) == recording.decode().replace("\r\n", "\n")


@given(st.text())
def test_printable_is_printable_and_one_line(text: str) -> None:
    assert printable(text).isprintable()
