"""HATs whose supplies follow, in a rack with a power budget."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from racklet.link.v1 import link_pb2
from racklet.v1 import rack_pb2
from racklet_hostd.clock import Clock
from tests.hostd.pty_hat import PtyHat
from tests.hostd.rig import Rig, running_rack

ON, OFF = rack_pb2.POWER_ACTION_ON, rack_pb2.POWER_ACTION_OFF
FORCE_OFF, CYCLE = rack_pb2.POWER_ACTION_FORCE_OFF, rack_pb2.POWER_ACTION_CYCLE
RUNNING_UW = 5_000_000


class SwitchingHat(PtyHat):
    """A HAT that does what it is asked, at once, or when `power_result` is RESULT_PENDING with `finish_power`."""

    def __init__(self, port: Path, session: int) -> None:
        super().__init__(port, session)
        self.become(link_pb2.SUPPLY_STATE_OFF)

    def become(self, state: int, supply_uw: int = RUNNING_UW) -> None:
        """Take the supply to a state, and draw so much while it is on."""
        is_on = state == link_pb2.SUPPLY_STATE_ON
        self.now.supply_state = state
        self.now.supply_uv = 5_000_000 if is_on else 0
        self.now.supply_uw = supply_uw if is_on else 0
        self.now.supply_ua = self.now.supply_uw // 5

    def set_power(self, request_id: int, action: int, grace_ms: int, force: int, off_ms: int) -> int:
        result = super().set_power(request_id, action, grace_ms, force, off_ms)
        if result == link_pb2.RESULT_DONE:
            self._follow(action)
        return result

    def finish_power(self, result: int) -> None:
        if result == link_pb2.RESULT_DONE:
            self._follow(self.power_requests[-1][1])
        super().finish_power(result)

    def _follow(self, action: int) -> None:
        is_on = action in {link_pb2.POWER_ACTION_ON, link_pb2.POWER_ACTION_CYCLE}
        self.become(link_pb2.SUPPLY_STATE_ON if is_on else link_pb2.SUPPLY_STATE_OFF)


@asynccontextmanager
async def budget_rack(
    folder: Path,
    count: int,
    *,
    clock: Clock | None = None,
    power: dict[str, Any] | None = None,
    **node: Any,  # noqa: ANN401
) -> AsyncIterator[Rig]:
    """Run hostd with `count` nodes that are off, and a budget of 60 W unless `power` says otherwise."""
    names = tuple(f"node-{number}" for number in range(1, count + 1))
    fields = {"peak_w": 7, "inrush_w": 15, "start_s": 0.0} | node
    nodes = [
        {"name": name, "port": str(folder / "ports" / name), **fields, "priority": number}
        for number, name in enumerate(names)
    ]
    with ExitStack() as plugged:
        hats: dict[str, PtyHat] = {
            name: plugged.enter_context(SwitchingHat(folder / "ports" / name, 1000 * number))
            for number, name in enumerate(names, 1)
        }
        sections = {"node": nodes, "power": {"capacity_w": 60} | (power or {})}
        async with running_rack(folder, names, clock=clock, hats=hats, **sections) as rig:
            yield rig


def hat_of(rig: Rig, name: str = "node-1") -> SwitchingHat:
    hat = rig.hats[name]
    assert isinstance(hat, SwitchingHat)
    return hat


async def set_power(
    rig: Rig, name: str = "node-1", action: rack_pb2.PowerAction.ValueType = ON, timeout_s: float | None = None
) -> rack_pb2.SetPowerResponse:
    request = rack_pb2.SetPowerRequest(name=f"nodes/{name}", action=action)
    return await rig.rack.SetPower(request, timeout=timeout_s)


async def refusal_of(call: object) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call  # type: ignore[misc]
    return caught.value.code(), caught.value.details() or ""


async def plan_of(rig: Rig) -> rack_pb2.GetPowerPlanResponse:
    return await rig.rack.GetPowerPlan(rack_pb2.GetPowerPlanRequest())


async def until_plan(
    rig: Rig, holds: Callable[[rack_pb2.GetPowerPlanResponse], object]
) -> rack_pb2.GetPowerPlanResponse:
    """Return the plan as soon as `holds` is true of it."""
    async with asyncio.timeout(20):
        while not holds(plan := await plan_of(rig)):  # noqa: ASYNC110  hostd is outside of this test
            await asyncio.sleep(0.01)
    return plan


async def events_of(rig: Rig) -> list[tuple[str, str, str]]:
    """Return node, kind and message of the events, oldest first."""
    response = await rig.rack.ListEvents(rack_pb2.ListEventsRequest(page_size=1000))
    return [(event.node.removeprefix("nodes/"), event.kind, event.message) for event in reversed(response.events)]


async def audit_of(rig: Rig) -> list[rack_pb2.AuditEntry]:
    """Return the audit log, oldest first."""
    response = await rig.rack.ListAuditEntries(rack_pb2.ListAuditEntriesRequest(page_size=1000))
    return list(reversed(response.entries))


async def until_audited(rig: Rig, count: int) -> list[rack_pb2.AuditEntry]:
    """Return the audit log as soon as it has so many entries."""
    async with asyncio.timeout(20):
        while len(entries := await audit_of(rig)) < count:  # noqa: ASYNC110  hostd is outside of this test
            await asyncio.sleep(0.01)
    return entries
