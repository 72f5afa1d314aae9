"""The daemon: every part made, started, and stopped in the right order."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from racklet_hostd import http_listener
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
from racklet_hostd.syncing import Syncing

log = logging.getLogger(__name__)

CERTIFICATES_S = 2.0  # until a revoked certificate is of no use: a few stats each time


async def run(config: RackletConfig, stop: asyncio.Event, clock: Clock | None = None) -> None:
    """Serve the rack until `stop` is set. Raises StoreError or ListenError when it cannot begin."""
    allow_open_files(len(config.nodes) + FILES_PER_CONNECTION * CONNECTIONS_LIMIT + http_listener.CONNECTIONS_LIMIT)
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
        self.http = HttpServer(self.rack, config.http, self.not_ready, refused.tell_turned_away, access)
        self._config = config
        self._syncing = Syncing(self.rack, store, config.store.sync_period_ms)
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
                syncing = tasks.create_task(self._syncing.run(), name="sync")
                certificates = tasks.create_task(self._tend_certificates(), name="certificates")
                watching = tasks.create_task(self._manager.watch(), name="service manager")
                self._manager.ready(f"{node_count} node{'s'[: node_count != 1]}")
                await stop.wait()
                log.info("hostd is shutting down")
                self._manager.stopping()
                await self.rack.faults.end_all()
                await self._stop_listening()
                self._syncing.end()
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
