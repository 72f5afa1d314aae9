"""The soak as a person starts it, as short as it can be and still have everything go wrong."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, interpreter
from tests.system.rig import until

DEEDS = ("cable", "corrupted", "cycled", "MCU", "killed")


def left(folder: Path) -> list[Path]:
    """Return what lies in the folder."""
    return list(folder.iterdir())


@pytest.mark.timeout(240)
async def test_every_byte_is_accounted_for_whatever_fails(tmp_path: Path) -> None:
    interpreter("micropython")
    soak = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT / "tools" / "soak"), "--minutes", "0.5"),
        env={**os.environ, "TMPDIR": str(tmp_path), "COLUMNS": "160"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await soak.communicate()
    finally:
        if soak.returncode is None:
            soak.kill()
            await soak.wait()
    told = output.decode()
    assert soak.returncode == 0, told
    assert "Every byte is accounted for, and every gap has its cause." in told
    assert all(deed in told for deed in DEEDS), told


async def test_a_signal_ends_it_early_and_leaves_nothing(tmp_path: Path) -> None:
    interpreter("micropython")
    soak = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT / "tools" / "soak")),
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    await until(lambda: list(tmp_path.glob("racklet-*/hostd.log")) or soak.returncode is not None)
    soak.terminate()
    output, _ = await soak.communicate()
    assert (soak.returncode, output) == (1, b"soak: it was stopped before its end\n")
    assert left(tmp_path) == []
