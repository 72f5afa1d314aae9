"""An exception in any task of the firmware moves no rail, is told, and the other tasks go on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from racklet_virtual.board import VirtualHat
from racklet_virtual.firmware_process import project_firmware
from racklet_virtual.rack import VirtualRack
from tests.conftest import interpreter
from tests.system.rig import OFFLINE, ON, SPEED, Hostd, until, until_async

pytestmark = pytest.mark.asyncio(loop_scope="module")
TASKS = ("console", "link", "meter", "lights")  # in the order of their numbers


@dataclass
class Rig:
    """Two HATs whose tasks can be made to fail: one with its supply on, one with it off."""

    rack: VirtualRack
    hostd: Hostd

    def rails(self) -> list[tuple[bool, int]]:
        """Return the truth about each rail: how it is, and how often it came up."""
        return [(hat.node.supply_on, len(hat.node.boots)) for hat in self.rack.hats]

    def fail(self, task: str) -> None:
        """Let a task of both HATs fail at every turn."""
        for hat in self.rack.hats:
            _flag(hat, task).touch()

    def mend(self, task: str) -> None:
        """Let it do its work again."""
        for hat in self.rack.hats:
            _flag(hat, task).unlink()

    async def failures_told(self, task: str) -> bool:
        """Tell whether hostd heard of this task's failure from both HATs."""
        words = f"Task {TASKS.index(task)}"
        told = [await self.hostd.events(hat.node.name) for hat in self.rack.hats]
        return all(any(event.kind == "task_failed" and words in event.message for event in events) for events in told)


def _flag(hat: VirtualHat, task: str) -> Path:
    return hat.chip.flash / f"fail-{task}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    interpreter("micropython")
    firmware = project_firmware(Path(__file__).parent / "failing_firmware.py")
    async with (
        VirtualRack(tmp_path_factory.mktemp("rack"), 2, speed=SPEED, firmware=firmware) as rack,
        Hostd(tmp_path_factory.mktemp("hostd"), rack.config_toml()) as hostd,
    ):
        await hostd.until_online("node-1", "node-2")
        await hostd.power(rack.hats[0], ON)
        yield Rig(rack, hostd)


@pytest.mark.parametrize("task", TASKS)
async def test_a_task_that_fails_for_a_while_moves_no_rail_and_is_told(rig: Rig, task: str) -> None:
    rails = rig.rails()
    starts = [hat.chip.starts for hat in rig.rack.hats]
    rig.fail(task)
    if task == "link":  # what it fails to say it says afterwards
        for name in ("node-1", "node-2"):
            await rig.hostd.until_node(lambda node: node.hat.state == OFFLINE, name)
    else:
        await until_async(lambda: rig.failures_told(task))
    rig.mend(task)
    await rig.hostd.until_online("node-1", "node-2")
    await until_async(lambda: rig.failures_told(task))
    assert rig.rails() == rails
    assert [hat.chip.starts for hat in rig.rack.hats] == starts


@pytest.mark.parametrize("task", TASKS)
async def test_a_task_that_only_fails_lets_the_watchdog_reset_the_hat_and_moves_no_rail(rig: Rig, task: str) -> None:
    rails = rig.rails()
    starts = [hat.chip.starts for hat in rig.rack.hats]
    rig.fail(task)
    await until(lambda: all(hat.chip.starts > count for hat, count in zip(rig.rack.hats, starts, strict=True)))
    rig.mend(task)
    await rig.hostd.until_online("node-1", "node-2")
    assert rig.rails() == rails


async def test_tasks_that_fail_from_the_first_turn_let_the_watchdog_reset_the_hat_and_move_no_rail(rig: Rig) -> None:
    rails = rig.rails()
    for task in TASKS:
        rig.fail(task)
    for hat in rig.rack.hats:
        hat.reset_microcontroller()
    starts = [hat.chip.starts for hat in rig.rack.hats]
    await until(lambda: all(hat.chip.starts > count + 1 for hat, count in zip(rig.rack.hats, starts, strict=True)))
    for task in TASKS:
        rig.mend(task)
    await rig.hostd.until_online("node-1", "node-2")
    assert rig.rails() == rails
