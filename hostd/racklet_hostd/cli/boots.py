"""The command that lists a node's boots."""

from racklet.v1 import rack_pb2
from racklet_client.connection import Connection
from racklet_hostd.cli.arguments import LimitOption, NodeArgument
from racklet_hostd.cli.names import short_name
from racklet_hostd.cli.session import Session, command
from racklet_hostd.cli.tables import boots_table

_PAGE = 1_000  # the most that hostd gives at once


@command
async def boots(session: Session, node: NodeArgument, limit: LimitOption = 20) -> None:
    """List a node's boots whose logs are kept, newest first."""
    found = await newest_boots(session.connection, node, limit)
    if session.output.as_json:
        for boot in found:
            session.output.json(boot)
    elif found:
        session.output.show(boots_table(found))
    else:
        session.output.text(f"{short_name(node)} has not booted yet.\n")


async def newest_boots(connection: Connection, node: str, limit: int) -> list[rack_pb2.Boot]:
    """Return up to `limit` boots of a node, newest first."""
    found: list[rack_pb2.Boot] = []
    token = ""
    while len(found) < limit:
        request = rack_pb2.ListBootsRequest(parent=node, page_size=min(limit - len(found), _PAGE), page_token=token)
        page = await connection.ask(connection.stub.ListBoots, request, short_name(node))
        found += page.boots
        token = page.next_page_token
        if not token:
            break
    return found
