"""The command `racklet-virtual`: runs a virtual rack, and steers one that runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NoReturn

import platformdirs
import typer
from rich.console import Console
from rich.table import Table

from racklet_virtual.control import ControlError, ask, control_server
from racklet_virtual.fault_catalogue import FAULTS
from racklet_virtual.firmware_process import FirmwareUnavailableError, flash_firmware
from racklet_virtual.node import BAUDS
from racklet_virtual.qemu_process import QemuUnavailableError
from racklet_virtual.rack import MAX_NODES, RackError, VirtualRack
from racklet_virtual.special_nodes import NODE_HELP, SpecialNodeError, SpecialNodes, parse_special_nodes

_FAILED = 1


def _runtime_folder() -> Path:
    with warnings.catch_warnings(action="ignore"):  # where there is no runtime folder, its stand-in is fine
        return platformdirs.user_runtime_path("racklet-virtual", appauthor=False)


_DEFAULT_FOLDER = _runtime_folder()

app = typer.Typer(add_completion=True, no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]})
console = Console()

FolderOption = Annotated[
    Path,
    typer.Option("--folder", help="Where the rack keeps its ports and files.", show_default="in the runtime folder"),
]


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says about the rack."""

    folder: Path
    nodes: int
    seed: int
    speed: float
    special: SpecialNodes
    bauds: dict[int, int]
    bare: bool
    keep: bool


@app.callback(invoke_without_command=True)
def run(  # noqa: PLR0913  options of a command
    context: typer.Context,
    *,
    nodes: Annotated[int, typer.Option(help="How many nodes.", min=1, max=MAX_NODES)] = 5,
    seed: Annotated[int, typer.Option(help="Another seed makes other noise and other faults.")] = 1,
    speed: Annotated[float, typer.Option(help="Shortens the pauses of the nodes.", min=0.1, max=100)] = 1.0,
    node: Annotated[
        list[str] | None,
        typer.Option(metavar="N=HABIT", help=NODE_HELP),
    ] = None,
    baud: Annotated[
        list[str] | None,
        typer.Option(metavar="N=RATE", help=f"The rate of a node's console: {', '.join(map(str, BAUDS))}. Repeatable."),
    ] = None,
    folder: FolderOption = _DEFAULT_FOLDER,
    bare: Annotated[
        bool, typer.Option("--bare", help="HATs with MicroPython and nothing else: `just flash PORT` brings the rest.")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep what the nodes sent, and what is on the HATs' flashes, when it ends.")
    ] = False,
) -> None:
    """Run a virtual rack until Ctrl-C; or steer one that runs, with one of the commands."""
    if context.invoked_subcommand is not None:
        return
    bauds = dict(_parse_baud(word, nodes) for word in baud or [])
    try:
        special = parse_special_nodes(node or [], nodes)
    except SpecialNodeError as error:
        raise typer.BadParameter(str(error), param_hint="--node") from error
    try:
        asyncio.run(_run(Options(folder.resolve(), nodes, seed, speed, special, bauds, bare, keep)))
    except (RackError, FirmwareUnavailableError, QemuUnavailableError) as error:
        _fail(str(error))


@app.command()
def fault(
    node: Annotated[str, typer.Argument(help="The node, such as node-2.")],
    kind: Annotated[str, typer.Argument(help="What to do; `racklet-virtual faults` lists it.")],
    arguments: Annotated[list[str] | None, typer.Argument(help="As the list says.")] = None,
    *,
    folder: FolderOption = _DEFAULT_FOLDER,
) -> None:
    """Do something to a HAT or its node in the running rack."""
    try:
        ask(folder.resolve(), {"node": node, "fault": kind, "arguments": arguments or []})
    except ControlError as error:
        _fail(str(error))


@app.command()
def faults() -> None:
    """List what can be done to a running rack."""
    table = Table("fault", "arguments", "what happens", box=None)
    for name, known in FAULTS.items():
        table.add_row(name, known.arguments.replace("[", r"\["), known.help)
    console.print(table)


@app.command()
def status(*, folder: FolderOption = _DEFAULT_FOLDER) -> None:
    """Print the truth about the running rack, as JSON."""
    try:
        reply = ask(folder.resolve(), {"status": True})
    except ControlError as error:
        _fail(str(error))
    typer.echo(json.dumps(reply["nodes"], indent=2))


def _parse_baud(word: str, nodes: int) -> tuple[int, int]:
    number, _, rate = word.partition("=")
    number = number.removeprefix("node-")
    if not number.isdecimal() or not 1 <= int(number) <= nodes or rate not in map(str, BAUDS):
        raise typer.BadParameter(
            f"expected N=RATE with N from 1 to {nodes} and RATE of {', '.join(map(str, BAUDS))}, not {word!r}",
            param_hint="--baud",
        )
    return int(number), int(rate)


def _fail(sentence: str) -> NoReturn:
    typer.echo(f"racklet-virtual: {sentence}", err=True)
    raise typer.Exit(_FAILED)


async def _run(options: Options) -> None:
    made_folder = not options.folder.exists()
    rack = VirtualRack(
        options.folder,
        options.nodes,
        options.seed,
        speed=options.speed,
        habits=options.special.habits,
        qemu=options.special.qemu,
        bauds=options.bauds,
        firmware=flash_firmware() if options.bare else None,
    )
    config = options.folder / "racklet.toml"
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    async with rack, control_server(rack):
        new = config.with_suffix(".new")
        new.write_text(rack.config_toml())
        new.replace(config)  # whoever waits for it finds all of it
        _print_rack(rack, config)
        await stop.wait()
    config.unlink(missing_ok=True)
    if not options.keep:
        _clean_up(options.folder, made_folder=made_folder)


def _print_rack(rack: VirtualRack, config: Path) -> None:
    table = Table("node", "slot", "port", box=None)
    for hat in rack.hats:
        table.add_row(hat.node.name, hat.slot, str(hat.port))
    console.print(table)
    console.print(f"\n{config}:\n")
    console.print(rack.config_toml(), markup=False, highlight=False, soft_wrap=True)
    console.print("Ctrl-C ends it. `racklet-virtual faults` lists what can be done to it.")


def _clean_up(folder: Path, *, made_folder: bool) -> None:
    shutil.rmtree(folder / "hats", ignore_errors=True)
    (folder / "lock").unlink(missing_ok=True)
    if made_folder:
        with contextlib.suppress(OSError):  # somebody put something there
            folder.rmdir()


def main() -> None:
    """Run the command."""
    app()


if __name__ == "__main__":
    main()
