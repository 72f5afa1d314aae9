"""How each way in learns who comes."""

import pwd
import socket

from racklet_hostd.access import AccessRules
from racklet_hostd.caller import Caller
from racklet_hostd.door.clients import Identity
from racklet_hostd.door.door import Knock, only_soon
from racklet_hostd.door.unix_peer import unix_peer
from racklet_hostd.role import Role


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


def host_of(peer: str) -> str:
    """Return the host of "ipv4:HOST:PORT"."""
    return peer.partition(":")[2].rpartition(":")[0]


def _why_no_role(uid: int) -> str:
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return f'user {name} (uid {uid}) has no role here; [access] of the config gives one, as in viewer = ["user:{name}"]'
