"""A HAT whose line is bad, or that sends nonsense: it is marked, and nobody else notices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from racklet_virtual.board import VirtualHat
from racklet_virtual.faults import FaultRates
from racklet_virtual.rack import VirtualRack
from tests.system.rig import CYCLE, FORCE_OFF, ON, ONLINE, Hostd, until, until_async, virtual_rack

pytestmark = pytest.mark.asyncio(loop_scope="module")
LINE_REASONS = ("cobs", "crc", "malformed", "oversize", "unexpected", "garbage")
GROWTH_BYTES = 16 << 20  # of hostd's memory, whatever a line carries
GARBAGE_BYTES_PER_S = 1_000_000  # full-speed USB


@dataclass
class Rig:
    """node-1 has the bad line; node-2 and node-3 are its neighbours."""

    rack: VirtualRack
    hostd: Hostd

    @property
    def bad(self) -> VirtualHat:
        """The HAT with the bad line."""
        return self.rack.hats[0]

    async def events(self, name: str) -> int:
        """Return how many events a node has had, but for what the doctor finds in its log."""
        return sum(event.kind != "finding" for event in await self.hostd.events(name))

    async def errors(self, name: str) -> float:
        """Return how many frames of a HAT were dropped, and stretches of garbage seen."""
        metrics = await self.hostd.metrics()
        return sum(metrics["racklet_link_errors_total", name, reason] for reason in LINE_REASONS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with (
        virtual_rack(tmp_path_factory.mktemp("rack"), 3) as rack,
        Hostd(tmp_path_factory.mktemp("hostd"), rack.config_toml()) as hostd,
    ):
        await hostd.until_online("node-1", "node-2", "node-3")
        yield Rig(rack, hostd)


@pytest_asyncio.fixture(loop_scope="module")
async def rig(running: Rig) -> AsyncIterator[Rig]:
    """The rig with every node in a boot. Neither the neighbours nor hostd's memory may notice the test."""
    await running.hostd.until_online("node-1", "node-2", "node-3")
    async with asyncio.TaskGroup() as tasks:
        for hat in running.rack.hats:
            tasks.create_task(running.hostd.power(hat, CYCLE if hat.node.supply_on else ON))
    await until(lambda: running.bad.node.boots[-1].sent_bytes > 1000)
    events = {hat.node.name: await running.events(hat.node.name) for hat in running.rack.hats[1:]}
    memory_bytes = running.hostd.resident_bytes()
    yield running
    assert running.hostd.resident_bytes() < memory_bytes + GROWTH_BYTES
    for hat in running.rack.hats[1:]:
        name = hat.node.name
        assert (await running.hostd.node(name)).hat.state == ONLINE
        assert await running.errors(name) == 0
        assert await running.events(name) == events[name]
        await running.hostd.until_stored(hat)


FAULTS = {
    "bit errors": FaultRates(bit_errors=3e-4),
    "drops": FaultRates(drops=0.2),
    "duplicates": FaultRates(duplicates=0.2),
}


@pytest.mark.parametrize("rates", FAULTS.values(), ids=FAULTS)
async def test_a_bad_line_costs_no_byte_of_the_log(rig: Rig, rates: FaultRates) -> None:
    cable = rig.bad.cable
    lines = (cable.to_host_faults, cable.to_hat_faults)
    before = [line.damaged_chunks for line in lines]
    rig.bad.damage_line(rates)
    await until(lambda: sum(line.damaged_chunks for line in lines) >= sum(before) + 6)
    rig.bad.damage_line(FaultRates())
    await rig.hostd.until_online("node-1")
    await rig.hostd.until_stored(rig.bad)


async def test_damaged_frames_are_counted_and_the_hat_is_marked(rig: Rig) -> None:
    errors = await rig.errors("node-1")
    rig.bad.damage_line(FaultRates(bit_errors=1e-3))

    async def is_counted() -> bool:
        return await rig.errors("node-1") >= errors + 5

    await until_async(is_counted)
    node = await rig.hostd.until_node(lambda node: node.hat.bad_frames >= 5)
    assert node.hat.bad_frames <= await rig.errors("node-1")
    rig.bad.damage_line(FaultRates())
    await rig.hostd.until_online("node-1")
    await rig.hostd.until_stored(rig.bad)


async def test_power_obeys_once_over_a_bad_line(rig: Rig) -> None:
    """A request that is repeated is not executed again."""
    starts = rig.bad.node.starts
    rig.bad.damage_line(FaultRates(drops=0.2, duplicates=0.3, bit_errors=1e-4))
    for _ in range(2):
        await rig.hostd.until_online("node-1")
        await rig.hostd.power(rig.bad, FORCE_OFF)
        assert not rig.bad.node.supply_on
        await rig.hostd.power(rig.bad)
        assert rig.bad.node.supply_on
    assert rig.bad.node.starts == starts + 2
    rig.bad.damage_line(FaultRates())
    await rig.hostd.until_online("node-1")
    await rig.hostd.until_stored(rig.bad)


async def test_a_flood_of_garbage_is_marked_and_costs_no_byte_of_the_log(rig: Rig) -> None:
    errors = await rig.errors("node-1")
    rig.bad.cable.chatter(GARBAGE_BYTES_PER_S, 60)

    async def is_noticed() -> bool:
        return await rig.errors("node-1") > errors + 100

    await until_async(is_noticed)
    node = await rig.hostd.until_node(lambda node: node.hat.bad_frames > 50)
    assert (node.hat.state == ONLINE) or node.hat.problem
    rig.bad.cable.stop_chatter()
    await rig.hostd.until_online("node-1")
    await rig.hostd.until_stored(rig.bad)


async def test_a_hat_that_sends_nothing_but_garbage_is_offline_with_a_reason(rig: Rig) -> None:
    rig.bad.cable.to_host_faults.rates = FaultRates(bit_errors=0.1)
    rig.bad.cable.chatter(GARBAGE_BYTES_PER_S, 60)
    node = await rig.hostd.until_node(lambda node: node.hat.state != ONLINE and "garbage" in node.hat.problem)
    assert str(rig.bad.port) in node.hat.problem
    code, output, _ = await rig.hostd.cli("nodes")
    assert code == 0
    assert node.hat.problem in " ".join(output.split())
    rig.bad.cable.stop_chatter()
    rig.bad.damage_line(FaultRates())
    await rig.hostd.until_online("node-1")
    await rig.hostd.until_stored(rig.bad)
