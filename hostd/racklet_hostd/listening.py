"""Addresses that can be listened on, and why some cannot."""

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from racklet_hostd.config_values import Address
from racklet_hostd.errors import RackletError

_SOCKET_PATH_BYTES = 107  # what a unix socket's address can hold
_NOT_OURS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)  # an address that this computer does not have


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


def tcp_listeners(address: Address) -> list[socket.socket]:
    """Return a bound socket for each address that the host's name stands for, all on one port. Raises ListenError.

    One that this computer does not have, as when it has no IPv6, is left out if there is another.
    """
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        return _all_bound(dict.fromkeys((family, place) for family, *_, place in found))
    except OSError as error:
        raise ListenError(str(address), why(error)) from error


def _all_bound(places: Collection[tuple[int, tuple[Any, ...]]]) -> list[socket.socket]:
    bound: list[socket.socket] = []
    missing = OSError(errno.EADDRNOTAVAIL, "no address")
    with contextlib.ExitStack() as opened:
        for family, (host, wanted, *rest) in places:
            port = bound[0].getsockname()[1] if bound else wanted
            try:
                bound.append(_bound(family, (host, port, *rest), alone=len(places) == 1))
            except OSError as error:
                if error.errno not in _NOT_OURS:
                    raise
                missing = error
            else:
                opened.callback(bound[-1].close)
        if not bound:
            raise missing
        opened.pop_all()
    return bound


def _bound(family: int, place: tuple[Any, ...], *, alone: bool) -> socket.socket:
    with contextlib.ExitStack() as opened:
        listener = opened.enter_context(socket.socket(family, socket.SOCK_STREAM))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6 and not alone:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # that of IPv4 has a socket of its own
        listener.bind(place)
        opened.pop_all()
    return listener
