"""What came is made durable and then acknowledged: of all nodes once in a period, of those that are urgent at once."""

import asyncio
import logging
from functools import partial

from racklet_hostd.disk_thread import DiskThread
from racklet_hostd.rack import Rack
from racklet_hostd.serial_port import SOON_MS
from racklet_hostd.store import Store

log = logging.getLogger(__name__)

# Syncs, so every ten seconds a quiet rack writes its energy counters: they wear out an SD card less, and are published
# when they are on it, so that they never go back.
IDLE_EVERY = 10
# An urgent sync so late in the period takes everything along, and the period begins anew: that is one sync less.
_LATE_IN_PERIOD = 0.75


class Syncing:
    """Syncs the store of a rack, in a thread, and has the HATs told.

    The syncs of everything have their moments when ports are looked at as well: what the nodes said until then is
    stored together.
    """

    def __init__(self, rack: Rack, store: Store, period_ms: int) -> None:
        self._rack = rack
        self._store = store
        self._urgent = rack.urgent
        self._period_s = period_ms / 1000
        self._turns = 0
        self._upkeep_problem = ""
        self._late_s = 0.0
        self._is_due = False
        self._is_over = False

    def end(self) -> None:
        """Sync a last time; then `run` returns."""
        self._is_over = True
        self._urgent.wake()

    async def run(self) -> None:
        """Sync until the end."""
        loop = asyncio.get_running_loop()
        with DiskThread("sync") as disk:
            while True:
                is_last = self._is_over
                now_s = loop.time()
                self._late_s = now_s + _LATE_IN_PERIOD * self._period_s
                await self._sync_all(disk, is_last=is_last)
                if is_last:
                    return
                timer = loop.call_at(next_sync_s(now_s, self._period_s, loop.time()), self._be_due)
                while not self._is_due and not self._is_over:
                    await self._sync_urgent(disk)
                timer.cancel()

    def _be_due(self) -> None:
        self._is_due = True
        self._urgent.wake()

    async def _sync_urgent(self, disk: DiskThread) -> None:
        """Wait for nodes that are urgent, and sync what is new of them; or for the next turn."""
        await self._urgent.wait()
        names = self._urgent.take()
        if names and asyncio.get_running_loop().time() >= self._late_s:
            self._is_due = True
        elif names:
            self._rack.prepare_sync(names)
            self._rack.take_sync(await disk.call(partial(self._store.sync, names=names)), names)

    async def _sync_all(self, disk: DiskThread, *, is_last: bool) -> None:
        """Sync everything; then do what can wait."""
        self._is_due = False
        self._rack.prepare_sync()
        self._urgent.take()  # those whose last bytes came by that are among them
        idle_too = is_last or self._turns % IDLE_EVERY == 0
        self._turns += 1
        synced = disk.call(partial(self._store.sync, idle_too=idle_too))
        # Handed over at once, so that the thread wakes once for both.
        tended = None if is_last else disk.call(partial(self._store.tend, self._rack.clock.unix_ms()))
        self._rack.take_sync(await synced)
        if tended is not None:
            self._tell_of_upkeep(await tended)

    def _tell_of_upkeep(self, problem: str) -> None:
        """Log what did not succeed, once for as long as it stays the same."""
        if problem != self._upkeep_problem:
            level = logging.WARNING if problem else logging.INFO
            log.log(level, "upkeep of the state folder", extra={"problem": problem or "none any more"})
            self._upkeep_problem = problem


def next_sync_s(last_s: float, period_s: float, now_s: float) -> float:
    """Return when to sync everything again: at the last look at the ports before a period has passed."""
    due_s = last_s + period_s
    if due_s <= now_s:  # the disk took so long
        due_s = now_s + period_s
    look_s = SOON_MS / 1000
    return due_s // look_s * look_s if period_s >= 2 * look_s else due_s
