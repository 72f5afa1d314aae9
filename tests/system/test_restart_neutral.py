"""Whatever restarts: no rail moves, the boot log stays whole, and the energy counter never goes back."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from racklet.v1 import rack_pb2
from racklet_virtual.board import VirtualHat
from racklet_virtual.microcontroller import ResetCause
from racklet_virtual.rack import VirtualRack
from racklet_virtual.script import NodeState
from tests.system.rig import CYCLE, OFFLINE, ON, Hostd, Metrics, until, until_async, virtual_rack

pytestmark = pytest.mark.asyncio(loop_scope="module")
WORST_AT_25_C = 0.018  # docs/metering.md
BOOT_BYTES_BEFORE = 3000  # a boot has 14 000 or more


class WatchedHostd(Hostd):
    """A hostd of which every answer is held against those before: energy never goes back."""

    def __init__(self, folder: Path, nodes_toml: str) -> None:
        super().__init__(folder, nodes_toml)
        self.told_uj: dict[str, int] = {}

    async def node(self, name: str = "node-1") -> rack_pb2.Node:
        node = await super().node(name)
        assert node.energy_uj >= self.told_uj.get(name, 0)
        self.told_uj[name] = node.energy_uj
        return node


@dataclass
class Rig:
    """Two HATs, online at the beginning of every test: one whose node boots, one whose node is off."""

    rack: VirtualRack
    hostd: WatchedHostd

    @property
    def on(self) -> VirtualHat:
        """The HAT whose node boots."""
        return self.rack.hats[0]

    @property
    def off(self) -> VirtualHat:
        """The HAT whose node is off."""
        return self.rack.hats[1]

    def rails(self) -> list[tuple[bool, int, int]]:
        """Return the truth about every rail: how it is, how often it came up, how often its node started."""
        return [(hat.node.supply_on, len(hat.node.boots), hat.node.starts) for hat in self.rack.hats]

    async def until_online(self) -> None:
        """Wait until both HATs talk."""
        await self.hostd.until_online("node-1", "node-2")

    async def starts_told(self, hat: VirtualHat) -> int:
        """Return how often hostd was told that a HAT started."""
        return await self.hostd.starts_told(hat.node.name)

    async def newest_log(self) -> list[bytes | rack_pb2.Gap]:
        """Return the log of the boot, once the node is up and hostd has the end of what it sent."""
        up = {NodeState.IDLE, NodeState.WORKING}
        await until(lambda: self.on.node.state in up and not self.on.hardware.node.sending)
        last = self.sent()[-100:]

        async def is_there() -> bool:
            pieces = await self.hostd.pieces("nodes/node-1/boots/-")
            return isinstance(pieces[-1], bytes) and pieces[-1].endswith(last)

        await until_async(is_there)
        return await self.hostd.pieces("nodes/node-1/boots/-")

    def make_talk(self) -> None:
        """Let somebody press Enter on the node's own keyboard, so that it says more if its boot is over."""
        self.on.hardware.node.type(b"\r" * 50, self.on.now_us())
        self.on.look_again()

    def sent(self) -> bytes:
        """Return what the node that boots has sent in truth."""
        return self.on.node.sent(self.on.node.boots[-1])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with (
        virtual_rack(tmp_path_factory.mktemp("rack"), 2) as rack,
        WatchedHostd(tmp_path_factory.mktemp("hostd"), rack.config_toml()) as hostd,
    ):
        yield Rig(rack, hostd)


@pytest_asyncio.fixture(loop_scope="module")
async def rig(running: Rig) -> AsyncIterator[Rig]:
    """The rig in the middle of a boot. Whatever the test does, no rail may move, and energy is counted on."""
    await running.until_online()
    await running.hostd.power(running.on, CYCLE if running.on.node.supply_on else ON)
    await until(lambda: running.on.node.boots[-1].sent_bytes > BOOT_BYTES_BEFORE)
    boots = len(await running.hostd.boots())
    rails = running.rails()
    yield running
    assert running.rails() == rails
    assert len(await running.hostd.boots()) == boots
    before_uj = running.hostd.told_uj["node-1"]
    await running.hostd.until_node(lambda node: node.energy_uj > before_uj)
    for number, hat in enumerate(running.rack.hats, 1):
        assert running.hostd.told_uj[f"node-{number}"] <= hat.node.joules * (1 + WORST_AT_25_C) * 1e6


def freeze(hat: VirtualHat) -> None:
    """Hang the firmware, so that its watchdog bites after 8 s."""
    assert hat.chip.pid is not None
    os.kill(hat.chip.pid, signal.SIGSTOP)


def crash(hat: VirtualHat) -> None:
    """Let the firmware die."""
    assert hat.chip.pid is not None
    os.kill(hat.chip.pid, signal.SIGSEGV)


