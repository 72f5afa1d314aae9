"""Resource names as people type and read them."""

import re

import typer

_NODES = "nodes/"


def node_resource(name: str) -> str:
    """Return "nodes/node-3" for "node-3" or "nodes/node-3"; a usage error for what can be neither."""
    short = name.removeprefix(_NODES)
    if not short or not short.isprintable() or "/" in short or " " in short:
        raise typer.BadParameter(f"{name!r} is no node: give a name such as node-3")
    return _NODES + short


def short_name(resource: str) -> str:
    """Return "node-3" for "nodes/node-3"."""
    return resource.removeprefix(_NODES)


def boot_number(resource: str) -> str:
    """Return "17" for "nodes/node-3/boots/17", and nothing for nothing."""
    return resource.rpartition("/")[2]


def natural_key(name: str) -> list[tuple[int, str]]:
    """Return a sorting key that puts node-2 before node-10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
