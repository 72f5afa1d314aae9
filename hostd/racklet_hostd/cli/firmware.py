"""The firmware of the HATs: update it over the link; and the offline side, which makes keys and signs."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, NoReturn

import platformdirs
import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from racklet.v1 import rack_pb2
from racklet_boot import lms
from racklet_bundle import signing_key
from racklet_bundle.bundle import BUNDLE_MAX, Bundle
from racklet_bundle.errors import BundleError, SigningError
from racklet_client.errors import RefusedError
from racklet_client.names import short_name
from racklet_hostd.cli.errors import ExitCode
from racklet_hostd.cli.output import Output, remark
from racklet_hostd.cli.session import JsonOption, Session, command
from racklet_hostd.cli.terminal_text import printable

_STYLES = {
    rack_pb2.UPDATE_STAGE_DONE: "green",
    rack_pb2.UPDATE_STAGE_CURRENT: "green",
    rack_pb2.UPDATE_STAGE_WAITING: "yellow",
    rack_pb2.UPDATE_STAGE_FAILED: "bold red",
    rack_pb2.UPDATE_STAGE_LEFT: "yellow",
}
_HEIGHTS = {5: 5, 10: 6, 15: 7}  # types of LMS by the height of the tree
_KEY_HELP = "The key file that `racklet firmware keygen` has made."

app = typer.Typer(no_args_is_help=True, help="Update the firmware of HATs; make keys, sign and look at bundles.")


def _check_words(*, words: list[str], is_for_all: bool, **_others: object) -> None:
    """Refuse what needs no hostd to be wrong."""
    *names, file = words
    if bool(names) == is_for_all:
        raise typer.BadParameter("name the nodes, or say --all", param_hint="NODE")
    if not _decoded(Path(file), _contents(Path(file))).signature:
        _give_up(f"{file} is not signed; `racklet firmware sign` signs it")


async def _update(
    session: Session,
    words: Annotated[
        list[str], typer.Argument(metavar="[NODE]... FILE", help="The nodes, the canary first, then the signed bundle.")
    ],
    *,
    is_for_all: Annotated[bool, typer.Option("--all", help="Every node, in the order of their names.")] = False,
) -> None:
    """Update the firmware of HATs, one after the other, and stop at the first failure.

    Supplies do not move. Each HAT verifies the bundle, tries it, and goes back if hostd does not hear it measure.
    """
    *names, file = words
    bundle = _contents(Path(file))
    await _follow(session.output, session.rack.update_firmware(bundle, *([] if is_for_all else names)))


app.command("update")(command(_update, _check_words))


async def _follow(output: Output, coming: AsyncGenerator[rack_pb2.UpdateFirmwareResponse, None]) -> None:
    shown = _Shown(output)
    try:
        with shown.progress:
            async with aclosing(coming) as responses:
                async for response in responses:
                    shown.take(response)
    except RefusedError as error:
        if not shown.has_failed:
            raise
        raise typer.Exit(ExitCode.FAILED) from error  # it is told already


class _Shown:
    """Shows an update as it goes: a line for each step of each HAT, and a bar on a terminal."""

    def __init__(self, output: Output) -> None:
        self.has_failed = False
        self._output = output
        self._told: tuple[str, int] = ("", 0)
        self._bars: dict[str, TaskID] = {}
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
        is_drawn = output.is_terminal and not output.as_json
        self.progress = Progress(*columns, console=output.console, transient=True, disable=not is_drawn)

    def take(self, response: rack_pb2.UpdateFirmwareResponse) -> None:
        """Show what hostd tells."""
        self.has_failed |= response.stage == rack_pb2.UPDATE_STAGE_FAILED
        if self._output.as_json:
            self._output.json(response)
            return
        node = printable(short_name(response.name))
        if node not in self._bars:
            self._bars[node] = self.progress.add_task(node, total=response.total_bytes or None)
        self.progress.update(self._bars[node], completed=response.done_bytes)
        if (node, response.stage) == self._told:
            return
        self._told = (node, response.stage)
        if response.stage != rack_pb2.UPDATE_STAGE_SENDING:
            self.progress.remove_task(self._bars.pop(node))
        style = _STYLES.get(response.stage, "")
        self._output.show(Text.assemble((f"{node}  ", "bold"), (printable(response.message), style)))


@app.command("keygen")
def keygen(
    key: Annotated[Path, typer.Argument(metavar="KEYFILE", help="Where the key goes; KEYFILE.pub is what HATs trust.")],
    *,
    height: Annotated[
        int, typer.Option(help="The key signs 2^HEIGHT times: 5, 10 or 15. 15 takes a minute.", metavar="HEIGHT")
    ] = 10,
) -> None:
    """Make a key to sign firmware with. Do it on a computer that is not on a network, and keep one copy."""
    if height not in _HEIGHTS:
        raise typer.BadParameter("expected 5, 10 or 15", param_hint="--height")
    public = key.with_name(f"{key.name}.pub")
    if public.exists():
        _give_up(f"{public} is there already; a key is never overwritten")
    try:
        state = signing_key.create_key(key, _HEIGHTS[height])
        public.write_text(state.public_key.hex() + "\n")
    except SigningError as error:
        _give_up(str(error))
    except OSError as error:
        _give_up(f"{public} cannot be written: {error.strerror}")
    typer.echo(f"{key} signs {state.left} bundles. Never sign with a copy of it: docs/updates.md tells why.")
    typer.echo(f"{public} is for `just flash --key` and for the next bundle's keys.")


@app.command("sign")
def sign(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The bundle that `just firmware` has built.")],
    *,
    key: Annotated[Path, typer.Option("--key", metavar="KEYFILE", help=_KEY_HELP)],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where the signed bundle goes.", show_default="FILE")
    ] = None,
) -> None:
    """Sign a bundle. Each signature uses up one of the key's, also when this is interrupted."""
    bundle = _decoded(file, _contents(file))
    target = out or file
    ledger = platformdirs.user_state_path("racklet", appauthor=False) / "signing"
    try:
        state = signing_key.read_key(key)
        if bundle.is_signed_by(state.public_key):
            _give_up(f"{file} is signed with this key already")
        if bundle.manifest.keys and state.public_key not in bundle.manifest.keys:
            _give_up("the bundle's keys leave out the key that signs it, and no HAT would take it")
        signature = state.tree.identity + signing_key.sign(key, ledger, bundle.manifest.encode())
        new = target.with_name(f"{target.name}.new")
        new.write_bytes(Bundle(bundle.manifest, bundle.files, signature).encode())
        new.replace(target)
    except SigningError as error:
        _give_up(str(error))
    except OSError as error:
        _give_up(f"{target} cannot be written: {error.strerror}")
    typer.echo(f"{target} is signed. {key} is good for {state.left - 1} more.")


