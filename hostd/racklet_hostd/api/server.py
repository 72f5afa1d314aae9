"""Where the API listens, and what comes with it: reflection, health, limits."""

import asyncio
import logging
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from grpc_reflection.v1alpha import reflection  # type: ignore[import-untyped]

from racklet.v1 import rack_pb2, rack_pb2_grpc
from racklet_hostd.api.audit import AuditInterceptor
from racklet_hostd.api.request_ids import RequestIds
from racklet_hostd.api.service import RackService
from racklet_hostd.config import GrpcConfig
from racklet_hostd.config_values import Address
from racklet_hostd.listening import ListenError, make_way, only_owner, tcp_problem
from racklet_hostd.rack import Rack

log = logging.getLogger(__name__)

SERVICE = rack_pb2.DESCRIPTOR.services_by_name["Rack"].full_name
STOP_GRACE_S = 1.0
REMEMBERED_ENTRIES = 2000  # of the audit log; a call has two
CALLS_LIMIT = 2000  # at once, streams included; the next gets RESOURCE_EXHAUSTED
STREAMS_LIMIT = 200  # at once over one connection; the next one waits
REQUEST_BYTES = 256 << 10  # a WatchNodes with a thousand names is 70 kB

_OPTIONS = (
    ("grpc.max_concurrent_streams", STREAMS_LIMIT),
    ("grpc.max_receive_message_length", REQUEST_BYTES),
    ("grpc.max_metadata_size", 16 << 10),
    ("grpc.so_reuseport", 0),  # two hostds on one port would share its calls
    ("grpc.keepalive_time_ms", 30_000),  # a caller that died without a word is let go within 40 s
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),  # callers may watch over us likewise
    ("grpc.keepalive_permit_without_calls", 1),
)


class ApiServer:
    """The gRPC server. `tcp_port` is where it listens, also when the config left the choice to the system."""

    def __init__(self, rack: Rack, config: GrpcConfig) -> None:
        self.is_listening = False
        self.tcp_port: int | None = None
        self._config = config
        self._audit = rack.audit
        self._request_ids = RequestIds(rack.clock)
        self._socket_inode = 0  # so that another hostd's socket is not removed
        self._server = grpc.aio.server(
            interceptors=[AuditInterceptor(rack)], options=_OPTIONS, maximum_concurrent_rpcs=CALLS_LIMIT
        )
        rack_pb2_grpc.add_RackServicer_to_server(RackService(rack, self._request_ids), self._server)
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server)

    async def start(self) -> None:
        """Listen. Raises ListenError."""
        await self._remember_requests()
        if self._config.tcp is not None:
            self._listen_on_tcp(self._config.tcp)
        if self._config.socket is not None:
            self._listen_on_socket(self._config.socket)
        await self._server.start()
        for service in ("", SERVICE):
            await self._health.set(service, health_pb2.HealthCheckResponse.SERVING)
        self.is_listening = True

    async def stop(self) -> None:
        """Take no more calls, and cancel in STOP_GRACE_S those that have not ended."""
        self.is_listening = False
        await self._health.enter_graceful_shutdown()
        await self._server.stop(STOP_GRACE_S)
        path = self._config.socket
        if path is not None and path.exists() and path.stat().st_ino == self._socket_inode:
            path.unlink()

    async def _remember_requests(self) -> None:
        try:
            self._request_ids.remember(await asyncio.to_thread(self._audit.entries, None, REMEMBERED_ENTRIES))
        except OSError as error:
            log.warning("request ids", extra={"problem": f"the audit log cannot be read: {error.strerror}"})

    def _listen_on_tcp(self, address: Address) -> None:
        try:
            self.tcp_port = self._server.add_insecure_port(str(address))
        except RuntimeError as error:
            raise ListenError(str(address), tcp_problem(address)) from error
        extra = {"address": f"{address.host}:{self.tcp_port}"}
        log.warning("gRPC without authentication: everybody on this computer may switch nodes", extra=extra)

    def _listen_on_socket(self, path: Path) -> None:
        make_way(path)
        try:
            with only_owner():
                self._server.add_insecure_port(f"unix:{path}")
        except RuntimeError as error:
            raise ListenError(str(path), "the system refuses it; may hostd write in that folder?") from error
        self._socket_inode = path.stat().st_ino
        log.info("gRPC", extra={"socket": str(path)})
