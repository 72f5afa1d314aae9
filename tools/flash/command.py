"""The command: `just flash PORT`."""

from __future__ import annotations

import contextlib
import hashlib
import sys
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from racklet.link.v1 import link_pb2
from racklet_boot import lms
from racklet_bundle import signing_key
from racklet_bundle.bundle import Bundle
from racklet_bundle.errors import BundleError, SigningError
from tools.firmware_build import CHIP, COMPUTER, ROOT, build, signed
from tools.flash.errors import FlashError, NoHatError, NoSpaceError, TooOldError
from tools.flash.greeting import wait_for_hello
from tools.flash.micropython import OLDEST, MicroPython, WhatItIs
from tools.hat_files import hat_files

if TYPE_CHECKING:
    from collections.abc import Mapping

_ARCHITECTURES = {4: CHIP, 2: COMPUTER}  # of the .mpy format, by number
_OWN_KEY = ROOT / ".cache" / "firmware.key"
_OWN_BUNDLES = ROOT / ".cache" / "firmware"
_OURS = ("main.py", "racklet_boot/", "racklet_hat/", "racklet_link/", "slots/", "new")
_SPARE_BYTES = 64 * 1024  # for the file system's own, and for what goes before it is replaced
_PATIENCE_S = 30.0

console = Console(highlight=False, soft_wrap=True)


def flash(
    port: Annotated[Path, typer.Argument(metavar="PORT", help="The HAT's serial port, such as /dev/ttyACM0.")],
    *,
    bundle: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A signed bundle instead of this checkout's firmware.")
    ] = None,
    key: Annotated[
        list[Path] | None,
        typer.Option(metavar="KEYFILE.pub", help="A key whose bundles the HAT shall trust. Repeatable."),
    ] = None,
    board: Annotated[str, typer.Option(help="The board and its revision.")] = "hat-a",
    patience: Annotated[float, typer.Option(metavar="SECONDS", help="How long its Hello may take.")] = _PATIENCE_S,
) -> None:
    """Put the firmware on a HAT. Its supply does not move. Interrupted, it is run again."""
    try:
        _flash(port, bundle, key or [], board, patience)
    except (FlashError, BundleError, SigningError) as error:
        print(f"flash: {error}", file=sys.stderr)
        raise typer.Exit(error.exit_code if isinstance(error, FlashError) else 1) from error
    except KeyboardInterrupt as error:
        print("flash: stopped; the HAT may be in the middle of it: run this again", file=sys.stderr)
        raise typer.Exit(130) from error


def _flash(port: Path, bundle_file: Path | None, key_files: list[Path], board: str, patience_s: float) -> None:
    keys = [_public_key(file) for file in key_files]
    given = _bundle_in(bundle_file, keys) if bundle_file is not None else None
    with MicroPython(port) as hat:
        what = hat.what_it_is()
        architecture = _check(port, what)
        console.print(f"{port}: {what.board}, MicroPython {'.'.join(map(str, what.version))}, id {what.hat_id}")
        bundle, keys = (given, keys) if given is not None else _own_bundle(architecture, keys)
        _check_bundle(bundle, what, board)
        files = hat_files(bundle, keys, board, architecture)
        _bring(hat, what, files)
        hat.reset()
    hello = wait_for_hello(port, patience_s)
    if hello.slot == 0:
        raise FlashError("the HAT runs firmware that is in no slot: something else starts it; look at its boot.py")
    console.print(_described(hello, keys))


def _check(port: Path, what: WhatItIs) -> str:
    """Return what its code is compiled for. Raises FlashError."""
    is_chip, is_virtual = what.platform == "rp2", what.platform == "linux" and bool(what.hat_id)
    if what.name != "micropython" or not (is_chip or is_virtual):
        raise NoHatError(f"{port} is {what.board or what.platform}, and no HAT: that has an RP2040")
    if what.version < OLDEST:
        wanted, found = ".".join(map(str, OLDEST)), ".".join(map(str, what.version))
        raise TooOldError(f"the HAT has MicroPython {found}, and the firmware needs {wanted}: docs/firmware.md")
    architecture = _ARCHITECTURES.get(what.mpy >> 10 & 63)
    if architecture is None:
        raise NoHatError(f"{port} has a processor for which the firmware is not compiled yet: {what.board}")
    return architecture


