"""A person's time at a console: what they are told of it, and what they may not type."""

from racklet.v1 import rack_pb2
from racklet_client.console import Console, ConsoleNews
from racklet_client.errors import PreconditionError
from racklet_client.names import short_name
from racklet_client.rack import Rack
from racklet_hostd.cli.console_screen import ConsoleScreen, company

_AWAY = "hostd is away; what you type is not sent"
_LOOKING = "you are only looking; what you type is not sent"


class ConsoleSession(ConsoleNews):
    """Shows a console on a screen and types on it, within the block of its `console`.

    `falls_back`: when somebody else writes, look only and say so, instead of ending.
    """

    def __init__(
        self, rack: Rack, first: rack_pb2.AttachConsoleRequest, screen: ConsoleScreen, *, falls_back: bool
    ) -> None:
        self.looks_when_in_use = falls_back
        self.console = Console(rack.connection, first, self)
        self._name = short_name(first.name)
        self._screen = screen
        self._said = ""

    async def show(self) -> None:
        """Show what comes, for ever. Raises RackError."""
        async for response in self.console:
            self._screen.show(response)

    async def type(self, data: bytes) -> None:
        """Type, or say why not: nobody wants keystrokes to come out later."""
        if self.console.is_there and self.console.writes:
            await self.console.type(data)
        else:
            self._say_once(_LOOKING if self.console.is_there else _AWAY)

    async def take_over(self) -> None:
        """Become the one who types."""
        if self.console.is_there:
            await self.console.take_over()
        else:
            self._say_once(_AWAY)

    def who(self) -> str:
        """Return who is at the console, as a sentence."""
        return f"at the console of {self._name}: {company(self.console.seats) or 'not known, hostd is away'}"

    def away(self) -> None:
        """Say it."""
        self._screen.say("hostd went away; waiting for it")

    def back(self) -> None:
        """Say it."""
        self._said = ""
        self._screen.say("hostd is back")

    def unsure(self, count: int) -> None:
        """Say it."""
        typed = "the last key" if count == 1 else f"the last {count} keys"
        self._screen.say(f"{typed} you typed may not have arrived")

    def looking(self, error: PreconditionError) -> None:
        """Say it, and how to type all the same."""
        self._screen.say(f"{error}; Ctrl-] t takes it over")

    def company(self, before: list[rack_pb2.ConsoleSeat], seats: list[rack_pb2.ConsoleSeat]) -> None:
        """Say who is here, unless nobody else is or was."""
        if len(seats) > 1 or len(before) > 1:
            self._screen.say(self.who())

    def _say_once(self, words: str) -> None:
        if words != self._said:
            self._said = words
            self._screen.say(words)
