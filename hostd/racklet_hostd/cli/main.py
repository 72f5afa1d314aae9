"""The `racklet` command: wires its parts together."""

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from racklet_client.address import ADDRESS_VARIABLE
from racklet_client.credentials import CREDENTIALS_VARIABLE
from racklet_hostd.cli import (
    audit,
    boots,
    console,
    diagnose,
    doctor,
    events,
    faults,
    firmware,
    hat,
    hats,
    logs,
    nodes,
    pki,
    power,
    watch,
)
from racklet_hostd.cli.session import ADDRESS_HELP, CREDENTIALS

_EPILOG = (
    "Exit codes: 0 done; 1 the request failed, or `diagnose`, `doctor`, `hat selftest` or `audit --verify` found "
    "something; 2 wrong usage; 3 hostd cannot be reached; 4 not found; 130 Ctrl-C."
)

app = typer.Typer(
    name="racklet",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,  # a traceback is a bug's, and reads best plain
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(is_wanted: bool) -> None:  # noqa: FBT001 - typer's callback
    if is_wanted:
        typer.echo(f"racklet {version('racklet')}")
        raise typer.Exit


@app.callback(epilog=_EPILOG)
def racklet(
    context: typer.Context,
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            envvar=ADDRESS_VARIABLE,
            metavar="ADDRESS",
            help=f"{ADDRESS_HELP} Without it: hostd's socket in the runtime folder, else 127.0.0.1:50551.",
        ),
    ] = None,
    credentials: Annotated[
        Path | None,
        typer.Option(
            "--credentials",
            envvar=CREDENTIALS_VARIABLE,
            metavar="FOLDER",
            help="Your certificate: a folder with ca.crt, client.crt and client.key. Without it: racklet/client in "
            "your config folder, for hostd on another computer.",
        ),
    ] = None,
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """See and steer a rack of nodes through its daemon, racklet-hostd."""
    context.obj = address
    context.meta[CREDENTIALS] = credentials


app.command()(nodes.nodes)
app.command()(watch.watch)
app.add_typer(power.app, name="power")
app.command()(hats.hats)
app.command()(hats.adopt)
app.command()(hats.forget)
app.add_typer(faults.app, name="faults")
app.add_typer(firmware.app, name="firmware")
app.command()(logs.logs)
app.command()(boots.boots)
app.command()(diagnose.diagnose)
app.command()(console.console)
app.command()(events.events)
app.command()(audit.audit)
app.command()(nodes.identify)
app.add_typer(hat.app, name="hat")
app.command()(nodes.info)
app.add_typer(pki.app, name="pki")
app.command()(doctor.doctor)


def main() -> None:
    """Run the command."""
    app()
