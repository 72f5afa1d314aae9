"""The folder of a CA: who has been issued what. Files are replaced whole, keys are for their owner only.

ca.crt  ca.key     the CA; hostd needs the key only to renew its own certificate
server.pem         hostd's key and certificate
crl.pem            what was revoked; hostd sees a change within seconds
issued/SERIAL.crt  every certificate that was issued
clients/NAME/      what NAME needs: ca.crt, client.crt, client.key
tokens             the SHA-256 of each token for /metrics
"""

import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509

from racklet_hostd.pki.errors import PkiError, PkiFileError
from racklet_hostd.pki.making import CALLER_LIFE_DAYS, Issued, issue_caller, issue_server, make_ca, make_crl
from racklet_hostd.pki.reading import file_bytes, names_of, read_ca, read_certificates, read_revoked
from racklet_hostd.role import Role, role_of_word

SERVER = "server"
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._@-]{0,61}[A-Za-z0-9])?")
_PRIVATE, _PUBLIC = 0o600, 0o644


class Entry(NamedTuple):
    """A certificate that was issued. `role` is None for hostd's own."""

    name: str
    role: Role | None
    serial: int
    until: datetime
    is_revoked: bool


class PkiFolder:
    """A CA and what it issued. Whoever can read ca.key may issue; nobody else needs to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ca_certificate = path / "ca.crt"
        self.ca_key = path / "ca.key"
        self.server = path / "server.pem"
        self.crl = path / "crl.pem"
        self.tokens = path / "tokens"

    def begin(self, name: str, hosts: Iterable[str], now: datetime) -> None:
        """Make the CA and hostd's certificate. Raises PkiError, also when there is a CA already."""
        if self.ca_certificate.exists() or self.ca_key.exists():
            raise PkiError(f"there is a CA in {self.path} already; `racklet pki issue` makes certificates with it")
        for folder in (self.path, self.path / "issued", self.path / "clients"):
            make_folder(folder)
        ca = make_ca(name, now)
        replace_file(self.crl, make_crl(ca, {}, now), _PUBLIC)
        self._keep_server(issue_server(ca, hosts, now))
        replace_file(self.ca_key, ca.key_pem(), _PRIVATE)
        replace_file(self.ca_certificate, ca.certificate_pem(), _PUBLIC)  # last: now it has begun

    def issue(self, name: str, role: Role, now: datetime, days: int = CALLER_LIFE_DAYS) -> Path:
        """Make a certificate for a caller; return the folder of what they need. Raises PkiError."""
        if _NAME.fullmatch(name) is None or name == SERVER:
            raise PkiError(f'"{name}" is no name: expected letters, digits and . _ @ - in between, and not "{SERVER}"')
        ca = self._ca()
        bundle = self.path / "clients" / name
        issued = issue_caller(ca, name, role, now, timedelta(days=days))
        self._keep(issued)
        write_bundle(bundle, ca, issued)
        return bundle

    def renew_server(self, hosts: Iterable[str], now: datetime) -> None:
        """Make another certificate of hostd. Raises PkiError."""
        self._keep_server(issue_server(self._ca(), hosts, now))

    def revoke(self, name: str, now: datetime) -> Sequence[int]:
        """Revoke every certificate of that name which is still good; return their serials. Raises PkiError."""
        ca = self._ca()
        gone = [entry.serial for entry in self.entries() if entry.name == name and not _is_over(entry, now)]
        if not gone:
            raise PkiError(f"{name} has no certificate that is still good; `racklet pki list` shows all")
        revoked = self._revoked() | dict.fromkeys(gone, now)
        replace_file(self.crl, make_crl(ca, revoked, now), _PUBLIC)
        return gone

    def entries(self) -> list[Entry]:
        """Return what was issued, by name and age. Raises PkiError."""
        if not self.ca_certificate.exists():
            raise PkiError(f"there is no CA in {self.path}; `racklet pki init` makes one")
        revoked = self._revoked()
        found = []
        for path in (self.path / "issued").glob("*.crt"):
            certificate = read_certificates(path)[0]
            found.append(_entry(certificate, is_revoked=certificate.serial_number in revoked))
        return sorted(found, key=lambda entry: (entry.role is not None, entry.name, entry.until))

    def add_token(self) -> str:
        """Return a new token for /metrics, of which only the hash is kept. Raises PkiError."""
        token = secrets.token_urlsafe(32)
        known = self.tokens.read_bytes() if self.tokens.exists() else b""
        replace_file(self.tokens, known + token_hash(token).encode() + b"\n", _PRIVATE)
        return token

    def _ca(self) -> Issued:
        if not self.ca_certificate.exists():
            raise PkiError(f"there is no CA in {self.path}; `racklet pki init` makes one")
        return read_ca(self.ca_certificate, self.ca_key)

    def _revoked(self) -> dict[int, datetime]:
        return read_revoked(self.crl, read_certificates(self.ca_certificate))

    def _keep(self, issued: Issued) -> None:
        path = self.path / "issued" / f"{issued.certificate.serial_number:040x}.crt"
        replace_file(path, issued.certificate_pem(), _PUBLIC)

    def _keep_server(self, issued: Issued) -> None:
        self._keep(issued)
        replace_file(self.server, issued.key_pem() + issued.certificate_pem(), _PRIVATE)


