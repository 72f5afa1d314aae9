"""Arguments that several commands take."""

from typing import Annotated

import typer

from racklet_hostd.cli.completion import complete_node
from racklet_hostd.cli.names import node_resource

_HELP = "A node's name, such as node-3."


def _node_or_hat(name: str) -> str:
    """Return the resource name of a node, or hats/ID as it is. Raises what typer makes a usage error of."""
    return name if name.startswith("hats/") else node_resource(name)


NodeOrHatArgument = Annotated[
    str, typer.Argument(metavar="NODE", help=_HELP, parser=_node_or_hat, autocompletion=complete_node)
]
NodeArgument = Annotated[
    str, typer.Argument(metavar="NODE", help=_HELP, parser=node_resource, autocompletion=complete_node)
]
NodesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="NODE...", help=_HELP, parser=node_resource, autocompletion=complete_node),
]
OptionalNodeArgument = Annotated[
    str | None, typer.Argument(metavar="NODE", help=_HELP, parser=node_resource, autocompletion=complete_node)
]

FollowOption = Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, metavar="N", help="At most so many, the newest.")]
