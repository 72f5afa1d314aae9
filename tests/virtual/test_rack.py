"""Whole virtual racks: processes that end and start again, and what they leave behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from racklet_virtual.microcontroller import ResetCause
from racklet_virtual.rack import MAX_NODES, RackError, VirtualRack
from racklet_virtual.supply import Stuck
from tests.virtual.conftest import connected, until

if TYPE_CHECKING:
    from collections.abc import Iterable

    from racklet_virtual.board import VirtualHat
    from tests.virtual.conftest import StartRack

TELL_CAUSE = """
import machine
print("CAUSE", machine.reset_cause(), machine.Pin(12).value())
"""
SWITCH_ON = """
import machine, time
gate_set = machine.Pin(10, machine.Pin.OUT, value=0)
gate_set.value(1); time.sleep_ms(2); gate_set.value(0)
"""
MPREMOTE = Path(sys.executable).parent / "mpremote"


def gone(pids: Iterable[object]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


async def heard(hat: VirtualHat, text: str) -> None:
    await until(lambda: text.encode() in hat.chip.last_words)


async def mpremote(hat: VirtualHat, *arguments: str) -> str:
    """Run mpremote on a HAT's port and return what it printed."""
    process = await asyncio.create_subprocess_exec(
        MPREMOTE, "connect", hat.port, *arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    async with asyncio.timeout(30):
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode().replace("\r", "").strip()


async def test_five_hats_run_in_five_slots(start_rack: StartRack) -> None:
    rack = await start_rack(TELL_CAUSE, nodes=5)
    for number, hat in enumerate(rack.hats, 1):
        await heard(hat, "CAUSE 1 0")
        assert (hat.slot, hat.node.name) == (f"usb-1.{number}", f"node-{number}")
        assert hat.port.is_char_device()
    assert len({hat.chip.unique_id for hat in rack.hats}) == 5
    assert rack.config_toml().count("[[node]]") == 5


async def test_a_port_in_the_config_is_the_hats_own(start_rack: StartRack) -> None:
    rack = await start_rack(None)
    assert rack.config_toml() == (
        f'[rack]\nname = "virtual"\nadopt = "first-use"\nports = ["{rack.folder}/ports/*"]\n\n'
        f'[[node]]\nname = "node-1"\nport = "{rack.folder}/ports/usb-1.1"\n'
    )


@pytest.mark.parametrize(
    ("how", "cause"), [("machine.reset()", 3), ("machine.soft_reset()", 1), ("machine.WDT(timeout=100)", 3)]
)
async def test_a_reset_starts_the_firmware_again_and_the_supply_stays(
    start_rack: StartRack, how: str, cause: int
) -> None:
    first = "witness = machine.mem32[0x4005800C]\nmachine.mem32[0x4005800C] = 7\nif witness == 0:\n"
    script = TELL_CAUSE + first + SWITCH_ON.replace("\n", "\n ") + f"\n {how}\n"
    rack = await start_rack(script)
    [hat] = rack.hats
    await until(lambda: hat.chip.starts >= 2)
    await heard(hat, f"CAUSE {cause} 1")
    assert hat.node.supply_on


async def test_a_fed_watchdog_does_not_bite(start_rack: StartRack) -> None:
    script = (
        "import machine, time\nwdt = machine.WDT(timeout=100)\nfor i in range(60):\n time.sleep_ms(10)\n wdt.feed()\n"
    )
    rack = await start_rack(script + "print('ALIVE')")
    await heard(rack.hats[0], "ALIVE")
    assert rack.hats[0].chip.starts == 1


async def test_a_microcontroller_reset_drops_usb_for_a_moment(start_rack: StartRack) -> None:
    rack = await start_rack(TELL_CAUSE)
    [hat] = rack.hats
    await heard(hat, "CAUSE 1")
    with await connected(hat) as port:
        hat.reset_microcontroller(ResetCause.WATCHDOG)
        await until(lambda: port.pump() is not None and port.ended)
    await until(lambda: hat.plugged)
    await heard(hat, "CAUSE 3")


async def test_ctrl_d_at_the_repl_is_a_soft_reset_that_keeps_usb(start_rack: StartRack) -> None:
    rack = await start_rack(TELL_CAUSE)
    [hat] = rack.hats
    await heard(hat, ">>> ")
    with await connected(hat) as port:
        port.write(b"\x04")
        await port.expect(b"MPY: soft reboot\r\n")
        await port.expect(b"CAUSE 1 0")
        assert not port.ended


async def test_power_loss_clears_the_latch(start_rack: StartRack) -> None:
    rack = await start_rack(TELL_CAUSE + "if machine.reset_cause() == 1:\n" + SWITCH_ON.replace("\n", "\n "))
    [hat] = rack.hats
    await until(lambda: hat.node.supply_on)
    hat.lose_power(100)
    assert not hat.node.supply_on
    await until(lambda: hat.chip.starts == 2)
    await heard(hat, "CAUSE 1 0")


async def test_a_stuck_supply_stays_up_when_it_is_cleared(start_rack: StartRack) -> None:
    rack = await start_rack(SWITCH_ON + SWITCH_ON.replace("10", "11") + "print(machine.Pin(12)(), 'DONE')")
    [hat] = rack.hats
    hat.stick_supply(Stuck.ON)
    await heard(hat, "0 DONE")
    assert hat.node.volts > 4.9


async def test_a_dying_process_leaves_its_last_words(start_rack: StartRack) -> None:
    rack = await start_rack("import time\nprint('famous')\nwhile True: time.sleep_ms(100)\n")
    [hat] = rack.hats
    await heard(hat, "famous")
    assert hat.chip.pid is not None
    os.kill(hat.chip.pid, signal.SIGSEGV)
    await until(lambda: hat.chip.starts == 2)
    assert "famous" in hat.chip.crash_log.read_text()


async def test_a_hung_firmware_leaves_its_last_words(start_rack: StartRack) -> None:
    rack = await start_rack("import machine, time\nprint('stuck')\nmachine.WDT(timeout=50)\nwhile True: pass\n")
    [hat] = rack.hats
    await until(hat.chip.crash_log.exists)
    assert "WATCHDOG\nstuck" in hat.chip.crash_log.read_text()


async def test_a_process_that_dies_at_once_is_not_started_in_a_hurry(start_rack: StartRack) -> None:
    rack = await start_rack("import machine\nmachine.reset()\n")
    [hat] = rack.hats
    began_us = rack.now_us()
    await until(lambda: hat.chip.starts == 3)
    assert rack.now_us() - began_us > 600_000


async def test_mpremote_talks_to_a_hat_at_its_repl(start_rack: StartRack) -> None:
    rack = await start_rack("print('over')")
    [hat] = rack.hats
    await heard(hat, ">>> ")
    (hat.chip.flash / "note.txt").write_text("here")
    assert await mpremote(hat, "resume", "eval", "1+1") == "2"
    assert "note.txt" in await mpremote(hat, "resume", "fs", "ls")


async def test_mpremote_can_soft_reset_first(start_rack: StartRack) -> None:
    rack = await start_rack("print('over')")
    [hat] = rack.hats
    await heard(hat, ">>> ")
    assert await mpremote(hat, "eval", "2+2") == "4"
    assert hat.chip.starts == 2


async def test_mpremote_runs_a_file_and_resets_back_to_the_firmware(start_rack: StartRack, tmp_path: Path) -> None:
    rack = await start_rack("print('FIRMWARE')")
    [hat] = rack.hats
    await heard(hat, ">>> ")
    file = tmp_path / "job.py"
    file.write_text("print(6 * 7)\n")
    assert await mpremote(hat, "resume", "run", str(file)) == "42"
    await mpremote(hat, "resume", "reset")
    await until(lambda: hat.chip.starts == 2)
    await heard(hat, "FIRMWARE")


async def test_a_rack_leaves_no_process_and_no_port(start_rack: StartRack, tmp_path: Path) -> None:
    del start_rack  # it skips where there is no MicroPython
    async with VirtualRack(tmp_path / "other", 3) as rack:
        pids = [hat.chip.pid for hat in rack.hats]
    assert gone(pids)
    assert not rack.ports.exists()


async def test_a_killed_rack_leaves_no_process(tmp_path: Path, start_rack: StartRack) -> None:
    del start_rack
    code = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom racklet_virtual.rack import VirtualRack\n"
        "async def main():\n"
        f"  async with VirtualRack(Path({str(tmp_path / 'other')!r}), 2) as rack:\n"
        "    print(*(hat.chip.pid for hat in rack.hats), flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=subprocess.PIPE)
    assert process.stdout is not None
    pids = (await process.stdout.readline()).decode().split()
    process.kill()
    await process.wait()
    assert len(pids) == 2
    await until(lambda: gone(pids))


async def test_a_folder_serves_one_rack_at_a_time(start_rack: StartRack) -> None:
    rack = await start_rack(None)
    with pytest.raises(RackError, match="another virtual rack"):
        await VirtualRack(rack.folder, 1).__aenter__()


@pytest.mark.parametrize("nodes", [0, -1, MAX_NODES + 1])
def test_a_rack_has_a_sensible_number_of_nodes(tmp_path: Path, nodes: int) -> None:
    with pytest.raises(RackError, match="1 to 64"):
        VirtualRack(tmp_path, nodes)


async def test_links_that_a_killed_rack_left_are_in_nobodys_way(start_rack: StartRack, tmp_path: Path) -> None:
    ports = tmp_path / "rack" / "ports"
    ports.mkdir(parents=True)
    (ports / "usb-1.1").symlink_to("/dev/pts/9999")
    rack = await start_rack(None)
    assert rack.hats[0].port.is_char_device()


async def test_an_unknown_node_is_named(start_rack: StartRack) -> None:
    rack = await start_rack(None)
    with pytest.raises(RackError, match="no node node-9; there are node-1"):
        rack.hat("node-9")
