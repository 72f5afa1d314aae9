"""Texts that a line must hold for a pattern to find it: looking for them all at once, in many lines, costs least."""

import re
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import re2  # type: ignore[import-untyped]

_ESCAPED_CLASS = re.compile(r"[A-Za-z0-9]")  # \d, \x41 and their like are no plain characters
# A piece of a pattern: an escaped character, a set, a group with all that is in it, or one character.
_SET = r"\[\^?\]?(?:\\.|[^\]\\])*\]"
_INNER = rf"\\.|{_SET}|[^()\\\[]"
_PIECE = re.compile(rf"\\.|{_SET}|\((?:{_INNER}|\((?:{_INNER})*\))*\)|.", re.DOTALL)
_REPEAT = re.compile(r"\?|\{\d*,?\d*\}")


class Needles:
    """A set of needles to be looked for in the same texts."""

    def __init__(self, needles: Iterable[bytes]) -> None:
        self._needles = tuple(dict.fromkeys(needles))

    def __or__(self, other: "Needles") -> "Needles":
        """Return the needles of both."""
        return Needles((*self._needles, *other._needles))

    def found_in(self, text: bytes) -> list[bytes]:
        """Return those that are in `text`. When there are none, which is the rule, it costs one pass over the text."""
        return [needle for needle in self._needles if needle in text] if self._any.search(text) else []

    @cached_property
    def _any(self) -> Any:  # noqa: ANN401  what the library makes
        """What finds any of them, in time that is linear in the text and does not grow with their number."""
        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1
        options.never_capture = True
        return re2.compile(b"|".join(re2.escape(needle) for needle in self._needles), options)


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
