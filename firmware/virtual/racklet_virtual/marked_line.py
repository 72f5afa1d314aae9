"""A serial line with marks between its bytes: each comes out when what was put before it has left. Pure."""

from __future__ import annotations

from collections import deque

from racklet_virtual.serial_line import SerialLine

_MAX_MARKS = 1024  # that wait at once; more are as one with the last


class MarkedLine:
    """Bytes put in come out after their time on the wire, and marks in their places. At most `capacity` bytes wait."""

    def __init__(self, baud: int, capacity: int) -> None:
        self._line = SerialLine(baud, capacity)
        self._put_bytes = self._left_bytes = 0
        self._marks: deque[int] = deque()  # put_bytes at each

    @property
    def free_us(self) -> int | None:
        """When the last byte that waits will have left; None when none waits."""
        return self._line.free_us if self._line.busy else None

    def put(self, data: bytes, at_us: int) -> None:
        """Queue bytes. What the capacity refuses is lost."""
        self._put_bytes += self._line.put(data, at_us)

    def mark(self) -> None:
        """Mark the place after what was put."""
        if len(self._marks) < _MAX_MARKS:
            self._marks.append(self._put_bytes)

    def advance(self, at_us: int) -> list[bytes]:
        """Return the bytes that left since the last call, in pieces: between each and the next is a mark."""
        data = self._line.advance(at_us)
        pieces = []
        while self._marks and self._left_bytes + len(data) >= self._marks[0]:
            length = self._marks.popleft() - self._left_bytes
            self._left_bytes += length
            pieces.append(data[:length])
            data = data[length:]
        self._left_bytes += len(data)
        return [*pieces, data]

    def delay(self, by_us: int) -> None:
        """Hold the line still for a while."""
        self._line.delay(by_us)

    def drop(self) -> None:
        """Forget what waits, and the marks in it."""
        self._line.drop()
        self._marks.clear()
        self._left_bytes = self._put_bytes
