"""Who is at the other end of a unix socket, as the system knows it."""

import errno
import socket
import struct
from typing import NamedTuple

_SO_PEERGROUPS = 59  # Linux 4.13; Python does not name it
_CREDENTIALS = struct.Struct("iII")  # unix(7), struct ucred
_GROUPS_BYTES = 1024  # what Python asks for at most: 256 groups


class UnixPeer(NamedTuple):
    """A process, as it was when it connected."""

    pid: int
    uid: int
    gids: frozenset[int]


def unix_peer(connection: socket.socket) -> UnixPeer:
    """Return who connected. Raises OSError."""
    pid, uid, gid = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return UnixPeer(pid, uid, frozenset((gid, *_groups(connection))))


def _groups(connection: socket.socket) -> tuple[int, ...]:
    """Return the supplementary groups; none for who is in more than 256, so that their user decides."""
    try:
        raw = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_BYTES)
    except OSError as error:
        if error.errno == errno.ERANGE:
            return ()
        raise
    return struct.unpack(f"{len(raw) // 4}I", raw)
