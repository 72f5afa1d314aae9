"""What a console sends reaches a terminal only as far as editors and menus need it."""

import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from racklet_hostd.cli.screen_filter import ScreenFilter

ATTACKS = {
    "title": b"\x1b]0;owned\x07",
    "title with ST": b"\x1b]2;owned\x1b\\",
    "clipboard": b"\x1b]52;c;cm0gLXJmIC8K\x07",
    "hyperlink": b"\x1b]8;;file:///etc\x07",
    "DCS: DECRQSS": b'\x1bP$q"p\x1b\\',
    "DCS: terminfo": b"\x1bP+q544e\x1b\\",
    "APC": b"\x1b_Gi=1\x1b\\",
    "PM": b"\x1b^x\x1b\\",
    "SOS": b"\x1bXx\x1b\\",
    "answerback": b"\x05",
    "cursor position": b"\x1b[6n",
    "device attributes": b"\x1b[c",
    "secondary attributes": b"\x1b[>c",
    "tertiary attributes": b"\x1b[=c",
    "DECID": b"\x1bZ",
    "terminal parameters": b"\x1b[x",
    "mode request": b"\x1b[?2026$p",
    "window: report title": b"\x1b[21t",
    "window: resize": b"\x1b[8;1;1t",
    "window: minimise": b"\x1b[2t",
    "media copy": b"\x1b[5i",
    "mouse reports": b"\x1b[?1000h",
    "focus reports": b"\x1b[?1004h",
    "a mode among good ones": b"\x1b[?25;1003h",
    "132 columns": b"\x1b[?3h",
    "erase the scrollback": b"\x1b[3J",
    "repeat for ever": b"a\x1b[999999999b",
    "concealed": b"\x1b[8m",
    "function keys": b"\x1b[0;59;13p",
    "full reset": b"\x1bc",
    "Tektronix": b"\x1b\x0c",
    "8-bit CSI": b"\x9b6n",
    "8-bit OSC": b"\x9d0;x\x9c",
    "8-bit DCS": b'\x90$q"p\x9c',
    "CSI in UTF-8": b"\xc2\x9b6n",
    "OSC in UTF-8": b"\xc2\x9d0;x\xc2\x9c",
    "right-to-left override": b"\xe2\x80\xae",
    "a title without an end": b"\x1b]0;" + b"x" * 9000,
    "a sequence in a sequence": b"\x1b[\x1b]0;x\x07",
}
GOOD = [
    b"\x1b[2J\x1b[1;1H",
    b"\x1b[31;1mred\x1b[0m",
    b"\x1b[?1049h\x1b[?25l\x1b[5;20r\x1b[?25h\x1b[?1049l\x1b[r",
    b"\x1b7\x1b[10C\x1b[K\x1b8\x08\x07\r\n\t",
    b"\x1b(0lqk\x1b(B",
    "é ✓ 漢".encode(),
]
# All that may come out: printable characters and what a full-screen program draws with.
ALLOWED = re.compile(
    r"[\x07-\x0f]|\x1b(?:\[[0-9;:]*m|\[[0-9;:]*[@A-IK-MPSTXZ`abdefgsur]|\[[0-2]?J|\[4[hl]|[()][0AB]|[=>78DEHM]"
    r"|\[\?(?:1|6|7|12|25|47|1047|1048|1049|2004)(?:;(?:1|6|7|12|25|47|1047|1048|1049|2004))*[hl])"
)
HOSTILE = st.lists(
    st.one_of(
        st.sampled_from([*ATTACKS.values(), *GOOD]),
        st.binary(max_size=20),
        st.sampled_from([b"\x1b", b"[", b"?", b";", b"h", b"]", b"\\", b"\x07", b"\x9b", b"\xc2", b"6n", b"25"]),
    ),
    max_size=20,
).map(b"".join)


def shown(data: bytes) -> str:
    screen = ScreenFilter()
    return screen.feed(data) + screen.finish()


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_what_is_done_to_the_terminal_does_not_pass(attack: bytes) -> None:
    assert not re.search(r"[\x00-\x06\x10-\x1f\x7f-\x9f\u202e]", shown(b"a" + attack + b"b"))


@pytest.mark.parametrize("good", GOOD)
def test_what_editors_and_menus_draw_with_passes(good: bytes) -> None:
    assert shown(good) == good.decode()


@given(HOSTILE)
@example(b"\x1b]\xe2\x80\xae")  # right to left, in a title without an end
def test_nothing_but_what_is_allowed_comes_out(data: bytes) -> None:
    assert ALLOWED.sub("", shown(data)).isprintable()


@given(HOSTILE, st.lists(st.integers(0, 400), max_size=10))
def test_where_the_bytes_are_cut_changes_nothing(data: bytes, cuts: list[int]) -> None:
    screen = ScreenFilter()
    borders = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [screen.feed(data[start:end]) for start, end in pairwise(borders)]
    assert "".join(pieces) + screen.finish() == shown(data)


@given(HOSTILE)
def test_little_is_held_back(data: bytes) -> None:
    screen = ScreenFilter()
    screen.feed(data)
    assert len(screen._held) < 300


def test_the_terminal_is_brought_back_to_how_it_was() -> None:
    screen = ScreenFilter()
    screen.feed(b"\x1b[?1049;2004h\x1b[?25l\x1b[2;9r\x1b[31m\x1b(0\x1b=\x0e\x1b[4h\x1b[?7l")
    undone = screen.finish()
    for sequence in ("?1049l", "?2004l", "?25h", "[r", "[0m", "(B", "\x1b>", "\x0f", "[4l", "?7h"):
        assert sequence in undone
    assert ScreenFilter().finish() == screen.finish() == ""
