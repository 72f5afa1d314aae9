"""What a console showed last, for a person."""

import codecs
import re

TAIL_BYTES = 2048  # of a console's output; enough for a line of LENGTH characters among escape sequences
LENGTH = 200

_ESCAPES = re.compile(
    r"""
    (?:\x1b\[ | \x9b) [0-?]* [ -/]* (?:[@-~]|$)          # CSI: colours, the cursor
  | \x1b [\]PX^_] [^\x07\x1b]* (?:\x07 | \x1b\\ | $)     # OSC and its like: a string up to its end
  | \x1b [ -/]* [0-~]?                                   # the others: two characters
    """,
    re.VERBOSE,
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufffd]")


class ConsoleTail:
    """The last TAIL_BYTES of a console's output."""

    def __init__(self, data: bytes = b"") -> None:
        self._tail = data[-TAIL_BYTES:]
        self._line: str | None = None

    def feed(self, data: bytes) -> None:
        """Take what the console showed."""
        self._tail = data[-TAIL_BYTES:] if len(data) >= TAIL_BYTES else (self._tail + data)[-TAIL_BYTES:]
        self._line = None

    @property
    def last_line(self) -> str:
        """The last line that is not blank, without escapes and control characters, at most 200 characters."""
        if self._line is None:
            self._line = _last_line(self._tail)
        return self._line


def _last_line(tail: bytes) -> str:
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")  # a character cut off at the end is left out
    text = _ESCAPES.sub("", decoder.decode(tail))
    for part in reversed(re.split(r"[\r\n]", text)):  # a carriage return alone writes the line anew
        line = _CONTROLS.sub("", part).expandtabs(1).strip()
        if line:
            return line[:LENGTH]
    return ""
