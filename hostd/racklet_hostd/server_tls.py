"""hostd's side of TLS: its certificate, whom it trusts, who was revoked; kept up to date while it runs."""

import logging
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from cryptography import x509

from racklet_hostd.access import AccessRules
from racklet_hostd.config import TlsConfig
from racklet_hostd.pki.errors import PkiError, PkiFileError
from racklet_hostd.pki.folder import PkiFolder
from racklet_hostd.pki.making import hosts_of
from racklet_hostd.pki.reading import file_bytes, names_of, read_certificates, read_revoked
from racklet_hostd.role import Role

log = logging.getLogger(__name__)

RENEW_AT = 3  # hostd renews its own certificate when a third of its life is left
_PAGES = ("http/1.1",)
_WARN_MS = 7 * 86_400_000  # before a certificate ends that hostd cannot renew

Stamp = tuple[int, int, int]


class TlsFiles(NamedTuple):
    """Where what TLS takes is. `folder` is the CA's own, when `racklet pki` made it."""

    certificate: Path
    key: Path
    client_ca: Path
    crl: Path | None
    folder: PkiFolder | None

    @classmethod
    def of_config(cls, config: TlsConfig) -> "TlsFiles | None":
        """Return the files that the config names; None when it names none."""
        if config.folder is not None:
            folder = PkiFolder(config.folder)
            return cls(folder.server, folder.server, folder.ca_certificate, folder.crl, folder)
        if config.certificate is None or config.key is None or config.client_ca is None:
            return None
        return cls(config.certificate, config.key, config.client_ca, config.crl, None)


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose certificate it is. `role` is None for who has none; `context` is what TLS verified it in."""

    subject: str
    role: Role | None
    serial: int
    until_ms: int
    context: ssl.SSLContext


class ServerTls:
    """TLS as hostd speaks it: version 1.3, and a certificate of every caller of gRPC.

    Files are read again when they change. With other CAs of callers come other contexts, and there is an objection to
    who was verified in the ones before. Files that do not hold together are told of, and what was read before stays.
    Only `tend` writes.

    Raises PkiError.

    Attributes:
        for_callers: in which callers of gRPC are verified.
        for_pages: in which readers of the pages are.
        to_listen: for a listener that keeps its context: each handshake then takes `for_pages` as it is by then.
    """

    def __init__(self, files: TlsFiles, rules: AccessRules) -> None:
        self._files = files
        self._rules = rules
        self._problem = ""
        self._cas = read_certificates(files.client_ca)
        self.for_callers, self.for_pages = self._contexts()
        self.to_listen = self._context(ssl.CERT_OPTIONAL, _PAGES)
        self.to_listen.sni_callback = self._take_present
        self._revoked = self._read_crl(self._cas)
        self._stamps = self._present_stamps()

    def _take_present(self, handshake: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _context: object) -> None:
        handshake.context = self.for_pages

    def holder(self, certificate: bytes, context: ssl.SSLContext) -> Holder:
        """Return whose certificate it is, in DER, that TLS has verified already in `context`. Raises PkiError."""
        try:
            read = x509.load_der_x509_certificate(certificate)
            names = names_of(read)
        except ValueError as error:
            raise PkiError(f"the certificate cannot be read: {error}") from error
        until_ms = round(read.not_valid_after_utc.timestamp() * 1000)
        return Holder(names.subject, self._rules.of_certificate(names), read.serial_number, until_ms, context)

    def objection(self, holder: Holder, now_ms: int) -> str:
        """Return why a certificate is not good any more; "" when it is."""
        if holder.serial in self._revoked:
            return f"the certificate of {holder.subject} (serial {holder.serial:x}) is revoked"
        if holder.until_ms <= now_ms:
            return f"the certificate of {holder.subject} has ended; `racklet pki renew` makes another"
        if holder.context not in {self.for_callers, self.for_pages}:
            return f"the CAs of callers have changed since {holder.subject} connected; connect again"
        return ""

    def tend(self, now_ms: int) -> None:
        """Renew what is due, and read what changed. Blocks for a few stats, or for reading some files."""
        try:
            self._renew_if_due(now_ms)
            stamps = self._present_stamps()
            if stamps != self._stamps:
                self._reload()
                self._stamps = stamps
                log.info("certificates", extra={"read_again": str(self._files.certificate)})
        except PkiError as error:
            self._tell(str(error))
        else:
            self._tell(self._soon_over(now_ms))

    def _reload(self) -> None:
        cas = read_certificates(self._files.client_ca)
        revoked = self._read_crl(cas)
        if cas == self._cas:
            for context in (self.for_callers, self.for_pages):
                self._load_chain(context)
        else:
            self.for_callers, self.for_pages = self._contexts()
        self._cas, self._revoked = cas, revoked

    def _contexts(self) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        return self._context(ssl.CERT_REQUIRED, ["h2"]), self._context(ssl.CERT_OPTIONAL, _PAGES)

    def _context(self, verify: ssl.VerifyMode, protocols: Sequence[str]) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.num_tickets = 0  # who resumes a session is not verified again, though the CAs may have changed since
        context.verify_mode = verify
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.set_alpn_protocols(protocols)
        self._load_chain(context)
        try:
            context.load_verify_locations(self._files.client_ca)
        except (OSError, ValueError) as error:
            raise PkiFileError(self._files.client_ca, f"cannot be used: {error}") from error
        return context

    def _load_chain(self, context: ssl.SSLContext) -> None:
        read_certificates(self._files.certificate)  # tells more than ssl
        file_bytes(self._files.key)
        try:
            context.load_cert_chain(self._files.certificate, self._files.key, password="")
        except ssl.SSLError as error:
            reason = (error.reason or str(error)).lower().replace("_", " ")
            raise PkiFileError(self._files.key, f"is no key of {self._files.certificate}: {reason}") from error
        except (OSError, ValueError) as error:
            raise PkiFileError(self._files.key, f"cannot be used: {error}") from error

    def _read_crl(self, cas: Sequence[x509.Certificate]) -> frozenset[int]:
        return frozenset(read_revoked(self._files.crl, cas)) if self._files.crl is not None else frozenset()

    def _renew_if_due(self, now_ms: int) -> None:
        folder = self._files.folder
        if folder is None or not folder.ca_key.exists():
            return
        own = read_certificates(self._files.certificate)[0]
        if self._is_due(own, now_ms):
            folder.renew_server(hosts_of(own), datetime.fromtimestamp(now_ms / 1000, UTC))
            log.info("certificates", extra={"renewed": str(self._files.certificate)})

    @staticmethod
    def _is_due(own: x509.Certificate, now_ms: int) -> bool:
        left_ms = own.not_valid_after_utc.timestamp() * 1000 - now_ms
        life_ms = (own.not_valid_after_utc - own.not_valid_before_utc).total_seconds() * 1000
        return left_ms < life_ms / RENEW_AT

    def _soon_over(self, now_ms: int) -> str:
        until = read_certificates(self._files.certificate)[0].not_valid_after_utc
        left_ms = until.timestamp() * 1000 - now_ms
        if left_ms > _WARN_MS:
            return ""
        verb = "ends" if left_ms > 0 else "has ended"
        return f"{self._files.certificate} {verb} on {until:%Y-%m-%d %H:%M} UTC, and hostd cannot renew it"

    def _present_stamps(self) -> list[Stamp]:
        paths = (self._files.certificate, self._files.key, self._files.client_ca, self._files.crl)
        return [_stamp(path) for path in paths if path is not None]

    def _tell(self, problem: str) -> None:
        """Log what is wrong, once for as long as it stays the same."""
        if problem != self._problem:
            log.log(
                logging.WARNING if problem else logging.INFO,
                "certificates",
                extra={"problem": problem or "none any more"},
            )
            self._problem = problem


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
    except OSError as error:
        raise PkiFileError(path, f"cannot be read: {error.strerror}") from error
    return found.st_ino, found.st_mtime_ns, found.st_size
