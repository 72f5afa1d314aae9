"""The sending side of an update: its stream, piece by piece, as far as the HAT has taken it."""

from __future__ import annotations

from racklet.link.v1 import link_pb2
from racklet_link.limits import UPDATE_DATA_MAX

REPEAT_EVERY_MS = 300  # what is not taken; also how often a HAT is asked that has nothing to tell
WINDOW = 3 * UPDATE_DATA_MAX  # on their way at once: less than what a HAT has room for


class UpdateSender:
    """One update on one talk with a HAT. It sends only questions until the HAT has told where it wants to begin."""

    def __init__(self, stream: bytes, now_ms: int) -> None:
        self._stream = stream
        self._taken = -1  # up to here; -1 before the HAT has told
        self._sent = 0
        self._due_ms = now_ms

    @property
    def taken(self) -> int:
        """How much of the stream the HAT has taken."""
        return max(0, self._taken)

    def take(self, progress: link_pb2.UpdateProgress, now_ms: int) -> None:
        """Take what the HAT tells: more may be sent. When it has gone back, what follows is sent again."""
        offset = min(progress.offset, len(self._stream))
        if offset != self._taken:
            self._due_ms = now_ms + REPEAT_EVERY_MS
        if not self._taken <= offset <= self._sent:
            self._sent = offset
        self._taken = offset

    def due(self, now_ms: int) -> list[link_pb2.UpdateData]:
        """Return what to send now: new pieces, or again those that were not taken for too long."""
        if self._due_ms <= now_ms:
            self._due_ms = now_ms + REPEAT_EVERY_MS
            self._sent = self.taken
            if self._taken in {-1, len(self._stream)}:
                return [link_pb2.UpdateData(offset=self._sent)]
        pieces = []
        while self._taken >= 0 and self._sent < min(len(self._stream), self._taken + WINDOW):
            data = self._stream[self._sent : self._sent + UPDATE_DATA_MAX]
            pieces.append(link_pb2.UpdateData(offset=self._sent, data=data))
            self._sent += len(data)
        return pieces
