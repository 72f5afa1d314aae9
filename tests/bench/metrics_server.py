"""Serves /metrics in one of three ways: `python -m tests.bench.metrics_server WAY FOLDER NODES…`.

`client` and `ready` find in FOLDER the pages of hostd that they are to repeat.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, closing
from pathlib import Path
from typing import NamedTuple

from aiohttp import web
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from racklet.link.v1 import link_pb2
from racklet_hostd.clock import SystemClock
from racklet_hostd.config import HttpConfig, RackletConfig
from racklet_hostd.config_values import Address
from racklet_hostd.http import HttpServer
from racklet_hostd.model import Hat, HatState
from racklet_hostd.rack import Rack
from racklet_hostd.store import Store, StoreLimits
from racklet_link.events import HelloReceived, TelemetryReceived
from tests.bench.measured import answer
from tests.bench.wire import measured

HOST = "127.0.0.1"
PLAIN_TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Constant(NamedTuple):
    """A metric and all its samples."""

    name: str
    help: str
    kind: str
    labels: list[str]
    samples: list[tuple[list[str], float]]


class ConstantCollector(Collector):
    """A collector as anybody writes one: it makes its families anew at every scrape."""

    def __init__(self, constants: list[Constant]) -> None:
        self._constants = constants

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """Yield every metric."""
        for constant in self._constants:
            make = CounterMetricFamily if constant.kind == "counter" else GaugeMetricFamily
            family = make(constant.name, constant.help, labels=constant.labels)
            for values, value in constant.samples:
                family.add_metric(values, value)
            yield family


def page_file(folder: Path, nodes: int) -> Path:
    """Return where hostd's page of so many nodes is kept."""
    return folder / f"metrics-{nodes}.txt"


def rack_at_work(folder: Path, nodes: int, opened: ExitStack) -> Rack:
    """Return a rack whose nodes are all online and measured."""
    config = RackletConfig.model_validate(
        {
            "node": [{"name": f"node-{number}", "port": f"/dev/none-{number}"} for number in range(1, nodes + 1)],
            "state": {"folder": str(folder / f"state-{nodes}")},
        }
    )
    store = opened.enter_context(closing(Store.open(config.state.folder, StoreLimits())))
    rack = Rack(config, store, SystemClock())
    for number, node in enumerate(rack.nodes, start=1):
        node.take_news(HelloReceived(link_pb2.Hello(session=number, at_ms=1)))
        node.take_news(TelemetryReceived(measured(number, 1)))
        node.hat = Hat(
            HatState.ONLINE, "", 0, 1, f"{number:016x}", "hat-a", "0.1.0"
        )  # there is no port to be online at
    return rack


def constants(page: str) -> list[Constant]:
    """Return what a page says."""
    return [
        Constant(
            family.name,
            family.documentation,
            family.type,
            list(family.samples[0].labels),
            [(list(sample.labels.values()), sample.value) for sample in family.samples],
        )
        for family in text_string_to_metric_families(page)
    ]


async def serve_as_hostd(folder: Path, nodes: int, opened: AsyncExitStack) -> int:
    """Serve what hostd serves; return the port."""
    rack = rack_at_work(folder, nodes, opened.enter_context(ExitStack()))
    server = HttpServer(rack, HttpConfig(address=Address(HOST, 0)), lambda: "", lambda _peer, _why: None)
    await server.start()
    opened.push_async_callback(server.stop)
    return server.port


def serve_with_client(folder: Path, nodes: int, opened: AsyncExitStack) -> int:
    """Serve the same samples with prometheus_client and its own server; return the port."""
    registry = CollectorRegistry()
    registry.register(ConstantCollector(constants(page_file(folder, nodes).read_text(encoding="utf-8"))))
    server, thread = start_http_server(0, HOST, registry)
    opened.callback(thread.join)
    opened.callback(server.server_close)
    opened.callback(server.shutdown)
    return server.server_port


async def serve_ready(folder: Path, nodes: int, opened: AsyncExitStack) -> int:
    """Serve the page as it is; return the port."""
    page = page_file(folder, nodes).read_bytes()

    async def give(_request: web.Request) -> web.Response:
        response = web.Response(body=page, headers={"Content-Type": PLAIN_TEXT})
        response.enable_compression()
        return response

    app = web.Application()
    app.router.add_get("/metrics", give)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    opened.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, HOST, 0).start()
    port: int = runner.addresses[0][1]
    return port


async def main() -> None:
    """Serve a page for each number of nodes until standard input ends."""
    way, folder, numbers = sys.argv[1], Path(sys.argv[2]), [int(word) for word in sys.argv[3:]]
    served: dict[str, int] = {}
    async with AsyncExitStack() as opened:
        for nodes in numbers:
            if way == "hostd":
                served[str(nodes)] = await serve_as_hostd(folder, nodes, opened)
            elif way == "client":
                served[str(nodes)] = serve_with_client(folder, nodes, opened)
            else:
                served[str(nodes)] = await serve_ready(folder, nodes, opened)
        await answer(lambda: served)


if __name__ == "__main__":
    asyncio.run(main())
