"""The virtual rack in this process, hostd in one of its own, and a way to talk to it, all in a temporary folder."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

import aiohttp

from racklet_hostd.cli.address import Address
from racklet_hostd.cli.connection import Connection, connect
from racklet_virtual.rack import VirtualRack

if TYPE_CHECKING:
    from types import TracebackType

    from racklet_virtual.special_nodes import SpecialNodes

NODES = 5
_DEFAULT_TCP = 50551
_DEFAULT_HTTP = 9550
_START_TIMEOUT_S = 20
_STOP_TIMEOUT_S = 10


class DemoError(Exception):
    """The demo cannot run; the message says why."""


class Rig:
    """An async context manager. `rack` is the virtual rack, `connection` the way to hostd."""

    def __init__(self, seed: int, special: SpecialNodes) -> None:
        self._seed = seed
        self._special = special
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="racklet-demo-")))
            habits, qemu = self._special.habits, self._special.qemu
            rack = VirtualRack(self.folder / "rack", NODES, self._seed, habits=habits, qemu=qemu)
            self.rack = await stack.enter_async_context(rack)
            self.tcp = f"127.0.0.1:{_free_port(_DEFAULT_TCP)}"
            self.http = f"127.0.0.1:{_free_port(_DEFAULT_HTTP)}"
            self.config = self.folder / "racklet.toml"
            self.config.write_text(self._config())
            self.log = self.folder / "hostd.log"
            self.hostd = await self._start_hostd()
            stack.push_async_callback(self._kill_hostd)
            await self._wait_until_ready()
            self.connection: Connection = await stack.enter_async_context(connect(Address(self.tcp)))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def stop_hostd(self) -> int:
        """Ask hostd to end; return its exit code."""
        self.hostd.send_signal(signal.SIGTERM)
        async with asyncio.timeout(_STOP_TIMEOUT_S):
            return await self.hostd.wait()

    def _config(self) -> str:
        """Return hostd's config. The addresses are the defaults where they are free."""
        socket_path = json.dumps(str(self.folder / "racklet.sock"))
        return "\n".join(
            (
                '[rack]\nname = "demo"\n',
                f"[state]\nfolder = {json.dumps(str(self.folder / 'state'))}\n",
                f"[grpc]\nsocket = {socket_path}\ntcp = {json.dumps(self.tcp)}\n",
                f"[http]\naddress = {json.dumps(self.http)}\n",
                self.rack.config_toml(),
            )
        )

    async def _start_hostd(self) -> asyncio.subprocess.Process:
        with self.log.open("wb") as log:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "racklet_hostd", "--config", str(self.config)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the demo, which ends hostd
            )

    async def _kill_hostd(self) -> None:
        if self.hostd.returncode is None:
            try:
                await self.stop_hostd()
            except TimeoutError:
                self.hostd.kill()
                await self.hostd.wait()

    async def _wait_until_ready(self) -> None:
        try:
            async with asyncio.timeout(_START_TIMEOUT_S), aiohttp.ClientSession() as session:
                while not await self._is_ready(session):
                    if self.hostd.returncode is not None:
                        raise DemoError(f"hostd ended at once:\n{self.log.read_text()}")
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            raise DemoError(f"hostd is not ready after {_START_TIMEOUT_S} s:\n{self.log.read_text()}") from error

    async def _is_ready(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.get(f"http://{self.http}/readyz") as response:
                return response.ok
        except aiohttp.ClientError:
            return False


def _free_port(wanted: int) -> int:
    """Return `wanted` when nobody listens there, else a port that is free."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found
    raise DemoError("no port is free on 127.0.0.1")
