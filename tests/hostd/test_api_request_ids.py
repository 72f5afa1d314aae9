"""A request with an id is carried out once, however often it is asked for."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from racklet.link.v1 import link_pb2
from racklet.v1 import rack_pb2
from racklet_hostd.api.request_ids import KEPT_LIMIT, KEPT_MS, OnceRequest, RequestIds
from racklet_hostd.api.status import BadArgumentError, RequestRepeatedError
from racklet_hostd.caller import Caller
from racklet_hostd.clock import Clock
from racklet_hostd.errors import RackletError
from racklet_hostd.store import AuditEntry
from tests.hostd.rig import Rig, running_rack, until
from tests.hostd.switching_hat import budget_rack, hat_of

ADA, BOB = Caller("uid 1000", "unix:"), Caller("uid 1001", "unix:")
CYCLE, ON = rack_pb2.POWER_ACTION_CYCLE, rack_pb2.POWER_ACTION_ON
ID = "1f6d4c6e-9a49-4a0e-8d7c-3f1f0d6b5a20"


def cycle(request_id: str = ID) -> rack_pb2.SetPowerRequest:
    return rack_pb2.SetPowerRequest(name="nodes/node-1", action=CYCLE, request_id=request_id)


async def test_a_repeated_cycle_is_answered_again_and_cycles_once(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        first = await rig.rack.SetPower(cycle())
        again = await rig.rack.SetPower(cycle(ID.upper()))
        assert again == first
        assert len(rig.hats["node-1"].power_requests) == 1
        await rig.rack.SetPower(cycle(str(uuid4())))
        assert len(rig.hats["node-1"].power_requests) == 2


async def test_a_repeat_that_comes_while_the_first_is_under_way_waits_for_the_same(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        hat = rig.hats["node-1"]
        hat.power_result = link_pb2.RESULT_PENDING
        async with asyncio.TaskGroup() as tasks:
            calls = [tasks.create_task(as_task(rig.rack.SetPower(cycle()))) for _ in range(5)]
            await until(lambda: hat.power_requests)
            hat.finish_power(link_pb2.RESULT_DONE)
        assert len({call.result().SerializeToString() for call in calls}) == 1
        assert len(hat.power_requests) == 1


async def test_who_timed_out_learns_by_the_same_id_what_came_of_it(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        hat = rig.hats["node-1"]
        hat.power_result = link_pb2.RESULT_PENDING
        call = rig.rack.SetPower(cycle())
        await until(lambda: hat.power_requests)
        call.cancel()
        async with asyncio.TaskGroup() as tasks:
            again = tasks.create_task(as_task(rig.rack.SetPower(cycle())))
            await asyncio.sleep(0)
            hat.finish_power(link_pb2.RESULT_DONE)
        assert again.result().supply_state == rack_pb2.SUPPLY_STATE_ON
        assert len(hat.power_requests) == 1


async def test_a_transaction_that_failed_is_not_tried_again_by_the_same_id(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        hat = rig.hats["node-1"]
        hat.power_result = link_pb2.RESULT_NOT_REACHED
        first = await refusal_of(rig, cycle())
        hat.power_result = link_pb2.RESULT_DONE
        assert await refusal_of(rig, cycle()) == first
        assert len(hat.power_requests) == 1


async def test_what_was_refused_before_anything_was_done_may_be_tried_again(tmp_path: Path) -> None:
    async with budget_rack(tmp_path, 1, power={"capacity_w": 60}) as rig:
        hat = hat_of(rig)
        hat.power_result = link_pb2.RESULT_PENDING
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(as_task(rig.rack.SetPower(cycle(str(uuid4())))))
            await until(lambda: hat.power_requests)
            code, _ = await refusal_of(rig, cycle())
            assert code is grpc.StatusCode.ABORTED
            hat.finish_power(link_pb2.RESULT_DONE)
        assert running.result().supply_state == rack_pb2.SUPPLY_STATE_ON
        hat.power_result = link_pb2.RESULT_DONE
        assert (await rig.rack.SetPower(cycle())).supply_state == rack_pb2.SUPPLY_STATE_ON


async def test_the_same_id_for_something_else_is_refused(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        await rig.rack.SetPower(cycle())
        other = rack_pb2.SetPowerRequest(name="nodes/node-1", action=ON, request_id=ID)
        code, words = await refusal_of(rig, other)
        assert (code, words) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "request_id: expected a new one, found that of another request",
        )


@pytest.mark.parametrize("wrong", ["x", "1", ID + "0", ID.replace("-", ""), "\n" + ID])
async def test_what_is_no_uuid_is_refused(tmp_path: Path, wrong: str) -> None:
    async with running_rack(tmp_path) as rig:
        code, words = await refusal_of(rig, cycle(wrong))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert words.startswith("request_id: expected a UUID")


async def test_another_hostd_does_not_carry_it_out_again(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        await rig.rack.SetPower(cycle())
        assert len(rig.hats["node-1"].power_requests) == 1
    async with running_rack(tmp_path) as rig:
        code, words = await refusal_of(rig, cycle())
        assert (code, words) == (
            grpc.StatusCode.ABORTED,
            "this SetPower was asked for before and is not carried out again; it came to: OK",
        )
        assert not rig.hats["node-1"].power_requests
        await rig.rack.SetPower(cycle(str(uuid4())))


async def test_a_budget_is_set_once(tmp_path: Path) -> None:
    async with budget_rack(tmp_path, 1) as rig:
        once = rack_pb2.SetPowerBudgetRequest(capacity_mw=50_000, request_id=ID)
        await rig.rack.SetPowerBudget(once)
        await rig.rack.SetPowerBudget(rack_pb2.SetPowerBudgetRequest(capacity_mw=40_000))
        await rig.rack.SetPowerBudget(once)
        assert (await rig.rack.GetPowerPlan(rack_pb2.GetPowerPlanRequest())).capacity_mw == 40_000


class StandingClock(Clock):
    """Goes on when it is told to."""

    now_ms = 1_750_000_000_000

    def monotonic_ms(self) -> int:
        return self.now_ms

    def unix_ms(self) -> int:
        return self.now_ms


class Deeds:
    """Counts what is carried out."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self, once: OnceRequest) -> int:
        once.begin()
        self.count += 1
        return self.count


