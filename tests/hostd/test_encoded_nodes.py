"""What callers are told of a node is what it is, though it is encoded once for all of them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from racklet.link.v1 import link_pb2
from racklet.v1 import rack_pb2
from racklet_hostd.api import convert
from racklet_hostd.api.encoded_nodes import EncodedNodes
from racklet_hostd.clock import SystemClock
from racklet_hostd.node import Node
from racklet_hostd.rack import Rack
from racklet_hostd.store import Store, StoreLimits
from racklet_link.events import BootStarted, HelloReceived, LinkLost, LogData, TelemetryReceived
from tests.hostd.rig import config_for

NAMES = ("node-1", "node-2", "node-3")


class Happenings:
    """What may happen to a node, without a HAT."""

    def __init__(self, rack: Rack, store: Store) -> None:
        self._rack, self._store = rack, store
        self._at_ms = self._session = 0
        self._boots: dict[str, tuple[int, int]] = {}  # of each node the newest, and how long its log is

    def hello(self, node: Node) -> None:
        self._session += 1
        self._boots.pop(node.name, None)  # the HAT has started anew, and counts from 1
        node.take_news(HelloReceived(link_pb2.Hello(session=self._session, at_ms=self._at_ms, hat_id=b"12345678")))

    def telemetry(self, node: Node) -> None:
        self._at_ms += 100
        told = link_pb2.Telemetry(
            at_ms=self._at_ms, energy_uj=self._at_ms * 7, samples=3, supply_uv=5_000_000 + self._at_ms
        )
        node.take_news(TelemetryReceived(told))

    def boot(self, node: Node) -> None:
        self._at_ms += 100
        number = self._boots.get(node.name, (0, 0))[0] + 1
        node.take_news(BootStarted(number, self._at_ms, link_pb2.BOOT_CAUSE_SUPPLY_ON, 0, 0))
        self._boots[node.name] = number, 0

    def line(self, node: Node) -> None:
        if node.name in self._boots:
            number, offset = self._boots[node.name]
            data = b"line at %d\r\n" % self._at_ms
            node.take_news(LogData(number, offset, self._at_ms, data))
            self._boots[node.name] = number, offset + len(data)

    def silence(self, node: Node) -> None:
        node.take_news(LinkLost())

    def port(self, node: Node) -> None:
        node.port = Path(f"/dev/hat-{self._at_ms}")

    def damage(self, node: Node) -> None:
        node.link_counters.errors["crc"] += 1

    def sync(self, _node: Node) -> None:
        self._rack.prepare_sync()
        self._rack.take_sync(self._store.sync(idle_too=True))

    def report(self, node: Node) -> None:
        node.report(f"it is on fire since {self._at_ms}")


HAPPENINGS = ("hello", "telemetry", "boot", "line", "silence", "port", "damage", "sync", "report")


@given(st.lists(st.tuples(st.sampled_from(HAPPENINGS), st.sampled_from(NAMES)), max_size=40))
def test_who_asks_and_who_watches_is_told_what_is(happenings: list[tuple[str, str]]) -> None:
    with TemporaryDirectory() as folder:
        config = config_for(Path(folder), NAMES)
        with closing(Store.open(config.state.folder, StoreLimits())) as store:
            rack = Rack(config, store, SystemClock())
            happen, encoded, seen = Happenings(rack, store), EncodedNodes(), 0
            for node in rack.nodes:
                happen.hello(node)
            for what, name in happenings:
                getattr(happen, what)(rack.node(name))
                now = {node.name: convert.node_message(node) for node in rack.nodes}
                for node in rack.nodes:
                    told = rack_pb2.GetNodeResponse.FromString(encoded.node(node))
                    assert told.node == now[node.name]
                revision = rack.changes.revision
                watched = rack_pb2.WatchNodesResponse.FromString(encoded.changes(rack.nodes, seen, revision))
                assert list(watched.nodes) == [now[node.name] for node in rack.nodes if node.revision > seen]
                assert encoded.changes(rack.nodes, seen, revision) is encoded.changes(rack.nodes, seen, revision)
                seen = revision
            rack.close()
