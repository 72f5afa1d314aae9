"""hostd in a process of its own, fed as by a HAT: `python -m tests.hostd.fed_hostd FOLDER`.

Each line on standard input is a number of bytes, which node-1 says, and of which events tell as well. The answer is
the memory that this process holds then, in bytes.
"""

from __future__ import annotations

import asyncio
import os
import sys
from functools import partial
from pathlib import Path

from racklet.link.v1 import link_pb2
from racklet_hostd.daemon import Daemon
from racklet_hostd.node import Node
from racklet_link.events import BootStarted, HelloReceived, LogData
from tests.hostd.rig import config_for, running_daemon, until

CHUNK_BYTES = 448
TURN_BYTES = 64 << 10  # between two syncs; a boot log holds much more
EVENT = "x" * 400


def resident_bytes() -> int:
    """Return how much memory this process holds."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def line(number: int) -> bytes:
    """Return one of the lines that the node says, all of the same length."""
    return b"[%12d] usb 1-1.2: new high-speed USB device found\r\n" % number


async def feed(daemon: Daemon, node: Node, start: int, size: int) -> int:
    """Let the node say lines of `size` bytes from offset `start` on, at the least; return where they end."""
    length = len(line(0))
    end = start
    while end < start + size:
        data = b"".join(line(number) for number in range(end // length, end // length + TURN_BYTES // length))
        for offset in range(0, len(data), CHUNK_BYTES):
            chunk = data[offset : offset + CHUNK_BYTES]
            node.take_news(LogData(1, end + offset, 1000, chunk))
            daemon.rack.events.record(node.name, 1000, "test", EVENT)
        end += len(data)
        await until(partial(_is_stored, node, end))
    return end


def _is_stored(node: Node, end: int) -> bool:
    log = node.store.newest
    return log is not None and log.stored is not None and log.stored.end >= end


async def main() -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    async with running_daemon(config_for(Path(sys.argv[1]), store={"sync_period_ms": 10})) as (daemon, _):
        node = daemon.rack.node("node-1")
        node.take_news(HelloReceived(link_pb2.Hello(session=1, at_ms=1)))
        node.take_news(BootStarted(1, 1, link_pb2.BOOT_CAUSE_SUPPLY_ON, lost_boots=0, lost_bytes=0))
        end = 0
        while command := await commands.readline():
            end = await feed(daemon, node, end, int(command))
            sys.stdout.write(f"{resident_bytes()} {end}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
