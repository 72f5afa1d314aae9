"""What a call of the API costs, and what it costs to tell many callers of every measurement."""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

import grpc

from racklet.v1 import rack_pb2
from racklet_hostd.pki.making import utc_now
from racklet_hostd.role import Role
from tests.bench.api_server import ECHO, STREAM, pki_in
from tests.bench.measured import Measured, measured
from tests.bench.report import Report, Row

WAYS = ("hostd", "echo")  # ours, peer
TRANSPORTS = ("unix socket", "mutual TLS")
US = 1e6
_OPTIONS = (("grpc.use_local_subchannel_pool", 1),)


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: calls and rounds of unary calls; callers, nodes and batches of the fan-out."""

    calls: int
    rounds: int
    callers: int
    nodes: int
    batches: int


FULL = Size(calls=2000, rounds=5, callers=100, nodes=50, batches=20)
SMALLEST = Size(calls=20, rounds=1, callers=2, nodes=2, batches=1)


@dataclass(frozen=True, slots=True)
class Served:
    """A server, and how to reach it."""

    server: Measured
    addresses: dict[str, str]
    method: str
    stream: str
    request: bytes


def run(size: Size) -> Report:
    """Call both servers in turn."""
    report = Report(
        "api: calls of gRPC",
        [
            "ours: GetNode and WatchNodes of hostd (door, roles, limits), every node measured ten times a second.",
            "peer: an empty grpc.aio server: a call that answers nothing, a stream of a message for each measurement.",
            f"Fan-out: {size.callers} callers, {size.nodes} nodes. hostd sends what changed in 100 ms as one message.",
            "CPU of the server's process alone, hostd's own measuring included.",
            f"Medians of {size.rounds} rounds in turns.",
        ],
    )
    report.sections.extend(asyncio.run(_measure(size)))
    return report


async def _measure(size: Size) -> list[list[Row]]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="racklet-bench-")))
        pki = pki_in(folder)
        pki.begin("bench", ("localhost",), utc_now())
        pki.issue("bench", Role.VIEWER, utc_now())
        served = {way: await _serve(stack, way, folder, size) for way in WAYS}
        sections = [[row for transport in TRANSPORTS for row in await _unary(served, transport, folder, size)]]
        sections.append([await _fan_out(served, transport, folder, size) for transport in TRANSPORTS])
        return sections


async def _serve(stack: AsyncExitStack, way: str, folder: Path, size: Size) -> Served:
    server = await stack.enter_async_context(measured("api_server", way, folder, size.nodes, size.batches))
    port = (await server.read()).state["port"]
    addresses = {"unix socket": f"unix:{folder / way}.sock", "mutual TLS": f"localhost:{port}"}
    request = rack_pb2.GetNodeRequest(name="nodes/node-1").SerializeToString() if way == "hostd" else b""
    methods = ("/racklet.v1.Rack/GetNode", "/racklet.v1.Rack/WatchNodes") if way == "hostd" else (ECHO, STREAM)
    return Served(server, addresses, *methods, request)


def _channel(served: Served, transport: str, folder: Path) -> grpc.aio.Channel:
    address = served.addresses[transport]
    if transport == "unix socket":
        return grpc.aio.insecure_channel(address, options=_OPTIONS)
    bundle = pki_in(folder).path / "clients" / "bench"
    files = ((bundle / name).read_bytes() for name in ("ca.crt", "client.key", "client.crt"))
    return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(*files), options=_OPTIONS)


async def _unary(served: dict[str, Served], transport: str, folder: Path, size: Size) -> list[Row]:
    found: dict[str, list[tuple[float, float, float]]] = {way: [] for way in served}
    for _ in range(size.rounds):
        for way, one in served.items():
            found[way].append(await _calls(one, transport, folder, size.calls))
    ours, peer = ([median(column) for column in zip(*found[way], strict=True)] for way in WAYS)
    names = (("median", "us/call"), ("p99", "us/call"), ("CPU", "us of CPU/call"))
    return [
        Row(f"{transport}, one call after another, {name}", unit, mine, other)
        for (name, unit), mine, other in zip(names, ours, peer, strict=True)
    ]


async def _calls(served: Served, transport: str, folder: Path, calls: int) -> tuple[float, float, float]:
    """Return the median, the 99th percentile and the server's CPU, in microseconds a call."""
    async with _channel(served, transport, folder) as channel:
        method = channel.unary_unary(served.method)
        for _ in range(max(10, calls // 20)):
            await method(served.request)
        before = await served.server.read()
        took_us: list[float] = []
        for _ in range(calls):
            start_s = time.perf_counter()
            await method(served.request)
            took_us.append((time.perf_counter() - start_s) * US)
        cpu_s = (await served.server.read()).cpu_s - before.cpu_s
    return median(took_us), quantiles(took_us, n=100)[98], cpu_s * US / calls


async def _fan_out(served: dict[str, Served], transport: str, folder: Path, size: Size) -> Row:
    costs = [await _told(served[way], way, transport, folder, size) for way in WAYS]
    return Row(f"{transport}, to tell {size.callers} callers of a measurement", "us of CPU/caller", *costs)


async def _told(served: Served, way: str, transport: str, folder: Path, size: Size) -> float:
    """Return the server's CPU, in microseconds for each measurement and caller."""
    async with AsyncExitStack() as stack:
        channels = [await stack.enter_async_context(_channel(served, transport, folder)) for _ in range(size.callers)]
        await asyncio.gather(*(channel.channel_ready() for channel in channels))
        calls = [channel.unary_stream(served.stream)(b"") for channel in channels]
        if way == "hostd":
            for call in calls:
                await call.read()  # everything, once
        before = await served.server.read()
        counts = await asyncio.gather(*(_count(call, way, size) for call in calls))
        cpu_s = (await served.server.read()).cpu_s - before.cpu_s
    return cpu_s * US / sum(counts)


async def _count(call: grpc.aio.UnaryStreamCall[bytes, bytes], way: str, size: Size) -> int:
    """Return how many measurements came: in `batches` messages of hostd, in all of the other."""
    told = 0
    for _ in range(size.batches if way == "hostd" else size.batches * size.nodes):
        message = await call.read()
        assert isinstance(message, bytes)
        told += len(rack_pb2.WatchNodesResponse.FromString(message).nodes) if way == "hostd" else 1
    call.cancel()
    return told
