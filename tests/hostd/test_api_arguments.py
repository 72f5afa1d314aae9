"""What is wrong in a request is said with its field: path tricks, lengths, enums, times, offsets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from racklet.v1 import rack_pb2
from tests.hostd.rig import Rig, running_rack, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
BAD, RANGE = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE
NODE = "nodes/node-1"
OTHERS = "bm9kZXMKbm9kZS0x"  # of a list of nodes
TRICKS = (
    "",
    "node-1",
    "nodes/",
    "nodes/..",
    "nodes/../node-1",
    "nodes/node-1/",
    "/nodes/node-1",
    "nodes/node-1/boots",
    "nodes/node-1\0",
    "nodes/node-1\n",
    "nodes/%6eode-1",
    "nodes/NODE-1",
    "nodes/nöde-1",
    "nodes/" + "a" * 100_000,
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    """A rack with one node."""
    async with running_rack(tmp_path_factory.mktemp("rack"), access={"changes_per_second": 1000}) as rig:
        hat = rig.hats["node-1"]
        hat.boot()
        hat.say(b"boot")
        await until(lambda: hat.all_acknowledged)
        yield rig


async def refused(rig: Rig, method: str, request: Message) -> tuple[grpc.StatusCode, str]:
    """Call a method; return the status and sentence that it is refused with."""
    make: Any = getattr(rig.rack, method)
    call = make(iter([request]) if method == "AttachConsole" else request, timeout=10)
    return await call.code(), await call.details() or ""


@pytest.mark.parametrize(
    ("method", "kind", "field"),
    [
        ("GetNode", rack_pb2.GetNodeRequest, "name"),
        ("SetPower", rack_pb2.SetPowerRequest, "name"),
        ("IdentifyNode", rack_pb2.IdentifyNodeRequest, "name"),
        ("ListBoots", rack_pb2.ListBootsRequest, "parent"),
        ("ReadBootLog", rack_pb2.ReadBootLogRequest, "name"),
        ("DiagnoseNode", rack_pb2.DiagnoseNodeRequest, "name"),
        ("AttachConsole", rack_pb2.AttachConsoleRequest, "name"),
        ("ListEvents", rack_pb2.ListEventsRequest, "node"),
        ("WatchEvents", rack_pb2.WatchEventsRequest, "node"),
    ],
)
async def test_a_name_that_is_none_is_refused_by_every_method(
    rig: Rig, method: str, kind: type[Message], field: str
) -> None:
    for name in TRICKS:
        if field == "node" and not name:
            continue  # stands for all nodes
        request = kind(**{field: name, **({"action": 1} if method == "SetPower" else {})})
        code, sentence = await refused(rig, method, request)
        assert code is BAD, (name[:40], code, sentence)
        assert sentence.startswith(f"{field}: expected nodes/NAME"), (name[:40], sentence)
        assert len(sentence) < 300


@pytest.mark.parametrize(
    ("method", "request_", "code", "begin"),
    [
        ("SetPower", rack_pb2.SetPowerRequest(name=NODE), BAD, "action: expected"),
        ("SetPower", rack_pb2.SetPowerRequest(name=NODE, action=99), BAD, "action: expected"),  # type: ignore[arg-type]
        ("SetPower", rack_pb2.SetPowerRequest(name=NODE, action=2, grace=Duration(seconds=-1)), BAD, "grace: expected"),
        ("SetPower", rack_pb2.SetPowerRequest(name=NODE, action=2, grace=Duration(nanos=-1)), BAD, "grace: expected"),
        (
            "SetPower",
            rack_pb2.SetPowerRequest(name=NODE, action=4, off_time=Duration(seconds=1 << 40)),
            BAD,
            "off_time:",
        ),
        (
            "SetPower",
            rack_pb2.SetPowerRequest(name=NODE, action=1, request_id="x" * 100_000),
            BAD,
            "request_id: expected",
        ),
        ("IdentifyNode", rack_pb2.IdentifyNodeRequest(name=NODE, duration=Duration(seconds=601)), BAD, "duration: exp"),
        ("ReadBootLog", rack_pb2.ReadBootLogRequest(name=f"{NODE}/boots/0x1"), BAD, "name: expected"),
        ("ReadBootLog", rack_pb2.ReadBootLogRequest(name=f"{NODE}/boots/{1 << 63}"), BAD, "name: expected"),
        (
            "ReadBootLog",
            rack_pb2.ReadBootLogRequest(name=f"{NODE}/boots/-", start_time=Timestamp(seconds=-1)),
            BAD,
            "start_time: expected a time from 1970",
        ),
        (
            "ReadBootLog",
            rack_pb2.ReadBootLogRequest(name=f"{NODE}/boots/-", start_time=Timestamp(seconds=1, nanos=-5)),
            BAD,
            "start_time: expected a time from 1970",
        ),
        ("ReadBootLog", rack_pb2.ReadBootLogRequest(name=f"{NODE}/boots/-", offset=(1 << 64) - 1), RANGE, "offset: "),
        ("ListNodes", rack_pb2.ListNodesRequest(page_size=-1), BAD, "page_size: expected"),
        ("ListNodes", rack_pb2.ListNodesRequest(page_token="x" * 10_000), BAD, "page_token: expected"),
        ("ListBoots", rack_pb2.ListBootsRequest(parent=NODE, page_token=OTHERS), BAD, "page_token: expected"),
        ("ListEvents", rack_pb2.ListEventsRequest(page_size=-(1 << 31)), BAD, "page_size: expected"),
        ("ListAuditEntries", rack_pb2.ListAuditEntriesRequest(page_token=OTHERS), BAD, "page_token: expected"),
        ("WatchNodes", rack_pb2.WatchNodesRequest(names=[NODE] * 1001), BAD, "names: expected at most"),
        ("WatchNodes", rack_pb2.WatchNodesRequest(min_interval=Duration(seconds=-5)), BAD, "min_interval: expected"),
        ("AttachConsole", rack_pb2.AttachConsoleRequest(name=NODE, caller_id="x" * 65), BAD, "caller_id: expected"),
        ("RunFaults", rack_pb2.RunFaultsRequest(script="x" * 70_000), BAD, "script: expected at most"),
        ("RunFaults", rack_pb2.RunFaultsRequest(script="", file="\n"), BAD, "file: expected"),
    ],
)
async def test_a_field_that_is_wrong_is_named(
    rig: Rig, method: str, request_: Message, code: grpc.StatusCode, begin: str
) -> None:
    found, sentence = await refused(rig, method, request_)
    assert (found, sentence[: len(begin)]) == (code, begin), sentence
