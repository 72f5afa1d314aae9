"""The soak: eight nodes that never stop talking, and everything that can go wrong. `just soak`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from racklet.v1 import rack_pb2
from racklet_client.names import boot_number, short_name
from racklet_virtual.node import Habit
from tools.rig import Rig, RigError, run
from tools.soak.chaos import Chaos
from tools.soak.ledger import Lost, settle
from tools.soak.report import NodeAccount, print_report

if TYPE_CHECKING:
    from racklet_virtual.board import VirtualHat
    from tools.soak.ledger import Account

NODES = 8
FAST_NODE = 8
FAST_BAUD = 1_500_000  # the others send at 115 200
_FAILED = 1
_SETTLE_S = 60  # for hostd to take what the HATs still hold
_MEMORY_EVERY_S = 0.5
_PAGE_BYTES = 4096

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    minutes: Annotated[float, typer.Option(min=0.1, help="How long things go wrong.")] = 2,
    seed: Annotated[int, typer.Option(help="Another seed makes other choices.")] = 1,
) -> None:
    """Flood a virtual rack's consoles while links, cables, HATs and hostd fail; account for every byte."""
    try:
        raise typer.Exit(run(_run(minutes * 60, seed)))
    except RigError as error:
        print(f"soak: {error}", file=sys.stderr)
        raise typer.Exit(_FAILED) from error


async def _run(duration_s: float, seed: int) -> int:
    habits = dict.fromkeys(range(1, NODES + 1), Habit.FLOOD)
    async with Rig(NODES, seed, habits=habits, bauds={FAST_NODE: FAST_BAUD}) as rig:
        for hat in rig.rack.hats:
            await rig.until_online(hat.node.name)
            await rig.set_power(hat.node.name, rack_pb2.POWER_ACTION_ON)
        chaos = Chaos(rig, seed)
        memory: dict[int, list[int]] = {}
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(_watch_memory(rig, memory), name="memory")
            await chaos.run(duration_s)
            watching.cancel()
        for hat in rig.rack.hats:
            await rig.until_online(hat.node.name)
            await rig.set_power(hat.node.name, rack_pb2.POWER_ACTION_FORCE_OFF)
        accounts = [await _account(rig, hat) for hat in rig.rack.hats]
    holds = print_report(Console(), accounts, chaos.diary, memory)
    return 0 if holds else _FAILED


async def _watch_memory(rig: Rig, memory: dict[int, list[int]]) -> None:
    """Note what hostd holds once it is ready, for each life of it."""
    while True:
        pid = rig.hostd.pid
        if rig.is_hostd_ready and (resident := _resident_bytes(pid)):
            memory.setdefault(pid, []).append(resident)
        await asyncio.sleep(_MEMORY_EVERY_S)


def _resident_bytes(pid: int) -> int:
    """Return how much memory a process has; 0 when it has ended."""
    try:
        words = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0
    return int(words[1]) * _PAGE_BYTES if words else 0


async def _account(rig: Rig, hat: VirtualHat) -> NodeAccount:
    """Settle every boot of a node, once hostd has what there is."""
    node = hat.node.name
    accounts: list[Account] = []
    losses: list[Lost] = []
    try:
        async with asyncio.timeout(_SETTLE_S):
            while True:
                names = await _boot_names(rig, node)
                logs = [await _read(rig, name) for name in names]
                sent = [boot.sent_bytes for boot in hat.node.boots]
                accounts = [
                    settle(log, start, count) for start, (log, count) in enumerate(zip(logs, sent, strict=False), 1)
                ]
                losses = [piece for log in logs for piece in log if isinstance(piece, Lost)]
                if len(names) == len(sent) and not any(account.problem for account in accounts):
                    break
                await asyncio.sleep(0.5)
    except TimeoutError:
        pass  # the account tells what is wrong
    missing = len(hat.node.boots) - len(accounts)
    return NodeAccount(node, accounts, losses, f"{missing} boots are not stored" if missing else "")


async def _boot_names(rig: Rig, node: str) -> list[str]:
    """Return the names of the node's boots, oldest first."""
    return [boot.name async for boot in rig.client.boots(node)][::-1]


async def _read(rig: Rig, boot: str) -> list[bytes | Lost]:
    """Return a boot log: stretches of bytes as long as can be, and the gaps between them."""
    pieces: list[bytes | Lost] = []
    stretch = bytearray()
    node = short_name(boot.partition("/boots/")[0])
    async for piece in rig.client.boot_log(node, int(boot_number(boot))):
        if piece.WhichOneof("piece") != "gap":
            stretch += piece.data
            continue
        if stretch:
            pieces.append(bytes(stretch))
            stretch.clear()
        pieces.append(Lost(piece.gap.lost_bytes, piece.gap.reason, piece.receive_time.ToMilliseconds()))
    if stretch:
        pieces.append(bytes(stretch))
    return pieces
