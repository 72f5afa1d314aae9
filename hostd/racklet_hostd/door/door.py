"""Listens for callers of the gRPC API, finds out who they are, and lets them in."""

import asyncio
import errno
import logging
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from racklet_hostd.config_values import Address
from racklet_hostd.door.arrival import Arrival
from racklet_hostd.door.clients import Client, Clients, Identity
from racklet_hostd.door.relay import Relay
from racklet_hostd.listening import ListenError, make_way, only_owner, tcp_listeners, why

log = logging.getLogger(__name__)

CONNECTIONS_LIMIT = 500  # at once; a further one is closed
FILES_PER_CONNECTION = 3  # the caller's socket, and both ends of the one to gRPC
ARRIVALS_LIMIT = 256  # at once, of which nothing is known yet
ARRIVALS_PER_ORIGIN = 128  # of these from one address or user, so that one cannot keep the others out
UNKNOWN_STAYS_S = 5.0  # so that gRPC can tell it why it is refused
_BACKLOG = 256
_AT_ONCE = 32
_PAUSE_S = 1.0  # when the system gives no more files
_USER_TIMEOUT_MS = 40_000  # for a caller that died without a word; gRPC's keepalive gives up as soon


@dataclass(slots=True)
class Visitor:
    """A connection that was let in.

    Attributes:
        identity: who it is.
        client: what the same one has open elsewhere.
        is_too_many: whether its client has too many connections, so that each call in it is refused.
        relay: what carries its bytes.
    """

    identity: Identity
    client: Client
    is_too_many: bool
    relay: Relay | None = field(default=None, repr=False)


class Knock(NamedTuple):
    """A connection as it comes: where from, for the limits and for people, and how to learn who it is after TLS."""

    connection: socket.socket
    origin: str
    peer: str
    identify: Callable[[], Identity]


class Way(NamedTuple):
    """One way in: how to take what is accepted there. `receive` raises OSError, ssl.SSLError among them."""

    listener: socket.socket
    receive: Callable[[socket.socket, str], Knock]


