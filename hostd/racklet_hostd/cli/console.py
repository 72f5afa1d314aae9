"""The command that attaches to a node's console."""

import asyncio
import getpass
import socket
import sys
from contextlib import nullcontext
from typing import Annotated

import typer

from racklet.v1 import rack_pb2
from racklet_client.errors import PreconditionError
from racklet_client.names import short_name
from racklet_hostd.cli.arguments import NodeArgument
from racklet_hostd.cli.beside import beside
from racklet_hostd.cli.console_keys import HELP, HINT, carry_out, question
from racklet_hostd.cli.console_screen import ConsoleScreen
from racklet_hostd.cli.console_session import ConsoleSession
from racklet_hostd.cli.errors import CommandError
from racklet_hostd.cli.output import remark
from racklet_hostd.cli.raw_terminal import EscapeKey, KeyAction, Question, raw_terminal
from racklet_hostd.cli.session import Session, command
from racklet_hostd.cli.standard_input import read_typed

ReadOnlyOption = Annotated[bool, typer.Option("--read-only", help="Only look; type nothing.")]
TakeOverOption = Annotated[
    bool, typer.Option("--take-over", help="Type even if somebody else does; they only look then.")
]
RawOption = Annotated[bool, typer.Option("--raw", help="Hand the node's bytes to the terminal as they are.")]


@command
async def console(
    session: Session,
    node: NodeArgument,
    *,
    read_only: ReadOnlyOption = False,
    take_over: TakeOverOption = False,
    raw: RawOption = False,
) -> None:
    """Attach to a node's console; Ctrl-] then q leaves.

    Editors and menus work; what could harm the terminal is left out, but for --raw. When stdin is no terminal, what it
    holds is typed, and the output goes on until Ctrl-C; so it does with --json. A restart of hostd is outlasted.
    """
    name = short_name(node)
    is_keyed = sys.stdin.isatty() and not session.output.as_json
    first = rack_pb2.AttachConsoleRequest(name=node, read_only=read_only, take_over=take_over, caller=_who_am_i())
    with raw_terminal() if is_keyed else nullcontext():
        screen = ConsoleScreen(session.output, is_plain=is_keyed, is_safe=session.output.is_terminal and not raw)
        attendance = ConsoleSession(session.rack, first, screen, falls_back=is_keyed)
        if is_keyed:
            screen.say(f"console of {name}{', read only' if read_only else ''}. {HINT}")
        try:
            async with attendance.console, beside(attendance.show()):
                if is_keyed:
                    await _Keys(session, attendance, screen, node, is_read_only=read_only).obey()
                else:
                    await _type_all(attendance, read_only=read_only)
        except PreconditionError as error:
            raise CommandError(f"{error} (--take-over, --read-only)") from error
        finally:
            screen.finish()
    remark(f"left the console of {name}")


class _Keys:
    """Types what the person types, and obeys the escape key, until that leads out."""

    def __init__(
        self, session: Session, attendance: ConsoleSession, screen: ConsoleScreen, node: str, *, is_read_only: bool
    ) -> None:
        self._session = session
        self._attendance = attendance
        self._screen = screen
        self._node = node
        self._is_read_only = is_read_only
        self._deed: asyncio.Task[None] | None = None

    async def obey(self) -> None:
        """Return when the console is left, or stdin has ended. What the HAT was asked to do it goes on doing."""
        escape = EscapeKey()
        async with asyncio.TaskGroup() as deeds:
            while typed := await read_typed():
                for wanted in escape.feed(typed):
                    if wanted is KeyAction.LEAVE:
                        await self._attendance.console.leave()
                        break
                    await self._do(wanted, deeds)
                else:
                    continue
                break
            if self._deed is not None:
                self._deed.cancel()

    async def _do(self, wanted: bytes | KeyAction | Question, deeds: asyncio.TaskGroup) -> None:
        match wanted:
            case bytes() if self._is_read_only:
                pass
            case bytes():
                await self._attendance.type(wanted)
            case Question(action):
                self._screen.say(question(action, self._node))
            case action:
                await self._act(action, deeds)

    async def _act(self, action: KeyAction, deeds: asyncio.TaskGroup) -> None:
        match action:
            case KeyAction.HELP:
                self._screen.say(HELP)
            case KeyAction.WHO:
                self._screen.say(self._attendance.who())
            case KeyAction.NOTHING:
                self._screen.say("nothing was done")
            case KeyAction.TAKE_OVER if self._is_read_only:
                self._screen.say("--read-only types nothing; start without it to take over")
            case KeyAction.TAKE_OVER:
                await self._attendance.take_over()
            case _ if self._deed is not None and not self._deed.done():
                self._screen.say("what you asked for before is still being done")
            case _:
                self._deed = deeds.create_task(self._carry_out(action))

    async def _carry_out(self, action: KeyAction) -> None:
        self._screen.say(await carry_out(self._session.rack, self._node, action))


async def _type_all(attendance: ConsoleSession, *, read_only: bool) -> None:
    """Type what stdin holds, then wait for the command's end."""
    while not read_only and (typed := await read_typed()):
        await attendance.console.type(typed)
    await asyncio.Event().wait()


def _who_am_i() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = "somebody"
    return f"{user}@{socket.gethostname()}"
