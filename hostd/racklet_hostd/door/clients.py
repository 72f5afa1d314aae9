"""Those who come, and what each of them has open."""

from collections import OrderedDict
from dataclasses import dataclass

from racklet_hostd.caller import Caller
from racklet_hostd.role import Role
from racklet_hostd.server_tls import Holder
from racklet_hostd.token_bucket import TokenBucket

CLIENTS_LIMIT = 1000  # who are remembered; then one who has left goes, the longest away first
CHANGES_BURST_S = 10  # as many changes as in so many seconds may come at once, as a script does


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is at the other end of a connection.

    Attributes:
        caller: who, and from where.
        role: what they may do; None for nothing.
        why_not: why they may do nothing, as a sentence; "" for who has a role.
        is_known: whether it is certain who they are.
        holder: of which certificate; None for who came without one.
    """

    caller: Caller
    role: Role | None
    why_not: str = ""
    is_known: bool = True
    holder: Holder | None = None


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """What one who comes may take, over all its connections.

    Attributes:
        connections: open at once.
        calls: open at once.
        changes_per_second: in the long run.
    """

    connections: int
    calls: int
    changes_per_second: int


class Client:
    """What one who comes has open: `connections`, `calls`. `changes` tells how often it may change something."""

    def __init__(self, limits: ClientLimits) -> None:
        self.connections = 0
        self.calls = 0
        self.changes = TokenBucket(CHANGES_BURST_S * limits.changes_per_second, limits.changes_per_second)


class Clients:
    """Everybody who came, by name. What somebody used up is not given back by coming again."""

    def __init__(self, limits: ClientLimits) -> None:
        self.limits = limits
        self._clients: OrderedDict[str, Client] = OrderedDict()

    def client(self, who: str) -> Client:
        """Return the client of that name."""
        if who not in self._clients:
            self._make_room()
            self._clients[who] = Client(self.limits)
        self._clients.move_to_end(who)
        return self._clients[who]

    def _make_room(self) -> None:
        if len(self._clients) >= CLIENTS_LIMIT:
            gone = next((who for who, client in self._clients.items() if not client.connections), None)
            if gone is not None:  # there are fewer connections than clients
                del self._clients[gone]
