"""Other programs at an emulated HAT's serial port."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from racklet_emulator.live_hat import LiveHat
from racklet_virtual.hardware import HatHardware
from racklet_virtual.node import NodeProfile
from racklet_virtual.record import SentBoots
from tests.system.rig import BIN, run, until


@pytest.mark.timeout(180)
async def test_mpremote_takes_over_a_running_hat_and_gives_it_back(image: bytes, tmp_path: Path) -> None:
    port = tmp_path / "port"
    hardware = HatHardware(NodeProfile("node-1"), SentBoots(tmp_path / "sent"), seed=1)
    hardware.supply.latch_on = True  # as an earlier start of the firmware left it
    live = LiveHat(image, hardware, port)
    live.start()
    try:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(live.run(), name="hat")
            await until(lambda: live.hat.now_ms > 800, 60)
            code, output, errors = await run(BIN / "mpremote", "connect", str(port), "resume", "eval", "6*7")
            assert (code, output.strip()) == (0, "42"), errors
            code, output, errors = await run(BIN / "mpremote", "connect", str(port), "resume", "fs", "ls")
            assert code == 0, errors
            assert "main.py" in output
            code, _, errors = await run(BIN / "mpremote", "connect", str(port), "resume", "reset")
            assert code == 0, errors
            await until(lambda: live.hat.chip.resets == 1 and live.cable.port is not None, 60)
            came_ms = live.hat.now_ms
            await until(lambda: live.hat.now_ms > came_ms + 800, 60)
            code, output, errors = await run(BIN / "mpremote", "connect", str(port), "resume", "eval", "1+1")
            assert (code, output.strip()) == (0, "2"), errors
            running.cancel()
    finally:
        live.stop()
    assert hardware.supply.latch_on
