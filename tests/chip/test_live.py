"""Other programs at an emulated HAT's serial port: mpremote, `just flash`, hostd."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from racklet.v1 import rack_pb2
from racklet_emulator.image import FLASH_BYTES
from racklet_emulator.parts import find_parts
from racklet_virtual.hardware import Pin
from racklet_virtual.node import NodeProfile
from tests.chip.live import live_hat
from tests.system.flashing import flash, flash_killed_when
from tests.system.rig import BIN, FORCE_OFF, ON, Hostd, run, until, until_async

PATIENCE_S = 60.0
SOME_OPERATIONS = 120  # of the flash, of some 500 that bring the firmware to a bare chip


@pytest.mark.timeout(180)
async def test_mpremote_takes_over_a_running_hat_and_gives_it_back(image: bytes, tmp_path: Path) -> None:
    async with live_hat(image, tmp_path) as live:
        live.hat.hardware.supply.latch_on = True  # as an earlier start of the firmware left it
        mpremote = (BIN / "mpremote", "connect", str(tmp_path / "port"))
        await until(lambda: live.hat.now_ms > 800, PATIENCE_S)
        code, output, errors = await run(*mpremote, "eval", "6*7")  # behind a soft reset
        assert (code, output.strip()) == (0, "42"), errors
        code, output, errors = await run(*mpremote, "resume", "fs", "ls")
        assert code == 0, errors
        assert "main.py" in output
        code, _, errors = await run(*mpremote, "resume", "reset")
        assert code == 0, errors
        await until(lambda: live.hat.chip.resets == 1 and live.cable.port is not None, PATIENCE_S)
        came_ms = live.hat.now_ms
        await until(lambda: live.hat.now_ms > came_ms + 800, PATIENCE_S)
        code, output, errors = await run(*mpremote, "resume", "eval", "1+1")
        assert (code, output.strip()) == (0, "2"), errors
        assert live.hat.hardware.supply.latch_on


@pytest.mark.timeout(240)
async def test_a_bare_chip_is_flashed_though_the_first_attempt_was_killed_and_its_supply_stays(
    image: bytes, tmp_path: Path
) -> None:
    assert image  # skips as that does
    bare = find_parts().micropython.read_bytes().ljust(FLASH_BYTES, b"\xff")
    async with live_hat(bare, tmp_path) as live:
        chip, supply = live.hat.chip, live.hat.hardware.supply
        supply.latch_on = True
        await flash_killed_when(tmp_path / "port", lambda: chip.flash_operations > SOME_OPERATIONS)
        assert chip.flash_operations < 3 * SOME_OPERATIONS, "it was nearly done"

        code, output, errors = await flash(tmp_path / "port", "--patience", str(PATIENCE_S))
        assert code == 0, errors
        assert "Raspberry Pi Pico with RP2040, MicroPython 1.26.1, id e660583883724a32" in output
        assert "It runs firmware 0.1.0 on board hat-a, slot a" in output
        assert "Its supply is on." in output
        assert chip.resets == 1

        code, output, errors = await flash(tmp_path / "port", "--patience", str(PATIENCE_S))
        assert code == 0, errors
        assert re.search(r"\b0 of \d+ files written", output)
        assert supply.latch_on
        assert 1 not in [level for _, pin, level in live.hat.edges if pin in (Pin.GATE_SET, Pin.GATE_CLEAR)]


@pytest.mark.timeout(180)
async def test_hostd_adopts_an_emulated_hat_switches_its_node_on_and_keeps_its_boot_log(
    image: bytes, tmp_path: Path
) -> None:
    config = f'[rack]\nadopt = "first-use"\n[[node]]\nname = "node-1"\nport = "{tmp_path}/port"\n'
    async with live_hat(image, tmp_path, NodeProfile("node-1", speed=20)) as live, Hostd(tmp_path, config) as hostd:
        hardware = live.hat.hardware
        await hostd.until_online(patience_s=PATIENCE_S)
        node = await hostd.node()
        assert (node.hat.board, node.hat.hat_id) == ("hat-a", "e660583883724a32")

        done = await hostd.rack.SetPower(rack_pb2.SetPowerRequest(name="nodes/node-1", action=ON))
        assert done.supply_state == rack_pb2.SUPPLY_STATE_ON
        assert hardware.supply.latch_on
        node = await hostd.until_node(lambda node: "login" in node.last_line, patience_s=PATIENCE_S)
        [sent] = hardware.record.boots
        await until_async(lambda: is_stored(hostd, hardware.record.read(sent)), PATIENCE_S)
        idle_ua = pytest.approx(hardware.node.amperes * 1e6, rel=0.1)  # from the first whole period on
        measured = (await hostd.until_node(lambda node: node.measurement.supply_ua == idle_ua)).measurement
        assert measured.supply_uv == pytest.approx(hardware.supply.volts * 1e6, rel=0.01)
        assert measured.input_uv == pytest.approx(12e6, rel=0.01)

        done = await hostd.rack.SetPower(rack_pb2.SetPowerRequest(name="nodes/node-1", action=FORCE_OFF))
        assert done.supply_state == rack_pb2.SUPPLY_STATE_OFF
        assert not hardware.supply.latch_on


async def is_stored(hostd: Hostd, sent: bytes) -> bool:
    """Tell whether the boot log is that, without a gap."""
    [boot] = await hostd.boots()
    return await hostd.pieces(boot.name) == [sent]
