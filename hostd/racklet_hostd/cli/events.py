"""The command that shows events."""

from contextlib import aclosing
from typing import Annotated

import typer
from rich.text import Text

from racklet.v1 import rack_pb2
from racklet_client.names import short_name
from racklet_hostd.cli.arguments import FollowOption, LimitOption, OptionalNodeArgument
from racklet_hostd.cli.errors import CommandError
from racklet_hostd.cli.output import remark_presence
from racklet_hostd.cli.session import Session, command
from racklet_hostd.cli.tables import event_text

_SAMPLE_MS = 20
_WAVEFORM_SEARCH = 1000  # events

WaveformOption = Annotated[
    int | None,
    typer.Option("--waveform", min=1, metavar="NUMBER", help="The voltage and current around this event, a trip."),
]


@command
async def events(
    session: Session,
    node: OptionalNodeArgument = None,
    *,
    follow: FollowOption = False,
    limit: LimitOption = 20,
    waveform: WaveformOption = None,
) -> None:
    """Show what happened in the rack or to a node."""
    if waveform is not None:
        await _show_waveform(session, node or "", waveform)
        return
    known = await _newest_events(session, node or "", limit)
    for event in known:
        _show(session, event)
    if not follow:
        if not known and not session.output.as_json:
            session.output.text(f"Nothing is recorded{f' of {short_name(node)}' if node else ''}.\n")
        return
    from_sequence = known[-1].sequence + 1 if known else 1
    coming = session.rack.watch_events(node or "", from_sequence, on_presence=remark_presence)
    async with aclosing(coming) as new:
        async for event in new:
            _show(session, event)


async def _show_waveform(session: Session, node: str, sequence: int) -> None:
    """Show the samples around an event. They are told within seconds after it."""
    events = await _newest_events(session, node, _WAVEFORM_SEARCH)
    parts = sorted((event for event in events if event.about == sequence), key=lambda event: event.first_index)
    if not parts:
        raise CommandError(f"There is no waveform of event {sequence}: `racklet --json events` shows the numbers.")
    if session.output.as_json:
        for part in parts:
            session.output.json(part)
        return
    for part in parts:
        for index, (mv, ma) in enumerate(zip(part.supply_mv, part.supply_ma, strict=True), part.first_index):
            session.output.show(Text(f"{(index + 1) * _SAMPLE_MS:>6} ms {mv / 1000:7.3f} V {ma / 1000:8.3f} A"))


async def _newest_events(session: Session, node: str, limit: int) -> list[rack_pb2.Event]:
    """Return up to `limit` events, oldest first."""
    return [event async for event in session.rack.events(node, limit)][::-1]


def _show(session: Session, event: rack_pb2.Event) -> None:
    if session.output.as_json:
        session.output.json(event)
    else:
        session.output.show(event_text(event))