class Door:
    """Where callers come in. `turned_away` is told where somebody came from that was not let in, and why."""

    def __init__(self, clients: Clients, handshake_s: float, turned_away: Callable[[str, str], None]) -> None:
        self._clients = clients
        self._handshake_s = handshake_s
        self._tell_turned_away = turned_away
        self._visitors: dict[str, Visitor] = {}  # by the name of their connection to gRPC, as gRPC tells it
        self._arrivals: dict[Arrival, Callable[[], Identity]] = {}
        self._origins: Counter[str] = Counter()
        self._ways: list[Way] = []
        self._inner = ""
        self._own_socket: tuple[Path, int] | None = None

    def visitor(self, peer: str) -> Visitor | None:
        """Return who comes by the connection that gRPC calls `peer`; None when it has ended."""
        return self._visitors.get(peer)

    @property
    def visitors(self) -> tuple[Visitor, ...]:
        """Everybody who is in."""
        return tuple(self._visitors.values())

    def listen_on_socket(self, path: Path, mode: int, receive: Callable[[socket.socket, str], Knock]) -> None:
        """Listen on a unix socket, once the door opens. Raises ListenError."""
        make_way(path)
        listener = socket.socket(socket.AF_UNIX)
        try:
            with only_owner():
                listener.bind(str(path))
            path.chmod(mode)
        except OSError as error:
            listener.close()
            raise ListenError(str(path), why(error)) from error
        self._own_socket = (path, path.stat().st_ino)  # so that another hostd's socket is not removed
        self._add(listener, receive)

    def listen_on_tcp(self, address: Address, receive: Callable[[socket.socket, str], Knock]) -> int:
        """Listen on TCP, once the door opens; return the port. Raises ListenError."""
        listeners = tcp_listeners(address)
        for listener in listeners:
            self._add(listener, receive)
        port: int = listeners[0].getsockname()[1]
        return port

    def open(self, inner: str) -> None:
        """Begin to let in. gRPC listens on the unix socket `inner`, which nobody else can reach. Raises ListenError."""
        self._inner = inner
        for way in self._ways:
            try:
                way.listener.listen(_BACKLOG)
            except OSError as error:  # two that bound a port with SO_REUSEADDR learn it only here
                raise ListenError(_name_of(way.listener), why(error)) from error
            self._watch(way)

    def shut(self) -> None:
        """Let nobody in any more. Who is in stays."""
        for way in self._ways:
            asyncio.get_running_loop().remove_reader(way.listener)
            way.listener.close()
        self._ways.clear()
        for arrival in list(self._arrivals):
            self._forget(arrival)
            arrival.close()
        path, inode = self._own_socket or (None, 0)
        if path is not None and path.exists() and path.stat().st_ino == inode:
            path.unlink()

    def cut(self, objection: Callable[[Identity], str]) -> None:
        """Close the connection of everybody to whom there is an objection."""
        for visitor in self.visitors:
            reason = objection(visitor.identity)
            if reason and visitor.relay is not None:
                self._tell_turned_away(visitor.identity.caller.peer, reason)
                visitor.relay.end()

    def clear(self) -> None:
        """Close every connection."""
        for visitor in self.visitors:
            if visitor.relay is not None:
                visitor.relay.end()

    def _add(self, listener: socket.socket, receive: Callable[[socket.socket, str], Knock]) -> None:
        listener.settimeout(0)
        self._ways.append(Way(listener, receive))

    def _watch(self, way: Way) -> None:
        if way in self._ways:
            asyncio.get_running_loop().add_reader(way.listener, self._accept, way)

    def _accept(self, way: Way) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection, place = way.listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
                    self._pause(way, why(error))
                return
            self._receive(way, connection, peer_name(place))

    def _pause(self, way: Way, problem: str) -> None:
        log.warning("nobody is let in for a moment", extra={"problem": problem})
        loop = asyncio.get_running_loop()
        loop.remove_reader(way.listener)
        loop.call_later(_PAUSE_S, self._watch, way)

    def _receive(self, way: Way, connection: socket.socket, peer: str) -> None:
        connection.settimeout(0)
        try:
            knock = way.receive(connection, peer)
        except OSError as error:  # it has left already
            connection.close()
            self._tell_turned_away(peer, why(error))
            return
        if reason := self._no_room(knock.origin):
            knock.connection.close()
            self._tell_turned_away(knock.peer, reason)
            return
        arrival = Arrival(knock.connection, knock.origin, knock.peer, self, self._handshake_s)
        self._arrivals[arrival] = knock.identify
        self._origins[knock.origin] += 1

    def _no_room(self, origin: str) -> str:
        if len(self._visitors) + len(self._arrivals) >= CONNECTIONS_LIMIT:
            return f"there are {CONNECTIONS_LIMIT} connections already"
        if len(self._arrivals) >= ARRIVALS_LIMIT:
            return f"there are {ARRIVALS_LIMIT} connections already that have not said who they are"
        if self._origins[origin] >= ARRIVALS_PER_ORIGIN:
            return f"{ARRIVALS_PER_ORIGIN} connections from {origin} have not said yet who they are"
        return ""

    def _forget(self, arrival: Arrival) -> Callable[[], Identity]:
        self._origins[arrival.origin] -= 1
        if not self._origins[arrival.origin]:
            del self._origins[arrival.origin]
        return self._arrivals.pop(arrival)

    def turn_away(self, arrival: Arrival, reason: str) -> None:
        """Take note of an arrival that came to nothing."""
        self._forget(arrival)
        self._tell_turned_away(arrival.peer, reason)

    def welcome(self, arrival: Arrival, first: bytes) -> None:
        """Let an arrival in."""
        identify = self._forget(arrival)
        inner = socket.socket(socket.AF_UNIX)
        try:
            identity = identify()
            inner.bind("")  # the system gives it a name that nobody else has as long as it is open
            inner.settimeout(0)
            inner.connect(self._inner)
        except OSError as error:
            inner.close()
            arrival.connection.close()
            self._tell_turned_away(arrival.peer, f"hostd cannot take it: {why(error)}")
            return
        self._let_in(arrival.connection, inner, identity, first)

    def _let_in(self, outer: socket.socket, inner: socket.socket, identity: Identity, first: bytes) -> None:
        name = peer_name(inner.getsockname())
        client = self._clients.client(identity.caller.who)
        visitor = Visitor(identity, client, client.connections >= self._clients.limits.connections)
        client.connections += 1
        visitor.relay = Relay(outer, inner, partial(self._let_go, name))
        self._visitors[name] = visitor
        if identity.role is None:
            asyncio.get_running_loop().call_later(UNKNOWN_STAYS_S, visitor.relay.end)
        visitor.relay.begin(first)

    def _let_go(self, name: str) -> None:
        self._visitors.pop(name).client.connections -= 1


def only_soon(connection: socket.socket) -> None:
    """Send what is small at once, and notice in 40 s a caller of TCP that died without a word."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS)


def peer_name(place: object) -> str:
    """Return a socket's address as gRPC writes it."""
    match place:
        case bytes():
            return f"unix-abstract:{place[1:].decode()}"
        case (str(host), int(port)):
            return f"ipv4:{host}:{port}"
        case (str(host), int(port), _, _):
            return f"ipv6:[{host}]:{port}"
        case _:
            return "unix:"


def _name_of(listener: socket.socket) -> str:
    place = listener.getsockname()
    return str(place) if isinstance(place, str) else str(Address(place[0], place[1]))
