"""`just flash` as a process."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from tests.conftest import ROOT
from tests.system.rig import until

PATIENCE_S = 80.0
FLASH = (sys.executable, str(ROOT / "tools" / "flash"))


async def flash(port: Path | str, *arguments: str) -> tuple[int, str, str]:
    """Run it to its end; return its exit code and what it printed on stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        *FLASH, str(port), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


async def flash_killed_when(port: Path | str, is_time: Callable[[], object]) -> None:
    """Run it until this holds, and kill it then."""
    process = await asyncio.create_subprocess_exec(*FLASH, str(port), stdout=asyncio.subprocess.DEVNULL)
    try:
        await until(is_time, PATIENCE_S)
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()
