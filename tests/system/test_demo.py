"""The demo as a person starts it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.pty_process import PtyProcess
from tests.conftest import ROOT, interpreter
from tests.system.rig import PATIENCE_S, until

MARK = "RACKLET_DEMO_TEST"
DEMO = (sys.executable, str(ROOT / "tools" / "demo"))


def _environment(folder: Path) -> dict[str, str]:
    """Return an environment by which every process of the demo is known, with a temporary folder of its own."""
    return {**os.environ, "TMPDIR": str(folder), MARK: str(folder), "TERM": "xterm-256color"}


def _left_processes(folder: Path) -> list[str]:
    """Return what runs in the demo's environment or with files of its folder."""
    left = []
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal() or int(process.name) == os.getpid():
            continue
        try:
            words = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in words:
            left.append((process / "cmdline").read_text().replace("\0", " "))
    return left


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A temporary folder for the demo. After the test there is neither a file nor a process of it."""
    interpreter("micropython")
    yield tmp_path
    assert _left_processes(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.timeout(120)
def test_the_check_holds_and_leaves_nothing_behind(folder: Path) -> None:
    done = subprocess.run(
        [*DEMO, "--check"], env=_environment(folder), capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "11 of 11 checks held" in done.stdout
    assert done.stderr == ""


def test_the_screen_shows_five_nodes_and_ends_with_ctrl_c(folder: Path) -> None:
    demo = PtyProcess(DEMO, _environment(folder))
    try:
        demo.expect(rb"Ctrl-C ends the demo")
        for number in range(1, 6):
            demo.expect(rb"node-%d\D" % number)
        demo.expect(rb"node-1\b[^\n]*\bon\b[^\n]*5\.\d\d")
        assert _left_processes(folder) != []
        demo.type(b"\x03")
        assert demo.wait() == 0
        assert b"nothing is left behind" in demo.output
        assert b"Traceback" not in demo.output
    finally:
        demo.close()


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
async def test_a_signal_ends_the_check_early_and_leaves_nothing(folder: Path, signal_number: int) -> None:
    pipe = asyncio.subprocess.PIPE
    demo = await asyncio.create_subprocess_exec(
        *DEMO, "--check", env=_environment(folder), stdout=pipe, stderr=asyncio.subprocess.STDOUT
    )
    try:
        await until(lambda: list(folder.glob("racklet-*/hostd.log")) or demo.returncode is not None)
        demo.send_signal(signal_number)
        async with asyncio.timeout(PATIENCE_S):
            output, _ = await demo.communicate()
        assert demo.returncode != 0
        assert b"Traceback" not in output
    finally:
        if demo.returncode is None:
            demo.kill()
            await demo.wait()
