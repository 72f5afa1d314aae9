"""Node names for the shell's Tab key."""

import asyncio

import typer

from racklet_client.address import Address
from racklet_client.errors import RackError
from racklet_client.names import short_name
from racklet_client.rack import connect
from racklet_hostd.cli.names import natural_key

_PATIENCE_S = 1.0  # a person waits for the Tab key


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
    async with asyncio.timeout(_PATIENCE_S), connect(address) as rack:
        return [node.name async for node in rack.nodes()]
