r"""A console's bytes for a terminal that a person works on: editors and menus draw, and nothing else is done to it.

What passes is an allow-list: printable characters, the plain controls, colours, the cursor, erasing, scrolling, the
other screen. What would retitle a window, write the clipboard, print, resize, or make the terminal answer as if
somebody typed, is left out where it is well formed, and else shown as \x1b and the like. So are the 8-bit controls.
"""

import codecs
import re

from racklet_hostd.cli.terminal_text import COLOUR, printable

_LONGEST_STRING = 256  # of a title or the like that is left out; a longer one is shown
_NUMBERS = r"\d{0,4}(?:[;:]\d{0,4}){0,15}"
_STRING = rf"[\]PX^_][^\x00-\x1f\x7f-\x9f]{{0,{_LONGEST_STRING}}}"
_CONTROL = r"\[[0-?]{0,48}[ -/]{0,2}"

_TOKEN = re.compile(
    rf"""
    (?P<text>[^\x00-\x1f\x7f-\x9f]+)
  | (?P<plain>[\x07-\x0d]+)
  | (?P<shift>[\x0e\x0f])
  | (?P<colour>{COLOUR})
  | (?P<move>\x1b\[{_NUMBERS}[@A-IK-MPSTXZ`abdefgsu])
  | (?P<erase>\x1b\[[0-2]?J)
  | (?P<region>\x1b\[{_NUMBERS}r)
  | (?P<mode>\x1b\[(?P<private>\??)(?P<modes>\d{{1,4}}(?:;\d{{1,4}}){{0,7}})(?P<switch>[hl]))
  | (?P<charset>\x1b[()][0AB])
  | (?P<keypad>\x1b[=>])
  | (?P<short>\x1b[78DEHM])
  | (?P<left_out>\x00 | \x1b{_CONTROL}[@-~] | \x1b{_STRING}(?:\x07|\x1b\\) | \x1bc)
  | (?P<control>[\x00-\x1f\x7f-\x9f])
    """,
    re.VERBOSE,
)
_UNFINISHED = re.compile(rf"\x1b(?:{_CONTROL}|[()]|{_STRING}\x1b?)?\Z")
_RESET = re.compile(r"\x1b\[[0;]*m")
# What may be switched: the mode, and whether it is on by itself.
_MODES = {
    "?1": False,  # cursor keys as applications want them
    "?6": False,  # lines counted from the scrolling region
    "?7": True,  # lines wrapped
    "?12": False,  # a blinking cursor
    "?25": True,  # a cursor at all
    "?47": False,  # the other screen, and three more ways to say it
    "?1047": False,
    "?1048": False,
    "?1049": False,
    "?2004": False,  # pastes in brackets
    "4": False,  # characters inserted
}


class ScreenFilter:
    """Makes what a console sent safe for a terminal, piece by piece; the pieces may be cut anywhere.

    At most about 260 characters are held back for the next piece.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="backslashreplace")
        self._held = ""
        self._undo: dict[str, str] = {}

    def feed(self, data: bytes) -> str:
        """Return what can be shown now."""
        text = self._held + self._decoder.decode(data)
        unfinished = _UNFINISHED.search(text)
        end = unfinished.start() if unfinished else len(text)
        self._held = text[end:]
        return self._shown(text[:end])

    def finish(self) -> str:
        """Return what was held back, and what brings the terminal back to how it was."""
        text = self._held + self._decoder.decode(b"", final=True)
        self._held = ""
        undo, self._undo = self._undo, {}
        return printable(text) + "".join(undo.values())

    def _shown(self, text: str) -> str:
        return "".join([self._token(match) for match in _TOKEN.finditer(text)])

    def _token(self, match: re.Match[str]) -> str:
        token = match.group()
        match match.lastgroup:
            case "plain" | "move" | "erase" | "short":
                return token
            case "text" | "control":
                return printable(token)
            case "mode" | "switch":
                return self._switched(match, token)
            case "left_out" | None:
                return ""
            case kind:
                return self._noted(kind, token)

    def _noted(self, kind: str, token: str) -> str:
        """Note how to undo what passes here."""
        undo = {"colour": "\x1b[0m", "region": "\x1b[r", "charset": "\x1b(B", "shift": "\x0f", "keypad": "\x1b>"}[kind]
        is_back = token == undo or (kind == "colour" and _RESET.fullmatch(token))
        if is_back:
            self._undo.pop(kind, None)
        else:
            self._undo[kind] = undo
        return token

    def _switched(self, match: re.Match[str], token: str) -> str:
        modes = [match["private"] + mode for mode in match["modes"].split(";")]
        if not all(mode in _MODES for mode in modes):
            return ""
        is_on = match["switch"] == "h"
        for mode in modes:
            if is_on is _MODES[mode]:
                self._undo.pop(mode, None)
            else:
                self._undo[mode] = f"\x1b[{mode}{'l' if is_on else 'h'}"
        return token
