"""A node's console over as many streams as hostd needs, with what was typed and shown kept in step."""

import asyncio
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Self

from racklet.v1 import rack_pb2
from racklet_client.connection import Connection, ConsoleCall
from racklet_client.console_input import ConsoleInput
from racklet_client.errors import LostError, PreconditionError, RackError, RefusedError
from racklet_client.names import short_name


class ConsoleNews:
    """What may happen at a console, besides what the node sends; override what is of interest."""

    looks_when_in_use = False  # when somebody else types at the beginning: look on, instead of raising

    def away(self) -> None:
        """Hostd went away, and is waited for."""

    def back(self) -> None:
        """Hostd is back, and the console goes on where it was."""

    def unsure(self, count: int) -> None:
        """So many bytes typed last may or may not have been typed; they are not typed again."""

    def looking(self, error: PreconditionError) -> None:
        """Somebody else types; from now on this console only looks."""

    def company(self, before: list[rack_pb2.ConsoleSeat], seats: list[rack_pb2.ConsoleSeat]) -> None:
        """Who is at the console has changed."""


class Console:
    """An async context manager: attached within the block. Iterate it for what hostd sends.

    After a restart of hostd it goes on at the byte where it was, and nothing is typed twice. Entering and iterating
    raise RackError when hostd refuses, or cannot be reached at the beginning.

    Attributes:
        seats: everybody at the console, as hostd told last; empty while it is away.
        writes: whether this console types.
    """

    def __init__(
        self, connection: Connection, first: rack_pb2.AttachConsoleRequest, news: ConsoleNews | None = None
    ) -> None:
        self.seats: list[rack_pb2.ConsoleSeat] = []
        self.writes = not first.read_only
        self._connection = connection
        self._first = first
        self._first.caller_id = secrets.token_hex(16)
        self._name = short_name(first.name)
        self._news = news or ConsoleNews()
        self._input = ConsoleInput()
        self._attached: ConsoleCall | None = None
        self._is_there = asyncio.Event()  # while a stream is open
        self._was_taken = False
        self._coming = self._responses()
        self._held: rack_pb2.AttachConsoleResponse | None = None

    @property
    def is_there(self) -> bool:
        """Whether hostd is there; what is typed while it is not waits."""
        return self._attached is not None

    async def __aenter__(self) -> Self:
        try:
            self._held = await anext(self._coming)
        except BaseException:
            await self._coming.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._coming.aclose()

    async def __aiter__(self) -> AsyncGenerator[rack_pb2.AttachConsoleResponse, None]:
        """Yield what hostd sends, until the console is left."""
        if self._held is not None:
            held, self._held = self._held, None
            yield held
        async for response in self._coming:
            yield response

    async def type(self, data: bytes) -> None:
        """Type once hostd is there and has room for it. Who only looks is told so by hostd, in a notice."""
        while self._attached is None:
            await self._is_there.wait()
        await self._attached.send(self._input.type(data))

    async def take_over(self) -> None:
        """Become the one who types, once hostd is there."""
        while self._attached is None:
            await self._is_there.wait()
        await self._attached.send(rack_pb2.AttachConsoleRequest(take_over=True, input_offset=self._input.offset))

    async def leave(self) -> None:
        """Let what was typed arrive; nothing can be typed after it."""
        if self._attached is not None:
            await self._attached.say_goodbye()

    async def _responses(self) -> AsyncGenerator[rack_pb2.AttachConsoleResponse, None]:
        is_left = False
        while not is_left:
            self._first.input_offset = self._input.offset
            try:
                async with self._connection.console(self._first, self._name) as attached:
                    async with aclosing(self._attend(attached)) as responses:
                        async for response in responses:
                            yield response
                    is_left = attached.is_left
            except (LostError, RefusedError) as error:
                await self._recover(error)
            else:
                if not is_left:
                    raise RackError(f"{self._name}: hostd ended the console")

    async def _attend(self, attached: ConsoleCall) -> AsyncGenerator[rack_pb2.AttachConsoleResponse, None]:
        """Yield what comes until the stream ends."""
        is_first = True
        try:
            async for response in attached.output:
                if is_first:
                    await self._arrive(attached, response)
                    is_first = False
                self._take(response)
                yield response
        finally:
            self._attached = None
            self._is_there.clear()

    async def _arrive(self, attached: ConsoleCall, response: rack_pb2.AttachConsoleResponse) -> None:
        if self._was_taken:
            self._news.back()
            await self._type_again(attached, response)
        self._was_taken = True
        self._first.take_over = False
        self._attached = attached
        self._is_there.set()

    async def _type_again(self, attached: ConsoleCall, response: rack_pb2.AttachConsoleResponse) -> None:
        if response.is_resumed:
            self._input.told(response.typed_offset)
            if rest := self._input.rest():
                await attached.send(rest)
        elif count := self._input.give_up():
            self._news.unsure(count)

    def _take(self, response: rack_pb2.AttachConsoleResponse) -> None:
        self._input.told(response.typed_offset)
        if response.data:
            self._first.from_boot, self._first.from_offset = response.boot, response.offset + len(response.data)
        if response.seats:
            before, self.seats = self.seats, list(response.seats)
            self.writes = any(seat.is_you and seat.writes for seat in self.seats)
            self._first.read_only = not self.writes
            self._news.company(before, self.seats)

    async def _recover(self, error: LostError | RefusedError) -> None:
        may_look = not self._first.read_only and (self._news.looks_when_in_use or self._was_taken)
        if isinstance(error, PreconditionError) and may_look:
            self._news.looking(error)
            self._first.read_only = True
            return
        if not self._was_taken or not isinstance(error, LostError):
            raise error
        self.seats = []
        self._news.away()
        await self._connection.until_it_answers()
