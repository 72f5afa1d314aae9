"""A process that is measured alone: it tells its CPU time whenever it is asked by a line on its standard input."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.conftest import ROOT

TIMEOUT_S = 10

State = dict[str, int]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a measured process told: its CPU time so far, and its state."""

    cpu_s: float
    state: State


class Measured:
    """The measured process, as the one that loads it sees it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def read(self) -> Reading:
        """Ask the process. Raises RuntimeError when it is gone, TimeoutError when it hangs."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(b"\n")
        async with asyncio.timeout(TIMEOUT_S):
            line = await stdout.readline()
        if not line:
            raise RuntimeError("the measured process ended; what it said is above")
        cpu_s, state = json.loads(line)
        return Reading(cpu_s, state)


@asynccontextmanager
async def measured(module: str, *arguments: object) -> AsyncIterator[Measured]:
    """Run `python -m tests.bench.MODULE ARGUMENTS`; end it at the end of its input, or kill it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"tests.bench.{module}", *map(str, arguments)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        start_new_session=True,  # Ctrl-C is for the one who measures, who ends this
    )
    assert process.stdin is not None
    try:
        yield Measured(process)
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def tell(state: State) -> None:
    """Answer one question: in the measured process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    sys.stdout.write(json.dumps([used.ru_utime + used.ru_stime, state]) + "\n")
    sys.stdout.flush()


async def answer(state: Callable[[], State]) -> None:
    """Answer every question until there are no more: in the measured process."""
    loop = asyncio.get_running_loop()
    questions = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(questions), sys.stdin)
    while await questions.readline():
        tell(state())
    transport.close()
