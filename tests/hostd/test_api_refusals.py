"""What a refusal tells a program: its reason, which never changes, and the details of google.rpc."""

from __future__ import annotations

import re
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

import racklet_client
from racklet.link.v1 import link_pb2
from racklet.v1 import rack_pb2
from racklet_client.details import refusal_of
from racklet_hostd.api.details import DETAILS_KEY, Refusal, status_details
from racklet_hostd.api.status import ANSWERS, INTERNAL, BadArgumentError, WrongScriptError
from racklet_hostd.refusals import RefusedError, TooManyRequestsError
from tests.hostd.rig import running_rack

API_PAGE = Path(__file__).parents[2] / "docs" / "api.md"
ROW = re.compile(r"^\| `([A-Z_]+)` \| `([A-Z_]+)` \|", re.MULTILINE)
METADATA_LIMIT = 8 << 10  # what a gRPC client takes without being told


def test_the_page_lists_every_reason_with_its_status() -> None:
    told = set(ROW.findall(API_PAGE.read_text()))
    assert told == {(answer.reason, answer.code.name) for answer in (*ANSWERS.values(), INTERNAL)}


def test_every_refusal_has_a_reason_of_its_own() -> None:
    assert set(RefusedError.__subclasses__()) <= set(ANSWERS)
    reasons = [answer.reason for answer in ANSWERS.values()]
    assert len(set(reasons)) == len(reasons)
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]{1,61}[A-Z0-9]", reason) for reason in reasons)


async def test_a_node_that_is_not_there_is_a_resource(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        details = await details_of(rig.rack.GetNode(rack_pb2.GetNodeRequest(name="nodes/node-9")))
    info, resource = details
    assert (info.reason, info.domain, dict(info.metadata)) == ("UNKNOWN_NODE", "racklet.v1", {"node": "node-9"})
    assert (resource.resource_type, resource.resource_name) == ("racklet.v1/Node", "nodes/node-9")


async def test_a_wrong_field_is_named(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        request = rack_pb2.ListBootsRequest(parent="nodes/node-1", page_size=-1)
        info, wrong = await details_of(rig.rack.ListBoots(request))
    assert info.reason == "BAD_ARGUMENT"
    assert [(each.field, each.description) for each in wrong.field_violations] == [
        ("page_size", "expected 0 or more, found -1")
    ]


async def test_a_power_transaction_that_failed_tells_what_was_measured(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        rig.hats["node-1"].power_result = link_pb2.RESULT_NOT_REACHED
        request = rack_pb2.SetPowerRequest(name="nodes/node-1", action=rack_pb2.POWER_ACTION_ON)
        info, unmet = await details_of(rig.rack.SetPower(request))
    assert info.reason == "POWER_FAILED"
    assert (info.metadata["node"], info.metadata["result"]) == ("node-1", "NOT_REACHED")
    assert info.metadata["supplyUv"] == "5098000"
    assert [(each.type, each.subject) for each in unmet.violations] == [("POWER_FAILED", "nodes/node-1")]


async def test_the_client_raises_what_the_details_say(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig, racklet_client.connect(rig.address) as rack:
        with pytest.raises(racklet_client.InvalidArgumentError, match="expected nodes/NAME") as wrong:
            await rack.node("a b")
        with pytest.raises(racklet_client.NotFoundError) as missing:
            await rack.node("node-9")
    assert (wrong.value.status, wrong.value.reason) == ("INVALID_ARGUMENT", "BAD_ARGUMENT")
    assert [each.field for each in wrong.value.violations] == ["name"]
    assert (missing.value.reason, missing.value.node) == ("UNKNOWN_NODE", "node-9")


async def test_a_script_with_a_thousand_mistakes_is_refused_within_what_a_client_takes(tmp_path: Path) -> None:
    script = "".join(f'wrong_{number} = "{"ü" * 40}"\n' for number in range(1000))
    async with running_rack(tmp_path) as rig:
        stream = rig.rack.RunFaults(rack_pb2.RunFaultsRequest(script=script, file="ü" * 100))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await anext(aiter(stream))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "more" in (caught.value.details() or "").splitlines()[-1]


def test_where_hostd_knows_when_the_client_is_told() -> None:
    answer = ANSWERS[TooManyRequestsError]
    refusal = Refusal(answer.code.name, answer.reason, answer.retry_after_ms, TooManyRequestsError("node-1"))
    told = refusal_of(refusal.status, refusal.message, [(DETAILS_KEY, status_details(refusal))])
    assert (told.reason, told.retry_after_s, told.metadata["node"]) == ("TOO_MANY_REQUESTS", 1.0, "node-1")


@given(raw=st.binary(max_size=200))
def test_details_from_something_that_is_no_hostd_are_left_out(raw: bytes) -> None:
    told = refusal_of("UNAVAILABLE", "upstream is gone", [(DETAILS_KEY, raw)])
    assert (told.status, told.message, told.reason) == ("UNAVAILABLE", "upstream is gone", "")


@given(text=st.text(min_size=1, max_size=40), times=st.integers(1, 500))
def test_whatever_a_sentence_holds_the_metadata_stay_small(text: str, times: int) -> None:
    text *= times
    for error, status in ((BadArgumentError("field", text), "INVALID_ARGUMENT"), (WrongScriptError(text), "INTERNAL")):
        refusal = Refusal(status, "REASON", 1_000, error)
        sentence = sum(1 if 0x20 <= byte <= 0x7E else 3 for byte in refusal.message.encode())
        in_base64 = -(-len(status_details(refusal)) // 3) * 4
        assert sentence + in_base64 < METADATA_LIMIT


async def details_of(call: object) -> list[object]:
    """Return the details of a call's refusal, the first always an ErrorInfo."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call  # type: ignore[misc]
    raw = dict(caught.value.trailing_metadata())[DETAILS_KEY]
    status = status_pb2.Status.FromString(raw)
    assert status.message == caught.value.details()
    assert status.code == caught.value.code().value[0]
    kinds = {
        kind.DESCRIPTOR.full_name: kind
        for kind in (
            error_details_pb2.ErrorInfo,
            error_details_pb2.BadRequest,
            error_details_pb2.PreconditionFailure,
            error_details_pb2.ResourceInfo,
            error_details_pb2.RetryInfo,
        )
    }
    found = []
    for packed in status.details:
        message = kinds[packed.type_url.rpartition("/")[2]]()
        packed.Unpack(message)
        found.append(message)
    return found
