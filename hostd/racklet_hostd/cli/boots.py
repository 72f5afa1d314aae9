"""The command that lists a node's boots."""

from racklet_client.names import short_name
from racklet_hostd.cli.arguments import LimitOption, NodeArgument
from racklet_hostd.cli.session import Session, command
from racklet_hostd.cli.tables import boots_table


@command
async def boots(session: Session, node: NodeArgument, limit: LimitOption = 20) -> None:
    """List a node's boots whose logs are kept, newest first."""
    found = [boot async for boot in session.rack.boots(node, limit)]
    if session.output.as_json:
        for boot in found:
            session.output.json(boot)
    elif found:
        session.output.show(boots_table(found))
    else:
        session.output.text(f"{short_name(node)} has not booted yet.\n")
