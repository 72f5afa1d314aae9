"""Wake-ups for any number of waiters, none of which costs the ringer anything."""

import asyncio
from typing import Final, NamedTuple

from racklet_hostd.errors import RackletError

MOMENT_MS: Final = 10


class ShuttingDownError(RackletError):
    """hostd is going, so nothing more will come."""

    def __init__(self) -> None:
        super().__init__("hostd is shutting down")


class Bell:
    """Wakes whoever waits at the moment. It remembers no ring: check, and wait without an await in between.

    `waiters` says how many wait.
    """

    def __init__(self) -> None:
        self.waiters = 0
        self._next_ring = asyncio.Event()
        self._is_closed = False

    def ring(self) -> None:
        """Wake all who wait."""
        if self.waiters:
            self._next_ring.set()
            self._next_ring = asyncio.Event()

    def close(self) -> None:
        """Wake all who wait, and let nobody wait any more."""
        self._is_closed = True
        self._next_ring.set()

    async def wait(self) -> None:
        """Return at the next ring. Raises ShuttingDownError once the bell is closed."""
        self.waiters += 1
        try:
            if not self._is_closed:
                await self._next_ring.wait()
        finally:
            self.waiters -= 1
        if self._is_closed:
            raise ShuttingDownError


class ChangeFeed:
    """Numbers every change of anything in the rack, so that a reader needs to keep only a number."""

    def __init__(self) -> None:
        self.revision = 0
        self.bell = Bell()

    def mark(self) -> int:
        """Count a change, wake who waits for one, and return its revision."""
        self.revision += 1
        self.bell.ring()
        return self.revision


class Moments:
    """Pauses that end together: all that would end within the same MOMENT_MS end at its end.

    One timer and one turn of the event loop serve all who wait so, and what is done for one can serve the others.
    """

    def __init__(self) -> None:
        self._coming: dict[int, _Moment] = {}  # by its number; as many as have somebody waiting
        self._is_closed = False

    @property
    def waiters(self) -> int:
        """How many wait."""
        return sum(moment.bell.waiters for moment in self._coming.values())

    def close(self) -> None:
        """End every pause, and let there be no further one."""
        self._is_closed = True
        for moment in self._coming.values():
            moment.bell.close()

    async def pause(self, span_ms: int) -> None:
        """Return in `span_ms`, or up to MOMENT_MS later. Raises ShuttingDownError once this is closed, at once."""
        if self._is_closed:
            raise ShuttingDownError
        loop = asyncio.get_running_loop()
        number = int((loop.time() * 1000 + span_ms) // MOMENT_MS) + 1
        moment = self._coming.get(number)
        if moment is None:
            timer = loop.call_at(number * MOMENT_MS / 1000, self._begin, number)
            moment = self._coming[number] = _Moment(Bell(), timer)
        try:
            await moment.bell.wait()
        finally:
            if not moment.bell.waiters:  # it has come, or the last one has left before
                moment.timer.cancel()
                self._coming.pop(number, None)

    def _begin(self, number: int) -> None:
        self._coming.pop(number).bell.ring()


class _Moment(NamedTuple):
    bell: Bell
    timer: asyncio.TimerHandle
