"""A console's bytes as lines, however they are cut into chunks."""

from typing import NamedTuple

LINE_LIMIT = 4096  # bytes; what is longer is taken as several lines


class Line(NamedTuple):
    """A line without its end.

    Attributes:
        offset: of its first byte.
        at_ms: unix time when its first byte came.
        data: 1 to LINE_LIMIT bytes.
    """

    offset: int
    at_ms: int
    data: bytes


class LineCutter:
    """Cuts bytes into lines at CR and LF; holds less than LINE_LIMIT bytes of the line that has not ended."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._offset = 0
        self._at_ms = 0

    def feed(self, offset: int, at_ms: int, data: bytes) -> list[Line]:
        """Return the lines that end in `data`, without empty ones. `data` goes on where the last one ended."""
        lines: list[Line] = []
        for part in data.replace(b"\r", b"\n").splitlines(keepends=True):
            if not self._held:
                self._offset, self._at_ms = offset, at_ms
            offset += len(part)
            self._held += part.rstrip(b"\n")
            if len(self._held) >= LINE_LIMIT:
                lines += self._cut_long(at_ms)
            if part.endswith(b"\n"):
                lines += self.finish()
        return lines

    def finish(self) -> list[Line]:
        """Return what is held as a line, for no more comes of it."""
        unended = self.unended
        self._held.clear()
        return [] if unended is None else [unended]

    @property
    def unended(self) -> Line | None:
        """What there is of the line that has not ended."""
        return Line(self._offset, self._at_ms, bytes(self._held)) if self._held else None

    def _cut_long(self, at_ms: int) -> list[Line]:
        lines: list[Line] = []
        while len(self._held) >= LINE_LIMIT:
            lines.append(Line(self._offset, self._at_ms, bytes(self._held[:LINE_LIMIT])))
            del self._held[:LINE_LIMIT]
            self._offset += LINE_LIMIT
            self._at_ms = at_ms
        return lines
