"""The commands that make certificates. They need no hostd, but the key of the CA."""

import functools
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import platformdirs
import typer
from rich.text import Text

from racklet_client.credentials import default_credentials_folder
from racklet_hostd.cli.errors import ExitCode
from racklet_hostd.cli.output import Output, remark
from racklet_hostd.cli.session import JsonOption
from racklet_hostd.cli.tables import plain_table
from racklet_hostd.errors import RackletError
from racklet_hostd.pki.folder import SERVER, Entry, PkiFolder, copy_bundle
from racklet_hostd.pki.making import CALLER_LIFE_DAYS, hosts_of, utc_now
from racklet_hostd.pki.reading import read_certificates
from racklet_hostd.role import Role

PKI_VARIABLE = "RACKLET_PKI"
_FIRST_ADMIN = "admin"

app = typer.Typer(no_args_is_help=True, help="Make certificates for hostd and those who call it over TCP.")

FolderOption = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        envvar=PKI_VARIABLE,
        metavar="FOLDER",
        help="The folder of the CA. Without it: racklet/pki in your config folder.",
    ),
]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Whose certificate.")]
DaysOption = Annotated[int, typer.Option("--days", min=1, max=3650, metavar="N", help="For how long it is good.")]
HostOption = Annotated[
    list[str] | None,
    typer.Option("--host", metavar="HOST", help="A name or IP address by which hostd is reached. May be repeated."),
]


def _said_plainly(command: Callable[..., None]) -> Callable[..., None]:
    """Make an error of certificates a sentence and an exit code."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> None:  # noqa: ANN401  whatever the command takes
        try:
            command(*arguments, **options)
        except RackletError as error:
            remark(str(error))
            raise typer.Exit(ExitCode.FAILED) from error

    return run


def _folder(named: Path | None) -> PkiFolder:
    default = Path(platformdirs.user_config_dir("racklet", appauthor=False)) / "pki"
    return PkiFolder((named or default).absolute())


@app.command()
@_said_plainly
def init(folder: FolderOption = None, host: HostOption = None) -> None:
    """Make a CA, a certificate for hostd, and one for you as the first admin.

    Run it as the user that hostd runs as, or as root in a folder of that user. This computer's name and its loopback
    addresses are always in hostd's certificate.
    """
    pki = _folder(folder)
    now = utc_now()
    pki.begin(f"Racklet CA of {socket.gethostname()}"[:64], _hosts(host or []), now)
    bundle = pki.issue(_FIRST_ADMIN, Role.ADMIN, now)
    mine = default_credentials_folder()
    kept = "" if mine.exists() else f"Your certificate as admin is in {mine}; `racklet --address HOST:PORT` finds it.\n"
    if kept:
        copy_bundle(bundle, mine)
    typer.echo(
        f"The CA is in {pki.path}. Put this into racklet.toml and start hostd again:\n\n"
        f'    [grpc]\n    tcp = "0.0.0.0:50551"\n\n    [tls]\n    folder = "{pki.path}"\n\n'
        f"{kept or f'The certificate of the first admin is in {bundle}.'}".rstrip("\n")
        + "\nOthers get theirs with `racklet pki issue NAME --role viewer|operator|admin`."
    )


@app.command()
@_said_plainly
def issue(
    name: NameArgument,
    role: Annotated[str, typer.Option("--role", metavar="ROLE", help="viewer, operator or admin.")],
    days: DaysOption = CALLER_LIFE_DAYS,
    folder: FolderOption = None,
) -> None:
    """Make a certificate for somebody who calls hostd."""
    wanted = next((each for each in Role if each.word == role), None)
    if wanted is None:
        raise typer.BadParameter(f"{role!r} is no role: viewer, operator or admin", param_hint="--role")
    pki = _folder(folder)
    _refuse_second(pki, name)
    bundle = pki.issue(name, wanted, utc_now(), days)
    typer.echo(_handed_over(name, bundle))


@app.command()
@_said_plainly
def renew(
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"Whose certificate; `{SERVER}` is hostd's own.")],
    days: DaysOption = CALLER_LIFE_DAYS,
    folder: FolderOption = None,
    host: HostOption = None,
) -> None:
    """Make another certificate like the last one of that name, with a new key. hostd renews its own by itself."""
    pki = _folder(folder)
    last = _last_of(pki, name)
    if last.role is None:
        hosts = _hosts(host) if host else hosts_of(read_certificates(pki.server)[0])
        pki.renew_server(hosts, utc_now())
        typer.echo(f"{pki.server} is renewed. A hostd that runs takes it up within seconds.")
    else:
        typer.echo(_handed_over(name, pki.issue(name, last.role, utc_now(), days)))


@app.command()
@_said_plainly
def revoke(name: NameArgument, folder: FolderOption = None) -> None:
    """Make every certificate of that name useless. hostd takes it up within seconds and ends open connections."""
    gone = _folder(folder).revoke(name, utc_now())
    for serial in gone:
        typer.echo(f"{name}: serial {serial:x} is revoked")


@app.command("list")
@_said_plainly
def list_certificates(folder: FolderOption = None, *, as_json: JsonOption = False) -> None:
    """Show every certificate that was issued."""
    output = Output(as_json)
    entries = _folder(folder).entries()
    if as_json:
        for entry in entries:
            role = entry.role.word if entry.role else ""
            output.record(
                name=entry.name,
                role=role,
                serial=f"{entry.serial:x}",
                until=entry.until.isoformat(),
                state=_state(entry),
            )
        return
    table = plain_table("NAME", "ROLE", "GOOD UNTIL", "STATE", "SERIAL")
    for entry in entries:
        role = entry.role.word if entry.role else "(hostd)"
        style = "green" if _state(entry) == "good" else "dim"
        until = entry.until.astimezone().strftime("%Y-%m-%d %H:%M")
        table.add_row(Text(entry.name), Text(role), Text(until), Text(_state(entry), style), Text(f"{entry.serial:x}"))
    output.show(table)


@app.command()
@_said_plainly
def token(folder: FolderOption = None) -> None:
    """Make a token with which Prometheus may read /metrics over TLS. It is shown once, and only its hash is kept."""
    typer.echo(_folder(folder).add_token())


def _handed_over(name: str, bundle: Path) -> str:
    return (
        f"What {name} needs is in {bundle}: hand it over in private, and delete client.key here.\n"
        f"{name} puts it into {_shown_default()}, or names it with --credentials."
    )


def _shown_default() -> str:
    folder = default_credentials_folder()
    return f"~/{folder.relative_to(Path.home())}" if folder.is_relative_to(Path.home()) else str(folder)


def _refuse_second(pki: PkiFolder, name: str) -> None:
    if any(entry.name == name and _state(entry) == "good" for entry in pki.entries()):
        remark(f"{name} has a certificate that is still good: `racklet pki renew {name}` makes another one like it")
        raise typer.Exit(ExitCode.FAILED)


def _last_of(pki: PkiFolder, name: str) -> Entry:
    entries = [entry for entry in pki.entries() if entry.name == name]
    if not entries:
        remark(f"no certificate was issued to {name}; `racklet pki list` shows all")
        raise typer.Exit(ExitCode.NOT_FOUND)
    return max(entries, key=lambda entry: entry.until)


def _state(entry: Entry) -> str:
    if entry.is_revoked:
        return "revoked"
    return "good" if entry.until > utc_now() else "ended"


def _hosts(named: list[str]) -> list[str]:
    own = socket.gethostname()
    return list(dict.fromkeys([*named, own, "localhost", "127.0.0.1", "::1"]))
