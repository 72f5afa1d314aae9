r"""Text that a terminal can be shown without harm, made from any bytes.

A node's console may say anything: sequences that retitle the window, write the clipboard, answer as if typed, move the
cursor over what was said before. What comes out here is printable characters, line feeds, tabs and colours. Everything
else is shown as an escape such as \x1b, except that well-formed cursor and screen sequences (CSI) are left out.
"""

import codecs
import re

_LONGEST_SEQUENCE = 48  # "ESC [ 38;2;255;255;255;48;2;255;255;255 m" is 38 and the longest one sees

# A colour may be anything but concealment (8): text on the screen that cannot be seen.
COLOUR = rf"""
    \x1b\[ (?=[0-9;:]{{0,{_LONGEST_SEQUENCE}}}m)
    (?: (?: [345]8[;:] (?: 5[;:]\d{{1,3}} | 2[;:]\d{{1,3}}[;:]\d{{1,3}}[;:]\d{{1,3}} )
          | (?!0*8[;m]) \d{{0,3}} )
        (?: ; | (?=m) ) )*
    m"""

_TOKEN = re.compile(
    rf"""
    (?P<text>[^\x00-\x1f\x7f-\x9f]+|\t+)
  | (?P<line>\r*\n)
  | (?P<back>\r+)
  | (?P<colour>{COLOUR})
  | (?P<jump>\x1b\[[0-9;]{{0,16}}[Hf])
  | (?P<sequence>\x1b\[[0-?]{{0,{_LONGEST_SEQUENCE}}}[ -/]{{0,2}}[@-~])
  | (?P<control>[\x00-\x1f\x7f-\x9f])
    """,
    re.VERBOSE,
)
_UNFINISHED = re.compile(rf"(?:\r+|\x1b(?:\[[0-?]{{0,{_LONGEST_SEQUENCE}}}[ -/]{{0,2}})?)\Z")
_RESET = "\x1b[0m"
_IS_RESET = re.compile(r"\x1b\[[0;]*m")


class TerminalText:
    """Turns a console's bytes into text that is safe on a terminal, piece by piece.

    The pieces may be cut anywhere; the text is the same. At most about 50 characters are held back for the next piece.
    A carriage return that is not part of a line's end begins a new line, so that nothing is written over.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="backslashreplace")
        self._held = ""
        self._is_coloured = False
        self._at_line_start = True

    def feed(self, data: bytes) -> str:
        """Return what can be shown now."""
        text = self._held + self._decoder.decode(data)
        unfinished = _UNFINISHED.search(text)
        end = unfinished.start() if unfinished else len(text)
        self._held = "\r" if text.endswith("\r") else text[end:]
        return self._shown(text[:end])

    def finish(self) -> str:
        """Return what was held back, and switch colours off."""
        text = self._held + self._decoder.decode(b"", final=True)
        self._held = ""
        shown = self._shown(text)
        if self._is_coloured:
            self._is_coloured = False
            shown += _RESET
        return shown

    def break_line(self) -> str:
        """Like `finish`, and end the line if there is one: for words of our own between the node's."""
        shown = self.finish()
        return shown + self._new_line()

    def _shown(self, text: str) -> str:
        return "".join([self._token(match) for match in _TOKEN.finditer(text)])

    def _token(self, match: re.Match[str]) -> str:
        token = match.group()
        match match.lastgroup:
            case "line":
                self._at_line_start = True
                return "\n"
            case "back" | "jump":
                return self._new_line()
            case "colour":
                self._is_coloured = not _IS_RESET.fullmatch(token)
                return token
            case "sequence":
                return ""
            case _:
                self._at_line_start = False
                return token if token[0] == "\t" else printable(token)

    def _new_line(self) -> str:
        if self._at_line_start:
            return ""
        self._at_line_start = True
        return "\n"


def printable(text: str) -> str:
    """Return `text` with every character that is not printable as a visible escape: for words that others chose."""
    if text.isprintable():
        return text
    return "".join([char if char.isprintable() else _escape(char) for char in text])


def _escape(char: str) -> str:
    code = ord(char)
    if code <= 0xFF:  # noqa: PLR2004 - the widest that \x can say
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - likewise for \u