@given(
    steps=st.lists(
        st.tuples(st.sampled_from([ADA, BOB]), st.integers(0, 3), st.integers(0, KEPT_MS)), min_size=1, max_size=40
    )
)
async def test_an_outcome_lasts_ten_minutes_for_its_caller_and_its_id(steps: list[tuple[Caller, int, int]]) -> None:
    clock, deeds = StandingClock(), Deeds()
    ids = RequestIds(clock)
    now_ms = 0
    known: dict[tuple[str, int], tuple[int, int]] = {}  # until when, and what
    for caller, number, passes_ms in steps:
        clock.now_ms += passes_ms
        now_ms += passes_ms
        outcome = await ids.once(caller, cycle(f"{ID[:-1]}{number}"), deeds)
        until_ms, what = known.get((caller.who, number), (-1, 0))
        if now_ms <= until_ms:
            assert outcome == what
        else:
            assert outcome == deeds.count
            known[caller.who, number] = (now_ms + KEPT_MS, outcome)


async def test_of_too_many_outcomes_the_oldest_is_forgotten() -> None:
    ids, deeds = RequestIds(StandingClock()), Deeds()
    for number in range(KEPT_LIMIT + 10):
        await ids.once(ADA, cycle(f"{ID[:-4]}{number:04x}"), deeds)
    assert len(ids._kept) == KEPT_LIMIT
    assert await ids.once(ADA, cycle(f"{ID[:-4]}{10:04x}"), deeds) == 11
    assert await ids.once(ADA, cycle(f"{ID[:-4]}{0:04x}"), deeds) == KEPT_LIMIT + 11


async def test_a_request_that_nobody_waited_for_long_enough_may_begin_again() -> None:
    ids, waiting = RequestIds(StandingClock()), asyncio.Event()

    async def wait(_: OnceRequest) -> int:
        await waiting.wait()
        return 1

    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(ids.once(ADA, cycle(), wait))
        await asyncio.sleep(0)
        second = tasks.create_task(ids.once(ADA, cycle(), wait))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        waiting.set()
    assert second.result() == 1


async def test_what_is_too_old_in_the_audit_log_is_carried_out() -> None:
    clock = StandingClock()
    ids, deeds = RequestIds(clock), Deeds()
    ids.remember(
        [AuditEntry(7, clock.unix_ms(), "asked", who=ADA.who, method="SetPower", arguments={"request_id": ID})]
    )
    with pytest.raises(RequestRepeatedError, match="hostd ended before it did"):
        await ids.once(ADA, cycle(), deeds)
    clock.now_ms += KEPT_MS + 1
    assert await ids.once(ADA, cycle(), deeds) == 1


async def test_a_refusal_is_raised_again() -> None:
    ids = RequestIds(StandingClock())

    async def fail(once: OnceRequest) -> int:
        once.begin()
        raise BadArgumentError("field", "is wrong")

    for _ in range(2):
        with pytest.raises(RackletError, match="field: is wrong"):
            await ids.once(ADA, cycle(), fail)


async def as_task(call: Any) -> Any:  # noqa: ANN401
    return await call


async def refusal_of(rig: Rig, request: rack_pb2.SetPowerRequest) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await rig.rack.SetPower(request)
    return caught.value.code(), caught.value.details() or ""
