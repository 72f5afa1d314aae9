"""The command that tells why a node did not boot."""

from typing import Annotated

import typer
from rich.text import Text

from racklet.v1 import rack_pb2
from racklet_client.names import boot_number, short_name
from racklet_hostd.cli import units
from racklet_hostd.cli.arguments import NodeArgument
from racklet_hostd.cli.errors import ExitCode
from racklet_hostd.cli.output import Output
from racklet_hostd.cli.session import Session, command
from racklet_hostd.cli.tables import DIM, phases_table
from racklet_hostd.cli.terminal_text import printable

BootOption = Annotated[int | None, typer.Option("--boot", min=1, metavar="N", help="Which boot; without, the newest.")]


@command
async def diagnose(session: Session, node: NodeArgument, *, boot: BootOption = None) -> None:
    """Tell how far a boot came, and what in its log tells of a failure.

    Exit code 1 when something was found.
    """
    output = session.output
    found = await session.rack.diagnose(node, boot)
    if output.as_json:
        output.json(found)
    else:
        _show(output, node, found)
    if found.findings:
        raise typer.Exit(ExitCode.FAILED)


def _show(output: Output, node: str, found: rack_pb2.DiagnoseNodeResponse) -> None:
    output.show(Text(f"{short_name(node)}, boot {boot_number(found.boot)}: {printable(found.verdict)}", "bold"))
    if found.phases:
        output.show(Text())
        output.show(phases_table(found.phases))
    for finding in found.findings:
        output.show(Text())
        output.show(_finding_text(finding))
    if found.skipped_bytes:
        skipped = units.byte_count(found.skipped_bytes)
        output.show(Text(f"\n{skipped} in the middle of the log were not looked at.", DIM))


def _finding_text(finding: rack_pb2.Finding) -> Text:
    times = "" if finding.count == 1 else f", {finding.count} times"
    at = units.clock(finding.find_time.seconds)
    return Text.assemble(
        (printable(finding.signature), "bold red"),
        f"  in {printable(finding.phase)}, at {at}, offset {finding.offset}{times}\n",
        (f"  seen   {printable(finding.line)}\n", DIM),
        f"  means  {printable(finding.meaning)}\n",
        f"  try    {printable(finding.advice)}",
    )
