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
        lines: without their ends, at most LINE_LIMIT bytes each.
        times: the unix times when bytes came, by the offset of the first of them, in order.
    """

    offset: int
    lines: list[bytes]
    times: list[tuple[int, int]]

    def offset_of(self, index: int) -> int:
        """Return the offset of a line's first byte."""
        return self.offset + index + sum(map(len, self.lines[:index]))

    def time_of(self, offset: int) -> int:
        """Return the unix time when the byte at `offset` came."""
        return self.times[max(0, bisect_right(self.times, offset, key=_offset_of) - 1)][1]

    def line(self, index: int) -> Line:
        """Return one of the lines."""
        offset = self.offset_of(index)
        return Line(offset, self.time_of(offset), self.lines[index])


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
        lines = data.replace(b"\r", b"\n").split(b"\n")
        blocks = list(_cut(Block(start, lines, times)))
        rest = blocks[-1]
        self._held = rest.lines.pop()
        self._offset = rest.offset_of(len(rest.lines))
        self._at_ms = rest.time_of(self._offset)
        return blocks if rest.lines else blocks[:-1]

    def finish(self) -> list[Block]:
        """Return what is held as a line, for no more comes of it."""
        unended = self.unended
        self._held = b""
        return [] if unended is None else [Block(unended.offset, [unended.data], [(unended.offset, unended.at_ms)])]

    @property
    def unended(self) -> Line | None:
        """What there is of the line that has not ended."""
        return Line(self._offset, self._at_ms, self._held) if self._held else None


def _cut(block: Block) -> Iterator[Block]:
    """Yield the lines of `block` with long ones in parts. The last line, which has not ended, is shorter than that."""
    if max(map(len, block.lines)) < LINE_LIMIT:
        yield block
        return
    offset = block.offset
    lines: list[bytes] = []
    for line in block.lines:
        while len(line) >= LINE_LIMIT:
            if lines:
                yield Block(offset, lines, block.times)
                offset += sum(map(len, lines)) + len(lines)
                lines = []
            yield Block(offset, [line[:LINE_LIMIT]], block.times)
            line, offset = line[LINE_LIMIT:], offset + LINE_LIMIT  # noqa: PLW2901 - the rest of it
        lines.append(line)
    yield Block(offset, lines, block.times)