def _own_bundle(architecture: str, keys: list[bytes]) -> tuple[Bundle, list[bytes]]:
    """Return this checkout's firmware, signed with a key of this checkout, which the HAT then trusts as well."""
    if not _OWN_KEY.exists():
        _OWN_KEY.parent.mkdir(exist_ok=True)
        signing_key.create_key(_OWN_KEY)
        console.print(f"Made {_OWN_KEY.relative_to(ROOT)}, to sign what this checkout builds.")
    bundle = build(architecture)
    state = signing_key.read_key(_OWN_KEY)
    kept = _OWN_BUNDLES / f"{architecture}.bundle"
    with contextlib.suppress(OSError, BundleError):  # what was signed before takes no new signature
        known = Bundle.decode(kept.read_bytes())
        if known.manifest == bundle.manifest and known.is_signed_by(state.public_key):
            return known, [*keys, state.public_key]
    signature = signing_key.sign(_OWN_KEY, ROOT / ".cache" / "signing", bundle.manifest.encode())
    bundle = signed(bundle, state.tree.identity, signature)
    _OWN_BUNDLES.mkdir(exist_ok=True)
    kept.write_bytes(bundle.encode())
    return bundle, [*keys, state.public_key]


def _bundle_in(file: Path, keys: list[bytes]) -> Bundle:
    try:
        bundle = Bundle.decode(file.read_bytes())
    except OSError as error:
        raise BundleError(f"{file}: {error.strerror}") from error
    except BundleError as error:
        raise BundleError(f"{file}: {error}") from error
    if not any(bundle.is_signed_by(key) for key in keys):
        raise BundleError(f"{file} is not signed by a key that --key names, so the HAT would not run it")
    return bundle


def _check_bundle(bundle: Bundle, what: WhatItIs, board: str) -> None:
    if board not in bundle.manifest.boards:
        raise BundleError(f"the bundle is for {', '.join(bundle.manifest.boards)}, not for {board}")
    if (bundle.manifest.mpy ^ what.mpy) & 0xFFFF:
        raise BundleError("the bundle is compiled for another MicroPython or another processor than the HAT's")


def _public_key(file: Path) -> bytes:
    try:
        key = bytes.fromhex(file.read_text("ascii").strip())
    except (OSError, ValueError):
        key = b""
    if len(key) != lms.KEY_BYTES:
        raise BundleError(f"{file} holds no public key; `racklet firmware keygen` makes KEYFILE.pub")
    return key


def _bring(hat: MicroPython, what: WhatItIs, files: Mapping[str, bytes]) -> None:
    """Make the file system hold these files, main.py last: until then the HAT starts into its REPL."""
    there = hat.hashes()
    wanted = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
    stale = [path for path in there if path.startswith(_OURS) and path not in wanted]
    missing = [path for path in files if there.get(path) != wanted[path]]
    if sum(len(files[path]) for path in missing) + _SPARE_BYTES > what.free_bytes + _bytes_of(stale, missing, there):
        raise NoSpaceError(f"the HAT's flash has {what.free_bytes:,} bytes free, too few for the firmware")
    if stale or missing:
        hat.remove(path for path in ("main.py",) if path in there)
        hat.remove(path for path in stale if path != "main.py")
        missing = [path for path in missing if path != "main.py"] + ["main.py"]
    with contextlib.ExitStack() as stack:
        status = stack.enter_context(console.status("")) if console.is_terminal else None
        for number, path in enumerate(missing, 1):
            if status is not None:
                status.update(f"{number} of {len(missing)}: {path}")
            hat.write(path, files[path])
    found = hat.hashes()
    damaged = [path for path in files if found.get(path) != wanted[path]]
    if damaged:
        raise FlashError(f"{damaged[0]} is not what was written; run this again, and if it stays so the flash is worn")
    console.print(f"{len(missing)} of {len(files)} files written, all of them checked.")


def _bytes_of(stale: list[str], missing: list[str], there: Mapping[str, str]) -> int:
    """Return what becomes free: at least a sector for each file that goes or is replaced."""
    return 4096 * (len(stale) + sum(path in there for path in missing))


def _described(hello: link_pb2.Hello, keys: list[bytes]) -> str:
    state = link_pb2.SupplyState.Name(hello.supply_state).removeprefix("SUPPLY_STATE_").lower()
    trusted = ", ".join(lms.identity_of(key).hex()[:8] for key in keys)
    return (
        f"It runs firmware {hello.firmware} on board {hello.board}, slot {'ab'[hello.slot - 1]},"
        f" security version {hello.security_version}; link protocol {hello.protocol_min} to {hello.protocol_max}.\n"
        f"It trusts the keys {trusted}. Its supply is {state}."
    )


def main() -> None:
    """Run the command."""
    typer.run(flash)
