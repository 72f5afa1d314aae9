"""Who may read hostd's pages over TLS: whoever has a certificate with a role, or a token."""

import hmac
import ssl
from collections.abc import Callable
from pathlib import Path

from racklet_hostd.pki.errors import PkiError, PkiFileError
from racklet_hostd.pki.folder import token_hash
from racklet_hostd.pki.reading import file_bytes
from racklet_hostd.server_tls import ServerTls

_BEARER = "bearer "


class HttpAccess:
    """Looks at certificates and tokens. The file of tokens is read for each request: a change counts at once.

    `context` is what to listen with; `turned_away` is told who was refused, and why.
    """

    def __init__(
        self,
        tls: ServerTls,
        token_file: Path | None,
        unix_ms: Callable[[], int],
        turned_away: Callable[[str, str], None],
    ) -> None:
        self.context = tls.to_listen
        self.turned_away = turned_away
        self._tls = tls
        self._token_file = token_file
        self._unix_ms = unix_ms

    def objection(self, connection: ssl.SSLObject, authorization: str) -> str:
        """Return why a request is refused; "" when it is not. `authorization` is the header of that name."""
        if certificate := connection.getpeercert(binary_form=True):
            return self._objection_to(certificate, connection.context)
        if authorization[: len(_BEARER)].lower() != _BEARER:
            return "it shows neither a certificate nor a token"
        try:
            return "" if self._is_known(authorization[len(_BEARER) :].strip()) else "its token is not known"
        except PkiFileError as error:
            return f"tokens are of no use now: {error}"

    def _objection_to(self, certificate: bytes, context: ssl.SSLContext) -> str:
        try:
            holder = self._tls.holder(certificate, context)
        except PkiError as error:
            return str(error)
        if objection := self._tls.objection(holder, self._unix_ms()):
            return objection
        return "" if holder.role else f"the certificate of {holder.subject} has no role here"

    def _is_known(self, token: str) -> bool:
        if self._token_file is None or not self._token_file.exists():
            return False
        shown = token_hash(token).encode()
        known = file_bytes(self._token_file).split()
        return any([hmac.compare_digest(shown, each) for each in known])  # noqa: C419  each takes the same time
