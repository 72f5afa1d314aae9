"""The command that shows events."""

from contextlib import aclosing

from racklet.v1 import rack_pb2
from racklet_hostd.cli.arguments import FollowOption, LimitOption, OptionalNodeArgument
from racklet_hostd.cli.connection import Connection
from racklet_hostd.cli.names import short_name
from racklet_hostd.cli.output import remark_presence
from racklet_hostd.cli.session import Session, command
from racklet_hostd.cli.tables import event_text


@command
async def events(
    session: Session, node: OptionalNodeArgument = None, *, follow: FollowOption = False, limit: LimitOption = 20
) -> None:
    """Show what happened in the rack or to a node."""
    connection = session.connection
    known = await _newest_events(connection, node or "", limit)
    for event in known:
        _show(session, event)
    if not follow:
        if not known and not session.output.as_json:
            session.output.text(f"Nothing is recorded{f' of {short_name(node)}' if node else ''}.\n")
        return
    next_sequence = known[-1].sequence + 1 if known else 1

    def rest() -> rack_pb2.WatchEventsRequest:
        return rack_pb2.WatchEventsRequest(node=node or "", from_sequence=next_sequence)

    coming = connection.follow(connection.rack.WatchEvents, rest, short_name(node or ""), on_change=remark_presence)
    async with aclosing(coming) as responses:
        async for response in responses:
            next_sequence = response.event.sequence + 1
            _show(session, response.event)


async def _newest_events(connection: Connection, node: str, limit: int) -> list[rack_pb2.Event]:
    """Return up to `limit` events, oldest first."""
    found: list[rack_pb2.Event] = []
    token = ""
    while len(found) < limit:
        request = rack_pb2.ListEventsRequest(node=node, page_size=limit - len(found), page_token=token)
        page = await connection.ask(connection.rack.ListEvents, request, short_name(node))
        found += page.events
        token = page.next_page_token
        if not token:
            break
    return found[::-1]


def _show(session: Session, event: rack_pb2.Event) -> None:
    if session.output.as_json:
        session.output.json(event)
    else:
        session.output.show(event_text(event))
