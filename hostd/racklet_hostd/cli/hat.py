"""Commands about the HATs themselves."""

from typing import Annotated

import typer
from rich.text import Text

from racklet.v1 import rack_pb2
from racklet_client.names import short_name
from racklet_hostd.cli.arguments import NodeArgument
from racklet_hostd.cli.errors import ExitCode
from racklet_hostd.cli.session import Session, command
from racklet_hostd.cli.tables import plain_table
from racklet_hostd.cli.terminal_text import printable

app = typer.Typer(no_args_is_help=True, help="Look after the HATs.")

_SHOWN: dict[int, tuple[str, str]] = {
    rack_pb2.HAT_CHECK_OUTCOME_PASSED: ("passed", "green"),
    rack_pb2.HAT_CHECK_OUTCOME_FAILED: ("FAILED", "bold red"),
    rack_pb2.HAT_CHECK_OUTCOME_LOOK: ("look", "yellow"),
}


@app.command("selftest")
@command
async def selftest(
    session: Session,
    node: NodeArgument,
    *,
    interrupt: Annotated[
        bool, typer.Option("--interrupt", help="Also when the node is on: cut its supply, and give it back at the end.")
    ] = False,
) -> None:
    """Test the HAT of a node: monitor, pins, latch, UART, and its gate, on and off.

    The node gets power for a moment. Exit code 1 when a check fails.
    """
    response = await session.rack.self_test_hat(node, interrupt=interrupt)
    failed = [check for check in response.checks if check.outcome == rack_pb2.HAT_CHECK_OUTCOME_FAILED]
    if session.output.as_json:
        session.output.json(response, name=node)
    else:
        _show(session, node, response, len(failed))
    if failed:
        raise typer.Exit(ExitCode.FAILED)


def _show(session: Session, node: str, response: rack_pb2.SelfTestHatResponse, failed: int) -> None:
    table = plain_table("CHECK", "RESULT", "MEASURED", "EXPECTED")
    for check in response.checks:
        word, style = _SHOWN.get(check.outcome, ("unknown", "dim"))
        table.add_row(printable(check.name), Text(word, style), printable(check.measured), printable(check.expected))
    session.output.show(table)
    total = len(response.checks)
    verdict = f"{failed} of {total} checks failed" if failed else f"no check of {total} failed"
    session.output.text(f"{short_name(node)}: {verdict}\n")
