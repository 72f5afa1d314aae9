"""Commands about HATs: which there are, and whose they are."""

from typing import Annotated

import typer
from rich.text import Text

from racklet.v1 import rack_pb2
from racklet_client.names import short_name
from racklet_hostd.cli.errors import CommandError
from racklet_hostd.cli.names import natural_key
from racklet_hostd.cli.session import Session, command
from racklet_hostd.cli.tables import plain_table
from racklet_hostd.cli.terminal_text import printable

NO_HATS = """\
No HAT is plugged in, and none is adopted. A HAT is found on the ports that [rack] ports and [[node]] port name;
`racklet doctor` looks at them.
"""
_STYLES = {"adopted": "green", "unadopted": "yellow", "foreign": "red", "refused": "bold red"}
_ID = "hats/"

HatArgument = Annotated[
    str, typer.Argument(metavar="HAT", help="Its id, or the begin of it: `racklet hats` lists them.")
]


@command
async def hats(session: Session) -> None:
    """List the HATs that are plugged in or adopted, with slot and node."""
    found = [hat async for hat in session.rack.hats()]
    if session.output.as_json:
        for hat in found:
            session.output.json(hat)
        return
    if not found:
        session.output.text(NO_HATS)
        return
    table = plain_table("HAT", "STATE", "SLOT", "NODE", "BOARD", "FIRMWARE")
    for hat in sorted(found, key=lambda hat: (not hat.node, natural_key(hat.node), hat.name)):
        state = _state(hat)
        table.add_row(
            hat.name.removeprefix(_ID),
            Text(state, _STYLES.get(state, "")),
            printable(hat.slot) or "-",
            short_name(hat.node) or "-",
            printable(hat.board),
            printable(hat.firmware),
        )
    session.output.show(table)
    for hat in found:
        if hat.problem and hat.slot:
            session.output.show(
                Text(f"{hat.name.removeprefix(_ID)} in {printable(hat.slot)}: {printable(hat.problem)}", "red")
            )


@command
async def adopt(
    session: Session,
    hat: HatArgument,
    node: Annotated[str, typer.Option("--node", metavar="NODE", help="The node whose HAT it shall be.")],
    *,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace", help="Also in the place of the node's HAT, or with a new key when it has lost its own."
        ),
    ] = False,
) -> None:
    """Let a HAT be that of a node. Do it over a cable you trust: the two agree on a key now."""
    response = await session.rack.adopt(await _full_id(session, hat), node, replace=replace)
    if session.output.as_json:
        session.output.json(response)
    else:
        name = response.hat.name.removeprefix(_ID)
        session.output.text(f"{name} is the HAT of {short_name(response.hat.node) or short_name(node)} now\n")


@command
async def forget(session: Session, hat: HatArgument) -> None:
    """Know a HAT no more: it has no node then, and whoever it is plugged into may adopt it."""
    hat_id = await _full_id(session, hat)
    response = await session.rack.forget(hat_id)
    if session.output.as_json:
        session.output.json(response)
        return
    session.output.text(f"{hat_id} is forgotten\n")
    if not response.key_forgotten:
        session.output.text(
            "It was not plugged in, so it holds its key: reset it to factory state before you adopt it again.\n"
        )


async def _full_id(session: Session, begin: str) -> str:
    """Return the one id that begins so. One that several have, or none, is for hostd to refuse."""
    begin = begin.lower().removeprefix(_ID)
    ids = {hat.name.removeprefix(_ID) async for hat in session.rack.hats()}
    fitting = sorted(each for each in ids if each.startswith(begin))
    if begin in ids or not fitting:
        return begin
    if len(fitting) > 1:
        raise CommandError(f"several HATs begin with {begin}: {', '.join(fitting)}")
    return fitting[0]


def _state(hat: rack_pb2.SeenHat) -> str:
    known = hat.standing in rack_pb2.HatStanding.values()
    return rack_pb2.HatStanding.Name(hat.standing).removeprefix("HAT_STANDING_").lower() if known else "unknown"
