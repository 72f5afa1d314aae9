"""The nodes whose HATs cannot wait for the next sync of everything."""

import asyncio


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
