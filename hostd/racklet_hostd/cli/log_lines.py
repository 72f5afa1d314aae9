"""The lines of a boot log, whose pieces are cut anywhere."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from racklet_hostd.cli import units

LONGEST_LINE = 65_536  # bytes, with the line's end; a longer line is taken for several
_PART = re.compile(rb"[^\n]*\n|[^\n]+")


class LineStamper:
    """Puts before each line the local time when its first byte came.

    Nothing is held back, since a prompt has no line's end. Carriage returns at a line's begin are left out: they would
    lead the cursor back over the time.
    """

    def __init__(self) -> None:
        self._is_open = False
        self._first_ms: int | None = None

    def feed(self, data: bytes, at_ms: int) -> bytes:
        """Return the bytes of a piece that came at `at_ms`, with the times."""
        return b"".join([self._part(part, at_ms) for part in _PART.findall(data)])

    def break_line(self) -> bytes:
        """Return what ends the line, if there is one; the next byte begins another."""
        end = b"\n" if self._is_open else b""
        self._is_open, self._first_ms = False, None
        return end

    def _part(self, part: bytes, at_ms: int) -> bytes:
        if not self._is_open:
            self._first_ms = at_ms if self._first_ms is None else self._first_ms
            part = part.lstrip(b"\r")
            if not part:
                return b""
            part = stamp(self._first_ms).encode() + part
            self._first_ms = None
        self._is_open = not part.endswith(b"\n")
        return part


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line with its end, if it has one; `offset` and `at_ms` are those of its first byte."""

    offset: int
    at_ms: int
    data: bytes


class LineSplitter:
    """Makes whole lines of a boot's pieces; holds back less than LONGEST_LINE bytes."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._offset = 0
        self._at_ms = 0

    def feed(self, data: bytes, offset: int, at_ms: int) -> Iterator[LogLine]:
        """Yield the lines that a piece ends."""
        position = 0
        while position < len(data):
            if not self._held:
                self._offset, self._at_ms = offset + position, at_ms
            room = LONGEST_LINE - len(self._held)
            newline = data.find(b"\n", position, position + room)
            end = position + room if newline < 0 else newline + 1
            self._held += data[position:end]
            position = end
            if newline >= 0 or len(self._held) == LONGEST_LINE:
                yield from self.finish()

    def finish(self) -> Iterator[LogLine]:
        """Yield the line that was begun, if there is one: it does not go on."""
        if self._held:
            line = LogLine(self._offset, self._at_ms, bytes(self._held))
            self._held.clear()
            yield line


def stamp(unix_ms: int) -> str:
    """Return what stands before a line that came then."""
    return f"{units.local_time_ms(unix_ms)}  "
