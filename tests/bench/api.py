"""What a call of the API costs, and what it costs to tell many callers of every measurement."""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from statistics import median, quantiles

import grpc

from racklet.v1 import rack_pb2
from racklet_hostd.pki.making import utc_now
from racklet_hostd.role import Role
from tests.bench.api_server import ECHO, STREAM, pki_in
from tests.bench.measured import Measured, measured
from tests.bench.report import Report, Row

OURS, PEER, BUSY_PEER = WAYS = ("hostd", "echo", "busy-echo")
TRANSPORTS = ("unix socket", "mutual TLS")
US = 1e6
_OPTIONS = (("grpc.use_local_subchannel_pool", 1),)
_WARM_UP = 10  # calls at the start of a round
_COLUMNS = (
    ("median", "us/call"),
    ("p99", "us/call"),
    ("p99, quiet", "us/call"),
    ("CPU", "us of CPU/call"),
)


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: calls in a round and rounds; callers, nodes, batches and rounds of the fan-out."""

    calls: int
    rounds: int
    callers: int
    nodes: int
    batches: int
    fan_outs: int


FULL = Size(calls=200, rounds=50, callers=100, nodes=50, batches=10, fan_outs=3)
SMALLEST = Size(calls=20, rounds=1, callers=2, nodes=2, batches=1, fan_outs=1)


@dataclass(frozen=True, slots=True)
class Served:
    """A server, and how to reach it. `requests` are made in turn."""

    server: Measured
    addresses: dict[str, str]
    method: str
    stream: str
    requests: list[bytes]


def run(size: Size) -> Report:
    """Call the servers in turn."""
    report = Report(
        "api: calls of gRPC",
        [
            "ours: GetNode of one node after another, and WatchNodes, of hostd (door, roles, limits); each node is",
            "measured ten times a second.",
            "peer: an empty grpc.aio server: a call that answers nothing, a stream of a message for each measurement.",
            "busy peer: the same, and in its event loop as many measurements are taken as in hostd's.",
            f"Fan-out: {size.callers} callers, {size.nodes} nodes. hostd sends what changed in 100 ms as one message.",
            "CPU of the server's process alone, the measuring of hostd and of the busy peer included.",
            f"Medians of {size.rounds} rounds of {size.calls} calls in turns, of each one's median and p99: what else",
            "the computer does falls on all alike. With more to do than cores the tail is the scheduler's: p99, quiet",
            f"is what a quarter of each one's rounds do not exceed. Fan-out: of {size.fan_outs} rounds.",
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
        sections = [await _unary(served, transport, folder, size) for transport in TRANSPORTS]
        sections.append([await _fan_out(served, transport, folder, size) for transport in TRANSPORTS])
        return sections


async def _serve(stack: AsyncExitStack, way: str, folder: Path, size: Size) -> Served:
    server = await stack.enter_async_context(measured("api_server", way, folder, size.nodes, size.batches))
    port = (await server.read()).state["port"]
    addresses = {"unix socket": f"unix:{folder / way}.sock", "mutual TLS": f"localhost:{port}"}
    if way != OURS:
        return Served(server, addresses, ECHO, STREAM, [b""])
    names = (f"nodes/node-{number}" for number in range(1, size.nodes + 1))
    requests = [rack_pb2.GetNodeRequest(name=name).SerializeToString() for name in names]
    return Served(server, addresses, "/racklet.v1.Rack/GetNode", "/racklet.v1.Rack/WatchNodes", requests)


def _channel(served: Served, transport: str, folder: Path) -> grpc.aio.Channel:
    address = served.addresses[transport]
    if transport == "unix socket":
        return grpc.aio.insecure_channel(address, options=_OPTIONS)
    bundle = pki_in(folder).path / "clients" / "bench"
    files = ((bundle / name).read_bytes() for name in ("ca.crt", "client.key", "client.crt"))
    return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(*files), options=_OPTIONS)


async def _unary(served: dict[str, Served], transport: str, folder: Path, size: Size) -> list[Row]:
    rounds: dict[str, list[tuple[float, float, float]]] = {way: [] for way in served}
    async with AsyncExitStack() as stack:
        channels = {
            way: await stack.enter_async_context(_channel(one, transport, folder)) for way, one in served.items()
        }
        for _ in range(size.rounds):
            for way, one in served.items():
                rounds[way].append(await _calls(one, channels[way], size.calls))
    found = {way: _over_rounds(each) for way, each in rounds.items()}
    return [
        Row(f"{transport}, a call, {name}{words}", unit, mine, other)
        for peer, words in ((PEER, ""), (BUSY_PEER, ", busy peer"))
        for (name, unit), mine, other in zip(_COLUMNS, found[OURS], found[peer], strict=True)
    ]


def _over_rounds(rounds: list[tuple[float, float, float]]) -> list[float]:
    """Return what stands in _COLUMNS."""
    medians, tails, cpu = zip(*rounds, strict=True)
    return [median(medians), median(tails), sorted(tails)[len(tails) // 4], median(cpu)]


async def _calls(served: Served, channel: grpc.aio.Channel, calls: int) -> tuple[float, float, float]:
    """Return the median, the 99th percentile and the server's CPU, in microseconds a call."""
    method = channel.unary_unary(served.method)
    requests = cycle(served.requests)
    for _ in range(_WARM_UP):
        await method(next(requests))
    before = await served.server.read()
    took_us: list[float] = []
    for _ in range(calls):
        start_s = time.perf_counter()
        await method(next(requests))
        took_us.append((time.perf_counter() - start_s) * US)
    cpu_s = (await served.server.read()).cpu_s - before.cpu_s
    return median(took_us), quantiles(took_us, n=100)[98], cpu_s * US / calls


async def _fan_out(served: dict[str, Served], transport: str, folder: Path, size: Size) -> Row:
    costs: dict[str, list[float]] = {OURS: [], PEER: []}
    for _ in range(size.fan_outs):
        for way, each in costs.items():
            each.append(await _told(served[way], way, transport, folder, size))
    what = f"{transport}, a measurement to {size.callers} callers"
    return Row(what, "us of CPU/caller", median(costs[OURS]), median(costs[PEER]))


async def _told(served: Served, way: str, transport: str, folder: Path, size: Size) -> float:
    """Return the server's CPU, in microseconds for each measurement and caller."""
    async with AsyncExitStack() as stack:
        channels = [await stack.enter_async_context(_channel(served, transport, folder)) for _ in range(size.callers)]
        await asyncio.gather(*(channel.channel_ready() for channel in channels))
        calls = [channel.unary_stream(served.stream)(b"") for channel in channels]
        if way == OURS:
            for call in calls:
                await call.read()  # everything, once
        before = await served.server.read()
        counts = await asyncio.gather(*(_count(call, way, size) for call in calls))
        cpu_s = (await served.server.read()).cpu_s - before.cpu_s
    return cpu_s * US / sum(counts)


async def _count(call: grpc.aio.UnaryStreamCall[bytes, bytes], way: str, size: Size) -> int:
    """Return how many measurements came: in `batches` messages of hostd, in all of the other."""
    told = 0
    for _ in range(size.batches if way == OURS else size.batches * size.nodes):
        message = await call.read()
        assert isinstance(message, bytes)
        told += len(rack_pb2.WatchNodesResponse.FromString(message).nodes) if way == OURS else 1
    call.cancel()
    return told
