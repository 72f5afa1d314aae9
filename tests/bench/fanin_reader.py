"""Reads what HATs say on ptys, in one of three ways: `python -m tests.bench.fanin_reader WAY FOLDER HATS`."""

from __future__ import annotations

import asyncio
import logging
import os
import select
import sys
from contextlib import ExitStack
from pathlib import Path

from racklet_hostd.clock import SystemClock
from racklet_hostd.config import RackletConfig
from racklet_hostd.daemon import Daemon
from racklet_hostd.model import HatState
from racklet_hostd.store import Store, StoreLimits
from tests.bench.measured import answer, tell
from tests.bench.wire import adopt

READ_BYTES = 1024  # as hostd's
STDIN = 0


def ports(folder: Path, hats: int) -> list[Path]:
    """Return the port of each HAT."""
    return [folder / "ports" / f"node-{number}" for number in range(hats)]


async def read_as_hostd(folder: Path, hats: int) -> None:
    """Be hostd as it is, with its API, pages and store."""
    config = RackletConfig.model_validate(
        {
            "node": [{"name": port.name, "port": str(port)} for port in ports(folder, hats)],
            "state": {"folder": str(folder / "state")},
            "grpc": {"socket": str(folder / "hostd.sock")},
            "http": {"address": "127.0.0.1:0"},
        }
    )
    logging.basicConfig(level=logging.ERROR)
    adopt(config.state.folder, {number: port.name for number, port in enumerate(ports(folder, hats))})
    store = Store.open(config.state.folder, StoreLimits())
    try:
        daemon = Daemon(config, store, SystemClock())
        stop = asyncio.Event()

        def state() -> dict[str, int]:
            nodes = daemon.rack.nodes
            return {
                "frames": sum(node.link_counters.frames_received for node in nodes),
                "online": sum(node.hat.state is HatState.ONLINE for node in nodes),
            }

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(daemon.run(stop), name="hostd")
            await answer(state)
            stop.set()
    finally:
        store.close()


async def read_with_asyncio(folder: Path, hats: int) -> None:
    """Read with `add_reader` and throw away."""
    loop = asyncio.get_running_loop()
    count = 0

    def read(port: int) -> None:
        nonlocal count
        count += len(os.read(port, READ_BYTES))

    with ExitStack() as opened:
        for port in _open(folder, hats, opened):
            loop.add_reader(port, read, port)
            opened.callback(loop.remove_reader, port)
        await answer(lambda: {"bytes": count, "online": hats})


def read_bare(folder: Path, hats: int) -> None:
    """Read in a loop over epoll and throw away."""
    count = 0
    with ExitStack() as opened, select.epoll() as poll:
        for port in (STDIN, *_open(folder, hats, opened)):
            poll.register(port, select.EPOLLIN | select.EPOLLHUP)
        while True:
            for port, _ in poll.poll():
                data = os.read(port, READ_BYTES)
                if port != STDIN:
                    count += len(data)
                elif data:
                    tell({"bytes": count, "online": hats})
                else:
                    return


def _open(folder: Path, hats: int, opened: ExitStack) -> list[int]:
    descriptors = [os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK) for port in ports(folder, hats)]
    for descriptor in descriptors:
        opened.callback(os.close, descriptor)
    return descriptors


def main() -> None:
    """Read until standard input ends."""
    way, folder, hats = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if way == "hostd":
        asyncio.run(read_as_hostd(folder, hats))
    elif way == "asyncio":
        asyncio.run(read_with_asyncio(folder, hats))
    else:
        read_bare(folder, hats)


if __name__ == "__main__":
    main()
