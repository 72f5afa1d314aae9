"""Faults on purpose: a script that hostd runs, step by step."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.text import Text

from racklet.v1 import rack_pb2
from racklet_client.errors import RackError, RefusedError
from racklet_client.names import short_name
from racklet_client.rack import Rack
from racklet_hostd.cli import units
from racklet_hostd.cli.errors import ExitCode, exit_code
from racklet_hostd.cli.output import remark
from racklet_hostd.cli.session import Session, command
from racklet_hostd.cli.tables import DIM, plain_table
from racklet_hostd.cli.terminal_text import printable

_SEED_LIMIT = (1 << 32) - 1
_SCRIPT_BYTES = 64 << 10  # hostd takes no more
_NAME_LENGTH = 200  # hostd takes no more
_RESTORE_PATIENCE_S = 20  # after Ctrl-C; hostd goes on when the command has ended
_STYLES = {"off": "bold red", "on": "yellow", "restored": "green", "failed": "bold red", "released": "yellow"}

app = typer.Typer(no_args_is_help=True, help="Take supplies on purpose, by a script, and give them back.")


@app.command("run")
@command
async def run(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The script; docs/faults.md tells what may be in it.")],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the script, show the plan, and do nothing.")
    ] = False,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, max=_SEED_LIMIT, metavar="N", help="Instead of the script's own.")
    ] = None,
) -> None:
    """Run a script of faults.

    What it took is given back when it ends, also by Ctrl-C, or because this command was killed.
    """
    coming = session.rack.run_faults(_text_of(file), file=str(file)[-_NAME_LENGTH:], seed=seed, dry_run=dry_run)
    progress = _Progress(session)
    try:
        await progress.follow(coming)
    except RefusedError as error:
        _give_up(error)
    except asyncio.CancelledError:
        await progress.tell_restored()
        raise
    if progress.problems or not (dry_run or progress.has_ended):
        raise typer.Exit(ExitCode.FAILED)


class _Progress:
    """Shows a run as it goes. `problems` is what did not go as planned."""

    def __init__(self, session: Session) -> None:
        self.problems: Sequence[str] = ()
        self.has_ended = False
        self._session = session
        self._nodes: list[str] = []

    async def follow(self, coming: AsyncGenerator[rack_pb2.RunFaultsResponse, None]) -> None:
        """Run the script to its end. Raises RackError."""
        async with aclosing(coming) as responses:
            async for response in responses:
                if self._session.output.as_json:
                    self._session.output.json(response)
                self._take(response)

    async def tell_restored(self) -> None:
        """Say when hostd has given back what the run took; it does so by itself."""
        if not self._nodes or self.has_ended:
            return
        remark("stopped; hostd gives back what the run took")
        try:
            async with asyncio.timeout(_RESTORE_PATIENCE_S):
                nodes = await _until_free(self._session.rack, self._nodes)
        except (RackError, TimeoutError):
            remark("hostd has not said that it did; it goes on trying, see `racklet events`")
            return
        for node in nodes:
            state = rack_pb2.SupplyState.Name(node.supply_state).removeprefix("SUPPLY_STATE_").lower()
            remark(f"{printable(short_name(node.name))} is free, its supply is {state}")

    def _take(self, response: rack_pb2.RunFaultsResponse) -> None:
        match response.WhichOneof("news"):
            case "plan":
                self._nodes = list(dict.fromkeys(fault.node for fault in response.plan.faults))
                self._show_plan(response.plan)
            case "step":
                self._show_step(response.step)
            case "end":
                self.has_ended = True
                self.problems = list(response.end.problems)
                self._show_end(response.end)
            case None:
                pass  # a newer hostd tells more

    def _show_plan(self, plan: rack_pb2.FaultPlan) -> None:
        if self._session.output.as_json:
            return
        limit = units.short_span(plan.limit.ToMilliseconds())
        self._session.output.text(f"The plan with seed {plan.seed}, for {limit} at most:\n")
        table = plain_table("FAULT", "NODE", "WHAT", right=("FAULT",))
        table.add_column("WHEN", overflow="fold")
        for fault in plan.faults:
            node, deed, trigger = (printable(text) for text in (short_name(fault.node), fault.deed, fault.trigger))
            table.add_row(str(fault.number), node, deed, trigger)
        self._session.output.show(table)

    def _show_step(self, step: rack_pb2.FaultStep) -> None:
        if self._session.output.as_json:
            return
        time = units.clock(step.step_time.seconds)
        style = _STYLES.get(step.kind, "")
        line = Text.assemble((time, DIM), "  ", (f"{printable(step.kind):<9}", style), "  ", printable(step.message))
        self._session.output.show(line)

    def _show_end(self, end: rack_pb2.FaultsEnd) -> None:
        if self._session.output.as_json:
            return
        self._session.output.text(f"The run is over: {printable(end.reason)}. Nothing is owed to any node.\n")
        for problem in end.problems:
            remark(printable(problem))


async def _until_free(rack: Rack, names: Sequence[str]) -> list[rack_pb2.Node]:
    """Return the nodes once no run has them any more. Raises RackError."""
    known: dict[str, rack_pb2.Node] = {}
    async with aclosing(rack.watch_nodes(*names)) as changes:
        async for change in changes:
            known |= {node.name: node for node in change.nodes}
            if not any(node.taken_by for node in known.values()):
                break
    return [known[name] for name in names if name in known]


def _text_of(file: Path) -> str:
    try:
        with file.open("rb") as script:
            raw = script.read(_SCRIPT_BYTES + 1)
        if len(raw) > _SCRIPT_BYTES:
            raise typer.BadParameter(f"{file} has more than {_SCRIPT_BYTES} bytes", param_hint="FILE")
        return raw.decode()
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read: {error.strerror}", param_hint="FILE") from error
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"{file} is not UTF-8 text", param_hint="FILE") from error


def _give_up(error: RefusedError) -> NoReturn:
    """Say why hostd does not run the script. A wrong script is wrong usage."""
    for line in str(error).splitlines():
        remark(line)
    is_wrong = error.status == "INVALID_ARGUMENT"
    raise typer.Exit(ExitCode.USAGE if is_wrong else exit_code(error)) from error
