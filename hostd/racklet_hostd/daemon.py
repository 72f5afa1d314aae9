"""The daemon: every part made, started, and stopped in the right order."""

import asyncio
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import count

from racklet_hostd.access import AccessRules
from racklet_hostd.api.refused import RefusedCalls
from racklet_hostd.api.server import ApiServer
from racklet_hostd.clock import Clock, SystemClock
from racklet_hostd.config import RackletConfig
from racklet_hostd.door.door import CONNECTIONS_LIMIT, FILES_PER_CONNECTION
from racklet_hostd.http import HttpServer
from racklet_hostd.http_access import HttpAccess
from racklet_hostd.open_files import allow_open_files
from racklet_hostd.rack import Rack
from racklet_hostd.server_tls import ServerTls, TlsFiles
from racklet_hostd.service_manager import ServiceManager
from racklet_hostd.store import Store, StoreLimits

log = logging.getLogger(__name__)

# Syncs, so every ten seconds a quiet rack writes its energy counters: they wear out an SD card less, and are published
# when they are on it, so that they never go back.
IDLE_EVERY = 10
CERTIFICATES_S = 2.0  # until a revoked certificate is of no use: a few stats each time


async def run(config: RackletConfig, stop: asyncio.Event, clock: Clock | None = None) -> None:
    """Serve the rack until `stop` is set. Raises StoreError or ListenError when it cannot begin."""
    allow_open_files(len(config.nodes) + FILES_PER_CONNECTION * CONNECTIONS_LIMIT)
    limits = StoreLimits(
        log_bytes_per_node=config.retention.log_bytes_per_node,
        boots_per_node=config.retention.boots_per_node,
        log_days=config.retention.log_days,
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
        rules = AccessRules(config.access)
        files = TlsFiles.of_config(config.tls)
        self._tls = ServerTls(files, rules) if files else None
        if self._tls is not None:
            self._tls.tend(clock.unix_ms())  # one that ended while hostd was away is renewed before anybody comes
        refused = RefusedCalls(self.rack.audit, clock)
        self.api = ApiServer(self.rack, config, rules, self._tls, refused)
        token_file = config.http.token_file or (config.tls.folder / "tokens" if config.tls.folder else None)
        access = HttpAccess(self._tls, token_file, clock.unix_ms, refused.tell_turned_away) if self._tls else None
        self.http = HttpServer(self.rack, config.http, self.not_ready, access)
        self._store = store
        self._config = config
        self._upkeep_problem = ""
        self._is_over = False
        self._manager = ServiceManager()

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
                slots = tasks.create_task(self.rack.slots.run(period_ms), name="slots")
                node_count = len(self.rack.nodes)
                policies = tasks.create_task(self.rack.run_policies(), name="policies")
                syncing = tasks.create_task(self._sync(), name="sync")
                certificates = tasks.create_task(self._tend_certificates(), name="certificates")
                watching = tasks.create_task(self._manager.watch(), name="service manager")
                self._manager.ready(f"{node_count} node{'s'[: node_count != 1]}")
                await stop.wait()
                log.info("hostd is shutting down")
                self._manager.stopping()
                await self.rack.faults.end_all()
                await self._stop_listening()
                self._is_over = True
                self.rack.sync_wanted.set()
                await syncing
                for task in (policies, certificates, watching, slots):
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

    async def _tend_certificates(self) -> None:
        """Take up what changes about certificates, every CERTIFICATES_S; end at once without TLS."""
        while self._tls is not None:
            await asyncio.sleep(CERTIFICATES_S)
            self._tls.tend(self.rack.clock.unix_ms())
            self.api.cut_the_unwanted()

    async def _sync(self) -> None:
        """Store what came and acknowledge it, every period, sooner when a HAT needs it, and a last time at the end.

        What can wait is done once in a period.
        """
        loop, clock, period_ms = asyncio.get_running_loop(), self.rack.clock, self._config.store.sync_period_ms
        wanted = self.rack.sync_wanted
        tended_ms = clock.monotonic_ms()
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="sync") as disk:
            for turn in count():
                is_last = self._is_over
                wanted.clear()
                self.rack.prepare_sync()
                begin_ms = clock.monotonic_ms()
                sync = partial(self._store.sync, idle_too=is_last or turn % IDLE_EVERY == 0)
                self.rack.take_sync(await loop.run_in_executor(disk, sync))
                if is_last:
                    return
                if begin_ms - tended_ms >= period_ms:
                    tended_ms = begin_ms
                    self._tell_of_upkeep(await loop.run_in_executor(disk, self._store.tend, clock.unix_ms()))
                await _wait(wanted, max(0, period_ms - max(0, clock.monotonic_ms() - begin_ms)))

    def _tell_of_upkeep(self, problem: str) -> None:
        """Log what did not succeed, once for as long as it stays the same."""
        if problem != self._upkeep_problem:
            level = logging.WARNING if problem else logging.INFO
            log.log(level, "upkeep of the state folder", extra={"problem": problem or "none any more"})
            self._upkeep_problem = problem


async def _wait(event: asyncio.Event, timeout_ms: int) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_ms / 1000):
            await event.wait()
