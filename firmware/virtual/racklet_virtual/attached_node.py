"""What hangs on a HAT: the interface of a node, whether it is scripted or a machine of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from racklet_virtual.node import Habit, NodeProfile, Sent
    from racklet_virtual.script import NodeState
    from racklet_virtual.shell import Order


class NodeRefusesError(Exception):
    """This kind of node cannot do that; the message says why."""


class AttachedNode(Protocol):
    """A node as its HAT sees it: a load on the rail, a UART, a soft-off input and a halted output.

    Time comes in as microseconds and never goes back. A checker looks at `state`, `phase` and `starts`.
    """

    @property
    def profile(self) -> NodeProfile:
        """How it is."""

    @property
    def state(self) -> NodeState:
        """What it does."""

    @property
    def phase(self) -> str:
        """The phase of its boot, or its state once that is over."""

    @property
    def starts(self) -> int:
        """How often it started, with the supply or by itself."""

    @property
    def amperes(self) -> float:
        """The current it draws now."""

    @property
    def halted(self) -> bool:
        """The halted output: it has shut down and waits for the cut."""

    @property
    def sending(self) -> bool:
        """True while bytes are on the wire."""

    def power(self, *, on: bool, at_us: int) -> None:
        """The rail is good, or too low to run."""

    def ask_to_stop(self, *, asked: bool, at_us: int) -> None:
        """The soft-off input: asked while it is held low. A node that is not up ignores it."""

    def type(self, data: bytes, at_us: int) -> None:
        """Bytes arrive on the console."""

    def obey(self, order: Order, at_us: int) -> None:
        """Do what a command, or a person with a fault to inject, asks for."""

    def set_habit(self, habit: Habit) -> None:
        """Choose what it does at every boot from the next one on. Raises NodeRefusesError."""

    def reset(self, at_us: int, *, holds_low: bool = True) -> None:
        """Start again without a word, the supply unmoved. Nothing when it is off.

        A chip in reset holds its line low, unless a resistor on the board holds it high.
        """

    def advance(self, at_us: int) -> None:
        """Let everything happen up to `at_us`."""

    def next_change_us(self) -> int | None:
        """When it next does something by itself, other than sending what waits."""

    def line_free_us(self) -> int | None:
        """When the last byte that waits will have left; None when none waits."""

    def holds_low(self, at_us: int) -> bool:
        """Whether its line is low for longer than a character: it is in reset, or has no power."""

    @property
    def went_low(self) -> bool:
        """Whether the newest that left is a line that stays low, which shall be told at once."""

    def take_output(self) -> list[Sent]:
        """Return what left since the last call."""

    def delay(self, by_us: int) -> None:
        """Stall: its world was late, and a node never sends faster than its baud rate to catch up."""

    async def stop(self) -> None:
        """End it for good. Returns when nothing is left of it."""
