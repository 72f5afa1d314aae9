"""Certificates: whether they can be used, for how long, and whether keys are kept private."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from racklet_hostd.access import AccessRules
from racklet_hostd.checkup.finding import Finding, good, problem, unknown, warning
from racklet_hostd.checkup.system import System
from racklet_hostd.config import RackletConfig
from racklet_hostd.pki.errors import PkiError
from racklet_hostd.pki.reading import read_certificates
from racklet_hostd.server_tls import ServerTls, TlsFiles

AREA = "certificates"
_OTHERS = 0o077
_SOON_DAYS = 7


def check_certificates(config: RackletConfig, system: System) -> Iterator[Finding]:
    """Look at what [tls] names; nothing when it names nothing."""
    files = TlsFiles.of_config(config.tls)
    if files is None:
        return
    keys = {files.key} | ({files.folder.ca_key, files.folder.tokens} if files.folder else set())
    for key in sorted(keys):
        yield from _check_privacy(key)
    if _is_hidden(files.key):
        yield unknown(AREA, f"{files.key} cannot be read by you, so the rest cannot be told", "try again with sudo")
        return
    now = datetime.fromtimestamp(system.unix_s(), UTC)
    try:
        ServerTls(files, AccessRules(config.access))
        own = read_certificates(files.certificate)[0]
    except PkiError as error:
        yield problem(AREA, str(error), "hostd does not start so; see docs/security.md")
        return
    until = own.not_valid_after_utc
    shown = f"hostd's is good until {until:%Y-%m-%d %H:%M} UTC"
    if until <= now:
        yield problem(AREA, f"hostd's ended on {until:%Y-%m-%d %H:%M} UTC", "racklet pki renew server")
    elif (until - now).days < _SOON_DAYS:
        yield warning(AREA, shown, "a hostd that runs and can read ca.key renews it; else: racklet pki renew server")
    else:
        yield good(AREA, shown)


def _check_privacy(key: Path) -> Iterator[Finding]:
    try:
        mode = key.stat().st_mode
    except OSError:  # that it is not there is told by who needs it
        return
    if mode & _OTHERS:
        yield problem(AREA, f"{key} can be read by others (mode {mode & 0o777:04o})", f"chmod 600 {key}")


def _is_hidden(key: Path) -> bool:
    try:
        with key.open("rb"):
            return False
    except PermissionError:
        return True
    except OSError:
        return False
