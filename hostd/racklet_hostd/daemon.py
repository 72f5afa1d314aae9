"""The daemon: every part made, started, and stopped in the right order."""

import asyncio
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress

from racklet_hostd.api.server import ApiServer
from racklet_hostd.clock import Clock, SystemClock
from racklet_hostd.config import RackletConfig
from racklet_hostd.http import HttpServer
from racklet_hostd.rack import Rack
from racklet_hostd.store import Store, StoreLimits

log = logging.getLogger(__name__)


async def run(config: RackletConfig, stop: asyncio.Event, clock: Clock | None = None) -> None:
    """Serve the rack until `stop` is set. Raises StoreError or ListenError when it cannot begin."""
    limits = StoreLimits(
        log_bytes_per_node=config.retention.log_bytes_per_node,
        boots_per_node=config.retention.boots_per_node,
        events=config.retention.events,
        audit_bytes=config.retention.audit_bytes,
    )
    store = Store.open(config.state.folder, limits)
    try:
        await Daemon(config, store, clock or SystemClock()).run(stop)
    finally:
        store.close()


class Daemon:
    """The parts of hostd over an open store."""

    def __init__(self, config: RackletConfig, store: Store, clock: Clock) -> None:
        self.rack = Rack(config, store, clock)
        self.api = ApiServer(self.rack, config.grpc)
        self.http = HttpServer(self.rack, config.http.address, self.not_ready)
        self._store = store
        self._config = config
        self._is_over = False

    def not_ready(self) -> str:
        """Return why hostd cannot do its work; "" when it can."""
        if not self.api.is_listening:
            return "the gRPC API is not listening"
        if self.rack.sync_problem:
            return f"the disk does not take everything: {self.rack.sync_problem}"
        if self.rack.audit.problem:
            return self.rack.audit.problem
        return ""

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set. Raises ListenError.

        At the end callers are let go first; then what came is stored and acknowledged; then the ports are closed.
        """
        async with self._listening():
            level = logging.INFO if self.rack.nodes else logging.WARNING  # nobody wants a rack without nodes
            log.log(level, "hostd is up", extra={"version": self.rack.version, "nodes": len(self.rack.nodes)})
            async with asyncio.TaskGroup() as tasks:
                period_ms = self._config.telemetry.period_ms
                nodes = [tasks.create_task(node.run(period_ms), name=node.name) for node in self.rack.nodes]
                policies = tasks.create_task(self.rack.run_policies(), name="policies")
                syncing = tasks.create_task(self._sync(), name="sync")
                await stop.wait()
                log.info("hostd is shutting down")
                await self.rack.faults.end_all()
                await self._stop_listening()
                self._is_over = True
                self.rack.sync_wanted.set()
                await syncing
                for task in (policies, *nodes):
                    task.cancel()

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        try:
            await self.api.start()
            await self.http.start()
            yield
        finally:
            await self._stop_listening()

    async def _stop_listening(self) -> None:
        self.rack.close()
        await self.api.stop()
        await self.http.stop()

    async def _sync(self) -> None:
        """Store what came and acknowledge it, every period, sooner when a HAT needs it, and a last time at the end."""
        loop = asyncio.get_running_loop()
        wanted = self.rack.sync_wanted
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="sync") as disk:
            while True:
                is_last = self._is_over
                wanted.clear()
                self.rack.prepare_sync()
                self.rack.take_sync(await loop.run_in_executor(disk, self._store.sync))
                if is_last:
                    return
                await _wait(wanted, self._config.store.sync_period_ms)


async def _wait(event: asyncio.Event, timeout_ms: int) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_ms / 1000):
            await event.wait()
