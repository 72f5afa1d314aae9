"""A virtual rack in the test's event loop, hostd as a process of its own, and the ways that people reach it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Self

import aiohttp
import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from racklet.v1 import rack_pb2, rack_pb2_grpc
from racklet_virtual.board import VirtualHat
from racklet_virtual.firmware_process import MicroPythonMissingError, find_micropython, flash_firmware
from racklet_virtual.hardware import MonitorPart
from racklet_virtual.node import Habit
from racklet_virtual.qemu_process import QemuUnavailableError, find_qemu
from racklet_virtual.rack import VirtualRack

BIN = Path(sys.executable).parent
PATIENCE_S = 20.0
POLL_S = 0.02
SPEED = 20.0  # of the nodes' pauses; what is on the wire takes its time

ON = rack_pb2.POWER_ACTION_ON
FORCE_OFF = rack_pb2.POWER_ACTION_FORCE_OFF
CYCLE = rack_pb2.POWER_ACTION_CYCLE
ONLINE, OFFLINE = rack_pb2.HAT_STATE_ONLINE, rack_pb2.HAT_STATE_OFFLINE

Metrics = Mapping[tuple[str, ...], float]


async def until(condition: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(patience_s):
        while not condition():  # noqa: ASYNC110  what is waited for lies in other processes
            await asyncio.sleep(POLL_S)


async def until_async(condition: Callable[[], Awaitable[object]], patience_s: float = PATIENCE_S) -> None:
    """Wait until the condition holds, which takes asking."""
    async with asyncio.timeout(patience_s):
        while not await condition():  # noqa: ASYNC110  likewise
            await asyncio.sleep(POLL_S)


async def run(*command: str | Path, environment: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Run a command to its end; return its exit code and what it printed on stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **(environment or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


@asynccontextmanager
async def virtual_rack(  # noqa: PLR0913  a rack has many sides, each with a default
    folder: Path,
    nodes: int = 1,
    *,
    habits: Mapping[int, Habit] | None = None,
    bauds: Mapping[int, int] | None = None,
    parts: Mapping[int, MonitorPart] | None = None,
    qemu: Sequence[int] = (),
    flash: bytes = b"",
    speed: float = SPEED,
) -> AsyncIterator[VirtualRack]:
    """Run a virtual rack with the real firmware, or what is on `flash`.

    Skips the test where there is no MicroPython, or no QEMU for `qemu`.
    """
    try:
        find_micropython()
        if qemu:
            find_qemu()
    except (MicroPythonMissingError, QemuUnavailableError) as error:
        pytest.skip(str(error))
    firmware = flash_firmware() if flash else None
    async with VirtualRack(
        folder,
        nodes,
        speed=speed,
        habits=habits,
        bauds=bauds,
        parts=parts,
        qemu=qemu,
        firmware=firmware,
        flash=flash,
    ) as rack:
        yield rack


def follows(pieces: Sequence[bytes | rack_pb2.Gap], sent: bytes) -> bool:
    """Tell whether a stored log, with gaps of known length, is what was sent, to the last byte."""
    offset = 0
    for piece in pieces:
        if isinstance(piece, rack_pb2.Gap):
            offset += piece.lost_bytes
        elif sent[offset : offset + len(piece)] != piece:
            return False
        else:
            offset += len(piece)
    return offset == len(sent)


class Hostd:
    """A hostd with its state and its addresses in `folder`, started as often as the test wants.

    An async context manager: at its end no process is left. `prefix` is a command that runs hostd.
    """

    def __init__(self, folder: Path, nodes_toml: str = "", prefix: Sequence[str] = ()) -> None:
        self.folder = folder
        self.config = folder / "racklet.toml"
        self.state = folder / "state"
        self.socket = folder / "h.sock"
        self.prefix = tuple(prefix)
        self.http = ""
        self._log = folder / "hostd.log"
        self._process: asyncio.subprocess.Process | None = None
        self._stack = AsyncExitStack()
        self.configure(nodes_toml)

    def configure(self, nodes_toml: str) -> None:
        """Write the config."""
        sections = {
            "state": {"folder": str(self.state)},
            "grpc": {"socket": str(self.socket)},
            "http": {"address": "127.0.0.1:0"},
            "log": {"format": "json"},
            "telemetry": {"period_ms": 200},
            "store": {"sync_period_ms": 100},
        }
        lines = []
        for section, values in sections.items():
            lines += [f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items()), ""]
        self.config.write_text("\n".join(lines) + nodes_toml)

    @property
    def pid(self) -> int:
        """The process id of the hostd that runs."""
        assert self._process is not None
        return self._process.pid

    def log(self) -> list[dict[str, object]]:
        """Return what the newest hostd has logged."""
        return [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]

    def log_text(self) -> str:
        """Return everything that the newest hostd printed."""
        return self._log.read_text()

    async def start(self) -> None:
        """Start it and wait until it is ready."""
        command = (*self.prefix, sys.executable, "-m", "racklet_hostd", "--config", str(self.config))
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        await until(lambda: self._is_up() or self._process is None or self._process.returncode is not None)
        assert self._is_up(), self.log_text()
        self.http = next(str(entry["address"]) for entry in self.log() if entry["event"] == "HTTP")
        options = (("grpc.use_local_subchannel_pool", 1),)  # a new hostd is a new connection
        channel = await self._stack.enter_async_context(grpc.aio.insecure_channel(f"unix:{self.socket}", options))
        self.rack: rack_pb2_grpc.RackAsyncStub = rack_pb2_grpc.RackStub(channel)
        self.session = await self._stack.enter_async_context(aiohttp.ClientSession())

    async def kill(self) -> None:
        """End it as `kill -9` does."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """End it as the system does at shutdown; return its exit code."""
        return await self._end(signal.SIGTERM)

    async def _end(self, how: signal.Signals) -> int:
        await self._stack.aclose()
        assert self._process is not None
        process, self._process = self._process, None
        if process.returncode is None:
            os.killpg(process.pid, how)
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await process.wait()
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()

    def _is_up(self) -> bool:
        return any(entry["event"] == "hostd is up" for entry in self.log())

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None:
            await self._end(signal.SIGKILL)

    # What people ask it.

    async def node(self, name: str = "node-1") -> rack_pb2.Node:
        """Return a node as hostd tells of it."""
        return (await self.rack.GetNode(rack_pb2.GetNodeRequest(name=f"nodes/{name}"))).node

    async def until_node(
        self, holds: Callable[[rack_pb2.Node], object], name: str = "node-1", patience_s: float = PATIENCE_S
    ) -> rack_pb2.Node:
        """Return the node as soon as this holds of it."""
        async with asyncio.timeout(patience_s):
            while not holds(node := await self.node(name)):  # noqa: ASYNC110  hostd is another process
                await asyncio.sleep(POLL_S)
        return node

    async def starts_told(self, name: str = "node-1") -> int:
        """Return how often the node's HAT told that it started."""
        return sum(event.kind == "hat_started" for event in await self.events(name))

    async def until_online(self, *names: str, patience_s: float = PATIENCE_S) -> None:
        """Wait until these HATs are online."""
        for name in names or ("node-1",):
            await self.until_node(lambda node: node.hat.state == ONLINE, name, patience_s)

    async def power(self, hat: VirtualHat, action: rack_pb2.PowerAction.ValueType = ON) -> rack_pb2.SetPowerResponse:
        """Move a node's supply."""
        return await self.rack.SetPower(rack_pb2.SetPowerRequest(name=f"nodes/{hat.node.name}", action=action))

    async def boots(self, name: str = "node-1") -> list[rack_pb2.Boot]:
        """Return a node's boots, oldest first."""
        response = await self.rack.ListBoots(rack_pb2.ListBootsRequest(parent=f"nodes/{name}"))
        return list(reversed(response.boots))

    async def pieces(self, boot: str) -> list[bytes | rack_pb2.Gap]:
        """Return a boot log: stretches of bytes as long as can be, and the gaps between them."""
        pieces: list[bytes | rack_pb2.Gap] = []
        async for piece in self.rack.ReadBootLog(rack_pb2.ReadBootLogRequest(name=boot)):
            if piece.WhichOneof("piece") == "gap":
                pieces.append(piece.gap)
            elif pieces and isinstance(pieces[-1], bytes):
                pieces[-1] += piece.data
            else:
                pieces.append(piece.data)
        return pieces

    async def until_stored(self, hat: VirtualHat, patience_s: float = PATIENCE_S) -> None:
        """Wait until every boot log of a node is what it sent, byte by byte and without a gap."""
        stored: list[list[bytes | rack_pb2.Gap]] = []

        async def is_same() -> bool:
            stored[:] = [await self.pieces(boot.name) for boot in await self.boots(hat.node.name)]
            return stored == [[hat.node.sent(boot)] if boot.sent_bytes else [] for boot in hat.node.boots]

        try:
            await until_async(is_same, patience_s)
        except TimeoutError as error:
            told = [[len(piece) if isinstance(piece, bytes) else str(piece) for piece in pieces] for pieces in stored]
            sent = [boot.sent_bytes for boot in hat.node.boots]
            follow = [
                follows(pieces, hat.node.sent(boot)) for pieces, boot in zip(stored, hat.node.boots, strict=False)
            ]
            raise AssertionError(
                f"{hat.node.name}: stored {told}, sent {sent}, right but for gaps: {follow}"
            ) from error

    async def events(self, name: str) -> list[rack_pb2.Event]:
        """Return the events of a node, oldest first."""
        response = await self.rack.ListEvents(rack_pb2.ListEventsRequest(node=f"nodes/{name}", page_size=1000))
        return list(reversed(response.events))

    async def metrics(self) -> Metrics:
        """Return /metrics: values by name and label values, such as ("racklet_hat_online", "node-1")."""
        async with self.session.get(f"{self.http}/metrics") as page:
            text = await page.text()
        return {
            (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    async def ready(self) -> tuple[int, str]:
        """Return the status and the words of /readyz."""
        async with self.session.get(f"{self.http}/readyz") as page:
            return page.status, (await page.text()).strip()

    async def cli(self, *arguments: str) -> tuple[int, str, str]:
        """Run `racklet` against it."""
        return await run(BIN / "racklet", *arguments, environment={"RACKLET_ADDRESS": f"unix:{self.socket}"})

    def resident_bytes(self) -> int:
        """Return how much memory it has now."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
