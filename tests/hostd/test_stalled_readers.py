"""A reader that stops reading costs hostd no memory, however much there would be to read."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

from racklet.v1 import rack_pb2, rack_pb2_grpc
from tests.conftest import ROOT
from tests.hostd.fed_hostd import line

MIB = 1 << 20
READERS = 4  # of each kind
WARM_BYTES = 4 * MIB  # what fills caches, and the windows of the streams
FED_BYTES = 8 * MIB
# If one of the twelve readers had hostd hold what it does not read, that would be FED_BYTES and more.
GROWTH_LIMIT_BYTES = 4 * MIB
FIRST_READ_S = 30


@asynccontextmanager
async def fed_hostd(folder: Path) -> AsyncIterator[tuple[Process, rack_pb2_grpc.RackAsyncStub]]:
    """Run hostd in a process of its own; kill it at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.hostd.fed_hostd", str(folder)), stdin=PIPE, stdout=PIPE, cwd=ROOT
    )
    try:
        async with grpc.aio.insecure_channel(f"unix:{folder}/run/hostd.sock") as channel:
            yield process, rack_pb2_grpc.RackStub(channel)
    finally:
        process.kill()
        await process.wait()


async def fed(process: Process, size: int) -> tuple[int, int]:
    """Let the node say `size` bytes; return hostd's memory and the log's end."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"%d\n" % size)
    resident, end = (await process.stdout.readline()).split()
    return int(resident), int(end)


async def test_stalled_readers_of_logs_events_and_consoles_do_not_make_hostd_grow(tmp_path: Path) -> None:
    async with fed_hostd(tmp_path) as (process, rack), asyncio.timeout(55):
        await fed(process, 1)
        name = "nodes/node-1/boots/1"
        logs = [rack.ReadBootLog(rack_pb2.ReadBootLogRequest(name=name, follow=True)) for _ in range(READERS)]
        events = [rack.WatchEvents(rack_pb2.WatchEventsRequest(from_sequence=1)) for _ in range(READERS)]
        consoles = [rack.AttachConsole() for _ in range(READERS)]
        for console in consoles:
            await console.write(rack_pb2.AttachConsoleRequest(name="nodes/node-1", read_only=True))
        for call in (*logs, *events):
            assert await call.read()  # and then no more
        before, _ = await fed(process, WARM_BYTES)
        after, end = await fed(process, FED_BYTES)
        assert end >= WARM_BYTES + FED_BYTES
        assert after - before < GROWTH_LIMIT_BYTES
        await check_that_nothing_is_missing(logs[0], end)
        for reader in (*logs, *events, *consoles):
            reader.cancel()


async def check_that_nothing_is_missing(
    call: grpc.aio.UnaryStreamCall[rack_pb2.ReadBootLogRequest, rack_pb2.ReadBootLogResponse], end: int
) -> None:
    """Let a reader that stalled go on: it gets every byte."""
    offset = -1
    number = 0
    held = b""
    while offset < end:
        response = await call.read()
        assert isinstance(response, rack_pb2.ReadBootLogResponse)
        if offset < 0:
            held = b"?" * (response.offset % len(line(0)))
            number = response.offset // len(line(0))
            offset = response.offset
        assert response.offset == offset
        offset += len(response.data)
        held += response.data
        while len(held) >= len(line(0)):
            whole, held = held[: len(line(0))], held[len(line(0)) :]
            assert whole == line(number) or b"?" in whole
            number += 1
