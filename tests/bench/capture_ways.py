"""The ways to store a console: hostd, and those that it is compared with."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from socket import create_connection

from racklet_hostd.store import Chunk, Store, StoreLimits
from tests.bench.process import free_tcp_port, running, until
from tests.bench.wire import adopt

SETTLED_S = 0.3  # after a port was opened, which no peer tells
DEBIAN_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_READ_BYTES = 1 << 20
_OFFSET_MAX = 1 << 40
_CONSERVER_MARK = re.compile(rb"\[-- Console (?:up|down) -- [^\]]{1,40}\]\r\n")
_HOSTD_CONFIG = """
[[node]]
name = "node-1"
port = "{port}"
[state]
folder = "{folder}/state"
[grpc]
socket = "{folder}/hostd.sock"
[http]
address = "127.0.0.1:0"
"""
_CONSERVER_CONFIG = """
config * {{ }}
access * {{ trusted 127.0.0.1; }}
console node-1 {{
    master localhost; rw *; type device; device {port}; baud 115200; parity none; options !ixon,!ixoff;
    logfile {folder}/stored; timestamp "";
}}
"""
_SER2NET_CONFIG = """
connection: &node-1
  accepter: tcp,127.0.0.1,{tcp_port}
  connector: serialdev,{port},115200n81,local
"""

Start = Callable[[Path, Path], AbstractAsyncContextManager[list[int]]]


@dataclass(frozen=True, slots=True)
class Way:
    """A way to store a console.

    Attributes:
        name: what it is called in the report.
        start: opens the port and stores into the folder; gives the processes to measure.
        stored: returns what is on the disk in the end.
        feed: how the node's side of the pty speaks.
        command: what has to be installed, by `package`; "" when it always is.
    """

    name: str
    start: Start
    stored: Callable[[Path], bytes]
    feed: str = "raw"
    command: str = ""
    package: str = ""


@asynccontextmanager
async def _hostd(folder: Path, port: Path) -> AsyncIterator[list[int]]:
    config = folder / "racklet.toml"
    config.write_text(_HOSTD_CONFIG.format(port=port, folder=folder), encoding="utf-8")
    adopt(folder / "state", {1: "node-1"})
    command = (sys.executable, "-m", "racklet_hostd", "--config", config)
    async with running(*command, log=folder / "log") as process:
        await until(lambda: b"link up" in (folder / "log").read_bytes())
        yield [process.pid]


def _stored_by_hostd(folder: Path) -> bytes:
    with closing(Store.open(folder / "state", StoreLimits())) as store:
        log = store.node("node-1").newest
        if log is None:
            return b""
        stored, offset = bytearray(), 0
        while pieces := log.read(offset, _READ_BYTES):
            stored += b"".join(piece.data for piece in pieces if isinstance(piece, Chunk))
            offset = pieces[-1].end
        return bytes(stored)


@asynccontextmanager
async def _conserver(folder: Path, port: Path) -> AsyncIterator[list[int]]:
    config = folder / "conserver.cf"
    config.write_text(_CONSERVER_CONFIG.format(port=port, folder=folder), encoding="utf-8")
    command = ("/usr/sbin/conserver", "-C", config, "-M", "127.0.0.1", "-p", free_tcp_port())
    async with running(*command, log=folder / "log") as process:
        await until(lambda: b"Console up" in _file(folder))
        yield [process.pid]


@asynccontextmanager
async def _ser2net(folder: Path, port: Path) -> AsyncIterator[list[int]]:
    config, tcp_port = folder / "ser2net.yaml", free_tcp_port()
    config.write_text(_SER2NET_CONFIG.format(tcp_port=tcp_port, port=port), encoding="utf-8")
    async with AsyncExitStack() as started:
        command = ("/usr/sbin/ser2net", "-n", "-u", "-c", config)
        server = await started.enter_async_context(running(*command, log=folder / "log"))
        await until(lambda: _is_served(tcp_port))
        reader = await started.enter_async_context(_reader("tcp", tcp_port, folder))
        yield [server.pid, reader.pid]


@asynccontextmanager
async def _asyncio(folder: Path, port: Path) -> AsyncIterator[list[int]]:
    async with _reader("asyncio", port, folder) as process:
        yield [process.pid]


@asynccontextmanager
async def _bare(folder: Path, port: Path) -> AsyncIterator[list[int]]:
    async with _reader("bare", port, folder) as process:
        yield [process.pid]


@asynccontextmanager
async def _floor(folder: Path, port: Path) -> AsyncIterator[list[int]]:
    command = (sys.executable, "-m", "tests.bench.capture_floor", port, folder / "stored")
    async with running(*command, log=folder / "log") as process:
        await until((folder / "stored").exists)
        await asyncio.sleep(SETTLED_S)
        yield [process.pid]


def _stored_by_floor(folder: Path) -> bytes:
    return _file(folder).rstrip(b"\0")  # the room that it made beforehand


@asynccontextmanager
async def _reader(way: str, source: object, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    command = (sys.executable, "-m", "tests.bench.capture_reader", way, source, folder / "stored")
    async with running(*command, log=folder / "log") as process:
        await until((folder / "stored").exists)
        await asyncio.sleep(SETTLED_S)
        yield process


def _stored_by_conserver(folder: Path) -> bytes:
    return _CONSERVER_MARK.sub(b"", _file(folder))


def _file(folder: Path) -> bytes:
    path = folder / "stored"
    return path.read_bytes() if path.exists() else b""


def _is_served(tcp_port: int) -> bool:
    try:
        create_connection(("127.0.0.1", tcp_port), 1).close()
    except OSError:
        return False
    return True


HOSTD = Way("hostd", _hostd, _stored_by_hostd, "link")
FLOOR = Way("floor", _floor, _stored_by_floor, "link")
PEERS = (
    Way("a bare loop", _bare, _file),
    Way("conserver", _conserver, _stored_by_conserver, command="conserver", package="conserver-server"),
    Way("ser2net", _ser2net, _file, command="ser2net", package="ser2net"),
    Way("pyserial-asyncio", _asyncio, _file),
)
