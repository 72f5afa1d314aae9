"""The power budget through the API, with HATs on ptys."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest

from racklet.link.v1 import link_pb2
from racklet.v1 import rack_pb2
from tests.hostd.rig import JumpingClock, running_rack, until
from tests.hostd.switching_hat import (
    CYCLE,
    FORCE_OFF,
    OFF,
    ON,
    audit_of,
    budget_rack,
    events_of,
    hat_of,
    plan_of,
    refusal_of,
    set_power,
    until_plan,
)
from tests.hostd.test_metrics import samples

NODES = [f"node-{number}" for number in range(1, 8)]


async def test_seven_at_once_start_as_they_fit_the_highest_priority_first(tmp_path: Path) -> None:
    async with budget_rack(tmp_path, 7, start_s=0.2) as rig:
        async with asyncio.TaskGroup() as tasks:
            calls = [tasks.create_task(set_power(rig, name)) for name in NODES]
            waiting = await until_plan(rig, lambda plan: sum(claim.HasField("wait") for claim in plan.claims) == 3)
        assert {call.result().supply_state for call in calls} == {rack_pb2.SUPPLY_STATE_ON}
        assert waiting.claimed_mw == 60_000
        first = min(
            (claim for claim in waiting.claims if claim.HasField("wait")), key=lambda claim: claim.wait.position
        )
        assert first.wait.reason == "it needs 15.0 W more, and 0.0 W of 60.0 W are free"
        settled = await until_plan(rig, lambda plan: plan.claimed_mw == 49_000)
        told = [(node, kind) for node, kind, _ in await events_of(rig) if kind.startswith("power_")]
    assert [claim.phase for claim in settled.claims] == [rack_pb2.POWER_PHASE_ON] * 7
    assert sorted(node for node, kind in told if kind == "power_admitted") == NODES
    assert len([node for node, kind in told if kind == "power_queued"]) == 3
    in_order = [node for node, kind in told if kind == "power_admitted"][4:]
    assert in_order == sorted(in_order, reverse=True)


async def test_a_caller_that_leaves_frees_its_place_in_the_queue(tmp_path: Path) -> None:
    async with budget_rack(tmp_path, 2, power={"capacity_w": 20}, start_s=600.0) as rig:
        await set_power(rig, "node-2")
        async with asyncio.TaskGroup() as tasks:
            call = tasks.create_task(refusal_of(set_power(rig, timeout_s=2)))
            waiting = await rig.until_node(lambda node: node.HasField("power_wait"))
            assert samples(rig)["racklet_power_queue_length[]"] == 1
        gone = await rig.until_node(lambda node: not node.HasField("power_wait"))
        told = await events_of(rig)
    assert call.result()[0] is grpc.StatusCode.DEADLINE_EXCEEDED
    assert waiting.power_wait.position == 1
    assert waiting.power_wait.wait_time.seconds
    assert gone.supply_state == rack_pb2.SUPPLY_STATE_OFF
    assert [kind for node, kind, _ in told if node == "node-1"][-2:] == ["power_queued", "power_cancelled"]
    assert not rig.hats["node-1"].power_requests


async def test_who_watches_a_node_sees_that_it_waits(tmp_path: Path) -> None:
    async with budget_rack(tmp_path, 2, power={"capacity_w": 20}, start_s=600.0) as rig:
        await set_power(rig, "node-2")
        watching = rig.rack.WatchNodes(rack_pb2.WatchNodesRequest(names=["nodes/node-1"]))
        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
            call = tasks.create_task(set_power(rig))
            async for response in watching:
                if response.nodes[0].HasField("power_wait"):
                    break
            assert "15.0 W more" in response.nodes[0].power_wait.reason
            watching.cancel()
            await rig.rack.SetPowerBudget(rack_pb2.SetPowerBudgetRequest(capacity_mw=30_000))
        assert call.result().supply_state == rack_pb2.SUPPLY_STATE_ON


async def test_a_start_that_never_fits_or_finds_the_queue_full_is_refused_with_the_reason(tmp_path: Path) -> None:
    async with budget_rack(tmp_path, 3, power={"capacity_w": 20, "queue": 1}, start_s=600.0) as rig:
        await set_power(rig)
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(refusal_of(set_power(rig, "node-2")))
            await rig.until_node(lambda node: node.HasField("power_wait"), "node-2")
            full = await refusal_of(set_power(rig, "node-3"))
            await rig.rack.SetPowerBudget(rack_pb2.SetPowerBudgetRequest(capacity_mw=14_000))
        never = await refusal_of(set_power(rig, "node-3"))
    assert full == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "1 starts wait for the power budget already; try node-3 again later",
    )
    assert never == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "the power budget does not let node-3 start: it needs 15.0 W, and the whole budget is 14.0 W",
    )
    assert waiting.result()[0] is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_node_that_is_on_is_asked_at_once_and_one_that_fails_gives_its_claim_back(tmp_path: Path) -> None:
    async with budget_rack(tmp_path, 1, power={"capacity_w": 15}) as rig:
        hat_of(rig).power_result = link_pb2.RESULT_NOT_REACHED
        assert (await refusal_of(set_power(rig)))[0] is grpc.StatusCode.FAILED_PRECONDITION
        assert (await plan_of(rig)).claimed_mw == 0
        hat_of(rig).power_result = link_pb2.RESULT_DONE
        await set_power(rig)
        await set_power(rig)
        await until_plan(rig, lambda plan: plan.claimed_mw == 7_000)
        await set_power(rig, action=OFF)
        assert (await plan_of(rig)).claimed_mw == 0


async def test_a_hat_that_goes_offline_keeps_its_claim_and_a_trip_frees_it(tmp_path: Path) -> None:
    async with budget_rack(tmp_path, 1) as rig:
        await set_power(rig)
        await until_plan(rig, lambda plan: plan.claimed_mw == 7_000)
        hat_of(rig).unplug()
        await rig.until_node(lambda node: node.hat.state == rack_pb2.HAT_STATE_OFFLINE)
        assert (await plan_of(rig)).claimed_mw == 7_000
        hat_of(rig).become(link_pb2.SUPPLY_STATE_TRIPPED)
        hat_of(rig).plug()
        await until_plan(rig, lambda plan: plan.claimed_mw == 0)


async def test_who_draws_too_much_for_too_long_costs_the_lowest_priority_its_supply(tmp_path: Path) -> None:
    clock = JumpingClock()
    power = {"exceeded_s": 1.5, "shed_grace_s": 42}
    async with budget_rack(tmp_path, 3, clock=clock, power=power) as rig:
        for name in NODES[:3]:
            await set_power(rig, name)
        await until_plan(rig, lambda plan: plan.claimed_mw == 21_000)
        hat_of(rig, "node-3").become(link_pb2.SUPPLY_STATE_ON, 52_000_000)
        plan = await until_plan(rig, lambda plan: plan.HasField("exceed_time"))
        assert [claim.node for claim in sorted(plan.claims, key=lambda claim: claim.shed_position)] == [
            "nodes/node-1",
            "nodes/node-2",
            "nodes/node-3",
        ]
        clock.ahead_ms = 1_500
        await until_plan(rig, lambda plan: not plan.HasField("exceed_time"))
        await until(lambda: samples(rig)["racklet_power_shed_total[('node', 'node-1')]"])
        told = await events_of(rig)
        entries = await audit_of(rig)
        page = samples(rig)
    assert rig.hats["node-1"].power_requests[-1][1:] == (link_pb2.POWER_ACTION_OFF, 42_000, 1, 0)
    assert [kind for _, kind, _ in told][-3:] == ["power_exceeded", "power_shed", "power_kept"]
    assert "asked to shut down to keep the budget: claims are 66.0 W and 62.0 W are drawn, of 60.0 W" in told[-2][2]
    asked, ended = [entry for entry in entries if entry.who == "policy:budget"]
    assert (asked.kind, asked.node, asked.arguments, asked.peer) == ("asked", "node-1", "action=off", "hostd")
    assert (ended.kind, ended.asked, ended.outcome) == ("ended", asked.sequence, "OK")
    assert page["racklet_power_budget_watts[]"] == 60
    assert page["racklet_power_claimed_watts[]"] == 59
    assert page["racklet_power_queue_length[]"] == 0


async def test_above_the_hard_limit_a_node_is_cut_also_while_it_shuts_down(tmp_path: Path) -> None:
    clock = JumpingClock()
    async with budget_rack(tmp_path, 2, clock=clock, power={"exceeded_s": 1.5}) as rig:
        for name in NODES[:2]:
            await set_power(rig, name)
        hat = hat_of(rig)
        hat.power_result = link_pb2.RESULT_PENDING
        hat_of(rig, "node-2").become(link_pb2.SUPPLY_STATE_ON, 58_000_000)
        await until_plan(rig, lambda plan: plan.HasField("exceed_time"))
        clock.ahead_ms = 1_500
        await until(lambda: hat.power_requests[-1][1] == link_pb2.POWER_ACTION_OFF)
        hat.power_result = link_pb2.RESULT_DONE
        hat_of(rig, "node-2").become(link_pb2.SUPPLY_STATE_ON, 66_000_000)
        await until(lambda: hat.power_requests[-1][1] == link_pb2.POWER_ACTION_FORCE_OFF)
        await rig.until_node(lambda node: node.supply_state == rack_pb2.SUPPLY_STATE_OFF)


async def test_a_node_that_cannot_be_shed_is_passed_over(tmp_path: Path) -> None:
    clock = JumpingClock()
    async with budget_rack(tmp_path, 2, clock=clock, power={"exceeded_s": 1.5}) as rig:
        for name in NODES[:2]:
            await set_power(rig, name)
        hat_of(rig).power_result = link_pb2.RESULT_BUSY
        await rig.rack.SetPowerBudget(rack_pb2.SetPowerBudgetRequest(capacity_mw=12_000))
        await until_plan(rig, lambda plan: plan.HasField("exceed_time"))
        clock.ahead_ms = 1_500
        await rig.until_node(lambda node: node.supply_state == rack_pb2.SUPPLY_STATE_OFF, "node-2")
        assert (await rig.node()).supply_state == rack_pb2.SUPPLY_STATE_ON


@pytest.mark.parametrize("capacity_mw", [0, -1, 10_000, 1 << 40])
async def test_a_budget_that_cannot_be_is_refused(tmp_path: Path, capacity_mw: int) -> None:
    async with budget_rack(tmp_path, 1, power={"reserve_w": 10}) as rig:
        request = rack_pb2.SetPowerBudgetRequest(capacity_mw=capacity_mw)
        code, words = await refusal_of(rig.rack.SetPowerBudget(request))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "expected more than the reserve of 10000" in words


async def test_without_a_budget_nothing_waits_and_there_is_no_plan(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        assert not (await plan_of(rig)).is_configured
        request = rack_pb2.SetPowerBudgetRequest(capacity_mw=1)
        code, words = await refusal_of(rig.rack.SetPowerBudget(request))
        assert not [name for name in samples(rig) if name.startswith("racklet_power")]
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "set capacity_w in [power]" in words


async def test_a_second_caller_is_told_that_the_first_waits_and_a_force_off_ends_the_wait(tmp_path: Path) -> None:
    async with budget_rack(tmp_path, 2, power={"capacity_w": 20}, start_s=600.0) as rig:
        await set_power(rig, "node-2")
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(refusal_of(set_power(rig)))
            await rig.until_node(lambda node: node.HasField("power_wait"))
            code, words = await refusal_of(set_power(rig, action=CYCLE))
            await set_power(rig, action=FORCE_OFF)
        assert not (await rig.node()).HasField("power_wait")
    assert code is grpc.StatusCode.ABORTED
    assert "on, for 0." in words
    assert "which waits for the power budget" in words
    assert first.result()[0] is grpc.StatusCode.ABORTED
    assert first.result()[1].startswith("on of node-1 was overtaken by a force-off of uid ")


async def test_the_hat_of_a_node_that_waits_may_go_away_meanwhile(tmp_path: Path) -> None:
    async with budget_rack(tmp_path, 2, power={"capacity_w": 20}, start_s=600.0) as rig:
        await set_power(rig, "node-2")
        async with asyncio.TaskGroup() as tasks:
            call = tasks.create_task(refusal_of(set_power(rig)))
            await rig.until_node(lambda node: node.HasField("power_wait"))
            hat_of(rig).unplug()
            await rig.until_node(lambda node: node.hat.state == rack_pb2.HAT_STATE_OFFLINE)
            await set_power(rig, "node-2", FORCE_OFF)
        assert call.result()[0] is grpc.StatusCode.UNAVAILABLE
        assert (await plan_of(rig)).claimed_mw == 0


async def test_who_waits_is_let_go_when_hostd_ends(tmp_path: Path) -> None:
    async with budget_rack(tmp_path, 2, power={"capacity_w": 20}, start_s=600.0) as rig:
        await set_power(rig, "node-2")
        async with asyncio.TaskGroup() as tasks:
            call = tasks.create_task(refusal_of(set_power(rig)))
            await rig.until_node(lambda node: node.HasField("power_wait"))
            rig.stop.set()
    assert call.result() == (grpc.StatusCode.UNAVAILABLE, "hostd is shutting down")


async def test_a_force_off_overtakes_an_off_that_waits_for_its_node(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        hat = rig.hats["node-1"]
        hat.power_result = link_pb2.RESULT_PENDING
        async with asyncio.TaskGroup() as tasks:
            off = tasks.create_task(refusal_of(set_power(rig, action=OFF)))
            await until(lambda: hat.power_requests)
            hat.power_result = link_pb2.RESULT_DONE
            await set_power(rig, action=FORCE_OFF)
        assert off.result()[0] is grpc.StatusCode.ABORTED
        assert off.result()[1].startswith("off of node-1 was overtaken by a force-off of uid ")
        await set_power(rig, action=ON)


async def test_an_off_goes_on_when_its_hat_does_not_take_the_force_off(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        hat = rig.hats["node-1"]
        hat.power_result = link_pb2.RESULT_PENDING
        async with asyncio.TaskGroup() as tasks:
            off = tasks.create_task(set_power(rig, action=OFF))
            await until(lambda: hat.power_requests)
            hat.power_result = link_pb2.RESULT_BUSY
            code, _ = await refusal_of(set_power(rig, action=FORCE_OFF))
            again, words = await refusal_of(set_power(rig, action=ON))
            hat.link.finish(hat.power_requests[0][0], link_pb2.RESULT_DONE, 900)
    assert code is again is grpc.StatusCode.ABORTED
    assert "off, for " in words
    assert off.result().duration.ToMilliseconds() == 900


async def test_a_force_off_lets_nothing_overtake_it(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        hat = rig.hats["node-1"]
        hat.power_result = link_pb2.RESULT_PENDING
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(set_power(rig, action=FORCE_OFF))
            await until(lambda: hat.power_requests)
            code, words = await refusal_of(set_power(rig, action=FORCE_OFF))
            hat.finish_power(link_pb2.RESULT_DONE)
    assert code is grpc.StatusCode.ABORTED
    assert "force-off, for " in words
