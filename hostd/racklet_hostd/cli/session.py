"""What every command shares: --address and --json, the way to hostd, and how it ends."""

import asyncio
import functools
import inspect
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from racklet_client.address import Address
from racklet_client.credentials import Credentials
from racklet_client.errors import RackError
from racklet_client.rack import Rack, connect
from racklet_hostd.cli.errors import CommandError, ExitCode, StoppedError, UnwritableError, exit_code, sentence
from racklet_hostd.cli.output import Output, remark

if TYPE_CHECKING:
    from pathlib import Path

ADDRESS_HELP = "Where hostd is: unix:PATH or HOST:PORT."
AddressOption = Annotated[str | None, typer.Option("--address", metavar="ADDRESS", help=ADDRESS_HELP)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]

CREDENTIALS = "racklet.credentials"  # where typer's context keeps them

_KEYWORD = inspect.Parameter.KEYWORD_ONLY


@dataclass(frozen=True, slots=True)
class Session:
    """One run of a command."""

    rack: Rack
    output: Output


def command(
    function: Callable[..., Coroutine[Any, Any, None]], check: Callable[..., None] | None = None
) -> Callable[..., None]:
    """Make a typer command of a coroutine whose first argument is the session; add --address and --json to it.

    `check` gets the options and as_json before hostd is asked for anything, and raises a usage error.

    CommandError and RackError become their sentence and exit code; a reader of stdout that went away ends the command
    in silence.
    """

    @functools.wraps(function)
    def run(context: typer.Context, address: str | None, *, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - typer's
        if check:
            check(as_json=as_json, **options)
        place = place_of(address or context.obj)

        async def session() -> None:
            async with connect(place, credentials=_credentials(context, place)) as rack:
                await function(Session(rack, Output(as_json)), **options)

        _run(session())

    own = list(inspect.signature(function).parameters.values())[1:]
    shared = [
        inspect.Parameter("context", _KEYWORD, annotation=typer.Context),
        inspect.Parameter("address", _KEYWORD, annotation=AddressOption, default=None),
        inspect.Parameter("as_json", _KEYWORD, annotation=JsonOption, default=False),
    ]
    run.__signature__ = inspect.Signature([*(p.replace(kind=_KEYWORD) for p in own), *shared])  # type: ignore[attr-defined]
    return run


def _credentials(context: typer.Context, place: Address) -> Credentials | None:
    """Return those that --credentials names; None leaves it to the client."""
    named: Path | None = context.meta.get(CREDENTIALS)
    return Credentials.of_folder(named) if named is not None and not place.is_unix else None


def place_of(named: str | None) -> Address:
    """Return where hostd is; a usage error when `named` is no address."""
    try:
        return Address.parse(named) if named else Address.default()
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--address") from error


def _run(session: Coroutine[Any, Any, None]) -> None:
    try:
        asyncio.run(_until_stopped(session))
    except UnwritableError as error:
        _discard_stdout()
        remark(str(error))
        raise typer.Exit(error.exit_code) from error
    except (CommandError, RackError) as error:
        remark(sentence(error))
        raise typer.Exit(exit_code(error)) from error
    except StoppedError as error:
        raise typer.Exit(error.exit_code) from error
    except KeyboardInterrupt as error:
        raise typer.Exit(ExitCode.INTERRUPTED) from error
    except BrokenPipeError as error:
        _discard_stdout()
        raise typer.Exit(ExitCode.OK) from error  # the reader has what it wanted


async def _until_stopped(session: Coroutine[Any, Any, None]) -> None:
    """Run `session`; let it clean up when SIGTERM or SIGHUP comes, as asyncio does for Ctrl-C."""
    task = asyncio.current_task()
    received: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        received.append(number)
        if task:
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup means it
            asyncio.get_running_loop().add_signal_handler(number, stop, number)
    try:
        await session
    except asyncio.CancelledError:
        if received:
            raise StoppedError(received[0]) from None
        raise


def _discard_stdout() -> None:
    """Let what Python still holds for stdout go nowhere, lest its exit stumbles over it again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
