"""Node names for the shell's Tab key."""

import asyncio

import typer

from racklet.v1 import rack_pb2
from racklet_client.address import Address
from racklet_client.connection import Connection, connect
from racklet_client.errors import RackError
from racklet_hostd.cli.names import natural_key, short_name

_PATIENCE_S = 1.0  # a person waits for the Tab key
_MOST_NAMES = 1_000


def complete_node(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the nodes whose names begin so; none when hostd does not tell them at once."""
    try:
        names = asyncio.run(_names(_address(ctx)))
    except (RackError, TimeoutError, ValueError):
        return []
    prefix = "nodes/" if incomplete.startswith("nodes/") else ""
    given = ctx.params.get("nodes") or ()
    return [
        f"{prefix}{name}"
        for name in sorted(map(short_name, names), key=natural_key)
        if f"{prefix}{name}".startswith(incomplete) and f"nodes/{name}" not in given
    ]


def _address(ctx: typer.Context) -> Address:
    named = ctx.params.get("address") or ctx.find_root().params.get("address")
    return Address.parse(named) if named else Address.default()


async def _names(address: Address) -> list[str]:
    async with asyncio.timeout(_PATIENCE_S), connect(address) as connection:
        return await _node_names(connection)


async def _node_names(connection: Connection) -> list[str]:
    request = rack_pb2.ListNodesRequest(page_size=_MOST_NAMES)
    return [node.name for node in (await connection.ask(connection.stub.ListNodes, request)).nodes]
