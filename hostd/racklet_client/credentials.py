"""What a connection over TLS is made with."""

from dataclasses import dataclass
from pathlib import Path

import grpc

from racklet_client.errors import CredentialsError


@dataclass(frozen=True, slots=True)
class Credentials:
    """The files of mutual TLS, in PEM: whom to trust, and who one is oneself."""

    ca: Path
    certificate: Path
    key: Path

    def for_channel(self) -> grpc.ChannelCredentials:
        """Return what gRPC takes. Raises CredentialsError when a file cannot be read."""
        return grpc.ssl_channel_credentials(_content(self.ca), _content(self.key), _content(self.certificate))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CredentialsError(path, error.strerror or str(error)) from error
