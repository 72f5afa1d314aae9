"""How each way in learns who comes."""

import pwd
import socket
import ssl

from racklet_hostd.access import AccessRules
from racklet_hostd.caller import UNKNOWN_CALLER, Caller
from racklet_hostd.clock import Clock
from racklet_hostd.door.clients import Identity
from racklet_hostd.door.door import Knock, only_soon
from racklet_hostd.door.unix_peer import unix_peer
from racklet_hostd.pki.errors import PkiError
from racklet_hostd.role import Role
from racklet_hostd.server_tls import ServerTls


class UnixWay:
    """The unix socket: the system says who connected."""

    def __init__(self, rules: AccessRules) -> None:
        self._rules = rules

    def receive(self, connection: socket.socket, _peer: str) -> Knock:
        """Take a connection. Raises OSError."""
        process = unix_peer(connection)
        who = f"uid {process.uid}"
        peer = f"unix:pid={process.pid}"
        role = self._rules.of_user(process.uid, process.gids)
        why_not = "" if role else _why_no_role(process.uid)
        identity = Identity(Caller(who, peer), role, why_not)
        return Knock(connection, who, peer, lambda: identity)


class PlainWay:
    """Plain TCP on loopback: it may be anybody on this computer."""

    def __init__(self, role: Role) -> None:
        self._role = role

    def receive(self, connection: socket.socket, peer: str) -> Knock:
        """Take a connection. Raises OSError."""
        only_soon(connection)
        identity = Identity(Caller("loopback", peer), self._role)
        return Knock(connection, host_of(peer), peer, lambda: identity)


class TlsWay:
    """TCP with TLS: the certificate says who it is."""

    def __init__(self, tls: ServerTls, clock: Clock) -> None:
        self._tls = tls
        self._clock = clock

    def receive(self, connection: socket.socket, peer: str) -> Knock:
        """Take a connection, whose handshake is still to come. Raises OSError."""
        only_soon(connection)
        wrapped = self._tls.for_callers.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return Knock(wrapped, host_of(peer), peer, lambda: self._identify(wrapped, peer))

    def _identify(self, connection: ssl.SSLSocket, peer: str) -> Identity:
        try:
            holder = self._tls.holder(connection.getpeercert(binary_form=True) or b"", connection.context)
        except PkiError as error:
            return Identity(Caller(UNKNOWN_CALLER.who, peer), None, str(error), is_known=False)
        caller = Caller(holder.subject, peer)
        if objection := self._tls.objection(holder, self._clock.unix_ms()):
            return Identity(caller, None, objection, is_known=False)
        why_not = (
            "" if holder.role else f"the certificate of {holder.subject} has no role here; see [access] of the config"
        )
        return Identity(caller, holder.role, why_not, holder=holder)


def host_of(peer: str) -> str:
    """Return the host of "ipv4:HOST:PORT"."""
    return peer.partition(":")[2].rpartition(":")[0]


def _why_no_role(uid: int) -> str:
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return f'user {name} (uid {uid}) has no role here; [access] of the config gives one, as in viewer = ["user:{name}"]'
