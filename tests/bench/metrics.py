"""What a scrape of /metrics costs, against prometheus_client and against a page that is ready."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from tests.bench.measured import Measured, measured
from tests.bench.metrics_server import HOST, page_file
from tests.bench.report import Report, Row

WAYS = ("hostd", "client", "ready")  # ours, peer, limit
PLAIN = "identity"
GZIP = "gzip"
TIMEOUT_S = 10
MS = 1e3
KILO = 1e3


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: the numbers of nodes, rounds, and milliseconds of scrapes in each round."""

    nodes: tuple[int, ...]
    rounds: int
    span_ms: int


FULL = Size(nodes=(1, 100, 1000), rounds=3, span_ms=100)
SMALLEST = Size(nodes=(1, 3), rounds=1, span_ms=1)


@dataclass(frozen=True, slots=True)
class Scrape:
    """One way's scrapes of one page: medians."""

    wall_ms: float
    cpu_ms: float
    sent_bytes: int
    samples: int


def run(size: Size) -> Report:
    """Scrape the three ways in turn."""
    report = Report(
        "metrics: one scrape of /metrics over HTTP",
        [
            "ours: hostd's page and server, every node online and measured, on its store.",
            "peer: prometheus_client's start_http_server with a collector of the same samples from constants.",
            "limit: aiohttp with the page ready in memory, so that only server and compression are left.",
            "CPU of the server's process alone. Each scrape has a connection of its own.",
            f"Medians of {size.rounds} rounds in turns.",
        ],
    )
    for nodes, found in asyncio.run(_measure(size)).items():
        report.sections.append(_rows(nodes, found))
    return report


def _rows(nodes: int, found: dict[tuple[str, str], Scrape]) -> list[Row]:
    numbers = {scrape.samples for scrape in found.values()}
    if len(numbers) > 1:
        raise RuntimeError(f"the pages differ: they have {numbers} samples")

    def row(what: str, unit: str, encoding: str, field: str, scale: float = 1) -> Row:
        figures = [getattr(found[way, encoding], field) / scale for way in WAYS]
        return Row(f"{nodes} {'node' if nodes == 1 else 'nodes'}, {what}", unit, *figures)

    first = row("plain, time", "ms/scrape", PLAIN, "wall_ms")
    return [
        replace(first, what=f"{first.what} ({numbers.pop():,} samples)"),
        row("plain, CPU", "ms of CPU/scrape", PLAIN, "cpu_ms"),
        row("gzip, time", "ms/scrape", GZIP, "wall_ms"),
        row("gzip, CPU", "ms of CPU/scrape", GZIP, "cpu_ms"),
        row("plain, size", "kB/page", PLAIN, "sent_bytes", KILO),
        row("gzip, size", "kB/page", GZIP, "sent_bytes", KILO),
    ]


async def _measure(size: Size) -> dict[int, dict[tuple[str, str], Scrape]]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="racklet-bench-")))
        servers: dict[str, tuple[Measured, dict[str, int]]] = {}
        for way in WAYS:
            server = await stack.enter_async_context(measured("metrics_server", way, folder, *size.nodes))
            served = (await server.read()).state
            servers[way] = server, served
            if way == "hostd":
                for nodes in size.nodes:
                    page_file(folder, nodes).write_bytes((await asyncio.to_thread(_get, served[str(nodes)], PLAIN))[1])
        result: dict[int, dict[tuple[str, str], Scrape]] = {}
        for nodes in size.nodes:
            runs: dict[tuple[str, str], list[Scrape]] = {}
            for _ in range(size.rounds):
                for way, (server, served) in servers.items():
                    for encoding in (PLAIN, GZIP):
                        scrape = await _scrape(server, served[str(nodes)], encoding, size.span_ms)
                        runs.setdefault((way, encoding), []).append(scrape)
            result[nodes] = {key: _median_of(scrapes) for key, scrapes in runs.items()}
        return result


async def _scrape(server: Measured, port: int, encoding: str, span_ms: int) -> Scrape:
    """Scrape for `span_ms`."""
    before = await server.read()
    walls_ms: list[float] = []
    body = b""
    while sum(walls_ms) < span_ms:
        took_ms, body = await asyncio.to_thread(_get, port, encoding)
        walls_ms.append(took_ms)
    cpu_s = (await server.read()).cpu_s - before.cpu_s
    page = gzip.decompress(body) if encoding == GZIP else body
    samples = sum(not line.startswith(b"#") for line in page.splitlines())
    return Scrape(median(walls_ms), cpu_s * MS / len(walls_ms), len(body), samples)


def _get(port: int, encoding: str) -> tuple[float, bytes]:
    """Return how many milliseconds a scrape took, and its body as it was sent."""
    start_s = time.perf_counter()
    connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/metrics", headers={"Accept": "text/plain", "Accept-Encoding": encoding})
        body = connection.getresponse().read()
    finally:
        connection.close()
    return (time.perf_counter() - start_s) * MS, body


def _median_of(scrapes: list[Scrape]) -> Scrape:
    return Scrape(
        median(scrape.wall_ms for scrape in scrapes),
        median(scrape.cpu_ms for scrape in scrapes),
        scrapes[-1].sent_bytes,
        scrapes[-1].samples,
    )
