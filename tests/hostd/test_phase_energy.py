"""Joules of each phase of a boot: measured while it streams, kept with the boot."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from racklet.v1 import rack_pb2
from racklet_hostd.phase_energy import LONGEST_STRETCH_MS, SAMPLES_KEPT, PhaseEnergy
from racklet_hostd.store import BEFORE_LOG, EnergyMark, Store
from racklet_hostd.store.schema import VERSIONS
from tests.hostd.pty_hat import PtyHat
from tests.hostd.rig import Rig, running_rack, until
from tests.hostd.store_rig import begun_log, opened

LOADER = b"U-Boot 2025.01 (Jun 24 2026)\r\n"
KERNEL = b"Starting kernel ...\r\n"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    with opened(tmp_path) as store:
        yield store  # type: ignore[misc]


def test_a_beginning_between_two_samples_gets_its_share(store: Store) -> None:
    energy = PhaseEnergy("node-1", store.energy_marks)
    energy.sample(1000, 5000)
    energy.begin(1, 40, 1250)
    energy.sample(2000, 6000)
    energy.begin(1, 90, 2000)
    assert store.energy_marks.of_boot("node-1", 1) == {40: 5250, 90: 6000}
    assert energy.newest_uj == 6000


def test_what_began_while_nobody_measured_has_no_energy(store: Store) -> None:
    energy = PhaseEnergy("node-1", store.energy_marks)
    assert energy.newest_uj is None
    energy.begin(1, 0, 500)
    energy.sample(1000, 5000)
    energy.begin(1, 10, 999)
    energy.begin(1, 20, 1001)
    energy.sample(1001 + LONGEST_STRETCH_MS, 9000)
    assert store.energy_marks.of_boot("node-1", 1) == {}


def test_the_samples_and_what_waits_are_bounded(store: Store) -> None:
    energy = PhaseEnergy("node-1", store.energy_marks)
    for at_ms in range(SAMPLES_KEPT + 1):
        energy.sample(at_ms, at_ms)
    energy.begin(1, 0, 0)
    for offset in range(1000):
        energy.begin(1, offset, 10_000)
    energy.sample(10_000, 10_000)
    assert len(store.energy_marks.of_boot("node-1", 1)) == 128


def test_a_clock_that_is_set_back_adds_no_sample(store: Store) -> None:
    energy = PhaseEnergy("node-1", store.energy_marks)
    energy.sample(5000, 100)
    energy.sample(4000, 200)
    assert energy.newest_uj == 100


def test_marks_are_durable_after_a_sync_and_go_with_their_boots(tmp_path: Path) -> None:
    with opened(tmp_path, boots_per_node=2) as store:
        begun_log(store.node("node-1"))
        store.energy_marks.add(EnergyMark("node-1", 1, BEFORE_LOG, 7))
        store.energy_marks.add(EnergyMark("node-1", 1, BEFORE_LOG, 8))
        store.sync()
    with opened(tmp_path, boots_per_node=2) as store:
        assert store.energy_marks.of_boot("node-1", 1) == {BEFORE_LOG: 7}
        for boot in range(2, 5):
            begun_log(store.node("node-1"), boot)
            store.sync()
            store.tend(0)
        store.energy_marks.add(EnergyMark("node-1", 4, BEFORE_LOG, 9))
        store.sync()
        assert store.energy_marks.of_boot("node-1", 1) == {}
        assert store.energy_marks.of_boot("node-1", 4) == {BEFORE_LOG: 9}


def test_an_index_without_marks_gets_the_table(tmp_path: Path) -> None:
    index = sqlite3.connect(tmp_path / "index.sqlite3")
    index.executescript(VERSIONS[0] + "PRAGMA user_version = 1;")
    index.close()
    with opened(tmp_path) as store:
        store.energy_marks.add(EnergyMark("node-1", 1, 5, 7))
        assert store.sync().index_problem == ""
        assert store.energy_marks.of_boot("node-1", 1) == {5: 7}


async def metered(rig: Rig, hat: PtyHat, add_uj: int) -> None:
    """Let the node take some energy, and wait until hostd has metered it, and that it takes no more."""
    node = rig.daemon.rack.node("node-1")
    await until(
        lambda: node.log.watch.newest_energy_uj == node.store.energy_uj
    )  # all that was metered before is durable
    until_uj = node.store.energy_uj + add_uj
    hat.now.energy_uj += add_uj
    await until(lambda: (node.log.watch.newest_energy_uj or 0) >= until_uj and node.store.energy_uj >= until_uj)
    measured = node.measurement
    await until(lambda: node.measurement is not measured)


async def said(hat: PtyHat, data: bytes) -> None:
    hat.say(data)
    await until(lambda: hat.all_acknowledged)


async def diagnose(rig: Rig, boot: int) -> list[rack_pb2.BootPhase]:
    request = rack_pb2.DiagnoseNodeRequest(name="nodes/node-1", boot=f"nodes/node-1/boots/{boot}")
    return list((await rig.rack.DiagnoseNode(request)).phases)


async def test_a_boot_tells_the_joules_of_its_phases_also_after_a_restart_of_hostd(tmp_path: Path) -> None:
    with PtyHat(tmp_path / "ports" / "node-1") as hat:
        async with running_rack(tmp_path, hats={"node-1": hat}) as rig:
            await metered(rig, hat, 1)
            hat.boot()
            await said(hat, LOADER)
            await metered(rig, hat, 3_000_000)
            await said(hat, KERNEL)
            await metered(rig, hat, 5_000_000)
            live = await diagnose(rig, 1)
            hat.boot()
            await said(hat, LOADER)
            await metered(rig, hat, 7)
            first = await diagnose(rig, 1)
        async with running_rack(tmp_path, hats={"node-1": hat}) as rig:
            assert await diagnose(rig, 1) == first
            await said(hat, KERNEL)
            await metered(rig, hat, 11)
            second = await diagnose(rig, 2)
    assert [phase.energy_uj for phase in live] == [phase.energy_uj for phase in first] == [3_000_000, 5_000_000]
    assert [phase.HasField("energy_uj") for phase in second][1]
    assert second[0].energy_uj + second[1].energy_uj == 7 + 11


async def test_a_phase_that_hostd_did_not_see_begin_has_no_joules(tmp_path: Path) -> None:
    with PtyHat(tmp_path / "ports" / "node-1") as hat:
        hat.boot()
        hat.say(LOADER)
        async with running_rack(tmp_path, hats={"node-1": hat}) as rig:
            await until(lambda: hat.all_acknowledged)
            await metered(rig, hat, 5)
            phases = await diagnose(rig, 1)
    assert [(phase.phase, phase.HasField("energy_uj")) for phase in phases] == [("u-boot", False)]
