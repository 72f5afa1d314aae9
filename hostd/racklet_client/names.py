"""Resource names, and the short names that people use."""

_NODES = "nodes/"
_HATS = "hats/"


def node_resource(name: str) -> str:
    """Return "nodes/node-3" for "node-3" or "nodes/node-3"."""
    return _NODES + short_name(name)


def hat_resource(hat_id: str) -> str:
    """Return "hats/e661" for "e661" or "hats/e661"."""
    return _HATS + hat_id.removeprefix(_HATS)


def short_name(resource: str) -> str:
    """Return "node-3" for "nodes/node-3" or "node-3"."""
    return resource.removeprefix(_NODES)


def boot_resource(node: str, number: int | None = None) -> str:
    """Return "nodes/node-3/boots/17"; without a number the name that stands for the newest boot."""
    return f"{node_resource(node)}/boots/{'-' if number is None else number}"


def boot_number(resource: str) -> str:
    """Return "17" for "nodes/node-3/boots/17", and nothing for nothing."""
    return resource.rpartition("/")[2]
