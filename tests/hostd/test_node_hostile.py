"""A HAT that speaks the protocol well and tells nonsense."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

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
from racklet_hostd.store import Adoption, Store, StoreLimits
from racklet_link.seal import talk_seals
from tests.protocol.hat_messages import wired
from tests.protocol.seals import HAT_ID, HAT_NONCE, KEY, with_seal

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


def value_of(field: FieldDescriptor) -> st.SearchStrategy[object]:
    return OF_TYPE[TYPES[field.type]]


@st.composite
def frames(draw: st.DrawFn) -> link_pb2.Frame:
    name = draw(st.sampled_from(sorted(BODIES)))
    body = BODIES[name]
    values = {field.name: draw(value_of(field)) for field in body.DESCRIPTOR.fields}
    if name == "hello":
        values |= {"protocol_min": draw(st.sampled_from((1, 1, 1, 9))), "session": draw(st.integers(1, 3))}
        values |= {"hat_id": draw(st.sampled_from((HAT_ID, HAT_ID, b"another"))), "nonce": HAT_NONCE, "protocol_max": 9}
    return link_pb2.Frame(**{name: body(**values)})


HELLO = link_pb2.Frame(hello=link_pb2.Hello(protocol_max=2, session=1, hat_id=HAT_ID, has_key=True, nonce=HAT_NONCE))


@settings(max_examples=60, deadline=None)
@given(st.lists(frames(), max_size=25))
async def test_nothing_a_hat_can_say_breaks_hostd(said: list[link_pb2.Frame]) -> None:
    config = RackletConfig.model_validate({"node": [{"name": "node-1", "port": "/nowhere"}]})
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder), StoreLimits())
        try:
            rack = Rack(config, store, SystemClock())
            node = rack.node("node-1")
            store.adoptions.adopt(Adoption(HAT_ID, "node-1", KEY, 0, "test"))
            slot = next(iter(rack.slots))
            session = HatSession("node-1", 1000, SystemClock(), slot.take_news, store.adoptions.key_of)
            slot.session = session
            node.lend(session)
            seal = None
            for frame in (HELLO, *said):
                if frame.HasField("hello"):  # as after a Knock
                    nonce = session.link._handshake.nonce
                    _, seal = talk_seals(KEY, nonce, frame.hello.nonce, frame.hello.hat_id)
                payload = frame.SerializeToString()
                session._receive(wired(with_seal(payload, seal)) + wired(payload))
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
