"""Commands that move supplies."""

import asyncio
import sys
from typing import Annotated

import typer
from google.protobuf.duration_pb2 import Duration
from rich.text import Text

from racklet.v1 import rack_pb2
from racklet_client.errors import RackError, RefusedError
from racklet_client.names import short_name
from racklet_hostd.cli import units
from racklet_hostd.cli.arguments import NodesArgument
from racklet_hostd.cli.errors import CommandError, ExitCode, exit_code
from racklet_hostd.cli.nodes import all_nodes
from racklet_hostd.cli.output import remark
from racklet_hostd.cli.power_plan import budget, plan, tell_waits
from racklet_hostd.cli.session import Session, command
from racklet_hostd.cli.standard_input import confirmed
from racklet_hostd.cli.tables import supply_text

_LONGEST_GRACE_S = 600
_LONGEST_OFF_S = 60
_MS_PER_S = 1_000

app = typer.Typer(no_args_is_help=True, help="Switch nodes on and off, within the power budget.")

AllOption = Annotated[bool, typer.Option("--all", help="Every node of the rack.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="With --all: do not ask.")]
GraceOption = Annotated[
    float | None,
    typer.Option(
        "--grace", min=0, max=_LONGEST_GRACE_S, metavar="SECONDS", help="How long a node may take to shut down."
    ),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Cut even when the node has not shut down in time.")]
OffTimeOption = Annotated[
    float | None,
    typer.Option("--off-time", min=0, max=_LONGEST_OFF_S, metavar="SECONDS", help="How long the supply stays off."),
]


@app.command("on")
@command
async def power_on(
    session: Session, nodes: NodesArgument = None, *, every: AllOption = False, yes: YesOption = False
) -> None:
    """Switch on, until the rail is measured good."""
    chosen = await _chosen(session, "Switch on", nodes, every=every, yes=yes)
    await _move(session, chosen, rack_pb2.SetPowerRequest(action=rack_pb2.POWER_ACTION_ON))


@app.command("off")
@command
async def power_off(
    session: Session,
    nodes: NodesArgument = None,
    *,
    every: AllOption = False,
    yes: YesOption = False,
    grace: GraceOption = None,
    force: ForceOption = False,
) -> None:
    """Ask nodes to shut down, then cut.

    The supply is cut when the node is idle, or with --force when the grace is over.
    """
    chosen = await _chosen(session, "Switch off", nodes, every=every, yes=yes)
    request = rack_pb2.SetPowerRequest(action=rack_pb2.POWER_ACTION_OFF, grace=_duration(grace), force=force)
    await _move(session, chosen, request)


@app.command("force-off")
@command
async def power_force_off(
    session: Session, nodes: NodesArgument = None, *, every: AllOption = False, yes: YesOption = False
) -> None:
    """Cut at once. What the node has not written is lost."""
    chosen = await _chosen(session, "Cut the supply of", nodes, every=every, yes=yes)
    await _move(session, chosen, rack_pb2.SetPowerRequest(action=rack_pb2.POWER_ACTION_FORCE_OFF))


@app.command("cycle")
@command
async def power_cycle(
    session: Session,
    nodes: NodesArgument = None,
    *,
    every: AllOption = False,
    yes: YesOption = False,
    off_time: OffTimeOption = None,
) -> None:
    """Cut at once, wait, and switch on again."""
    chosen = await _chosen(session, "Cut and switch on again", nodes, every=every, yes=yes)
    request = rack_pb2.SetPowerRequest(action=rack_pb2.POWER_ACTION_CYCLE, off_time=_duration(off_time))
    await _move(session, chosen, request)


app.command()(plan)
app.command()(budget)


async def _chosen(session: Session, deed: str, nodes: list[str] | None, *, every: bool, yes: bool) -> list[str]:
    if bool(nodes) == every:
        raise typer.BadParameter("name the nodes, or give --all", param_hint="NODE")
    if nodes:
        return list(dict.fromkeys(nodes))
    found = [node.name for node in await all_nodes(session.rack)]
    if not found:
        raise CommandError("the rack has no nodes")
    if not yes:
        await _confirm(f"{deed} {', '.join(map(short_name, found))}?")
    return found


async def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise typer.BadParameter("without a terminal to ask on, give --yes as well", param_hint="--all")
    if not await confirmed(question):
        raise CommandError("nothing was done")


async def _move(session: Session, nodes: list[str], request: rack_pb2.SetPowerRequest) -> None:
    """Move all `nodes` at the same time and show each result as it comes."""
    width = max((len(short_name(node)) for node in nodes), default=0)
    async with asyncio.TaskGroup() as tasks:
        waits = tasks.create_task(tell_waits(session.rack, nodes), name="waits")
        moves = [tasks.create_task(_move_one(session, node, request, width)) for node in nodes]
        await asyncio.wait(moves)
        waits.cancel()
    failures = {move.result() for move in moves} - {ExitCode.OK}
    if failures:
        raise typer.Exit(failures.pop() if len(failures) == 1 else ExitCode.FAILED)


async def _move_one(session: Session, node: str, request: rack_pb2.SetPowerRequest, width: int) -> ExitCode:
    own = rack_pb2.SetPowerRequest()
    own.CopyFrom(request)
    own.name = node
    try:
        result = await session.rack.set_power(own)
    except RackError as error:
        if session.output.as_json:
            status = error.status if isinstance(error, RefusedError) else "UNREACHABLE"
            session.output.record(name=node, error={"status": status, "message": str(error)})
        remark(str(error))
        return exit_code(error)
    if session.output.as_json:
        session.output.json(result, name=node)
    else:
        session.output.show(_result_text(node, result, width))
    return ExitCode.OK


def _result_text(node: str, result: rack_pb2.SetPowerResponse, width: int) -> Text:
    state = supply_text(result.supply_state)
    state.align("left", 9)
    numbers = f"{units.volts(result.supply_uv):>7} V {units.amperes(result.supply_ua):>6} A"
    took_s = result.duration.ToMilliseconds() / _MS_PER_S
    return Text.assemble(f"{short_name(node):<{width}}  ", state, numbers, f"  in {took_s:.1f} s")


def _duration(seconds: float | None) -> Duration | None:
    if seconds is None:
        return None
    duration = Duration()
    duration.FromMilliseconds(round(seconds * _MS_PER_S))
    return duration
