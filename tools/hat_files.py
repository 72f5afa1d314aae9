"""What lies in the file system of a HAT that was set up: start-up code, keys, board, and firmware in slot a."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from racklet_emulator.firmware_files import compile_module
from tools.firmware_build import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from racklet_bundle.bundle import Bundle

BOOT_MODULES: Final = ("__init__", "constant", "lms", "selector", "slots")
MAIN: Final = b"""# Starts the firmware: the slot that verifies.
import micropython

# hostd may be talking already, and a byte 3 in a frame is no Ctrl-C.
micropython.kbd_intr(-1)

from racklet_boot import selector

selector.main()
"""
STATE: Final = json.dumps({"active": "a", "trial": "", "tried": "", "floor": 0}).encode()


def hat_files(bundle: Bundle, keys: Sequence[bytes], board: str, architecture: str) -> dict[str, bytes]:
    """Return the files by their paths, in the order in which they are to be written: the last one makes it start."""
    files: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        for module in BOOT_MODULES:
            compiled = Path(folder, "module.mpy")
            compile_module(ROOT / "firmware" / "racklet_boot" / f"{module}.py", compiled, architecture)
            files[f"racklet_boot/{module}.mpy"] = compiled.read_bytes()
    for file, content in zip(bundle.manifest.files, bundle.files, strict=True):
        files[f"slots/a/{file.name}"] = content
    files["slots/a/manifest.sig"] = bundle.signature
    files["slots/a/manifest.json"] = bundle.manifest.encode()
    files["slots/board"] = board.encode()
    files["slots/keys"] = "\n".join(key.hex() for key in keys).encode()
    files["slots/state"] = STATE
    files["main.py"] = MAIN
    return files
