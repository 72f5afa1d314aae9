"""The HAT protects alone: what trips, what is told of it, and what comes back after a loss of power."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from racklet.v1 import rack_pb2
from racklet_virtual.board import VirtualHat
from racklet_virtual.hardware import MonitorPart
from racklet_virtual.microcontroller import ResetCause
from racklet_virtual.rack import VirtualRack
from racklet_virtual.supply import Stuck
from tests.system.rig import FORCE_OFF, ON, Hostd, until, until_async, virtual_rack

OFF = rack_pb2.POWER_ACTION_OFF
TRIPPED, STUCK_ON = rack_pb2.SUPPLY_STATE_TRIPPED, rack_pb2.SUPPLY_STATE_STUCK_ON


@dataclass
class Rig:
    """Two nodes that are on: one behind each kind of monitor."""

    rack: VirtualRack
    hostd: Hostd

    async def event(self, name: str, kind: str) -> rack_pb2.Event:
        """Wait for the newest event of a kind."""
        found: list[rack_pb2.Event] = []

        async def is_there() -> bool:
            found[:] = [event for event in await self.hostd.events(name) if event.kind == kind]
            return bool(found)

        await until_async(is_there)
        return found[-1]


@pytest_asyncio.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    parts = {1: MonitorPart.INA228, 2: MonitorPart.INA226}
    async with (
        virtual_rack(tmp_path / "rack", 2, parts=parts) as rack,
        Hostd(tmp_path, rack.config_toml()) as hostd,
    ):
        await hostd.until_online("node-1", "node-2")
        for hat in rack.hats:
            await hostd.power(hat)
        yield Rig(rack, hostd)


async def waveform_of(rig: Rig, trip: rack_pb2.Event) -> list[tuple[int, int]]:
    """Return the samples around a trip, in millivolts and milliamperes, once they are all told."""
    parts: list[rack_pb2.Event] = []

    async def is_there() -> bool:
        events = await rig.hostd.events(trip.node.removeprefix("nodes/"))
        parts[:] = sorted((event for event in events if event.about == trip.sequence), key=lambda e: e.first_index)
        return len(parts) == 2

    await until_async(is_there)
    assert [len(part.supply_ma) for part in parts] == [-parts[0].first_index, 64]
    return [sample for part in parts for sample in zip(part.supply_mv, part.supply_ma, strict=True)]


@pytest.mark.parametrize("number", [1, 2])
async def test_a_short_trips_at_once_with_its_waveform(rig: Rig, number: int) -> None:
    hat = rig.rack.hats[number - 1]
    await rig.hostd.until_node(lambda node: node.measurement.supply_min_uv > 5_000_000, f"node-{number}")
    hat.node.overload(12.0, 5000)
    await until(lambda: not hat.node.supply_on, patience_s=2)
    trip = await rig.event(f"node-{number}", "over_current")
    assert "fast limit" in trip.message
    samples = await waveform_of(rig, trip)
    before, after = samples[:-64], samples[-64:]
    assert all(mv > 4_500 and ma < 5_000 for mv, ma in before[-6:-3])
    assert after[-1][0] < 300
    code, shown, _ = await rig.hostd.cli("events", "--waveform", str(trip.sequence))
    assert code == 0
    assert len(shown.splitlines()) == len(samples)
    assert (await rig.hostd.node(f"node-{number}")).supply_state == TRIPPED


async def test_a_trip_without_hostd_is_told_with_its_waveform_when_hostd_is_back(rig: Rig) -> None:
    await rig.hostd.kill()
    [hat, _] = rig.rack.hats
    hat.node.overload(12.0, 5000)
    await until(lambda: not hat.node.supply_on, patience_s=2)
    await rig.hostd.start()
    trip = await rig.event("node-1", "over_current")
    assert len(await waveform_of(rig, trip)) > 64


async def test_a_switch_that_is_stuck_is_a_state_of_its_own(rig: Rig) -> None:
    [hat, _] = rig.rack.hats
    hat.stick_supply(Stuck.ON)
    with pytest.raises(grpc.aio.AioRpcError, match="did not follow force-off"):
        await rig.hostd.power(hat, FORCE_OFF)
    await rig.hostd.until_node(lambda node: node.supply_state == STUCK_ON)
    assert "does not fall" in (await rig.event("node-1", "supply_stuck_on")).message
    hat.stick_supply(None)
    await rig.hostd.until_node(lambda node: node.supply_state == rack_pb2.SUPPLY_STATE_OFF)


async def test_a_power_reply_tells_what_was_done_and_seen(rig: Rig) -> None:
    [hat, _] = rig.rack.hats
    reply = await rig.hostd.power(hat, FORCE_OFF)
    assert (reply.before_state, reply.supply_cut, reply.node_asked) == (rack_pb2.SUPPLY_STATE_ON, True, False)
    reply = await rig.hostd.power(hat, ON)
    assert (reply.before_state, reply.supply_set) == (rack_pb2.SUPPLY_STATE_OFF, True)
    assert abs(reply.supply_uv - 5_090_000) < 30_000


def loses_its_input(hat: VirtualHat) -> None:
    """The input is away for a moment; USB keeps the microcontroller alive."""
    hat.lose_input(1500)


def loses_all_power(hat: VirtualHat) -> None:
    """The HAT is dead for a moment."""
    hat.lose_power(500)


LOSSES = [loses_its_input, loses_all_power]


async def test_limits_of_the_config_are_those_that_trip(rig: Rig) -> None:
    limited, other = rig.rack.hats
    await rig.hostd.stop()
    limits = "[node.limits]\nover_current_ma = 2500\nover_current_hold_ms = 200\n\n[[node]]\n"
    before, _, after = rig.rack.config_toml().rpartition("[[node]]\n")  # the first node's table ends there
    rig.hostd.configure(before + limits + after)
    await rig.hostd.start()
    await rig.hostd.until_online("node-1", "node-2")
    assert (await rig.hostd.cli("identify", "node-1"))[0] == 0  # answered after what hostd sets
    for hat in rig.rack.hats:
        hat.node.overload(2.5, 3000)
    trip = await rig.event("node-1", "over_current")
    assert "above the limit of 2.500 A" in trip.message
    assert not limited.node.supply_on
    assert other.node.supply_on


def set_restore(rig: Rig, policy: str) -> None:
    """Configure both nodes with the policy."""
    toml = rig.rack.config_toml().replace("[[node]]\n", f'[[node]]\nrestore = "{policy}"\n')
    rig.hostd.configure(toml)


async def kept_by(hat: VirtualHat, content: bytes) -> None:
    """Wait until the HAT's flash holds this."""
    path = hat.chip.flash / "restore"
    await until(lambda: path.exists() and path.read_bytes() == content)


