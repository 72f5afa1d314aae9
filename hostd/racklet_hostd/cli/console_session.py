"""A person's time at a console: over as many streams as hostd needs, with what was typed and shown kept in step."""

import asyncio
import secrets

from racklet.v1 import rack_pb2
from racklet_client.connection import Connection, Console, may_come_back
from racklet_client.errors import LostError, PreconditionError, RefusedError
from racklet_hostd.cli.console_input import ConsoleInput
from racklet_hostd.cli.console_screen import ConsoleScreen, company
from racklet_hostd.cli.errors import CommandError
from racklet_hostd.cli.names import short_name

_AWAY = "hostd is away; what you type is not sent"
_LOOKING = "you are only looking; what you type is not sent"


class ConsoleSession:
    """Shows a console and types on it until it is left. After a restart of hostd it goes on where it was.

    `falls_back`: when somebody else writes, look only and say so, instead of ending.
    """

    def __init__(
        self, connection: Connection, first: rack_pb2.AttachConsoleRequest, screen: ConsoleScreen, *, falls_back: bool
    ) -> None:
        self._connection = connection
        self._first = first
        self._first.caller_id = secrets.token_hex(16)
        self._name = short_name(first.name)
        self._screen = screen
        self._falls_back = falls_back
        self._input = ConsoleInput()
        self._attached: Console | None = None
        self._is_there = asyncio.Event()  # while a stream is open
        self._writes = not first.read_only
        self._was_taken = False
        self._seats: list[rack_pb2.ConsoleSeat] = []
        self._said = ""

    async def run(self) -> None:
        """Show what comes, for ever. Raises RackError when hostd refuses, or goes at the beginning."""
        while True:
            try:
                await self._attend()
            except (LostError, RefusedError) as error:
                await self._recover(error)

    async def type(self, data: bytes) -> None:
        """Type, or say why not: nobody wants keystrokes to come out later. Only the first stream is waited for."""
        if not self._was_taken:
            await self._is_there.wait()
        attached = self._attached
        if attached is None or not self._writes:
            self._say_once(_AWAY if attached is None else _LOOKING)
            return
        await attached.send(self._input.type(data))

    async def type_all(self, data: bytes) -> None:
        """Type, however long it takes until hostd is there."""
        await self._is_there.wait()
        await self.type(data)

    async def take_over(self) -> None:
        """Become the one who types."""
        if self._attached is None:
            self._say_once(_AWAY)
        else:
            await self._attached.send(rack_pb2.AttachConsoleRequest(take_over=True, input_offset=self._input.offset))

    async def leave(self) -> None:
        """Let what was typed arrive, and end."""
        if self._attached is not None:
            await self._attached.say_goodbye()

    def who(self) -> str:
        """Return who is at the console, as a sentence."""
        return f"at the console of {self._name}: {company(self._seats) or 'not known, hostd is away'}"

    async def _attend(self) -> None:
        """Attach once, and show what comes until the stream breaks."""
        self._first.input_offset = self._input.offset
        async with self._connection.console(self._first, self._name) as attached:
            is_first = True
            try:
                async for response in attached.output:
                    if is_first:
                        await self._arrive(attached, response)
                        is_first = False
                    self._take(response)
            finally:
                self._attached = None
                self._is_there.clear()
            if not attached.is_left:
                raise CommandError(f"{self._name}: hostd ended the console")
            await asyncio.Event().wait()  # it is being left

    async def _arrive(self, attached: Console, response: rack_pb2.AttachConsoleResponse) -> None:
        if self._was_taken:
            self._screen.say("hostd is back")
            await self._type_again(attached, response)
        self._was_taken = True
        self._first.take_over = False
        self._attached = attached
        self._said = ""
        self._is_there.set()

    async def _type_again(self, attached: Console, response: rack_pb2.AttachConsoleResponse) -> None:
        if response.is_resumed:
            self._input.told(response.typed_offset)
            if rest := self._input.rest():
                await attached.send(rest)
        elif count := self._input.give_up():
            typed = "the last key" if count == 1 else f"the last {count} keys"
            self._screen.say(f"{typed} you typed may not have arrived")

    def _take(self, response: rack_pb2.AttachConsoleResponse) -> None:
        self._input.told(response.typed_offset)
        if response.data:
            self._first.from_boot, self._first.from_offset = response.boot, response.offset + len(response.data)
        if response.seats:
            self._meet(list(response.seats))
        self._screen.show(response)

    def _meet(self, seats: list[rack_pb2.ConsoleSeat]) -> None:
        before, self._seats = self._seats, seats
        self._writes = any(seat.is_you and seat.writes for seat in seats)
        self._first.read_only = not self._writes
        if len(seats) > 1 or len(before) > 1:
            self._screen.say(self.who())

    async def _recover(self, error: LostError | RefusedError) -> None:
        is_in_use = isinstance(error, PreconditionError)
        if is_in_use and (self._falls_back or self._was_taken) and not self._first.read_only:
            self._screen.say(f"{error}; Ctrl-] t takes it over")
            self._first.read_only = True
            return
        if not self._was_taken or not may_come_back(error, was_taken=True):
            raise error
        self._seats = []
        self._screen.say("hostd went away; waiting for it")
        await self._connection.until_it_answers()

    def _say_once(self, words: str) -> None:
        if words != self._said:
            self._said = words
            self._screen.say(words)
