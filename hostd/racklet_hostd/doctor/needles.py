"""Texts that a line must hold for a pattern to find it: looking for them in many lines at once costs least."""

import re
from collections.abc import Iterable

_ESCAPED_CLASS = re.compile(r"[A-Za-z0-9]")  # \d, \x41 and their like are no plain characters
# A piece of a pattern: an escaped character, a set, a group with all that is in it, or one character.
_SET = r"\[\^?\]?(?:\\.|[^\]\\])*\]"
_INNER = rf"\\.|{_SET}|[^()\\\[]"
_PIECE = re.compile(rf"\\.|{_SET}|\((?:{_INNER}|\((?:{_INNER})*\))*\)|.", re.DOTALL)
_REPEAT = re.compile(r"\?|\{\d*,?\d*\}")
_FREQUENT = b" 0123456789."  # a third of what a kernel says
_SHORT = 2  # characters; what is as short is found everywhere


class Needles:
    """A set of needles to be looked for in the same texts.

    A text without its frequent characters holds what is left of each of its needles, and is searched in less time.
    """

    def __init__(self, needles: Iterable[bytes]) -> None:
        found = dict.fromkeys(needles)
        self._rests = tuple((rest, needle) for needle in found if len(rest := rare(needle)) > _SHORT)
        self._others = tuple(needle for needle in found if len(rare(needle)) <= _SHORT)

    def found_in(self, text: bytes, rare_text: bytes) -> list[bytes]:
        """Return those that are in `text`, perhaps with some that are not; `rare_text` is what `rare` makes of it."""
        found = [needle for rest, needle in self._rests if rest in rare_text]
        return found + [needle for needle in self._others if needle in text]


def rare(text: bytes) -> bytes:
    """Return `text` without the characters that are frequent on consoles."""
    return text.translate(None, _FREQUENT)


def needle_of(pattern: str) -> bytes:
    """Return the longest plain text that is in everything that `pattern` finds; b"" when none can be told.

    `pattern` is a regular expression without flags, with groups in at most two levels.
    """
    runs = [""]
    position = 0
    while position < len(pattern):
        match = _PIECE.match(pattern, position)
        piece = match.group() if match else pattern[position]
        position += len(piece)
        if piece == "|":
            return b""  # one side needs what the other does not
        char = _plain(piece)
        if repeat := _REPEAT.match(pattern, position):
            position = repeat.end()
            char = ""
        if char:
            runs[-1] += char
        else:
            runs.append("")
    return max(runs, key=len).encode()


def _plain(piece: str) -> str:
    if len(piece) == 1:
        return "" if piece in ".^$" else piece
    if piece[0] == "\\" and not _ESCAPED_CLASS.match(piece[1]):
        return piece[1]
    return ""


def lines_with(text: bytes, needles: Iterable[bytes]) -> set[int]:
    """Return the numbers, from 0, of the lines of `text` that hold one of `needles`. The empty needle is in each."""
    found: set[int] = set()
    for needle in needles:
        position = text.find(needle)
        number = before = 0
        while position >= 0:
            number += text.count(b"\n", before, position)
            found.add(number)
            before = text.find(b"\n", position)
            position = text.find(needle, before + 1) if before >= 0 else -1
            number, before = number + 1, before + 1
    return found
