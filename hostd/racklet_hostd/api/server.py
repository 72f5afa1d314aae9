"""Where the API listens, and what comes with it: reflection, health, limits."""

import asyncio
import logging
import os
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc  # type: ignore[import-untyped]

from racklet.v1 import rack_pb2, rack_pb2_grpc
from racklet_hostd.access import AccessRules
from racklet_hostd.api.audit import recorded
from racklet_hostd.api.gate import Gate
from racklet_hostd.api.methods import Handler, Methods
from racklet_hostd.api.refused import RefusedCalls
from racklet_hostd.api.request_ids import RequestIds
from racklet_hostd.api.service import RackService
from racklet_hostd.config import RackletConfig
from racklet_hostd.config_values import Address
from racklet_hostd.door.clients import ClientLimits, Clients, Identity
from racklet_hostd.door.door import Door
from racklet_hostd.door.receiving import PlainWay, TlsWay, UnixWay
from racklet_hostd.listening import ListenError, why
from racklet_hostd.rack import Rack
from racklet_hostd.role import Role
from racklet_hostd.server_tls import ServerTls

log = logging.getLogger(__name__)

SERVICE = rack_pb2.DESCRIPTOR.services_by_name["Rack"].full_name
STOP_GRACE_S = 1.0
REMEMBERED_ENTRIES = 2000  # of the audit log; a call has two
CALLS_LIMIT = 2000  # at once, streams included; the next gets RESOURCE_EXHAUSTED
STREAMS_LIMIT = 200  # at once over one connection; the next one waits
REQUEST_BYTES = 256 << 10  # a WatchNodes with a thousand names is 70 kB
_FOR_ALL, _FOR_OWNER = 0o666, 0o600

_OPTIONS = (
    ("grpc.max_concurrent_streams", STREAMS_LIMIT),
    ("grpc.max_receive_message_length", REQUEST_BYTES),
    ("grpc.max_metadata_size", 16 << 10),
    ("grpc.keepalive_time_ms", 30_000),  # a caller that died without a word is let go within 40 s
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),  # of the ping that the keepalive sends; without, it is a minute
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),  # callers may watch over us likewise
    ("grpc.keepalive_permit_without_calls", 1),
)


class ApiServer:
    """The gRPC server behind the door. `plain_port` and `tcp_port` say where it listens, also when the system chose."""

    def __init__(
        self, rack: Rack, config: RackletConfig, rules: AccessRules, tls: ServerTls | None, refused: RefusedCalls
    ) -> None:
        self.is_listening = False
        self.plain_port: int | None = None
        self._config = config.grpc
        self._rules = rules
        self._tls = tls
        self._clock = rack.clock
        self.tcp_port: int | None = None
        self._audit = rack.audit
        self._request_ids = RequestIds(rack.clock)
        self._inner = _Inner(config.state.folder / "grpc")
        access = config.access
        clients = Clients(
            ClientLimits(access.connections_per_client, access.calls_per_client, access.changes_per_second)
        )
        self.door = Door(clients, access.handshake_s, refused.tell_turned_away)
        gate = Gate(self.door, clients, rack.clock, refused)

        def guarded(path: str, handler: Handler) -> Handler:
            return gate.guard(path, recorded(rack, path, handler))

        self._health = health.aio.HealthServicer()
        names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
        methods: Any = Methods(guarded)  # as much of a server as generated code takes
        rack_pb2_grpc.add_RackServicer_to_server(RackService(rack, self._request_ids), methods)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, methods)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(reflection.aio.ReflectionServicer(names), methods)
        self._server = grpc.aio.server(handlers=[methods], options=_OPTIONS, maximum_concurrent_rpcs=CALLS_LIMIT)

    async def start(self) -> None:
        """Listen. Raises ListenError."""
        await self._remember_requests()
        self._listen()
        self._inner.open()
        try:
            self._server.add_insecure_port(f"unix:{self._inner.address}")
        except RuntimeError as error:
            raise ListenError(str(self._inner.folder), "gRPC cannot make its socket there") from error
        await self._server.start()
        for service in ("", SERVICE):
            await self._health.set(service, health_pb2.HealthCheckResponse.SERVING)
        self.door.open(self._inner.address)
        self.is_listening = True

    async def stop(self) -> None:
        """Take no more calls, and cancel in STOP_GRACE_S those that have not ended."""
        self.is_listening = False
        self.door.shut()
        await self._health.enter_graceful_shutdown()
        await self._server.stop(STOP_GRACE_S)
        self.door.clear()
        self._inner.close()

    def cut_the_unwanted(self) -> None:
        """End the connections whose certificate is not good any more."""
        self.door.cut(self._objection)

    def _objection(self, identity: Identity) -> str:
        if self._tls is None or identity.holder is None:
            return ""
        return self._tls.objection(identity.holder, self._clock.unix_ms())

    async def _remember_requests(self) -> None:
        try:
            self._request_ids.remember(await asyncio.to_thread(self._audit.entries, None, REMEMBERED_ENTRIES))
        except OSError as error:
            log.warning("request ids", extra={"problem": f"the audit log cannot be read: {error.strerror}"})

    def _listen(self) -> None:
        config = self._config
        if config.tcp is not None and self._tls is not None:
            self.tcp_port = self.door.listen_on_tcp(config.tcp, TlsWay(self._tls, self._clock).receive)
            log.info("gRPC", extra={"tls_address": str(Address(config.tcp.host, self.tcp_port))})
        if config.plain_tcp is not None:
            self._listen_on_plain_tcp(config.plain_tcp, Role[config.plain_tcp_role.upper()])
        if config.socket is not None:
            mode = _FOR_OWNER if self._rules.is_for_owner_only else _FOR_ALL
            self.door.listen_on_socket(config.socket, mode, UnixWay(self._rules).receive)
            log.info("gRPC", extra={"socket": str(config.socket)})

    def _listen_on_plain_tcp(self, address: Address, role: Role) -> None:
        self.plain_port = self.door.listen_on_tcp(address, PlainWay(role).receive)
        extra = {"address": str(Address(address.host, self.plain_port)), "role": role.word}
        log.warning("gRPC without authentication: everybody on this computer has a role", extra=extra)


class _Inner:
    """The folder of the socket between door and gRPC, which nobody but this user can enter."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._descriptor = -1

    @property
    def address(self) -> str:
        """The path of the socket, short however long that of the folder is."""
        return f"/proc/self/fd/{self._descriptor}/socket"

    def open(self) -> None:
        """Make the folder. Raises ListenError."""
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            self.folder.chmod(0o700)
            self._descriptor = os.open(self.folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise ListenError(str(self.folder), why(error)) from error

    def close(self) -> None:
        """Let go of it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
