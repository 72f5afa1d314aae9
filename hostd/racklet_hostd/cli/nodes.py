"""Commands about the rack and its nodes as they are now."""

import time
from typing import Annotated

import typer
from google.protobuf.duration_pb2 import Duration
from rich.text import Text

from racklet.v1 import rack_pb2
from racklet_client.connection import Connection
from racklet_hostd.cli.arguments import NodeArgument
from racklet_hostd.cli.names import natural_key, short_name
from racklet_hostd.cli.session import Session, command
from racklet_hostd.cli.tables import nodes_table, problem, rack_table
from racklet_hostd.cli.terminal_text import printable

NO_NODES = """\
No nodes yet. Add one to racklet.toml and start racklet-hostd again:

[[node]]
name = "node-1"
port = "/dev/ttyACM0"
"""
_LONGEST_IDENTIFY_S = 600


@command
async def nodes(session: Session) -> None:
    """List the nodes as they are now."""
    found = await all_nodes(session.connection)
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
    connection = session.connection
    rack = (await connection.ask(connection.stub.GetRack, rack_pb2.GetRackRequest())).rack
    if session.output.as_json:
        session.output.json(rack)
    else:
        session.output.show(rack_table(rack, connection.address.target, time.time()))


@command
async def identify(
    session: Session,
    node: NodeArgument,
    seconds: Annotated[
        int, typer.Option("--seconds", min=0, max=_LONGEST_IDENTIFY_S, help="For how long; 0 ends it.")
    ] = 10,
) -> None:
    """Blink the identify LED of a node's HAT."""
    request = rack_pb2.IdentifyNodeRequest(name=node, duration=Duration(seconds=seconds))
    response = await session.connection.ask(session.connection.stub.IdentifyNode, request, short_name(node))
    if session.output.as_json:
        session.output.json(response, name=node)
    else:
        session.output.text(f"{short_name(node)} {f'blinks for {seconds} s' if seconds else 'blinks no more'}\n")


async def all_nodes(connection: Connection) -> list[rack_pb2.Node]:
    """Return every node, in the order a person counts."""
    found: list[rack_pb2.Node] = []
    request = rack_pb2.ListNodesRequest()
    while True:
        page = await connection.ask(connection.stub.ListNodes, request)
        found += page.nodes
        if not page.next_page_token:
            return sorted(found, key=lambda node: natural_key(node.name))
        request = rack_pb2.ListNodesRequest(page_token=page.next_page_token)
