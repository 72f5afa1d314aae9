"""Builds bundles of this checkout's firmware: every module that a HAT holds, compiled."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from racklet_bundle.bundle import Bundle
from racklet_bundle.manifest import BundledFile, Manifest
from racklet_emulator.firmware_files import compile_module, hat_modules
from racklet_hat import config
from racklet_link.limits import PROTOCOL_MAX, PROTOCOL_MIN

ROOT: Final = Path(__file__).parent.parent
CHIP: Final = "armv6m"  # the RP2040
COMPUTER: Final = "x64"  # where the virtual rack runs


def build(architecture: str, version: str = "", security_version: int = 0) -> Bundle:
    """Return the firmware for an architecture of mpy-cross, not signed yet. The version is the source's by default."""
    contents: dict[str, bytes] = {}
    numbers = 0
    with tempfile.TemporaryDirectory() as folder:
        for source in hat_modules():
            if source.name == "main.py":  # racklet_boot takes its place
                continue
            compiled = Path(folder, source.parent.name, f"{source.stem}.mpy")
            compile_module(source, compiled, architecture)
            content = contents[f"{source.parent.name}/{compiled.name}"] = compiled.read_bytes()
            numbers = max(numbers, content[1] | content[2] << 8)  # machine code names its architecture, bytecode none
    manifest = Manifest(
        version=version or config.FIRMWARE.decode(),
        security_version=security_version,
        boards=(config.BOARD.decode(),),
        protocol=(PROTOCOL_MIN, PROTOCOL_MAX),
        mpy=numbers,
        files=tuple(BundledFile.of(name, content) for name, content in contents.items()),
    )
    return Bundle(manifest, tuple(contents.values()))


def signed(bundle: Bundle, identity: bytes, signature: bytes) -> Bundle:
    """Return the bundle with its signature."""
    return Bundle(bundle.manifest, bundle.files, identity + signature)
