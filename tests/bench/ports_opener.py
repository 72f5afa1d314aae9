"""Opens many ports at once: `python -m tests.bench.ports_opener WAY FOLDER PORTS`, and tells how that went.

WAY is `hostd`, its SerialPort; `asyncio`, plain pyserial-asyncio; or `bare`, os.open and what makes a terminal raw.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tty
from collections.abc import Awaitable, Callable
from pathlib import Path

import serial_asyncio

from racklet_hostd.serial_port import SerialPort
from tests.bench.measured import answer
from tests.bench.process import allow_files

US = 1_000_000
BAUD = 115_200
FILES_A_PORT = 5  # pyserial makes two pipes for each
PROBE_S = 0.001


async def open_as_hostd(paths: list[Path]) -> Callable[[], Awaitable[object]]:
    """Open; return what closes."""
    ports = await asyncio.gather(*(SerialPort.open(path, lambda _: None) for path in paths))

    async def close() -> None:
        for port in ports:
            await port.close()

    return close


async def open_with_asyncio(paths: list[Path]) -> Callable[[], Awaitable[object]]:
    """Open; return what closes."""
    loop = asyncio.get_running_loop()
    opened = [
        await serial_asyncio.create_serial_connection(loop, asyncio.Protocol, str(path), baudrate=BAUD)
        for path in paths
    ]

    async def close() -> None:
        for transport, _ in opened:
            transport.abort()
        await asyncio.sleep(0)

    return close


async def open_bare(paths: list[Path]) -> Callable[[], Awaitable[object]]:
    """Open; return what closes."""
    descriptors = []
    for path in paths:
        descriptors.append(os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK))
        tty.setraw(descriptors[-1])

    async def close() -> None:
        for descriptor in descriptors:
            os.close(descriptor)

    return close


async def longest_stall(longest: list[float]) -> None:
    """Keep the longest time for which nothing else had a turn."""
    loop = asyncio.get_running_loop()
    while True:
        before_s = loop.time()
        await asyncio.sleep(PROBE_S)
        longest[0] = max(longest[0], loop.time() - before_s - PROBE_S)


async def main() -> None:
    """Open; answer how long that took, and how long at most everything else had to wait."""
    ways = {"hostd": open_as_hostd, "asyncio": open_with_asyncio, "bare": open_bare}
    way, folder, count = ways[sys.argv[1]], Path(sys.argv[2]), int(sys.argv[3])
    allow_files(count * FILES_A_PORT)
    paths = [folder / f"node-{number}" for number in range(1, count + 1)]
    loop = asyncio.get_running_loop()
    longest = [0.0]
    async with asyncio.TaskGroup() as tasks:
        probe = tasks.create_task(longest_stall(longest), name="probe")
        await asyncio.sleep(10 * PROBE_S)
        longest[0] = 0.0
        before_s = loop.time()
        close = await way(paths)
        took_s = loop.time() - before_s
        await asyncio.sleep(10 * PROBE_S)
        probe.cancel()
    found = {"took_us": int(took_s * US), "stall_us": int(longest[0] * US)}
    await answer(lambda: found)
    await close()


if __name__ == "__main__":
    asyncio.run(main())
