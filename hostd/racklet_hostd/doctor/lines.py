"""A console's bytes as lines, however they are cut into chunks."""

from bisect import bisect_right
from collections.abc import Iterator
from operator import itemgetter
from typing import NamedTuple

LINE_LIMIT = 4096  # bytes; what is longer is taken as several lines

_offset_of = itemgetter(0)


class Line(NamedTuple):
    """A line without its end.

    Attributes:
        offset: of its first byte.
        at_ms: unix time when its first byte came.
        data: at most LINE_LIMIT bytes.
    """

    offset: int
    at_ms: int
    data: bytes


class Block(NamedTuple):
    """Lines that came together; one byte lies between each and the next. Empty ones are among them.

    Attributes:
        offset: of the first byte.
        text: the lines with LF between them, at most LINE_LIMIT bytes each.
        times: the unix times when bytes came, by the offset of the first of them, in order.
    """

    offset: int
    text: bytes
    times: list[tuple[int, int]]

    @property
    def lines(self) -> list[bytes]:
        """The lines, without their ends."""
        return self.text.split(b"\n")

    def line(self, index: int) -> Line:
        """Return one of the lines."""
        lines = self.lines
        offset = self.offset + index + sum(map(len, lines[:index]))
        return Line(offset, _time_of(offset, self.times), lines[index])


class LineCutter:
    """Cuts bytes into lines at CR and LF; holds less than LINE_LIMIT bytes of the line that has not ended."""

    def __init__(self) -> None:
        self._held = b""
        self._offset = 0
        self._at_ms = 0

    def feed(self, data: bytes, times: list[tuple[int, int]]) -> list[Block]:
        """Return the lines that end in `data`, which goes on where the last one ended.

        `times` tells when which bytes came, as in a Block; the first is that of the first byte.
        """
        start = times[0][0] - len(self._held)
        if self._held:
            times = [(start, self._at_ms), *times]
            data = self._held + data
        text = data.replace(b"\r", b"\n")
        blocks: list[Block] = []
        begin = 0
        for cut in _cuts(text):
            if begin < cut:
                blocks.append(Block(start + begin, text[begin : cut - 1], times))
            begin = cut + LINE_LIMIT
            blocks.append(Block(start + cut, text[cut:begin], times))
        end = text.rfind(b"\n", begin)
        if end >= 0:
            blocks.append(Block(start + begin, text[begin:end], times))
            begin = end + 1
        self._held = text[begin:]
        self._offset = start + begin
        self._at_ms = _time_of(self._offset, times)
        return blocks

    def finish(self) -> list[Block]:
        """Return what is held as a line, for no more comes of it."""
        unended = self.unended
        self._held = b""
        return [] if unended is None else [Block(unended.offset, unended.data, [(unended.offset, unended.at_ms)])]

    @property
    def unended(self) -> Line | None:
        """What there is of the line that has not ended."""
        return Line(self._offset, self._at_ms, self._held) if self._held else None


def _cuts(text: bytes) -> Iterator[int]:
    """Yield where LINE_LIMIT bytes begin that are cut off as a line, since no line ends in them."""
    place = 0
    while len(text) - place >= LINE_LIMIT:
        end = text.rfind(b"\n", place, place + LINE_LIMIT)
        if end < 0:
            yield place
            place += LINE_LIMIT
        else:
            place = end + 1


def _time_of(offset: int, times: list[tuple[int, int]]) -> int:
    """Return the unix time when the byte at `offset` came."""
    return times[max(0, bisect_right(times, offset, key=_offset_of) - 1)][1]
