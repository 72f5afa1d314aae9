"""Connections to the HTTP pages, counted as long as they are open."""

import errno
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any

from racklet_hostd.door.door import peer_name
from racklet_hostd.door.receiving import host_of

CONNECTIONS_LIMIT = 128  # at once, of both ports; the next one is closed. Prometheus has one
CONNECTIONS_PER_HOST = 64  # of these, so that one computer cannot keep the others out


class HttpConnections:
    """Those that are open. `turned_away` is told where one came from that was closed at once, and why."""

    def __init__(self, turned_away: Callable[[str, str], None]) -> None:
        self._turned_away = turned_away
        self._hosts: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """How many are open."""
        return self._hosts.total()

    def enter(self, peer: str) -> bool:
        """Count one more, unless there are too many."""
        host = host_of(peer)
        if self._hosts[host] >= CONNECTIONS_PER_HOST:
            self._turned_away(peer, f"{host} has {self._hosts[host]} connections to the HTTP pages already")
        elif self.count >= CONNECTIONS_LIMIT:
            self._turned_away(peer, f"there are {self.count} connections to the HTTP pages already")
        else:
            self._hosts[host] += 1
            return True
        return False

    def leave(self, peer: str) -> None:
        """Count one less."""
        self._hosts.subtract((host_of(peer),))
        self._hosts += Counter()  # forgets who has none


class HttpListener(socket.socket):
    """A bound socket of TCP, taken over, that accepts what HttpConnections lets in."""

    def __init__(self, bound: socket.socket, connections: HttpConnections) -> None:
        super().__init__(fileno=bound.detach())
        self._connections = connections

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection. Raises OSError: ConnectionAbortedError for one that was closed at once."""
        accepted, place = super().accept()
        peer = peer_name(place)
        if not self._connections.enter(peer):
            accepted.close()
            raise ConnectionAbortedError(errno.ECONNABORTED, "too many connections")
        return _Connection(accepted, self._connections, peer), place


class _Connection(socket.socket):
    """A connection that leaves when it is closed, whoever closes it."""

    def __init__(self, accepted: socket.socket, connections: HttpConnections, peer: str) -> None:
        super().__init__(fileno=accepted.detach())
        self._connections = connections
        self._peer = peer

    def close(self) -> None:
        if self.fileno() >= 0:
            self._connections.leave(self._peer)
        super().close()
