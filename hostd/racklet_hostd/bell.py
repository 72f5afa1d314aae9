"""Wake-ups for any number of waiters, none of which costs the ringer anything."""

import asyncio

from racklet_hostd.errors import RackletError


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
