"""The command that keeps the rack on the screen."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Annotated

import typer
from rich.live import Live

from racklet.v1 import rack_pb2
from racklet_client.connection import Connection
from racklet_hostd.cli.arguments import NodesArgument
from racklet_hostd.cli.beside import beside
from racklet_hostd.cli.boots import newest_boots
from racklet_hostd.cli.live import RackView
from racklet_hostd.cli.names import natural_key, short_name
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
    connection = session.connection
    rack = (await connection.ask(connection.stub.GetRack, rack_pb2.GetRackRequest())).rack
    view = RackView(rack.display_name or "racklet")

    def on_change(is_there: bool) -> None:  # noqa: FBT001 - a callback's one argument
        view.note = "" if is_there else "hostd went away; waiting for it"
        live.refresh()

    with Live(view, console=session.output.console, auto_refresh=False) as live:
        async with beside(_tick(live)), aclosing(_changes(connection, nodes, interval_s, on_change)) as changes:
            async for changed, is_whole in changes:
                for node in view.update(changed, is_whole=is_whole):
                    if boots := await newest_boots(connection, node, 1):
                        view.boot_started(node, boots[0].start_time.seconds)
                live.refresh()


async def _tick(live: Live) -> None:
    """Let the clock and the uptimes go on while no node changes."""
    while True:
        await asyncio.sleep(_CLOCK_PERIOD_S)
        live.refresh()


async def _in_lines(session: Session, nodes: list[str], interval_s: float) -> None:
    output = session.output
    async with aclosing(_changes(session.connection, nodes, interval_s, remark_presence)) as changes:
        async for changed, _ in changes:
            for node in sorted(changed, key=lambda node: natural_key(node.name)):
                if output.as_json:
                    output.json(node)
                else:
                    output.text(node_line(node, time.time()) + "\n")


async def _changes(
    connection: Connection, nodes: list[str], interval_s: float, on_change: Callable[[bool], None]
) -> AsyncGenerator[tuple[Sequence[rack_pb2.Node], bool], None]:
    """Yield the nodes that changed, and whether they are all there are; also over a restart of hostd."""
    request = rack_pb2.WatchNodesRequest(names=nodes)
    request.min_interval.FromMilliseconds(round(interval_s * 1_000))
    is_whole = True

    def noted(is_there: bool) -> None:  # noqa: FBT001 - a callback's one argument
        nonlocal is_whole
        is_whole = True
        on_change(is_there)

    coming = connection.follow(connection.stub.WatchNodes, lambda: request, _about(nodes), on_change=noted)
    async with aclosing(coming) as responses:
        async for response in responses:
            yield response.nodes, is_whole
            is_whole = False


def _about(nodes: list[str]) -> str:
    return short_name(nodes[0]) if len(nodes) == 1 else ""
