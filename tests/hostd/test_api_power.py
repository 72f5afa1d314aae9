"""SetPower and IdentifyNode, with every way they can end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from racklet.link.v1 import link_pb2
from racklet.v1 import rack_pb2
from racklet_hostd.model import PowerAction
from racklet_hostd.power import PowerWish
from tests.hostd.rig import JumpingClock, Rig, running_rack, until

ON, OFF, CYCLE = rack_pb2.POWER_ACTION_ON, rack_pb2.POWER_ACTION_OFF, rack_pb2.POWER_ACTION_CYCLE


async def set_power(
    rig: Rig, action: rack_pb2.PowerAction.ValueType = ON, **fields: object
) -> rack_pb2.SetPowerResponse:
    request = rack_pb2.SetPowerRequest(name="nodes/node-1", action=action, **fields)  # type: ignore[arg-type]
    return await rig.rack.SetPower(request)


async def refusal_of(call: asyncio.Future[object] | object) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call  # type: ignore[misc]
    return caught.value.code(), caught.value.details() or ""


async def test_the_response_is_what_was_measured(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        response = await set_power(rig)
    assert (response.supply_state, response.supply_uv) == (rack_pb2.SUPPLY_STATE_ON, 5_098_000)


async def test_a_transaction_that_takes_its_time_is_waited_for(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        hat = rig.hats["node-1"]
        hat.power_result = link_pb2.RESULT_PENDING
        async with asyncio.TaskGroup() as tasks:
            call = tasks.create_task(set_power(rig, OFF, grace=Duration(seconds=3), force=True))
            await until(lambda: hat.power_requests)
            hat.now.supply_state, hat.now.supply_uv = link_pb2.SUPPLY_STATE_OFF, 12_000
            hat.finish_power(link_pb2.RESULT_DONE)
        assert call.result().duration == Duration(seconds=1, nanos=500_000_000)
        assert (await rig.node()).supply_state == rack_pb2.SUPPLY_STATE_OFF
    assert hat.power_requests[0][1:] == (link_pb2.POWER_ACTION_OFF, 3000, 1, 0)


@pytest.mark.parametrize(
    ("result", "code", "words"),
    [
        (link_pb2.RESULT_BUSY, grpc.StatusCode.ABORTED, "another power transaction, which its HAT has not ended yet"),
        (link_pb2.RESULT_INVALID, grpc.StatusCode.FAILED_PRECONDITION, "does not take cycle with these arguments"),
        (link_pb2.RESULT_STALE, grpc.StatusCode.DEADLINE_EXCEEDED, "has forgotten the request"),
        (
            link_pb2.RESULT_NOT_REACHED,
            grpc.StatusCode.FAILED_PRECONDITION,
            "did not follow cycle: the supply is on at 5.098 V",
        ),
        (link_pb2.RESULT_NODE_BUSY, grpc.StatusCode.FAILED_PRECONDITION, "did not shut down within its grace"),
        (link_pb2.RESULT_TRIPPED, grpc.StatusCode.FAILED_PRECONDITION, "a protection of node-1 tripped"),
        (link_pb2.RESULT_NO_MONITOR, grpc.StatusCode.FAILED_PRECONDITION, "does not switch on blind"),
        (99, grpc.StatusCode.FAILED_PRECONDITION, "result 99"),
    ],
)
async def test_each_failure_has_its_status_and_a_sentence(
    tmp_path: Path, result: int, code: grpc.StatusCode, words: str
) -> None:
    async with running_rack(tmp_path) as rig:
        rig.hats["node-1"].power_result = result
        got, sentence = await refusal_of(set_power(rig, CYCLE, off_time=Duration(seconds=1)))
    assert got is code
    assert words in sentence


async def test_the_second_caller_is_told_what_is_running(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        hat = rig.hats["node-1"]
        hat.power_result = link_pb2.RESULT_PENDING
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(set_power(rig, OFF))
            await until(lambda: hat.power_requests)
            code, sentence = await refusal_of(set_power(rig))
            hat.finish_power(link_pb2.RESULT_DONE)
    assert code is grpc.StatusCode.ABORTED
    assert "another power transaction, off, for 0." in sentence
    assert len(hat.power_requests) == 1


async def test_a_transaction_outlives_its_caller_and_then_makes_way(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        hat = rig.hats["node-1"]
        hat.power_result = link_pb2.RESULT_PENDING
        request = rack_pb2.SetPowerRequest(name="nodes/node-1", action=OFF)
        code, _ = await refusal_of(rig.rack.SetPower(request, timeout=0.2))
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert (await refusal_of(set_power(rig)))[0] is grpc.StatusCode.ABORTED
        hat.finish_power(link_pb2.RESULT_DONE)
        hat.power_result = link_pb2.RESULT_DONE
        async with asyncio.timeout(10):
            while True:
                try:
                    await set_power(rig)
                except grpc.aio.AioRpcError as error:
                    assert error.code() is grpc.StatusCode.ABORTED  # noqa: PT017  it is free again soon
                else:
                    break


async def test_a_hat_that_gives_no_final_answer_is_told_so(tmp_path: Path) -> None:
    clock = JumpingClock()
    async with running_rack(tmp_path, clock=clock) as rig:
        hat = rig.hats["node-1"]
        hat.power_result = link_pb2.RESULT_PENDING
        async with asyncio.TaskGroup() as tasks:
            call = tasks.create_task(refusal_of(set_power(rig)))
            await until(lambda: hat.power_requests)
            clock.ahead_ms = PowerWish(PowerAction.ON).timeout_ms
        assert call.result()[0] is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "gave no final answer in time" in call.result()[1]


async def test_a_hat_that_goes_away_or_restarts_ends_the_call(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        hat = rig.hats["node-1"]
        hat.power_result = link_pb2.RESULT_PENDING
        for disturb, words, code in (
            (hat.restart, "restarted before it answered", grpc.StatusCode.DEADLINE_EXCEEDED),
            (hat.unplug, "it went away before it answered", grpc.StatusCode.UNAVAILABLE),
        ):
            hat.power_requests.clear()
            await rig.until_online()
            async with asyncio.TaskGroup() as tasks:
                call = tasks.create_task(refusal_of(set_power(rig)))
                await until(lambda: hat.power_requests)
                disturb()
            assert call.result()[0] is code
            assert words in call.result()[1]


async def test_an_offline_hat_is_unavailable_with_its_problem(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        rig.hats["node-1"].unplug()
        await rig.until_node(lambda node: "does not open" in node.hat.problem)
        code, sentence = await refusal_of(set_power(rig))
    assert code is grpc.StatusCode.UNAVAILABLE
    assert sentence.startswith("the HAT of node-1 is offline: ")
    assert "there is no such port" in sentence


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (rack_pb2.SetPowerRequest(name="nodes/node-1"), "action: expected ON, OFF, FORCE_OFF, CYCLE, found 0"),
        (rack_pb2.SetPowerRequest(name="node-1", action=ON), "name: expected nodes/NAME"),
        (rack_pb2.SetPowerRequest(name="nodes/node-1", action=ON, force=True), "force: is for OFF only, not for ON"),
        (
            rack_pb2.SetPowerRequest(name="nodes/node-1", action=OFF, grace=Duration(seconds=601)),
            "grace: expected 0 to 600 seconds, found 601 s",
        ),
        (
            rack_pb2.SetPowerRequest(name="nodes/node-1", action=OFF, grace=Duration(seconds=-1)),
            "grace: expected 0 to 600 seconds",
        ),
        (
            rack_pb2.SetPowerRequest(name="nodes/node-1", action=CYCLE, off_time=Duration(seconds=60, nanos=1)),
            "off_time: expected 0 to 60 seconds",
        ),
        (
            rack_pb2.SetPowerRequest(name="nodes/node-1", action=OFF, off_time=Duration(seconds=1)),
            "off_time: is for CYCLE only, not for OFF",
        ),
    ],
)
async def test_a_bad_argument_is_named(tmp_path: Path, request_: rack_pb2.SetPowerRequest, words: str) -> None:
    async with running_rack(tmp_path) as rig:
        code, sentence = await refusal_of(rig.rack.SetPower(request_))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert words in sentence


async def test_identify_blinks_for_ten_seconds_unless_told_otherwise(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        await rig.rack.IdentifyNode(rack_pb2.IdentifyNodeRequest(name="nodes/node-1"))
        await rig.rack.IdentifyNode(rack_pb2.IdentifyNodeRequest(name="nodes/node-1", duration=Duration()))
        too_long = rack_pb2.IdentifyNodeRequest(name="nodes/node-1", duration=Duration(seconds=601))
        code, _ = await refusal_of(rig.rack.IdentifyNode(too_long))
    assert rig.hats["node-1"].identified == [10_000, 0]
    assert code is grpc.StatusCode.INVALID_ARGUMENT


async def test_more_requests_than_a_hat_can_hold_are_refused(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        rig.hats["node-1"].is_mute = True
        node = rig.daemon.rack.node("node-1")
        async with asyncio.TaskGroup() as tasks:
            request = rack_pb2.IdentifyNodeRequest(name="nodes/node-1")
            waiting = [tasks.create_task(refusal_of(rig.rack.IdentifyNode(request))) for _ in range(4)]
            await until(lambda: node._session is not None and len(node._session._answers) == 4)
            code, _ = await refusal_of(rig.rack.IdentifyNode(request))
            rig.hats["node-1"].unplug()
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert {task.result()[0] for task in waiting} == {grpc.StatusCode.UNAVAILABLE}


async def test_an_unknown_node_is_told_which_there_are(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        code, sentence = await refusal_of(rig.rack.SetPower(rack_pb2.SetPowerRequest(name="nodes/node-9", action=ON)))
    assert code is grpc.StatusCode.NOT_FOUND
    assert sentence == "there is no node node-9; the nodes are node-1"
