"""The command that attaches to a node's console."""

import asyncio
import codecs
import sys
from contextlib import nullcontext
from typing import Annotated

import typer

from racklet.v1 import rack_pb2
from racklet_hostd.cli import units
from racklet_hostd.cli.arguments import NodeArgument
from racklet_hostd.cli.beside import beside
from racklet_hostd.cli.connection import Console
from racklet_hostd.cli.errors import CommandError, RefusedError
from racklet_hostd.cli.names import short_name
from racklet_hostd.cli.output import Output, remark
from racklet_hostd.cli.raw_terminal import EscapeKey, KeyAction, raw_terminal
from racklet_hostd.cli.session import Session, command
from racklet_hostd.cli.standard_input import read_typed
from racklet_hostd.cli.terminal_text import printable

ReadOnlyOption = Annotated[bool, typer.Option("--read-only", help="Only look; type nothing.")]
TakeOverOption = Annotated[
    bool, typer.Option("--take-over", help="Type even if somebody else does; they only look then.")
]

_HINT = "Ctrl-] q leaves, Ctrl-] ? helps."
_HELP = "Ctrl-] then q leaves, ? shows this, Ctrl-] types one Ctrl-]; any other key is typed with it."


@command
async def console(
    session: Session, node: NodeArgument, *, read_only: ReadOnlyOption = False, take_over: TakeOverOption = False
) -> None:
    """Attach to a node's console; Ctrl-] then q leaves.

    What the node sends reaches the terminal as it is: who controls the node can draw there. When stdin is no terminal,
    what it holds is typed, and the output goes on until Ctrl-C; so it does with --json.
    """
    name = short_name(node)
    first = rack_pb2.AttachConsoleRequest(name=node, read_only=read_only, take_over=take_over)
    is_raw = sys.stdin.isatty() and not session.output.as_json
    async with session.connection.console(first, name) as attached:
        with raw_terminal() if is_raw else nullcontext():
            screen = _Screen(session.output, is_raw=is_raw)
            if is_raw:
                screen.say(f"console of {name}{', read only' if read_only else ''}. {_HINT}")
            try:
                async with beside(_show(attached, screen, name)):
                    await (_type_keys if is_raw else _type_all)(attached, screen, read_only=read_only)
            except RefusedError as error:
                advice = " (--take-over, --read-only)" if error.status == "FAILED_PRECONDITION" else ""
                raise CommandError(f"{error}{advice}") from error
            finally:
                screen.finish()
    remark(f"left the console of {name}")


class _Screen:
    """stdout for the node's bytes, stderr for words about them."""

    def __init__(self, output: Output, *, is_raw: bool) -> None:
        self._output = output
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._line = "\r\nracklet: {}\r\n" if is_raw else "racklet: {}\n"
        self._end = "\r\n" if is_raw else ""

    def show(self, response: rack_pb2.AttachConsoleResponse) -> None:
        """Write what hostd sent."""
        if self._output.as_json:
            self._output.json(response, text=self._decoder.decode(response.data))
            return
        if response.lost_bytes:
            self.say(f"{units.byte_count(response.lost_bytes)} lost")
        if response.notice:
            self.say(printable(response.notice))
        self._output.data(response.data)

    def say(self, words: str) -> None:
        """Write words of our own."""
        sys.stderr.write(self._line.format(words))
        sys.stderr.flush()

    def finish(self) -> None:
        """End the line that the node may have left open on a raw terminal."""
        sys.stderr.write(self._end)


async def _show(attached: Console, screen: _Screen, name: str) -> None:
    async for response in attached.output:
        screen.show(response)
    if not attached.is_left:
        raise CommandError(f"{name}: hostd ended the console")


async def _type_keys(attached: Console, screen: _Screen, *, read_only: bool) -> None:
    """Type what the person types, until the escape key leads out."""
    escape = EscapeKey()
    while typed := await read_typed():
        passed, action = escape.feed(typed)
        if passed and not read_only:
            await attached.send(rack_pb2.AttachConsoleRequest(data=passed))
        if action is KeyAction.LEAVE:
            await attached.say_goodbye()
            return
        if action is KeyAction.HELP:
            screen.say(_HELP)


async def _type_all(attached: Console, _: _Screen, *, read_only: bool) -> None:
    """Type what stdin holds, then wait for the command's end."""
    while not read_only and (typed := await read_typed()):
        await attached.send(rack_pb2.AttachConsoleRequest(data=typed))
    await asyncio.Event().wait()
