"""hostd's joules and coulombs against the truth, over resets, with both power monitors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from racklet_virtual.board import VirtualHat
from racklet_virtual.error_budget import band
from racklet_virtual.hardware import MonitorPart
from racklet_virtual.microcontroller import ResetCause
from tests.system.rig import Hostd, until, virtual_rack

RESETS = (ResetCause.WATCHDOG, ResetCause.SOFT, ResetCause.WATCHDOG, ResetCause.SOFT)
LAG_S = 1.0  # between what is true and what is told: a telemetry period, a sync, and the way
PARTS = {1: MonitorPart.INA228, 2: MonitorPart.INA226}


async def told(hostd: Hostd, number: int) -> tuple[float, float]:
    """Return the joules and coulombs of a node as hostd tells them."""
    node = await hostd.node(f"node-{number}")
    return node.energy_uj / 1e6, node.charge_uc / 1e6


def true(hat: VirtualHat) -> tuple[float, float]:
    """Return the joules and coulombs that flowed."""
    totals = hat.hardware.supply.totals
    hat.hardware.advance(hat.now_us())
    return totals.joules, totals.coulombs


async def reset_all(hostd: Hostd, hats: Sequence[VirtualHat], cause: ResetCause) -> None:
    """Reset the microcontrollers; return when hostd serves their next sessions."""
    starts = [hat.chip.starts for hat in hats]
    for hat in hats:
        hat.reset_microcontroller(cause)
    await until(lambda: all(hat.chip.starts > count for hat, count in zip(hats, starts, strict=True)))
    before = [await told(hostd, number) for number in (1, 2)]
    for number, (joules, _) in enumerate(before, 1):
        await hostd.until_node(lambda node, joules=joules: node.energy_uj > joules * 1e6 + 1e5, f"node-{number}")


@pytest.mark.timeout(120)
async def test_resets_cost_an_ina228_no_joule_and_an_ina226_only_those_of_the_reset(tmp_path: Path) -> None:
    async with (
        virtual_rack(tmp_path / "rack", 2, parts=PARTS) as rack,
        Hostd(tmp_path, rack.config_toml()) as hostd,
    ):
        await hostd.until_online("node-1", "node-2")
        for hat in rack.hats:
            await hostd.power(hat)
        began_us = rack.now_us()
        for cause in RESETS:
            await reset_all(hostd, rack.hats, cause)
        span_s = (rack.now_us() - began_us) / 1e6
        for number, hat in enumerate(rack.hats, 1):
            joules, coulombs = await told(hostd, number)
            true_joules, true_coulombs = true(hat)
            load = true_coulombs / span_s
            stated = band(hat.hardware.limits, 5.1, load, 35.0)
            missing = LAG_S + (len(RESETS) * 1.5 if number == 2 else 0)  # seconds
            peak = 2.0  # amperes that may have flowed meanwhile
            assert joules <= true_joules + stated.joules_per_second * span_s
            assert joules >= true_joules - stated.joules_per_second * span_s - missing * peak * 5.1
            assert coulombs <= true_coulombs + stated.coulombs_per_second * span_s
            assert coulombs >= true_coulombs - stated.coulombs_per_second * span_s - missing * peak
        node = await hostd.node("node-2")
        assert node.measurement.temperature_mc == 0  # it has no thermometer


async def test_a_hat_that_is_moved_to_another_slot_takes_its_joules_along_once(tmp_path: Path) -> None:
    async with virtual_rack(tmp_path / "rack", 2) as rack, Hostd(tmp_path, rack.config_toml()) as hostd:
        first, second = rack.hats
        await hostd.until_online("node-1", "node-2")
        await hostd.power(first)
        before = await hostd.until_node(lambda node: node.energy_uj > 1_000_000)
        slot = second.slot
        second.unplug()
        first.replug(slot)
        moved = await hostd.until_node(lambda node: node.hat.port.endswith(slot) and node.energy_uj > before.energy_uj)
        assert moved.energy_uj / 1e6 < true(first)[0] * 1.02
        assert (await hostd.node("node-2")).energy_uj == 0
