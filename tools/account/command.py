"""`just account NAME`: the accounts by their names. Exit code 1 when one does not hold."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NoReturn

import typer
from rich.console import Console

from racklet_client.errors import RackError
from racklet_emulator.parts import EmulatorUnavailableError
from tools.account import chip_cuts, chip_minute, energy, power_budget, power_requests, swap, trip_latency, update_cuts
from tools.rig import RigError, run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_FAILED = 1
_COLUMNS = 100  # where no terminal says how many there are

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)


@app.callback()
def accounts() -> None:
    """Show that a promise holds, against what a virtual rack really did."""


@app.command("power-budget")
def show_power_budget() -> None:
    """Ask seven nodes on at once under 60 W: the sum never passes the limit."""
    _run(power_budget.account)


@app.command("energy")
def show_energy() -> None:
    """Hold hostd's joules of a virtual hour, with resets, kills and pulls in it, against the truth."""
    _end(holds=energy.account(_console()))


@app.command("requests")
def show_requests() -> None:
    """Ask for power over a line with 10,000 bad frames: nothing is done twice, nothing is lost silently."""
    _end(holds=power_requests.account(_console()))


@app.command("swap")
def show_swap() -> None:
    """Swap two HATs while they run, move a third, plug in a rogue: each node keeps its log, joules and supply."""
    _run(swap.account)


@app.command("trip-latency")
def show_trip_latency() -> None:
    """Short nodes again and again: how long until the gate is off, with the alert pin and without."""
    _run(trip_latency.account)


@app.command("update-cuts")
def show_update_cuts() -> None:
    """Cut the power at every flash write of a firmware update, in three ways: the HAT starts, and can be updated."""
    _end(holds=update_cuts.account(_console()))


@app.command("chip-minute")
def show_chip_minute() -> None:
    """Load an emulated HAT for a minute of its time: its heap is the same before and after, to the byte."""
    _run_on_chip(chip_minute.account)


@app.command("chip-cuts")
def show_chip_cuts() -> None:
    """Cut an emulated HAT's power at a sample of the flash writes of an update: it starts, and the update succeeds."""
    _run_on_chip(chip_cuts.account)


def _run_on_chip(account: Callable[[Console], bool]) -> NoReturn:
    try:
        holds = account(_console())
    except EmulatorUnavailableError as error:
        print(f"account: {error}", file=sys.stderr)
        raise typer.Exit(_FAILED) from error
    _end(holds=holds)


def _run(account: Callable[[Console], Awaitable[bool]]) -> None:
    async def show() -> bool:
        return await account(_console())

    try:
        holds = run(show())
    except (RigError, RackError, TimeoutError) as error:
        print(f"account: {str(error) or 'something did not happen in time'}", file=sys.stderr)
        raise typer.Exit(_FAILED) from error
    _end(holds=holds)


def _console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else _COLUMNS)


def _end(*, holds: bool) -> NoReturn:
    raise typer.Exit(0 if holds else _FAILED)
