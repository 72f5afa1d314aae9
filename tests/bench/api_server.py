"""Serves the API in one of three ways: `python -m tests.bench.api_server WAY FOLDER NODES BATCHES`.

`hostd` is hostd's own server over a rack whose nodes are measured ten times a second, `echo` an empty grpc.aio server
whose stream sends a message for each node, BATCHES times over, `busy-echo` the same with such a rack beside it. All
listen on FOLDER/WAY.sock, and with TLS.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import grpc

from racklet_hostd.__main__ import keep_what_is_loaded
from racklet_hostd.access import AccessRules
from racklet_hostd.api import convert
from racklet_hostd.api.refused import RefusedCalls
from racklet_hostd.api.server import ApiServer
from racklet_hostd.clock import SystemClock
from racklet_hostd.config import AccessConfig, RackletConfig
from racklet_hostd.pki.folder import PkiFolder
from racklet_hostd.rack import Rack
from racklet_hostd.server_tls import ServerTls, TlsFiles
from racklet_link.events import TelemetryReceived
from tests.bench.measured import answer
from tests.bench.metrics_server import rack_at_work
from tests.bench.wire import measured

ECHO = "/racklet.bench.Bench/Echo"
STREAM = "/racklet.bench.Bench/Stream"
BATCH_S = 0.1

Context = grpc.aio.ServicerContext[Any, Any]


def pki_in(folder: Path) -> PkiFolder:
    """Return the CA of both servers."""
    return PkiFolder(folder / "pki")


@asynccontextmanager
async def as_hostd(folder: Path, nodes: int) -> AsyncIterator[int]:
    """Serve as hostd does; yield the port with TLS."""
    with ExitStack() as opened:
        rack = rack_at_work(folder, nodes, opened)
        config = RackletConfig.model_validate(
            {
                "state": {"folder": str(folder / f"state-{nodes}")},
                "grpc": {"socket": str(folder / "hostd.sock"), "tcp": "127.0.0.1:0"},
                "tls": {"folder": str(pki_in(folder).path)},
            }
        )
        files = TlsFiles.of_config(config.tls)
        assert files is not None
        rules = AccessRules(AccessConfig())
        tls = ServerTls(files, rules)
        server = ApiServer(rack, config, rules, tls, RefusedCalls(rack.audit, SystemClock()))
        await server.start()

        async with asyncio.TaskGroup() as tasks:
            measuring = tasks.create_task(measure(rack))
            yield server.tcp_port or 0
            measuring.cancel()
            rack.close()
            await server.stop()


async def measure(rack: Rack) -> None:
    """Measure each node ten times a second, at its own time, as HATs do."""
    for number in count(2):
        for node in rack.nodes:
            await asyncio.sleep(BATCH_S / len(rack.nodes))
            node.take_news(TelemetryReceived(measured(number, number)))


@asynccontextmanager
async def as_busy_echo(folder: Path, nodes: int, batches: int) -> AsyncIterator[int]:
    """Serve as the echo does, and measure beside it as hostd does."""
    with ExitStack() as opened:
        rack = rack_at_work(folder / "busy", nodes, opened)
        async with asyncio.TaskGroup() as tasks, as_echo(folder, nodes, batches, "busy-echo") as port:
            measuring = tasks.create_task(measure(rack))
            yield port
            measuring.cancel()


@asynccontextmanager
async def as_echo(folder: Path, nodes: int, batches: int, way: str = "echo") -> AsyncIterator[int]:
    """Serve with nothing but grpc.aio; yield the port with TLS."""
    with ExitStack() as opened:
        rack = rack_at_work(folder / way, 1, opened)
        message = convert.node_message(rack.nodes[0]).SerializeToString()

    async def echo(_request: bytes, _context: Context) -> bytes:
        return b""

    async def stream(_request: bytes, _context: Context) -> AsyncIterator[bytes]:
        for _ in range(nodes * batches):
            yield message

    pki = pki_in(folder)
    pem = pki.server.read_bytes()
    server = grpc.aio.server()
    handlers = {
        "Echo": grpc.unary_unary_rpc_method_handler(echo),  # type: ignore[arg-type]  # grpc's types know no aio
        "Stream": grpc.unary_stream_rpc_method_handler(stream),  # type: ignore[arg-type]
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("racklet.bench.Bench", handlers),))
    server.add_insecure_port(f"unix:{folder / way}.sock")
    credentials = grpc.ssl_server_credentials([(pem, pem)], pki.ca_certificate.read_bytes(), require_client_auth=True)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    yield port
    await server.stop(None)


async def main() -> None:
    """Serve until standard input ends."""
    way, folder, nodes, batches = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    match way:
        case "hostd":
            serving = as_hostd(folder, nodes)
        case "busy-echo":
            serving = as_busy_echo(folder, nodes, batches)
        case _:
            serving = as_echo(folder, nodes, batches)
    keep_what_is_loaded()  # for all: the peers have loaded as much
    async with AsyncExitStack() as opened:
        port = await opened.enter_async_context(serving)
        await answer(lambda: {"port": port})


if __name__ == "__main__":
    asyncio.run(main())
