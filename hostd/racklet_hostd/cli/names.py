"""The names of nodes as people type and sort them."""

import re

import typer

from racklet_client import names


def node_resource(name: str) -> str:
    """Return "nodes/node-3" for "node-3" or "nodes/node-3"; a usage error for what can be neither."""
    short = names.short_name(name)
    if not short or not short.isprintable() or "/" in short or " " in short:
        raise typer.BadParameter(f"{name!r} is no node: give a name such as node-3")
    return names.node_resource(short)


def natural_key(name: str) -> list[tuple[int, str]]:
    """Return a sorting key that puts node-2 before node-10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
