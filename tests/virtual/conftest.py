"""Virtual HATs that run scripts of the tests' own, and the host's side of their ports."""

from __future__ import annotations

import asyncio
import os
import tty
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

import pytest
import pytest_asyncio

from racklet_virtual.firmware_process import MicroPythonMissingError, project_firmware
from racklet_virtual.rack import VirtualRack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from racklet_virtual.board import VirtualHat

PATIENCE_S = 20.0
POLL_S = 0.005


async def until(condition: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(patience_s):
        while not condition():  # noqa: ASYNC110  what is waited for lies in other processes
            await asyncio.sleep(POLL_S)


class HostPort:
    """A host that has a HAT's port open."""

    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self.fd)
        self.received = bytearray()
        self.ended = False

    def close(self) -> None:
        """Close the port."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def write(self, data: bytes) -> None:
        """Send bytes to the HAT."""
        os.write(self.fd, data)

    def pump(self) -> bytearray:
        """Take what has arrived; return everything that did."""
        try:
            data = os.read(self.fd, 65_536)
            self.ended = data == b""
            self.received += data
        except BlockingIOError:
            pass
        except OSError:  # EIO: unplugged
            self.ended = True
        return self.received

    async def expect(self, text: bytes) -> bytes:
        """Wait until the HAT has said this, and return what it said up to there."""
        await until(lambda: text in self.pump() or b"Traceback" in self.received)
        assert text in self.received, self.received.decode("utf-8", "replace")
        end = self.received.index(text) + len(text)
        said = bytes(self.received[:end])
        del self.received[:end]
        return said

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


async def connected(hat: VirtualHat) -> HostPort:
    """Open a HAT's port, and wait until the HAT knows."""
    port = HostPort(hat.port)
    await until(lambda: hat.cable.host_open)
    return port


class StartRack(Protocol):
    async def __call__(self, script: str | None, nodes: int = 1, speed: float = 20.0) -> VirtualRack: ...


@pytest_asyncio.fixture
async def start_rack(tmp_path: Path) -> AsyncIterator[StartRack]:
    """Start racks whose HATs run a script, or nothing but the REPL; they end with the test."""
    try:
        firmware = project_firmware()
    except MicroPythonMissingError as error:
        pytest.skip(str(error))
    async with AsyncExitStack() as stack:

        async def start(script: str | None, nodes: int = 1, speed: float = 20.0) -> VirtualRack:
            entry = tmp_path / "main.py"
            entry.write_text(script or "")
            rack = VirtualRack(tmp_path / "rack", nodes, speed=speed, firmware=replace(firmware, entry=entry))
            return await stack.enter_async_context(rack)

        yield start
