"""Processes that are measured from outside."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.conftest import ROOT

TIMEOUT_S = 10
LOOK_S = 0.02
SPARE_FILES = 100
TOLD_LENGTH = 2000  # of what a process said before it hung
_CLOCK_OF_PROCESS = 2  # the low bits of a clock's number, as Linux makes it from the process's


async def until(holds: Callable[[], bool], timeout_s: float = TIMEOUT_S) -> None:
    """Return as soon as `holds` is true of another program."""
    async with asyncio.timeout(timeout_s):
        while not holds():  # noqa: ASYNC110 - it rings no bell here
            await asyncio.sleep(LOOK_S)


@asynccontextmanager
async def running(*command: object, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a command with its output in `log`; end it with SIGTERM, or kill it. It ends also when we are killed."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *("setpriv", "--pdeathsig", "TERM", "--"),
            *map(str, command),
            stdin=asyncio.subprocess.PIPE,
            stdout=output,
            stderr=output,
            cwd=ROOT,
            start_new_session=True,  # Ctrl-C is for the one who measures, who ends this
        )
    try:
        yield process
    except TimeoutError as error:
        raise RuntimeError(f"{command[0]} hangs: {_told(log)}") from error
    finally:
        await _end(process)


def _told(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-TOLD_LENGTH:]


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # a child that has outlived it, as one of conserver's does at times


def family(pid: int) -> list[int]:
    """Return a process and its descendants."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [pid, *(member for child in children for member in family(int(child)))]


def cpu_s(*pids: int) -> float:
    """Return the CPU time of processes and their descendants, to the nanosecond."""
    return sum(time.clock_gettime(~member << 3 | _CLOCK_OF_PROCESS) for pid in pids for member in family(pid))


def memory_mb(pid: int) -> float:
    """Return the memory of a process and its descendants; what they share counts once."""
    kilobytes = 0
    for member in family(pid):
        lines = Path(f"/proc/{member}/smaps_rollup").read_text(encoding="ascii").splitlines()
        kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kilobytes * 1024 / 1e6


def free_tcp_port() -> int:
    """Return a port of this computer on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def allow_files(count: int) -> None:
    """Let this process open `count` files beside what it has. Raises ValueError when the system forbids it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + SPARE_FILES, hard))
