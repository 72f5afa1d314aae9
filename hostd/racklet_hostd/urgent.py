"""The nodes whose HATs cannot wait for the next sync of everything."""

import asyncio

_RING_BYTES = 32 << 10  # of a HAT that does not tell
# Of a HAT's ring: what its node says until the acknowledgement is there. At 1,500,000 baud up to 90 ms pass until the
# next look at the port, and 150 ms are left for the disk.
_ROOM_KEPT_BYTES = 36 << 10


def urgent_bytes(ring_bytes: int) -> int:
    """Return how much of what a HAT with such a ring brought may wait for the next sync of everything.

    Few syncs cost less than many, so that is as much as leaves _ROOM_KEPT_BYTES, and a quarter of a small ring.
    """
    ring_bytes = ring_bytes or _RING_BYTES
    return max(ring_bytes // 4, ring_bytes - _ROOM_KEPT_BYTES)


class UrgentNodes:
    """A set of names, with a wake-up for the one who takes them."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._woken: asyncio.Future[None] | None = None

    def add(self, name: str) -> None:
        """Add a node."""
        self._names.add(name)
        self.wake()

    def take(self) -> set[str]:
        """Return those that were added since this was called last."""
        names, self._names = self._names, set()
        return names

    def wake(self) -> None:
        """Let `wait` return."""
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    async def wait(self) -> None:
        """Return when there is a node, or at the next `wake`. One waits at a time."""
        if not self._names:
            self._woken = asyncio.get_running_loop().create_future()
            await self._woken
