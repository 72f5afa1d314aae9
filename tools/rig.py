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
from typing import TYPE_CHECKING, Any, Self, TypeVar

import aiohttp

from racklet.v1 import rack_pb2
from racklet_client.rack import Rack, connect
from racklet_virtual.firmware_process import FirmwareUnavailableError
from racklet_virtual.qemu_process import QemuUnavailableError
from racklet_virtual.rack import VirtualRack

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine, Mapping
    from types import TracebackType

    from racklet_virtual.node import Habit

Outcome = TypeVar("Outcome")
_DEFAULT_TCP = 50551
_DEFAULT_HTTP = 9550
_START_TIMEOUT_S = 20
_STOP_TIMEOUT_S = 10
_POWER_TIMEOUT_S = 20


class RigError(Exception):
    """The rig does not start; the message says why."""


def run(job: Coroutine[Any, Any, Outcome]) -> Outcome:
    """Run `job` and return its outcome. A signal that ends programs lets it clean up first, and raises RigError."""

    async def stoppable() -> Outcome:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        if task is not None:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                loop.add_signal_handler(number, task.cancel)
        return await job

    try:
        return asyncio.run(stoppable())
    except asyncio.CancelledError as error:
        raise RigError("it was stopped before its end") from error


class Rig:
    """An async context manager. `rack` is the virtual rack, `client` the same as hostd serves it.

    `at_default_ports` has hostd serve where a client looks first, if nobody else does.
    """

    def __init__(
        self,
        nodes: int,
        seed: int,
        *,
        habits: Mapping[int, Habit] | None = None,
        bauds: Mapping[int, int] | None = None,
        qemu: Collection[int] = (),
        at_default_ports: bool = False,
    ) -> None:
        self._nodes = nodes
        self._seed = seed
        self._habits = habits
        self._bauds = bauds
        self._qemu = qemu
        self._at_default_ports = at_default_ports
        self._stack = AsyncExitStack()
        self.is_hostd_ready = False

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="racklet-")))
            self.rack = await stack.enter_async_context(self._make_rack())
            self.tcp = f"127.0.0.1:{_free_port(_DEFAULT_TCP if self._at_default_ports else 0)}"
            self.http = f"127.0.0.1:{_free_port(_DEFAULT_HTTP if self._at_default_ports else 0)}"
            self.socket = self.folder / "racklet.sock"  # nobody else's hostd answers there
            self.config = self.folder / "racklet.toml"
            self.config.write_text(self._config())
            self.log = self.folder / "hostd.log"
            await self._spawn_hostd()
            stack.push_async_callback(self._end_hostd)
            await self._wait_until_ready()
            self.client: Rack = await stack.enter_async_context(connect(f"unix:{self.socket}"))
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

    async def set_power(self, node: str, action: rack_pb2.PowerAction.ValueType) -> rack_pb2.SetPowerResponse:
        """Move a node's supply. Raises RackError."""
        request = rack_pb2.SetPowerRequest(name=node, action=action)
        return await self.client.set_power(request, _POWER_TIMEOUT_S)

    async def until_online(self, node: str) -> None:
        """Wait until hostd talks with a node's HAT. Raises TimeoutError."""
        async with asyncio.timeout(_START_TIMEOUT_S):
            while True:
                if (await self.client.node(node)).hat.state == rack_pb2.HAT_STATE_ONLINE:
                    return
                await asyncio.sleep(0.05)

    def _config(self) -> str:
        """Return hostd's config."""
        socket_path = json.dumps(str(self.socket))
        return "\n".join(
            (
                f"[state]\nfolder = {json.dumps(str(self.folder / 'state'))}\n",
                f'[grpc]\nsocket = {socket_path}\nplain_tcp = {json.dumps(self.tcp)}\nplain_tcp_role = "admin"\n',
                f"[http]\naddress = {json.dumps(self.http)}\n",
                self.rack.config_toml(),
            )
        )

    async def start_hostd(self) -> None:
        """Start hostd again and wait until it is ready. Raises RigError."""
        await self._spawn_hostd()
        await self._wait_until_ready()

    async def _spawn_hostd(self) -> None:
        self.is_hostd_ready = False
        with self.log.open("ab") as log:
            self.hostd = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "racklet_hostd", "--config", str(self.config)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for whoever runs the rig, and ends hostd
            )

    async def kill_hostd(self) -> None:
        """End hostd as `kill -9` does."""
        self.hostd.kill()
        await self.hostd.wait()

    async def _end_hostd(self) -> None:
        if self.hostd.returncode is None:
            try:
                await self.stop_hostd()
            except TimeoutError:
                await self.kill_hostd()

    def _make_rack(self) -> VirtualRack:
        folder = self.folder / "rack"
        try:
            return VirtualRack(folder, self._nodes, self._seed, habits=self._habits, bauds=self._bauds, qemu=self._qemu)
        except (FirmwareUnavailableError, QemuUnavailableError) as error:
            raise RigError(str(error)) from error

    async def _wait_until_ready(self) -> None:
        try:
            async with asyncio.timeout(_START_TIMEOUT_S), aiohttp.ClientSession() as session:
                while not await self._is_ready(session):
                    if self.hostd.returncode is not None:
                        raise RigError(f"hostd ended at once:\n{self.log.read_text()}")
                    await asyncio.sleep(0.05)
            self.is_hostd_ready = True
        except TimeoutError as error:
            raise RigError(f"hostd is not ready after {_START_TIMEOUT_S} s:\n{self.log.read_text()}") from error

    async def _is_ready(self, session: aiohttp.ClientSession) -> bool:
        if not self.socket.exists():  # then it is another hostd that may answer on the port
            return False
        try:
            async with session.get(f"http://{self.http}/readyz") as response:
                return response.ok
        except aiohttp.ClientError:
            return False


def _free_port(wanted: int) -> int:
    """Return `wanted` when nobody listens there, else, or when it is 0, any that is free."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found
    raise RigError("no port is free on 127.0.0.1")