RESETS = {
    "watchdog": freeze,
    "crash": crash,
    "machine.reset": lambda hat: hat.reset_microcontroller(ResetCause.WATCHDOG),
    "machine.soft_reset": lambda hat: hat.reset_microcontroller(ResetCause.SOFT),
}


@pytest.mark.parametrize("reset", RESETS.values(), ids=RESETS)
async def test_a_reset_of_the_hat_costs_a_gap_and_nothing_else(rig: Rig, reset: Callable[[VirtualHat], None]) -> None:
    starts = [hat.chip.starts for hat in rig.rack.hats]
    told = [await rig.starts_told(hat) for hat in rig.rack.hats]
    for hat in rig.rack.hats:
        reset(hat)
    await until(lambda: all(hat.chip.starts > count for hat, count in zip(rig.rack.hats, starts, strict=True)))

    async def all_told() -> bool:
        return all([await rig.starts_told(hat) > count for hat, count in zip(rig.rack.hats, told, strict=True)])

    await until_async(all_told)
    await rig.until_online()
    rig.make_talk()
    head, gap, tail = await rig.newest_log()
    sent = rig.sent()
    assert isinstance(gap, rack_pb2.Gap)
    assert gap.reason == "hat_restart"
    assert sent.startswith(head)
    assert sent.endswith(tail)
    assert len(head) + len(tail) <= len(sent)


@asynccontextmanager
async def without_hostd(rig: Rig, how: signal.Signals) -> AsyncIterator[None]:
    """Within the block no hostd runs, because of this signal."""
    if how is signal.SIGKILL:
        await rig.hostd.kill()
    else:
        assert await rig.hostd.stop() == 0
    yield
    await rig.hostd.start()
    await rig.until_online()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_a_restart_of_hostd_costs_nothing(rig: Rig, how: signal.Signals) -> None:
    sent_bytes = rig.on.node.boots[-1].sent_bytes
    async with without_hostd(rig, how):
        await until(lambda: rig.on.node.boots[-1].sent_bytes > sent_bytes + 4000)
    assert await rig.newest_log() == [rig.sent()]


async def test_hostd_killed_again_and_again_costs_nothing(rig: Rig) -> None:
    for _ in range(3):
        async with without_hostd(rig, signal.SIGKILL):
            pass
    assert await rig.newest_log() == [rig.sent()]


async def test_a_hostd_that_hangs_for_a_while_costs_nothing(rig: Rig) -> None:
    os.kill(rig.hostd.pid, signal.SIGSTOP)
    await until(lambda: rig.on.node.state is NodeState.IDLE)
    os.kill(rig.hostd.pid, signal.SIGCONT)
    assert await rig.newest_log() == [rig.sent()]


async def test_a_pulled_cable_costs_nothing(rig: Rig) -> None:
    for hat in rig.rack.hats:
        hat.unplug()
    for name in ("node-1", "node-2"):
        node = await rig.hostd.until_node(lambda node: node.hat.state == OFFLINE, name, patience_s=3)
        assert not node.HasField("measurement")
    sent_bytes = rig.on.node.boots[-1].sent_bytes
    await until(lambda: rig.on.node.boots[-1].sent_bytes > sent_bytes + 4000)
    for hat in rig.rack.hats:
        hat.replug()
    await rig.until_online()
    assert await rig.newest_log() == [rig.sent()]


async def test_all_of_it_at_once_costs_a_gap_and_nothing_else(rig: Rig) -> None:
    async with without_hostd(rig, signal.SIGKILL):
        for hat in rig.rack.hats:
            hat.unplug()
            hat.reset_microcontroller(ResetCause.WATCHDOG)
        starts = rig.on.chip.starts
        await until(lambda: rig.on.chip.starts > starts)
        for hat in rig.rack.hats:
            hat.replug()
    head, gap, tail = await rig.newest_log()
    assert isinstance(gap, rack_pb2.Gap)
    assert gap.reason == "hat_restart"
    assert rig.sent().startswith(head)
    assert rig.sent().endswith(tail)


async def test_the_counters_in_metrics_go_on_after_a_restart_of_hostd(rig: Rig) -> None:
    def counters(metrics: Metrics) -> Metrics:
        kept = (
            "racklet_energy_joules_total",
            "racklet_charge_coulombs_total",
            "racklet_boots_total",
            "racklet_boot_log_bytes_total",
        )
        return {key: value for key, value in metrics.items() if key[0] in kept}

    before = counters(await rig.hostd.metrics())
    async with without_hostd(rig, signal.SIGKILL):
        pass
    after = counters(await rig.hostd.metrics())
    assert len(before) == 8
    assert after.keys() == before.keys()
    assert all(after[key] >= value for key, value in before.items())
