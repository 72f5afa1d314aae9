"""The protection limits of the config on their way to the HAT."""

from __future__ import annotations

from pathlib import Path

from racklet.link.v1 import link_pb2
from racklet.v1 import rack_pb2
from tests.hostd.pty_hat import PtyHat
from tests.hostd.rig import Rig, running_rack, until

DEFAULTS = (5500, 100, 5400, 4500, 500, 85_000, 120, 500, 8000, 5000, 30_000)
OVER_CURRENT_MA, UNDER_VOLTAGE_MV = 1, 4


def limited(folder: Path, **limits: int) -> dict[str, object]:
    """Return the section of a config with one node that has these limits."""
    return {"node": [{"name": "node-1", "port": str(folder / "ports" / "node-1"), "limits": limits}]}


async def events_of(rig: Rig, kind: str) -> list[str]:
    response = await rig.rack.ListEvents(rack_pb2.ListEventsRequest(page_size=100))
    return [event.message for event in response.events if event.kind == kind]


async def test_without_limits_in_the_config_none_are_sent(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        await rig.rack.IdentifyNode(rack_pb2.IdentifyNodeRequest(name="nodes/node-1"))  # answered after any setting
        assert rig.hats["node-1"].limits == []


async def test_limits_are_sent_with_the_defaults_of_the_others(tmp_path: Path) -> None:
    async with running_rack(tmp_path, **limited(tmp_path, over_current_ma=3000, under_voltage_mv=4700)) as rig:
        hat = rig.hats["node-1"]
        await until(lambda: hat.limits)
        assert hat.limits == [(3000, *DEFAULTS[1:3], 4700, *DEFAULTS[4:])]
        assert (await rig.node()).hat.problem == ""


async def test_a_hat_that_restarts_gets_its_limits_again(tmp_path: Path) -> None:
    async with running_rack(tmp_path, **limited(tmp_path)) as rig:
        hat = rig.hats["node-1"]
        await until(lambda: hat.limits)
        hat.restart()
        await until(lambda: len(hat.limits) == 2)
        assert hat.limits == [DEFAULTS, DEFAULTS]


async def test_a_refused_limit_is_told_with_its_range_and_leaves_the_supply_alone(tmp_path: Path) -> None:
    hat = PtyHat(tmp_path / "ports" / "node-1")
    hat.refused_limit = OVER_CURRENT_MA
    with hat:
        async with running_rack(tmp_path, hats={"node-1": hat}, **limited(tmp_path, over_current_ma=5900)) as rig:
            why = "it refuses over_current_ma = 5900 of the limits in the config; this hostd knows 1 to 6000 for it"
            node = await rig.until_node(lambda node: node.hat.problem == why)
            assert node.hat.state == rack_pb2.HAT_STATE_ONLINE
            assert node.supply_state == rack_pb2.SUPPLY_STATE_ON
            told = f"The HAT does not do as the config says: {why}. It keeps what it has; the supply is not touched."
            assert await events_of(rig, "setting_refused") == [told]
            assert hat.power_requests == []


async def test_the_problem_ends_with_the_refusal(tmp_path: Path) -> None:
    hat = PtyHat(tmp_path / "ports" / "node-1")
    hat.refused_limit = UNDER_VOLTAGE_MV
    with hat:
        async with running_rack(tmp_path, hats={"node-1": hat}, **limited(tmp_path)) as rig:
            await rig.until_node(lambda node: "under_voltage_mv" in node.hat.problem)
            hat.refused_limit = 0
            hat.restart()
            await rig.until_node(lambda node: node.hat.problem == "" and len(hat.limits) == 2)


async def test_a_hat_that_names_no_field_is_told_all_the_same(tmp_path: Path) -> None:
    hat = PtyHat(tmp_path / "ports" / "node-1")
    hat.refused_limit = 99
    with hat:
        async with running_rack(tmp_path, hats={"node-1": hat}, **limited(tmp_path)) as rig:
            invalid = link_pb2.RESULT_INVALID
            why = f"it does not take the limits of the config (result {invalid})"
            await rig.until_node(lambda node: node.hat.problem == why)
