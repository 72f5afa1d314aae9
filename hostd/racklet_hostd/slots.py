"""All slots of a rack: ports are found as they come, by udev's word or by looking, and each is served."""

import asyncio
import glob
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from racklet_hostd.hat_session import HatSession
from racklet_hostd.slot import Slot
from racklet_hostd.udev_monitor import UdevMonitor

LOOK_EVERY_S = 1.0  # a HAT shall be served within 2 s of being plugged in, with udev or without
SLOTS_MAX = 1024  # that are found by patterns; more are not served


class Slots:
    """The slots: those of the config for ever, those that a pattern finds while their port is there.

    `new_slot` makes a slot for a port that a pattern has found.
    """

    def __init__(self, configured: list[Slot], patterns: tuple[str, ...], new_slot: Callable[[Path], Slot]) -> None:
        self._configured = configured
        self._patterns = patterns
        self._new_slot = new_slot
        self._found: dict[Path, tuple[Slot, asyncio.Task[None]]] = {}
        self._changed = asyncio.Event()
        self._monitor = UdevMonitor(self.look_now)

    def __iter__(self) -> Iterator[Slot]:
        yield from self._configured
        for slot, _ in self._found.values():
            yield slot

    def of_session(self, session: HatSession) -> Slot | None:
        """Return the slot of a talk."""
        return next((slot for slot in self if slot.session is session), None)

    async def run(self, telemetry_period_ms: int) -> None:
        """Serve every port that is there or comes. Cancelling closes them."""
        async with asyncio.TaskGroup() as tasks:
            for slot in self._configured:
                tasks.create_task(slot.run(telemetry_period_ms), name=slot.name)
            self._monitor.start()
            try:
                while True:
                    self._look(tasks, telemetry_period_ms)
                    with suppress(TimeoutError):
                        async with asyncio.timeout(LOOK_EVERY_S):
                            await self._changed.wait()
            finally:
                self._monitor.stop()

    def look_now(self) -> None:
        """Look at all ports: one came or went."""
        self._changed.set()
        for slot in self._configured:
            slot.wake()

    def _look(self, tasks: asyncio.TaskGroup, telemetry_period_ms: int) -> None:
        self._changed.clear()
        there = {Path(path) for pattern in self._patterns for path in glob.glob(pattern)}  # noqa: PTH207  absolute patterns
        for port in [port for port, (slot, _) in self._found.items() if slot.session is None and port not in there]:
            _, task = self._found.pop(port)
            task.cancel()
        known = {os.path.realpath(slot.port) for slot in self._configured}  # a port has many names
        for port in sorted(there - self._found.keys()):
            if os.path.realpath(port) not in known and len(self._found) < SLOTS_MAX:
                slot = self._new_slot(port)
                self._found[port] = slot, tasks.create_task(slot.run(telemetry_period_ms), name=slot.name)
