"""Commands about the rack and its nodes as they are now."""

import time
from typing import Annotated

import typer
from rich.text import Text

from racklet.v1 import rack_pb2
from racklet_client.names import short_name
from racklet_client.rack import Rack
from racklet_hostd.cli.arguments import NodeOrHatArgument
from racklet_hostd.cli.names import natural_key
from racklet_hostd.cli.session import Session, command
from racklet_hostd.cli.tables import nodes_table, problem, rack_table
from racklet_hostd.cli.terminal_text import printable

NO_NODES = """\
No nodes yet. Add one to racklet.toml, start racklet-hostd again, and tell it which HAT is that node's:

[[node]]
name = "node-1"

racklet hats
racklet adopt HAT --node node-1
"""
_LONGEST_IDENTIFY_S = 600


@command
async def nodes(session: Session) -> None:
    """List the nodes as they are now."""
    found = await all_nodes(session.rack)
    if session.output.as_json:
        for node in found:
            session.output.json(node)
        return
    if not found:
        session.output.text(NO_NODES)
        return
    session.output.show(nodes_table(found))
    for node in found:
        if wrong := problem(node):
            session.output.show(Text(f"{printable(short_name(node.name))}: ", "red") + wrong)


@command
async def info(session: Session) -> None:
    """Tell about the rack and the daemon that serves it."""
    rack = await session.rack.info()
    if session.output.as_json:
        session.output.json(rack)
    else:
        session.output.show(rack_table(rack, session.rack.connection.address.target, time.time()))


@command
async def identify(
    session: Session,
    node: NodeOrHatArgument,
    seconds: Annotated[
        int, typer.Option("--seconds", min=0, max=_LONGEST_IDENTIFY_S, help="For how long; 0 ends it.")
    ] = 10,
) -> None:
    """Blink the identify LED of a node's HAT, or of hats/ID, also when nobody has adopted that."""
    is_hat = node.startswith("hats/")
    response = await (session.rack.identify_hat(node, seconds) if is_hat else session.rack.identify(node, seconds))
    if session.output.as_json:
        session.output.json(response, name=node)
    else:
        session.output.text(f"{short_name(node)} {f'blinks for {seconds} s' if seconds else 'blinks no more'}\n")


async def all_nodes(rack: Rack) -> list[rack_pb2.Node]:
    """Return every node, in the order a person counts."""
    return sorted([node async for node in rack.nodes()], key=lambda node: natural_key(node.name))
