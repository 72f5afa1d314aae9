"""The command that keeps the rack on the screen."""

import asyncio
import time
from contextlib import aclosing
from typing import Annotated

import typer
from rich.live import Live

from racklet_hostd.cli.arguments import NodesArgument
from racklet_hostd.cli.beside import beside
from racklet_hostd.cli.live import RackView
from racklet_hostd.cli.names import natural_key
from racklet_hostd.cli.output import remark_presence
from racklet_hostd.cli.session import Session, command
from racklet_hostd.cli.tables import node_line

_SCREEN_INTERVAL_S = 0.5
_LINES_INTERVAL_S = 1.0
_CLOCK_PERIOD_S = 1.0
IntervalOption = Annotated[
    float | None,
    typer.Option("--interval", min=0.1, max=3600, metavar="SECONDS", help="The least time between changes."),
]


@command
async def watch(session: Session, nodes: NodesArgument = None, *, interval: IntervalOption = None) -> None:
    """Show the nodes live, until Ctrl-C.

    Without a terminal, print a line whenever a node changes.
    """
    output = session.output
    if output.is_terminal and not output.console.is_dumb_terminal and not output.as_json:
        await _on_screen(session, nodes or [], interval or _SCREEN_INTERVAL_S)
    else:
        await _in_lines(session, nodes or [], interval or _LINES_INTERVAL_S)


async def _on_screen(session: Session, nodes: list[str], interval_s: float) -> None:
    rack = session.rack
    view = RackView((await rack.info()).display_name or "racklet")

    def on_presence(is_there: bool) -> None:  # noqa: FBT001 - a callback's one argument
        view.note = "" if is_there else "hostd went away; waiting for it"
        live.refresh()

    coming = rack.watch_nodes(*nodes, min_interval_s=interval_s, on_presence=on_presence)
    with Live(view, console=session.output.console, auto_refresh=False) as live:
        async with (
            beside(_tick(live)),
            aclosing(coming) as changes,
        ):
            async for change in changes:
                for node in view.update(change.nodes, is_whole=change.is_whole):
                    async for boot in rack.boots(node, limit=1):
                        view.boot_started(node, boot.start_time.seconds)
                live.refresh()


async def _tick(live: Live) -> None:
    """Let the clock and the uptimes go on while no node changes."""
    while True:
        await asyncio.sleep(_CLOCK_PERIOD_S)
        live.refresh()


async def _in_lines(session: Session, nodes: list[str], interval_s: float) -> None:
    output = session.output
    coming = session.rack.watch_nodes(*nodes, min_interval_s=interval_s, on_presence=remark_presence)
    async with aclosing(coming) as changes:
        async for change in changes:
            for node in sorted(change.nodes, key=lambda node: natural_key(node.name)):
                if output.as_json:
                    output.json(node)
                else:
                    output.text(node_line(node, time.time()) + "\n")
