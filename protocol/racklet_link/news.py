"""What hostd's end of a link has to tell, with console bytes that came together put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from racklet_link.events import LogData

if TYPE_CHECKING:
    from collections.abc import Iterable

    from racklet_link.events import Damage, LinkEvent

TOLD_TOGETHER_MS = 48  # any byte of a LogData can be given a time within 50 ms
RECORD_MS = 40  # a HAT puts the bytes of so long into a record, at most
TOLD_TOGETHER_BYTES = 8192  # at 1,500,000 baud those of TOLD_TOGETHER_MS are fewer


class LinkNews:
    """News in their order. Log data is told in few pieces: each costs hostd as much as many bytes do.

    Data is without a seam unless something else stands between. A piece has at most TOLD_TOGETHER_BYTES, and the bytes
    of TOLD_TOGETHER_MS. Damage stays at its byte.
    """

    def __init__(self) -> None:
        self._told: list[LinkEvent] = []
        self._parts: list[bytes] = []  # of the piece that may go on, which the rest here is about
        self._boot = self._offset = self._size = 0
        self._first_ms = self._last_ms = self._latest_ms = 0
        self._damage: Damage | None = None

    def tell(self, events: Iterable[LinkEvent]) -> None:
        """Tell these next."""
        for event in events:
            if isinstance(event, LogData):
                self.tell_data(*event)
            else:
                self._end_data()
                self._told.append(event)

    def tell_data(self, boot: int, offset: int, at_ms: int, data: bytes, damage: Damage | None) -> None:
        """Tell what makes up a LogData next."""
        while not (
            self._first_ms <= at_ms <= self._latest_ms
            and damage is None
            and boot == self._boot
            and self._size + len(data) <= TOLD_TOGETHER_BYTES
            and self._parts
        ):
            if not self._parts:
                self._boot, self._offset, self._size, self._damage = boot, offset, 0, damage
                self._begin(at_ms)
                break
            self._end_piece(at_ms if boot == self._boot else None)
        self._parts.append(data)
        self._size += len(data)
        self._last_ms = at_ms

    def take(self) -> list[LinkEvent]:
        """Return what was told since this was called last."""
        self._end_data()
        told, self._told = self._told, []
        return told

    def _end_data(self) -> None:
        while self._parts:
            self._end_piece(None)

    def _end_piece(self, next_ms: int | None) -> None:
        """End the piece. If the bytes of its last part may have come too late for it, they begin another.

        They came within RECORD_MS; and before `next_ms`, the time of those that follow in the same boot.
        """
        end_ms = self._last_ms + RECORD_MS
        if next_ms is not None:
            end_ms = min(end_ms, max(next_ms, self._last_ms))
        late = [self._parts.pop()] if end_ms > self._latest_ms and len(self._parts) > 1 else []
        data = b"".join(self._parts)
        self._told.append(LogData(self._boot, self._offset, self._first_ms, data, self._damage))
        self._offset += len(data)
        self._parts, self._size, self._damage = late, sum(map(len, late)), None
        self._begin(self._last_ms)

    def _begin(self, at_ms: int) -> None:
        self._first_ms, self._latest_ms = at_ms, at_ms + TOLD_TOGETHER_MS