@pytest.mark.parametrize("lose", LOSSES)
async def test_last_brings_back_what_was_on_and_leaves_off_what_was_off_without_hostd(
    rig: Rig, lose: type[loses_its_input]
) -> None:
    await rig.hostd.stop()
    set_restore(rig, "last")
    await rig.hostd.start()
    await rig.hostd.until_online("node-1", "node-2")
    on, off = rig.rack.hats
    await rig.hostd.power(off, FORCE_OFF)
    await kept_by(on, bytes((2, 1, 0, 0)))
    await kept_by(off, bytes((2, 0, 0, 0)))
    await rig.hostd.stop()
    for hat in rig.rack.hats:
        lose(hat)
    assert not on.node.supply_on
    await until(lambda: on.node.supply_on)
    await rig.hostd.start()
    await rig.hostd.until_online("node-1", "node-2")
    assert "restore policy last" in (await rig.event("node-1", "supply_restored")).message
    assert not off.node.supply_on


async def test_on_acts_after_a_loss_and_never_after_a_reset_that_is_none(rig: Rig) -> None:
    await rig.hostd.stop()
    set_restore(rig, "on")
    await rig.hostd.start()
    await rig.hostd.until_online("node-1", "node-2")
    hats = rig.rack.hats
    for hat in hats:
        await rig.hostd.power(hat, FORCE_OFF)
        await kept_by(hat, bytes((3, 0, 0, 0)))
    for cause in (ResetCause.SOFT, ResetCause.WATCHDOG, ResetCause.SOFT):
        starts = [hat.chip.starts for hat in hats]
        for hat in hats:
            hat.reset_microcontroller(cause)
        await until(lambda: all(hat.chip.starts > count for hat, count in zip(hats, starts, strict=True)))  # noqa: B023
        await rig.hostd.until_online("node-1", "node-2")
        measured = await rig.hostd.until_node(lambda node: node.HasField("measurement"))
        assert measured.supply_state == rack_pb2.SUPPLY_STATE_OFF
    assert not any(hat.node.supply_on for hat in hats)
    for hat in hats:
        hat.lose_power(300)
    await until(lambda: all(hat.node.supply_on for hat in hats))


async def test_a_usb_power_loss_alone_moves_nothing(rig: Rig) -> None:
    await rig.hostd.stop()
    set_restore(rig, "on")
    await rig.hostd.start()
    await rig.hostd.until_online("node-1", "node-2")
    for hat in rig.rack.hats:
        await rig.hostd.power(hat, FORCE_OFF)
        await kept_by(hat, bytes((3, 0, 0, 0)))
        starts = hat.chip.starts
        hat.reset_microcontroller(ResetCause.POWER_ON)
        await until(lambda hat=hat, starts=starts: hat.chip.starts > starts)  # type: ignore[misc]
    await rig.hostd.until_online("node-1", "node-2")
    await rig.hostd.until_node(lambda node: node.HasField("measurement"))
    assert not any(hat.node.supply_on for hat in rig.rack.hats)
