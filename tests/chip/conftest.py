"""HATs on emulated chips."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

import pytest

from racklet_emulator.firmware_files import firmware_image
from racklet_emulator.hat import EmulatedHat
from racklet_emulator.parts import EmulatorUnavailableError, find_parts
from racklet_virtual.hardware import HatHardware
from racklet_virtual.node import Habit, NodeProfile, ScriptedNode
from racklet_virtual.record import SentBoots
from tests.conftest import FIGURE

if TYPE_CHECKING:
    from collections.abc import Iterator


class MakeHat(Protocol):
    """Makes a HAT that runs until the test, or the module's tests, are over."""

    def __call__(
        self, *, baud: int = 115_200, habit: Habit = Habit.NORMAL, talks: bool = False, image: bytes | None = None
    ) -> EmulatedHat:
        """Return a HAT with a node like this: one that `talks` says what the test lets it say, and nothing else.

        `image` is the flash; the project's firmware when it is None.
        """


class TalkingNode(ScriptedNode):
    """A node that runs at once, and sends what it is given."""

    def power(self, *, on: bool, at_us: int) -> None:
        """Run without a word."""
        super().power(on=on, at_us=at_us)
        self._steps.clear()

    def say(self, data: bytes, at_us: int) -> None:
        """Send bytes, one after another at the line's rate."""
        taken = self._line.put(data, at_us)
        assert taken == len(data)


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """Return where sentences go that the run shall end with: what was measured, in emulated time."""
    found: list[str] = []
    yield found
    request.node.user_properties.extend((FIGURE, figure) for figure in found)


@pytest.fixture(scope="session")
def image() -> bytes:
    """Return the flash of a HAT with this project's firmware. Skips where there is no emulator."""
    try:
        return firmware_image(find_parts())
    except EmulatorUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def make_module_hat(image: bytes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeHat]:
    """Return what makes HATs for a module's tests."""
    with ExitStack() as stack:
        yield _maker(stack, image, tmp_path_factory)


@pytest.fixture
def make_hat(image: bytes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeHat]:
    """Return what makes HATs for one test."""
    with ExitStack() as stack:
        yield _maker(stack, image, tmp_path_factory)


def _maker(stack: ExitStack, firmware: bytes, folders: pytest.TempPathFactory) -> MakeHat:
    def make(
        *, baud: int = 115_200, habit: Habit = Habit.NORMAL, talks: bool = False, image: bytes | None = None
    ) -> EmulatedHat:
        profile = NodeProfile("node-1", baud=baud, habit=habit)
        record = SentBoots(folders.mktemp("sent"))
        hardware = HatHardware(profile, record, seed=1, make_node=TalkingNode if talks else ScriptedNode)
        return stack.enter_context(EmulatedHat(image or firmware, hardware))

    return make
