"""A HAT that speaks the protocol well and tells nonsense."""

from __future__ import annotations

import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from cobs import cobs
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.exposition import generate_latest

from racklet.link.v1 import link_pb2
from racklet_hostd import metrics
from racklet_hostd.api import convert
from racklet_hostd.clock import SystemClock
from racklet_hostd.config import RackletConfig
from racklet_hostd.hat_session import HatSession
from racklet_hostd.rack import Rack
from racklet_hostd.store import Store, StoreLimits

if TYPE_CHECKING:
    from google.protobuf.descriptor import FieldDescriptor

SMALL = (0, 0, 0, 1, 1, 2, 3)  # mostly what fits to what was said before
OF_TYPE = {
    "uint32": st.sampled_from((*SMALL, 1 << 31, (1 << 32) - 1)),
    "uint64": st.sampled_from((*SMALL, 1000, 1 << 40, 1 << 63, (1 << 64) - 1)),
    "sint32": st.sampled_from((*SMALL, -1, -(1 << 31), (1 << 31) - 1)),
    "enum": st.sampled_from((*SMALL, 12, 99, (1 << 31) - 1)),
    "bool": st.booleans(),
    "bytes": st.binary(max_size=100),
    "string": st.text(max_size=30),
}
TYPES = {13: "uint32", 4: "uint64", 17: "sint32", 14: "enum", 8: "bool", 12: "bytes", 9: "string"}
BODIES = {
    "log_record": link_pb2.LogRecord,
    "event": link_pb2.Event,
    "telemetry": link_pb2.Telemetry,
    "reply": link_pb2.Reply,
    "hello": link_pb2.Hello,
    "console_acknowledge": link_pb2.ConsoleAcknowledge,
    "welcome": link_pb2.Welcome,
}


def framed(frame: link_pb2.Frame) -> bytes:
    payload = frame.SerializeToString()
    return cobs.encode(payload + zlib.crc32(payload).to_bytes(4, "little")) + b"\0"


def value_of(field: FieldDescriptor) -> st.SearchStrategy[object]:
    return OF_TYPE[TYPES[field.type]]


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    name = draw(st.sampled_from(sorted(BODIES)))
    body = BODIES[name]
    values = {field.name: draw(value_of(field)) for field in body.DESCRIPTOR.fields}
    if name == "hello":
        values |= {"protocol_min": draw(st.sampled_from((1, 1, 1, 9))), "session": draw(st.integers(1, 3))}
    return framed(link_pb2.Frame(**{name: body(**values)}))


HELLO = framed(link_pb2.Frame(hello=link_pb2.Hello(protocol_min=1, protocol_max=1, session=1, hat_id=b"12345678")))


@settings(max_examples=60, deadline=None)
@given(st.lists(frames(), max_size=25))
async def test_nothing_a_hat_can_say_breaks_hostd(said: list[bytes]) -> None:
    config = RackletConfig.model_validate({"node": [{"name": "node-1", "port": "/nowhere"}]})
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder), StoreLimits())
        try:
            rack = Rack(config, store, SystemClock())
            node = rack.node("node-1")
            session = HatSession("node-1", 1000, SystemClock(), node.take_news)
            node._session = session
            for data in (HELLO, *said):
                session._receive(data)
                session._tick()
                convert.node_message(node).SerializeToString()
            rack.take_sync(store.sync())
            generate_latest(metrics.Snapshot(rack))
            for event in rack.events.store.list(None, None, 100):
                convert.event_message(event).SerializeToString()
            for boot in node.store.boots(None, 100):
                convert.boot_message("node-1", boot).SerializeToString()
        finally:
            store.close()
