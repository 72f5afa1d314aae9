"""Readers outlast a hostd that is killed: nothing is shown twice, and nothing is missing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from racklet.v1 import rack_pb2
from racklet_virtual.board import VirtualHat
from racklet_virtual.script import NodeState
from tests.system.rig import BIN, CYCLE, ON, PATIENCE_S, POLL_S, Hostd, until, virtual_rack

UP = {NodeState.IDLE, NodeState.WORKING}


@asynccontextmanager
async def reading(hostd: Hostd, output: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `racklet` with its stdout in a file, and its stderr in another beside it."""
    with output.open("wb") as stdout, output.with_suffix(".err").open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            BIN / "racklet",
            *arguments,
            env={**os.environ, "RACKLET_ADDRESS": f"unix:{hostd.socket}"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


def all_sent(hat: VirtualHat) -> bytes:
    """Return what the node has sent in all its boots."""
    return b"".join(hat.node.sent(boot) for boot in hat.node.boots)


async def killed_again_and_again(hostd: Hostd, hat: VirtualHat, output: Path) -> None:
    """Let the node boot three times, and kill hostd in the middle of what the reader shows of each."""
    for boot in range(1, 4):
        await hostd.until_online()
        shown = len(all_sent(hat))
        await hostd.power(hat, CYCLE if hat.node.supply_on else ON)
        await until(lambda shown=shown: output.stat().st_size > shown + 2000)  # type: ignore[misc]
        await hostd.kill()
        await hostd.start()
        await until(lambda: hat.node.state in UP and not hat.hardware.node.sending)
        await until(lambda: output.stat().st_size == len(all_sent(hat)))
        assert len(hat.node.boots) == boot


async def until_attached(hostd: Hostd) -> None:
    """Wait until somebody is at the console of the node."""
    async with asyncio.timeout(PATIENCE_S):
        while await _others(hostd) == 0:  # noqa: ASYNC110  hostd is another process
            await asyncio.sleep(POLL_S)


async def _others(hostd: Hostd) -> int:
    call = hostd.rack.AttachConsole()
    await call.write(rack_pb2.AttachConsoleRequest(name="nodes/node-1", read_only=True))
    response = await call.read()
    call.cancel()
    assert isinstance(response, rack_pb2.AttachConsoleResponse)
    return len(response.seats) - 1


@pytest.mark.parametrize("arguments", [("logs", "node-1", "--follow"), ("console", "node-1", "--read-only")])
async def test_a_reader_goes_on_at_the_exact_byte_after_hostd_was_killed(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    output = tmp_path / "output"
    async with (
        virtual_rack(tmp_path / "rack") as rack,
        Hostd(tmp_path, rack.config_toml()) as hostd,
        reading(hostd, output, *arguments),
    ):
        [hat] = rack.hats
        await until(output.exists)
        if arguments[0] == "console":  # it shows what comes from now on
            await until_attached(hostd)
        await killed_again_and_again(hostd, hat, output)
        told = output.with_suffix(".err").read_text()
        assert output.read_bytes() == all_sent(hat)
    assert told.count("hostd went away; waiting for it") == 3
    assert told.count("hostd is back") == 3
    assert "lost" not in told
