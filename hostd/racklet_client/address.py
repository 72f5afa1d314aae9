"""Where hostd is."""

import ipaddress
import os
import re
from dataclasses import dataclass
from pathlib import Path

from racklet_client.default_socket import SERVICE_SOCKET, default_socket

ADDRESS_VARIABLE = "RACKLET_ADDRESS"
_LOOPBACK = "127.0.0.1:50551"
_HOST_AND_PORT = re.compile(r"(?:\[[0-9A-Fa-f:.%\w]+\]|[\w.-]+):(?P<port>\d{1,5})")
_HIGHEST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Address:
    """A gRPC target: unix:PATH or HOST:PORT."""

    target: str

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Return the address that `text` names. Raises ValueError when it names none."""
        if text.startswith("unix:") and len(text) > len("unix:"):
            return cls(text)
        match = _HOST_AND_PORT.fullmatch(text)
        if match and 0 < int(match["port"]) <= _HIGHEST_PORT:
            return cls(text)
        raise ValueError(f"{text!r} is no address: give unix:PATH or HOST:PORT")

    @classmethod
    def default(cls) -> "Address":
        """Return what RACKLET_ADDRESS names, else a unix socket of hostd that is there, else its port on loopback.

        This user's own hostd comes before that of the computer.

        Raises ValueError when RACKLET_ADDRESS names no address.
        """
        if named := os.environ.get(ADDRESS_VARIABLE):
            return cls.parse(named)
        sockets = (path for path in (default_socket(), SERVICE_SOCKET) if _is_there(path))
        return cls(next((f"unix:{path}" for path in sockets), _LOOPBACK))

    @property
    def is_unix(self) -> bool:
        """Whether it is a unix socket."""
        return self.target.startswith("unix:")

    @property
    def is_loopback(self) -> bool:
        """Whether it is a TCP address of this computer alone."""
        host = self.target.rpartition(":")[0].strip("[]")
        try:
            return not self.is_unix and ipaddress.ip_address(host.partition("%")[0]).is_loopback
        except ValueError:
            return host == "localhost"

    def explain(self) -> str:
        """Return why nothing may answer here, as far as this side can see; empty when it cannot."""
        if self == Address(_LOOPBACK):
            return f"no hostd answers there, and there is no socket {default_socket()}"
        if not self.target.startswith("unix:"):
            return "no hostd answers there"
        path = Path(self.target.removeprefix("unix:").removeprefix("//"))
        if not _is_there(path):
            return "there is no such socket"
        if not os.access(path, os.R_OK | os.W_OK):
            members = "; members of the group racklet may: sudo adduser USER racklet, and log in anew"
            return f"you may not open that socket{members if path == SERVICE_SOCKET else ''}"
        return "no hostd answers on it"


def _is_there(path: Path) -> bool:
    """Tell whether there is such a file, also in a folder that this user may not look into."""
    try:
        return path.exists()
    except PermissionError:
        return True
