"""`just flash` as a person runs it, at the ports of virtual HATs and of what is none."""

from __future__ import annotations

import os
import tty
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import serial

from racklet_virtual.firmware_process import Firmware, flash_firmware
from racklet_virtual.rack import VirtualRack
from tests.conftest import interpreter
from tests.system.flashing import flash, flash_killed_when
from tests.system.link_port import LinkPort


def empty_rack(folder: Path, firmware: Firmware | None = None) -> VirtualRack:
    interpreter("micropython")
    return VirtualRack(folder, 1, firmware=firmware or flash_firmware())


@pytest.fixture
def strangers_port() -> Iterator[str]:
    """A serial port at which nobody answers."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    yield os.ttyname(theirs)
    os.close(ours)
    os.close(theirs)


@pytest.mark.timeout(180)
async def test_an_empty_hat_is_flashed_and_flashed_again_and_runs_from_a_slot(tmp_path: Path) -> None:
    async with empty_rack(tmp_path) as rack:
        [hat] = rack.hats
        code, output, errors = await flash(hat.port)
        assert code == 0, errors
        assert "It runs firmware 0.1.0 on board hat-a, slot a" in output
        assert "Its supply is off." in output
        with LinkPort(hat) as port:
            await port.power_on()
        code, output, errors = await flash(hat.port)
        assert code == 0, errors
        assert "0 of " in output
        assert "Its supply is on." in output
        assert (len(hat.node.boots), hat.node.starts) == (1, 1), "the supply moved"


@pytest.mark.timeout(180)
async def test_a_flashing_that_was_killed_is_run_again(tmp_path: Path) -> None:
    async with empty_rack(tmp_path) as rack:
        [hat] = rack.hats
        image = hat.chip.flash / "flash.img"
        await flash_killed_when(hat.port, lambda: image.exists() and b"racklet_boot" in image.read_bytes())
        code, output, errors = await flash(hat.port)
        assert code == 0, errors
        assert "slot a" in output


async def test_no_port_is_told(tmp_path: Path) -> None:
    code, _, errors = await flash(tmp_path / "none")
    assert (code, errors) == (3, f"flash: there is no port {tmp_path}/none; is the HAT plugged in?\n")


async def test_a_file_is_no_port(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, errors = await flash(tmp_path / "file")
    assert (code, "is no serial port" in errors) == (3, True)


async def test_a_port_that_somebody_holds_is_told(strangers_port: str) -> None:
    with serial.Serial(strangers_port, exclusive=True):
        code, _, errors = await flash(strangers_port)
    assert (code, "held by another program" in errors) == (4, True)


@pytest.mark.timeout(120)
async def test_a_port_at_which_nobody_answers_is_the_wrong_one(strangers_port: str) -> None:
    code, _, errors = await flash(strangers_port)
    assert (code, "answers as MicroPython" in errors) == (5, True)


# A module of MicroPython's own that a script can change.
STAND_IN = """
import sys, {module}
class StandIn:
    pass
stand_in = StandIn()
for name in dir({module}):
    setattr(stand_in, name, getattr({module}, name))
sys.modules["{module}"] = stand_in
"""
SCRIPTS = {
    "a board that is no HAT": (
        "import machine\nmachine.unique_id = None\ndel machine.unique_id\n",
        6,
        "no HAT",
    ),
    "an old MicroPython": (
        STAND_IN.format(module="sys")
        + """
class Implementation:
    name = "micropython"
    version = (1, 22, 0)
    _machine = "a HAT of yesterday"
    _mpy = 2822
stand_in.implementation = Implementation
""",
        7,
        "has MicroPython 1.22.0, and the firmware needs 1.26",
    ),
    "a full flash": (
        STAND_IN.format(module="os") + "stand_in.statvfs = lambda path: (4096, 4096, 352, 2)\n",
        8,
        "too few for the firmware",
    ),
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", SCRIPTS)
async def test_what_cannot_be_flashed_says_why(tmp_path: Path, name: str) -> None:
    """The script changes what MicroPython says of itself before the REPL is there."""
    script, exit_code, sentence = SCRIPTS[name]
    real = flash_firmware()
    entry = tmp_path / "entry.py"
    entry.write_text(real.entry.read_text() + script)
    async with empty_rack(tmp_path / "rack", replace(real, entry=entry)) as rack:
        [hat] = rack.hats
        code, output, errors = await flash(hat.port)
        assert (code, sentence in errors) == (exit_code, True), output + errors


async def test_a_bundle_that_no_key_has_signed_is_not_written(tmp_path: Path, strangers_port: str) -> None:
    file = tmp_path / "x.bundle"
    file.write_bytes(b"nonsense")
    code, _, errors = await flash(strangers_port, "--bundle", str(file))
    assert (code, "no bundle of Racklet's firmware" in errors) == (1, True)