@app.command("inspect")
def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A bundle.")],
    *,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="KEYFILE.pub", help="Check the signature with this public key.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what is in a bundle, and whether it is signed."""
    bundle = _decoded(file, _contents(file))
    manifest = bundle.manifest
    is_good = bundle.is_signed_by(public_key_in(key)) if key is not None else None
    told = {
        "version": manifest.version,
        "security_version": manifest.security_version,
        "boards": list(manifest.boards),
        "protocol": list(manifest.protocol),
        "mpy": manifest.mpy,
        "files": len(manifest.files),
        "bytes": manifest.size,
        "digest": bundle.digest.hex(),
        "signed_by": bundle.signer.hex(),
        "verifies": is_good,
    }
    if as_json:
        Output(as_json=True).record(**told)
    else:
        typer.echo(_described(bundle, is_good))
    if is_good is False:
        raise typer.Exit(ExitCode.FAILED)


def _described(bundle: Bundle, is_good: bool | None) -> str:  # noqa: FBT001 - one of three
    manifest = bundle.manifest
    signature = "none; `racklet firmware sign` signs it"
    if bundle.signature:
        verdict = {None: "not checked; --key checks it", True: "verifies", False: "DOES NOT VERIFY"}[is_good]
        signature = f"by the key {bundle.signer.hex()}: {verdict}"
    processor = _ARCHITECTURES.get(manifest.mpy >> 10, "another processor")
    lines = [
        f"firmware          {manifest.version}",
        f"security version  {manifest.security_version}",
        f"boards            {', '.join(manifest.boards)}",
        f"link protocol     {manifest.protocol[0]} to {manifest.protocol[1]}",
        f"compiled for      .mpy {manifest.mpy & 255}.{manifest.mpy >> 8 & 3}, {processor}",
        f"signature         {signature}",
        f"files             {len(manifest.files)}, {manifest.size} bytes",
    ]
    if manifest.keys:
        lines.append(f"brings keys       {', '.join(lms.identity_of(key).hex() for key in manifest.keys)}")
    lines += [f"  {file.length:>6}  {file.sha256[:16]}…  {file.name}" for file in manifest.files]
    return "\n".join(lines)


# Of the .mpy format, by number.
_ARCHITECTURES = {0: "any processor", 2: "x64", 4: "armv6m (RP2040)", 7: "armv7emsp", 8: "armv7emdp"}


def public_key_in(file: Path) -> bytes:
    """Return the public key in a file that keygen has made. Ends the command when there is none."""
    try:
        key = bytes.fromhex(file.read_text("ascii").strip())
    except OSError as error:
        _give_up(f"{file}: {error.strerror}")
    except ValueError:
        key = b""
    if len(key) != lms.KEY_BYTES:
        _give_up(f"{file} holds no public key; `racklet firmware keygen` makes KEYFILE.pub")
    return key


def _contents(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(BUNDLE_MAX + 1)
    except OSError as error:
        _give_up(f"{file}: {error.strerror}")


def _decoded(file: Path, content: bytes) -> Bundle:
    try:
        return Bundle.decode(content)
    except BundleError as error:
        _give_up(f"{file}: {error}")


def _give_up(sentence: str) -> NoReturn:
    remark(sentence)
    raise typer.Exit(ExitCode.FAILED)
