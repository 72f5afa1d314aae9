"""The demo for a person: five nodes boot one after another on a live screen."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from racklet.v1 import rack_pb2
from racklet_client.errors import RackError
from racklet_hostd.cli.live import RackView

if TYPE_CHECKING:
    from tools.rig import Rig

_SCREEN_INTERVAL_S = 0.2
_BETWEEN_STARTS_S = 2.0  # so that each boot can be watched, and as a real rack spares its supply


async def show(rig: Rig, console: Console) -> None:
    """Power the nodes on and show them until this is cancelled."""
    view = RackView("Racklet demo")
    hints = _hints(rig)
    if not console.is_terminal:
        console.print(hints)
    with Live(Group(view, Text(), hints), console=console, auto_refresh=False, transient=False) as live:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_watch(rig, view, live), name="watch")
            tasks.create_task(_tick(live), name="tick")
            tasks.create_task(_power_on(rig, view), name="power")


async def _watch(rig: Rig, view: RackView, live: Live) -> None:
    async with aclosing(rig.client.watch_nodes(min_interval_s=_SCREEN_INTERVAL_S)) as changes:
        async for change in changes:
            for name in view.update(change.nodes, is_whole=change.is_whole):
                async for boot in rig.client.boots(name, limit=1):
                    view.boot_started(name, boot.start_time.seconds)
            live.refresh()


async def _tick(live: Live) -> None:
    while True:
        await asyncio.sleep(1.0)
        live.refresh()


async def _power_on(rig: Rig, view: RackView) -> None:
    for hat in rig.rack.hats:
        await _until_online(rig, hat.node.name)
        try:
            await rig.set_power(hat.node.name, rack_pb2.POWER_ACTION_ON)
        except RackError as error:  # somebody plays with the rack already
            view.note = str(error)
        await asyncio.sleep(_BETWEEN_STARTS_S)


async def _until_online(rig: Rig, name: str) -> None:
    async with aclosing(rig.client.watch_nodes(name)) as changes:
        async for change in changes:
            if change.nodes[0].hat.state == rack_pb2.HAT_STATE_ONLINE:
                return


def _hints(rig: Rig) -> Text:
    """Return what to try in another terminal."""
    address = "" if rig.tcp.endswith(":50551") else f"--address {rig.tcp} "
    lines = [
        ("Try in another terminal, in this folder:", "dim"),
        (f"  .venv/bin/racklet {address}nodes", "cyan"),
        (f"  .venv/bin/racklet {address}logs node-3 --follow", "cyan"),
        (f"  .venv/bin/racklet {address}console node-1", "cyan"),
        (f"  .venv/bin/racklet {address}power cycle node-2", "cyan"),
        (f"  curl http://{rig.http}/metrics", "cyan"),
        ("Ctrl-C ends the demo.", "dim"),
    ]
    return Text("\n").join(Text(line, style) for line, style in lines)
