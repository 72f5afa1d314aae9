"""The command that shows boot logs."""

from contextlib import aclosing
from typing import Annotated

import typer

from racklet.v1 import rack_pb2
from racklet_hostd.cli.arguments import FollowOption, NodeArgument
from racklet_hostd.cli.log_printers import BytePrinter, JsonPrinter, LogPrinter, TerminalPrinter
from racklet_hostd.cli.names import short_name
from racklet_hostd.cli.output import Output, remark_presence
from racklet_hostd.cli.session import Session, command

BootOption = Annotated[int | None, typer.Option("--boot", min=1, metavar="N", help="Which boot; without, the newest.")]
FromOption = Annotated[int, typer.Option("--from", min=0, metavar="OFFSET", help="Begin at this byte of the log.")]
RawOption = Annotated[bool, typer.Option("--raw", help="Write the bytes as they are to a terminal, too.")]


@command
async def logs(
    session: Session,
    node: NodeArgument,
    *,
    boot: BootOption = None,
    offset: FromOption = 0,
    follow: FollowOption = False,
    raw: RawOption = False,
) -> None:
    """Show what a node's console sent during a boot.

    On a terminal, sequences that could harm it are taken out; a pipe gets every byte as it came. Where bytes are
    lost a line says so: in its place on a terminal, on stderr otherwise. With --follow the newest boot is followed
    into the next ones, a --boot to its end, and a restart of hostd loses nothing.
    """
    connection, printer = session.connection, _printer(session.output, raw=raw)
    place = rack_pb2.ReadBootLogRequest(
        name=f"{node}/boots/{boot or '-'}", offset=offset, follow=follow, following_boots=follow and boot is None
    )
    method, about = connection.rack.ReadBootLog, short_name(node)
    pieces = (
        connection.follow(method, lambda: place, about, on_change=remark_presence)
        if follow
        else connection.stream(method, place, about)
    )
    try:
        async with aclosing(pieces):
            async for piece in pieces:
                if piece.boot != place.name and not place.name.endswith("/-"):
                    printer.boot(piece.boot)
                printer.piece(piece)
                place.name, place.offset = piece.boot, piece.offset + (len(piece.data) or piece.gap.lost_bytes)
    finally:
        printer.finish()


def _printer(output: Output, *, raw: bool) -> LogPrinter:
    if output.as_json:
        return JsonPrinter(output)
    if output.is_terminal and not raw:
        return TerminalPrinter(output)
    return BytePrinter(output)
