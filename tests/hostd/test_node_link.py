"""A node and its HAT: coming, going, restarting, and being hostile."""

from __future__ import annotations

import asyncio
import os
import tracemalloc
from pathlib import Path

import pytest

from racklet.link.v1 import link_pb2
from racklet.v1 import rack_pb2
from racklet_hostd import slot as slot_module
from tests.hostd.pty_hat import PtyHat
from tests.hostd.rig import JumpingClock, running_rack, until


async def test_a_hat_that_is_plugged_in_is_online_with_what_it_says_of_itself(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        hat = (await rig.node()).hat
    assert (hat.hat_id, hat.board, hat.firmware) == ("0102030405060708", "hat-a", "0.1.0")
    assert (hat.problem, hat.protocol_version, hat.port) == ("", 2, str(tmp_path / "ports" / "node-1"))


async def test_telemetry_is_the_newest_measurement_and_adds_up_energy(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        rig.hats["node-1"].now.energy_uj = 7_000_000
        node = await rig.until_node(lambda node: node.energy_uj == 7_000_000)
    measured = node.measurement
    assert (measured.supply_uv, measured.supply_ua, measured.supply_uw) == (5_098_000, 612_000, 3_120_000)
    assert (measured.temperature_mc, measured.samples) == (31_500, 50)
    assert node.supply_state == rack_pb2.SUPPLY_STATE_ON


async def test_without_samples_there_is_no_measurement(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        await rig.until_node(lambda node: node.HasField("measurement"))
        rig.hats["node-1"].now.samples = 0
        await rig.until_node(lambda node: not node.HasField("measurement"))


async def test_a_hat_that_is_pulled_is_offline_and_measures_nothing(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        await rig.until_node(lambda node: node.HasField("measurement"))
        rig.hats["node-1"].unplug()
        node = await rig.until_node(lambda node: node.hat.state == rack_pb2.HAT_STATE_OFFLINE)
        assert not node.HasField("measurement")
        assert node.hat.hat_id == "0102030405060708"
        node = await rig.until_node(lambda node: "does not open" in node.hat.problem)
    assert str(tmp_path / "ports" / "node-1") in node.hat.problem


async def test_a_hat_that_is_plugged_in_again_is_served_again(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        hat = rig.hats["node-1"]
        hat.boot()
        hat.say(b"before\n")
        await rig.until_node(lambda node: node.last_line == "before")
        hat.unplug()
        await rig.until_node(lambda node: node.hat.state == rack_pb2.HAT_STATE_OFFLINE)
        hat.say(b"while away\n")
        hat.plug()
        node = await rig.until_node(lambda node: node.last_line == "while away")
        assert node.log_end == len(b"before\nwhile away\n")
        kinds = [event.kind for event in rig.daemon.rack.events.store.list(None, None, 10)]
    assert kinds == ["hat_online", "hat_offline", "hat_online"]


async def test_a_hat_that_falls_silent_is_offline(tmp_path: Path) -> None:
    clock = JumpingClock()
    async with running_rack(tmp_path, clock=clock) as rig:
        rig.hats["node-1"].is_mute = True
        clock.ahead_ms = 10_000
        node = await rig.until_node(lambda node: node.hat.state == rack_pb2.HAT_STATE_OFFLINE)
    assert "nothing valid came" in node.hat.problem


async def test_a_microcontroller_that_restarts_goes_on_in_the_same_boot_behind_a_gap(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        hat = rig.hats["node-1"]
        hat.boot()
        hat.say(b"before the reset\n")
        await until(lambda: hat.all_acknowledged)
        hat.restart()
        hat.say(b"after it\n")
        node = await rig.until_node(lambda node: node.last_line == "after it")
        pieces = rig.daemon.rack.node("node-1").store.boot_log(1).read(0, 1000)
    assert node.boot == "nodes/node-1/boots/1"
    assert [getattr(piece, "data", None) or piece.reason for piece in pieces] == [  # type: ignore[union-attr]
        b"before the reset\n",
        "hat_restart",
        b"after it\n",
    ]


async def test_a_hat_of_another_protocol_is_incompatible(tmp_path: Path) -> None:
    hat = PtyHat(tmp_path / "ports" / "node-1")
    hat.protocol = (7, 8)
    async with running_rack(tmp_path, hats={}) as rig:
        with hat:
            node = await rig.until_node(lambda node: node.hat.state == rack_pb2.HAT_STATE_INCOMPATIBLE)
    assert "speaks link protocol 7 to 8" in node.hat.problem
    assert "update hostd" in node.hat.problem


@pytest.mark.parametrize("garbage", [b"\x00", b"\xff", bytes(range(256))], ids=["zeros", "ones", "all bytes"])
async def test_a_port_that_sends_garbage_is_marked_and_its_neighbour_unaffected(tmp_path: Path, garbage: bytes) -> None:
    clock = JumpingClock()
    garbage *= 4096 // len(garbage)
    async with running_rack(tmp_path, ("node-1", "node-2"), clock=clock) as rig:
        flooding, good = rig.hats["node-1"], rig.hats["node-2"]
        flooding.is_mute = True
        flooded = 0
        good.boot()
        for number in range(50):
            flooded += flooding.write_raw(garbage)
            good.say(b"line %d\n" % number)
            await rig.until_node(lambda node, line=f"line {number}": node.last_line == line, "node-2")  # type: ignore[misc]
        clock.ahead_ms = 10_000
        node = rig.daemon.rack.node("node-1")
        await until(lambda: flooding.write_raw(garbage) and "garbage" in node.hat.problem)
        assert flooded > 50 * 1024
        assert (await rig.node("node-1")).hat.state == rack_pb2.HAT_STATE_OFFLINE
        await rig.until_online("node-2")
        assert (await rig.node("node-2")).hat.bad_frames == 0


async def test_a_flood_of_garbage_takes_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("racklet_hostd.hat_session.TICK_MS", 1)
    garbage = os.urandom(4096)
    async with running_rack(tmp_path) as rig:
        hat = rig.hats["node-1"]
        hat.is_mute = True

        async def flood(count: int) -> None:
            flooded = 0
            while flooded < count:
                flooded += hat.write_raw(garbage)
                await asyncio.sleep(0)

        await flood(100_000)
        tracemalloc.start()
        try:
            await flood(1_000_000)
            held_bytes, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert held_bytes < 200_000


async def test_a_hat_that_stops_sending_garbage_is_served(tmp_path: Path) -> None:
    clock = JumpingClock()
    async with running_rack(tmp_path, clock=clock) as rig:
        hat = rig.hats["node-1"]
        hat.is_mute = True
        node = rig.daemon.rack.node("node-1")
        clock.ahead_ms = 10_000
        await until(lambda: hat.write_raw(os.urandom(1024)) and "garbage" in node.hat.problem)
        hat.is_mute = False
        await rig.until_online()
        assert (await rig.node()).hat.bad_frames > 0


async def test_a_port_that_does_not_open_warns_once_and_is_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot_module, "BACKOFF_MS", (1,))
    caplog.set_level("DEBUG", "racklet_hostd.slot")
    async with running_rack(tmp_path, hats={}) as rig:
        await until(lambda: sum(record.message == "port does not open" for record in caplog.records) > 5)
        node = await rig.node()
        levels = [record.levelname for record in caplog.records if record.message == "port does not open"]
        assert levels[0] == "WARNING"
        assert set(levels[1:]) == {"DEBUG"}
        assert "there is no such port" in node.hat.problem
        with PtyHat(tmp_path / "ports" / "node-1"):
            await rig.until_online("node-1")


async def test_an_energy_that_no_node_can_take_ends_the_talk_and_not_hostd(tmp_path: Path) -> None:
    async with running_rack(tmp_path, ("node-1", "node-2")) as rig:
        rig.hats["node-1"].now.energy_uj = (1 << 64) - 1
        node = await rig.until_node(lambda node: node.hat.state == rack_pb2.HAT_STATE_OFFLINE)
        assert "cannot be stored" in node.hat.problem or "no HAT answers" in node.hat.problem
        assert (await rig.node("node-2")).hat.state == rack_pb2.HAT_STATE_ONLINE
        rig.hats["node-1"].now.energy_uj = 5_000_000
        await rig.until_node(lambda node: node.energy_uj == 5_000_000)


async def test_the_supply_state_follows_events_before_the_next_telemetry(tmp_path: Path) -> None:
    async with running_rack(tmp_path, telemetry={"period_ms": 60_000}) as rig:
        hat = rig.hats["node-1"]
        await rig.until_node(lambda node: node.supply_state == rack_pb2.SUPPLY_STATE_ON)
        hat.now.supply_state = link_pb2.SUPPLY_STATE_TRIPPED
        hat.tell(link_pb2.EVENT_KIND_SUPPLY_STATE, link_pb2.SUPPLY_STATE_TRIPPED, 0, link_pb2.SUPPLY_STATE_ON)
        await rig.until_node(lambda node: node.supply_state == rack_pb2.SUPPLY_STATE_TRIPPED)
        events = rig.daemon.rack.events.store.list("node-1", None, 1)
    assert (events[0].kind, events[0].message) == ("supply_state", "The supply went from on to tripped.")
