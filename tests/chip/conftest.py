"""HATs on emulated chips."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

import pytest

from racklet_emulator.firmware_files import firmware_image
from racklet_emulator.hat import EmulatedHat
from racklet_emulator.parts import EmulatorUnavailableError, find_parts
from racklet_virtual.hardware import HatHardware
from racklet_virtual.node import NodeProfile
from racklet_virtual.record import SentBoots

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class MakeHat(Protocol):
    """Makes a HAT that runs until the test, or the module's tests, are over."""

    def __call__(self, profile: NodeProfile | None = None, image: bytes | None = None) -> EmulatedHat:
        """Return a HAT with a node like this, and a flash like this: the project's firmware when it is None."""


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
    def make(profile: NodeProfile | None = None, image: bytes | None = None) -> EmulatedHat:
        folder: Path = folders.mktemp("sent")
        hardware = HatHardware(profile or NodeProfile("node-1"), SentBoots(folder), seed=1)
        return stack.enter_context(EmulatedHat(image or firmware, hardware))

    return make
