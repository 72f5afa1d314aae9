"""Builds bundles of this checkout's firmware: every module that a HAT holds, compiled."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Annotated, Final

import typer

from racklet_bundle.bundle import Bundle
from racklet_bundle.manifest import BundledFile, Manifest
from racklet_emulator.firmware_files import CHIP, compiled_modules
from racklet_hat import config
from racklet_link.limits import PROTOCOL_MAX, PROTOCOL_MIN

ROOT: Final = Path(__file__).parent.parent
COMPUTER: Final = "x64"  # where the virtual rack runs


_compiled = cache(compiled_modules)  # once for a program: it takes a second


def build(architecture: str, version: str = "", security_version: int = 0) -> Bundle:
    """Return the firmware for an architecture of mpy-cross, not signed yet. The version is the source's by default."""
    contents = _compiled(architecture)
    manifest = Manifest(
        version=version or config.FIRMWARE.decode(),
        security_version=security_version,
        boards=(config.BOARD.decode(),),
        protocol=(PROTOCOL_MIN, PROTOCOL_MAX),
        # Machine code names its architecture, bytecode none.
        mpy=max(content[1] | content[2] << 8 for content in contents.values()),
        files=tuple(BundledFile.of(name, content) for name, content in contents.items()),
    )
    return Bundle(manifest, tuple(contents.values()))


def main(
    *,
    architecture: Annotated[str, typer.Option(help="Of mpy-cross: armv6m is the RP2040, x64 the virtual rack.")] = CHIP,
    version: Annotated[str, typer.Option(help="For people.", show_default="the source's")] = "",
    security_version: Annotated[int, typer.Option(min=0, help="Raise it when older firmware must not come back.")] = 0,
    key: Annotated[
        list[Path] | None,
        typer.Option(metavar="KEYFILE.pub", help="Trusted from this firmware on, instead of those before. Repeatable."),
    ] = None,
) -> None:
    """Build a bundle of this checkout's firmware, to be signed."""
    keys = tuple(bytes.fromhex(file.read_text("ascii").strip()) for file in key or [])
    bundle = build(architecture, version, security_version)
    bundle = replace(bundle, manifest=replace(bundle.manifest, keys=keys))
    target = ROOT / "build" / "firmware" / f"racklet-{bundle.manifest.version}-{architecture}.bundle"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(bundle.encode())
    typer.echo(f"{target.relative_to(ROOT)}: {bundle.manifest.size} bytes of code; `racklet firmware sign` signs it")


def signed(bundle: Bundle, identity: bytes, signature: bytes) -> Bundle:
    """Return the bundle with its signature."""
    return Bundle(bundle.manifest, bundle.files, identity + signature)


if __name__ == "__main__":
    typer.run(main)
