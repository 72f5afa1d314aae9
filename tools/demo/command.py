"""A virtual rack of five nodes and a real hostd: `just demo` to look at, `just demo --check` to prove that it works."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Annotated

import typer
from rich.console import Console

from racklet_virtual.special_nodes import NODE_HELP, SpecialNodeError, parse_special_nodes
from tools.demo.check import NODES, check
from tools.demo.screen import show
from tools.rig import Rig, RigError

_FAILED = 1

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    *,
    checked: Annotated[bool, typer.Option("--check", help="Run unattended, and check everything.")] = False,
    seed: Annotated[int, typer.Option(help="Another seed makes other noise.")] = 1,
    node: Annotated[list[str] | None, typer.Option(metavar="N=HABIT", help=NODE_HELP)] = None,
) -> None:
    """Run a virtual rack of five nodes and hostd until Ctrl-C; with --check, until everything was checked."""
    console = Console()
    try:
        special = parse_special_nodes(node or [], NODES)
        rig = Rig(NODES, seed, habits=special.habits, qemu=special.qemu, at_default_ports=True)
        raise typer.Exit(asyncio.run(_run(console, rig, checked=checked)))
    except SpecialNodeError as error:
        raise typer.BadParameter(str(error), param_hint="--node") from error
    except RigError as error:
        print(f"demo: {error}", file=sys.stderr)
        raise typer.Exit(_FAILED) from error


async def _run(console: Console, rig: Rig, *, checked: bool) -> int:
    """Run the demo or the check, stopped by a signal at any time; return the exit code."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stopped.set)
    holds = False
    async with rig, asyncio.TaskGroup() as tasks:
        stopping = tasks.create_task(stopped.wait(), name="stop")
        job = tasks.create_task(check(rig, console) if checked else show(rig, console), name="demo")
        await asyncio.wait((stopping, job), return_when=asyncio.FIRST_COMPLETED)
        if job.done():
            holds = bool(job.result())
        job.cancel()
        stopping.cancel()
    if not checked:
        console.print("The rack is down; nothing is left behind.")
    return 0 if holds or not checked else _FAILED
