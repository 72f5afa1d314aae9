"""The power budget: how it stands, and who waits for it."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing, suppress
from typing import Annotated

import typer
from google.protobuf.timestamp_pb2 import Timestamp
from rich.text import Text

from racklet.v1 import rack_pb2
from racklet_client.errors import RackError
from racklet_client.names import short_name
from racklet_client.rack import Rack
from racklet_hostd.cli import units
from racklet_hostd.cli.output import remark
from racklet_hostd.cli.session import Session, command
from racklet_hostd.cli.tables import DIM, NONE, plain_table
from racklet_hostd.cli.terminal_text import printable

_PATIENCE_S = 0.5  # a start that takes longer may be waiting for the budget
_MW_PER_W = 1_000
_PHASES = {
    rack_pb2.POWER_PHASE_UNSPECIFIED: Text("unknown", "yellow"),
    rack_pb2.POWER_PHASE_OFF: Text("off", "dim"),
    rack_pb2.POWER_PHASE_STARTING: Text("starting", "yellow"),
    rack_pb2.POWER_PHASE_ON: Text("on", "green"),
}


@command
async def plan(session: Session) -> None:
    """Show what the rack's supply gives, what each node claims of it, who waits, and who would be shed first."""
    found = await session.rack.power_plan()
    if session.output.as_json:
        session.output.json(found)
        return
    if not found.is_configured:
        session.output.text("There is no power budget: set capacity_w in [power] of racklet.toml.\n")
        return
    for line in _sums(found):
        session.output.show(line)
    numbers = ("PRIORITY", "PEAK", "MEASURED", "INRUSH", "CLAIM", "DRAWN", "QUEUE", "SHED")
    table = plain_table("NODE", "STATE", *numbers, right=numbers)
    for claim in found.claims:
        state = Text("shedding", "bold red") if claim.is_shed else _PHASES.get(claim.phase, NONE).copy()
        row = (claim.peak_mw, claim.measured_peak_mw, claim.inrush_mw, claim.claim_mw, claim.drawn_mw)
        table.add_row(
            printable(short_name(claim.node)),
            state,
            str(claim.priority),
            *(Text(_watts(mw)) if mw else NONE.copy() for mw in row),
            Text(str(claim.wait.position), "yellow") if claim.HasField("wait") else NONE.copy(),
            Text(str(claim.shed_position)) if claim.shed_position else NONE.copy(),
        )
    session.output.show(table)
    for claim in sorted(found.claims, key=lambda claim: claim.wait.position):
        if claim.HasField("wait"):
            session.output.show(Text(_wait_line(claim.node, claim.wait), "yellow"))


@command
async def budget(
    session: Session,
    watts: Annotated[float, typer.Argument(metavar="WATTS", min=0.001, help="What the supply is rated for.")],
) -> None:
    """Change what the rack's supply gives, until hostd starts again. Nodes that no longer fit are shed."""
    response = await session.rack.set_power_budget(round(watts * _MW_PER_W))
    if session.output.as_json:
        session.output.json(response)
    else:
        session.output.text(f"The rack goes by a supply of {watts:g} W until hostd starts again.\n")


async def tell_waits(rack: Rack, nodes: Sequence[str]) -> None:
    """Say on stderr which of the nodes wait for the power budget, and why, until cancelled."""
    await asyncio.sleep(_PATIENCE_S)
    told: dict[str, str] = {}
    with suppress(RackError):  # who moves the node is told of that
        async with aclosing(rack.watch_nodes(*nodes)) as changes:
            async for change in changes:
                for node in change.nodes:
                    line = _wait_line(node.name, node.power_wait) if node.HasField("power_wait") else ""
                    if line and told.get(node.name) != line:
                        remark(line)
                    told[node.name] = line


def _wait_line(node: str, wait: rack_pb2.PowerWait) -> str:
    return f"{printable(short_name(node))} waits for power at place {wait.position}: {printable(wait.reason)}"


def _sums(found: rack_pb2.GetPowerPlanResponse) -> list[Text]:
    limit_mw = found.capacity_mw - found.reserve_mw
    lines = [
        Text(
            f"Supply {_watts(found.capacity_mw)} W, reserve {_watts(found.reserve_mw)} W: the limit is"
            f" {_watts(limit_mw)} W. Claimed {_watts(found.claimed_mw)} W, drawn {_watts(found.drawn_mw)} W."
        )
    ]
    if found.HasField("exceed_time"):
        lines.append(Text(_exceeded(found.exceed_time, found.exceed_limit.ToMilliseconds()), "bold red"))
    lines.append(Text("Watts. QUEUE: place among those that wait. SHED: order in which nodes would be shed.", DIM))
    return lines


def _exceeded(since: Timestamp, limit_ms: int) -> str:
    after = units.short_span(limit_ms)
    return f"The budget is exceeded since {units.clock(since.seconds)}; after {after} nodes are shed."


def _watts(mw: int) -> str:
    return f"{mw / _MW_PER_W:.1f}"
