"""The command that shows boot logs."""

from contextlib import aclosing
from functools import partial
from typing import Any

import typer
from google.protobuf.timestamp_pb2 import Timestamp

from racklet.v1 import rack_pb2
from racklet_client.boot_log import boot_log_pieces
from racklet_client.errors import NotFoundError
from racklet_client.names import boot_number, short_name
from racklet_client.rack import Rack
from racklet_hostd.cli import log_options as options
from racklet_hostd.cli.arguments import FollowOption, NodeArgument
from racklet_hostd.cli.errors import ExitCode, NothingThereError
from racklet_hostd.cli.log_export import whole_file
from racklet_hostd.cli.log_grep import MatchPrinter
from racklet_hostd.cli.log_options import LogOptions
from racklet_hostd.cli.log_printers import BytePrinter, Dressing, JsonPrinter, LogPrinter, TerminalPrinter
from racklet_hostd.cli.output import Output, remark, remark_presence
from racklet_hostd.cli.session import Session, command
from racklet_hostd.cli.tables import problem

_NEWEST = "-"


def _check(*, as_json: bool, node: str, offset: int, **given: Any) -> None:  # noqa: ANN401 - the options of `logs`
    del node
    LogOptions(offset=offset, **given).check(as_json=as_json)


@partial(command, check=_check)
async def logs(  # noqa: PLR0913 - one for each option of the command
    session: Session,
    node: NodeArgument,
    *,
    boot: options.BootOption = None,
    offset: options.FromOption = 0,
    since: options.SinceOption = None,
    follow: FollowOption = False,
    raw: options.RawOption = False,
    timestamps: options.TimestampsOption = False,
    ansi: options.AnsiOption = options.Ansi.KEEP,
    grep: options.GrepOption = None,
    ignore_case: options.IgnoreCaseOption = False,
    all_boots: options.AllBootsOption = False,
    export: options.ExportOption = None,
    force: options.ForceOption = False,
) -> None:
    """Show what a node's console sent during a boot.

    On a terminal, sequences that could harm it are taken out; a pipe gets every byte as it came. Where bytes are
    lost a line says so: in its place on a terminal, on stderr otherwise. With --follow the newest boot is followed
    into the next ones, a --boot to its end, and a restart of hostd loses nothing. With --grep the exit code is 1
    when no line matches.
    """
    asked = LogOptions(boot, offset, since, follow, raw, timestamps, ansi, grep, ignore_case, all_boots, export, force)
    if grep is not None:
        await _grep(session, node, asked)
    elif export is not None:
        await _export(session, node, asked)
    else:
        place = await _place(session.rack, node, asked)
        if follow:
            await _remark_offline(session.rack, node)
        await _print(session.rack, place, _printer(session.output, asked))


async def _remark_offline(rack: Rack, node: str) -> None:
    """Say on stderr why nothing will come, if that is so."""
    found = await rack.node(node)
    if found.hat.state != rack_pb2.HAT_STATE_ONLINE and (wrong := problem(found)):
        remark(f"{short_name(node)}: {wrong.plain}")


async def _grep(session: Session, node: str, asked: LogOptions) -> None:
    printer = MatchPrinter(
        session.output,
        asked.pattern(),
        is_safe=session.output.is_terminal and not asked.raw,
        strip=asked.strip,
        timestamps=asked.timestamps,
    )
    if asked.all_boots:
        await _print_all(session.rack, node, printer)
    else:
        await _print(session.rack, await _place(session.rack, node, asked), printer)
    if not printer.matches:
        raise typer.Exit(ExitCode.FAILED)


async def _export(session: Session, node: str, asked: LogOptions) -> None:
    place = await _place(session.rack, node, asked)
    if asked.export == "-":
        await _print(session.rack, place, BytePrinter(session.output.data, Dressing()))
        return
    with whole_file(asked.export or "", replaces=asked.force) as file:
        await _print(session.rack, place, BytePrinter(file.write, Dressing()))


async def _place(rack: Rack, node: str, asked: LogOptions) -> rack_pb2.ReadBootLogRequest:
    """Return the request for the boot and offset that are asked for."""
    number: int | str = asked.boot or _NEWEST
    start = None
    if asked.since is not None:
        start = Timestamp()
        start.FromDatetime(asked.since)
    if asked.boot and asked.boot < 0:
        number = await _number_back(rack, node, -asked.boot)
    return rack_pb2.ReadBootLogRequest(
        name=f"{node}/boots/{number}",
        offset=asked.offset,
        start_time=start,
        follow=asked.follow,
        following_boots=(asked.follow or asked.since is not None) and number == _NEWEST,
    )


async def _number_back(rack: Rack, node: str, back: int) -> str:
    """Return the number of the boot so many before the newest."""
    boots = [boot async for boot in rack.boots(node, back + 1)]
    if not boots:
        raise NothingThereError(f"{short_name(node)}: it has no boot yet")
    if len(boots) <= back:
        kept = "1 boot is" if len(boots) == 1 else f"{len(boots)} boots are"
        raise NothingThereError(f"{short_name(node)}: {kept} kept, so there is none {back} before the newest")
    return boot_number(boots[back].name)


async def _print_all(rack: Rack, node: str, printer: LogPrinter) -> None:
    """Print every boot that is kept, newest first; one that is dropped meanwhile is left out with a remark."""
    boots = [boot async for boot in rack.boots(node)]
    if not boots:
        remark(f"{short_name(node)} has no boot yet")
    for boot in boots:
        printer.boot(boot.name)
        try:
            await _print(rack, rack_pb2.ReadBootLogRequest(name=boot.name), printer)
        except NotFoundError as error:
            remark(str(error))


async def _print(rack: Rack, place: rack_pb2.ReadBootLogRequest, printer: LogPrinter) -> None:
    """Print from `place` on."""
    boot = place.name
    try:
        async with aclosing(boot_log_pieces(rack.connection, place, remark_presence)) as pieces:
            async for piece in pieces:
                if piece.boot != boot and not boot.endswith(f"/{_NEWEST}"):
                    printer.boot(piece.boot)
                boot = piece.boot
                printer.piece(piece)
    finally:
        printer.finish()


def _printer(output: Output, asked: LogOptions) -> LogPrinter:
    if output.as_json:
        return JsonPrinter(output)
    dressing = Dressing(timestamps=asked.timestamps, strip=asked.strip)
    if output.is_terminal and not asked.raw:
        return TerminalPrinter(output, dressing)
    return BytePrinter(output.data, dressing)
