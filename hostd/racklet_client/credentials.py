"""What a connection over TLS is made with."""

import os
import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc
import platformdirs

from racklet_client.address import Address
from racklet_client.errors import CredentialsError

CREDENTIALS_VARIABLE = "RACKLET_CREDENTIALS"


def default_credentials_folder() -> Path:
    """Return where a user's credentials are."""
    return Path(platformdirs.user_config_dir("racklet", appauthor=False)) / "client"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The files of mutual TLS, in PEM: whom to trust, and who one is oneself."""

    ca: Path
    certificate: Path
    key: Path

    @classmethod
    def of_folder(cls, folder: Path) -> "Credentials":
        """Return those that `racklet pki issue` made: ca.crt, client.crt and client.key."""
        return cls(folder / "ca.crt", folder / "client.crt", folder / "client.key")

    @classmethod
    def for_address(cls, address: Address) -> "Credentials | None":
        """Return what to show at an address when nothing else is said; None for plain text.

        Those that RACKLET_CREDENTIALS names are for any TCP address, those in your config folder for other computers.
        Raises CredentialsError when another computer is called and there are none.
        """
        if address.is_unix:
            return None
        if named := os.environ.get(CREDENTIALS_VARIABLE):
            return cls.of_folder(Path(named))
        if address.is_loopback:
            return None
        folder = default_credentials_folder()
        if not folder.exists():
            raise CredentialsError(
                folder, "there is no certificate here, and none is named; `racklet pki issue` on hostd's side makes one"
            )
        return cls.of_folder(folder)

    def for_channel(self) -> grpc.ChannelCredentials:
        """Return what gRPC takes. Raises CredentialsError when a file does not hold what it should."""
        ca, key, certificate = _content(self.ca), _content(self.key), _content(self.certificate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # only to tell what is wrong, which gRPC does not
        try:
            context.load_verify_locations(self.ca)
        except (ssl.SSLError, ValueError) as error:
            raise CredentialsError(self.ca, f"holds no certificate in PEM ({_reason(error)})") from error
        try:
            context.load_cert_chain(self.certificate, self.key, password="")
        except (ssl.SSLError, ValueError) as error:
            raise CredentialsError(self.certificate, f"is no use with {self.key} ({_reason(error)})") from error
        return grpc.ssl_channel_credentials(ca, key, certificate)


def _reason(error: Exception) -> str:
    return ((error.reason if isinstance(error, ssl.SSLError) else "") or str(error)).lower().replace("_", " ")


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CredentialsError(path, error.strerror or str(error)) from error