def write_bundle(folder: Path, ca: Issued, issued: Issued) -> None:
    """Write what a caller needs. Raises PkiError."""
    make_folder(folder)
    replace_file(folder / "client.key", issued.key_pem(), _PRIVATE)
    replace_file(folder / "client.crt", issued.certificate_pem(), _PUBLIC)
    replace_file(folder / "ca.crt", ca.certificate_pem(), _PUBLIC)


def copy_bundle(source: Path, target: Path) -> None:
    """Copy what a caller needs to where it looks for it. Raises PkiError."""
    make_folder(target)
    for name, mode in (("client.key", _PRIVATE), ("client.crt", _PUBLIC), ("ca.crt", _PUBLIC)):
        replace_file(target / name, file_bytes(source / name), mode)


def make_folder(folder: Path) -> None:
    """Make a folder for its owner only, who is that of the folder it is in when root makes it. Raises PkiError."""
    try:
        if folder.is_dir() and not folder.is_symlink():
            return
        if not folder.parent.exists():
            make_folder(folder.parent)
        folder.mkdir(mode=0o700)
        if os.geteuid() == 0:
            above = folder.parent.stat()
            os.chown(folder, above.st_uid, above.st_gid, follow_symlinks=False)
    except OSError as error:
        raise PkiError(f"{folder} cannot be made: {error.strerror}") from error


def replace_file(path: Path, content: bytes, mode: int) -> None:
    """Put `content` in the place of a file, whole or not at all. Raises PkiFileError."""
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fchmod(file.fileno(), mode)
                if os.geteuid() == 0:  # for a service: what root makes in its folder, it can read
                    above = path.parent.stat()
                    os.fchown(file.fileno(), above.st_uid, above.st_gid)
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise PkiFileError(path, f"cannot be written: {error.strerror}") from error


def token_hash(token: str) -> str:
    """Return what is kept of a token. It has 256 random bits, so that no salt and no slow hash is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


def _entry(certificate: x509.Certificate, *, is_revoked: bool) -> Entry:
    names = names_of(certificate).names
    units = [role_of_word(name.removeprefix("ou:")) for name in names if name.startswith("ou:")]
    name = next((name.removeprefix("cn:") for name in names if name.startswith("cn:")), "")
    role = units[0] if units else None
    shown = name if role else SERVER
    return Entry(shown, role, certificate.serial_number, certificate.not_valid_after_utc, is_revoked)


def _is_over(entry: Entry, now: datetime) -> bool:
    return entry.is_revoked or entry.until <= now
