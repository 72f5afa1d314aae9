"""Addresses that can be listened on, and why some cannot."""

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from racklet_hostd.config_values import Address
from racklet_hostd.errors import RackletError

_SOCKET_PATH_BYTES = 107  # what a unix socket's address can hold


class ListenError(RackletError):
    """An address cannot be listened on."""

    def __init__(self, address: str, reason: str) -> None:
        self.address = address
        super().__init__(f"cannot listen on {address}: {reason}")


def why(error: OSError) -> str:
    """Return the system's words for an error; libraries put their own around them."""
    return os.strerror(error.errno) if error.errno else str(error)


def make_way(path: Path) -> None:
    """Make the socket's folder, and remove the socket of a hostd that died. Raises ListenError."""
    if len(os.fsencode(path)) > _SOCKET_PATH_BYTES:
        raise ListenError(str(path), f"a unix socket's path has at most {_SOCKET_PATH_BYTES} bytes")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat() if path.exists() else None
        if found is not None and not stat.S_ISSOCK(found.st_mode):
            raise ListenError(str(path), "there is something that is no socket")
        if found is not None:
            _refuse_if_alive(path)
            path.unlink()
    except OSError as error:
        raise ListenError(str(path), why(error)) from error


def _refuse_if_alive(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(0)
        number = probe.connect_ex(str(path))
    if number not in {errno.ECONNREFUSED, errno.ENOENT}:
        raise ListenError(str(path), "another racklet-hostd is listening there")


@contextlib.contextmanager
def only_owner() -> Iterator[None]:
    """Let files that are made within the block be for their owner only."""
    before = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(before)


def tcp_problem(address: Address) -> str:
    """Say why it cannot be listened on, which gRPC does not tell."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
        except OSError as error:
            return why(error)
    return "the system refuses it"
