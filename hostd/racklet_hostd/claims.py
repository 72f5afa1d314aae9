"""Who has taken nodes for himself, so that nobody else moves their supplies meanwhile."""

from collections.abc import Collection
from typing import Protocol

from racklet_hostd.caller import BUDGET_POLICY, Caller
from racklet_hostd.model import PowerAction
from racklet_hostd.power import PowerWish
from racklet_hostd.refusals import NodeTakenError


class Claim(Protocol):
    """A hold on nodes.

    Attributes:
        holder: whose power requests pass.
        words: who has them and what for, such as "the fault script lesson.toml of uid 1000".
    """

    holder: Caller
    words: str

    async def release(self, node: str, why: str) -> None:
        """Let go of a node for good. It is not waited for long, whatever hangs."""


class Claims:
    """The nodes of a rack that are taken. Lives in the event loop's thread.

    | who asks          | for what       | and a node that is taken                                           |
    |-------------------|----------------|--------------------------------------------------------------------|
    | its holder        | anything       | moves                                                              |
    | the power budget  | anything       | is let go and moves: an overload waits for nobody                  |
    | anybody else      | FORCE_OFF      | is let go and moves: who wants it dead now is not to be overruled  |
    | anybody else      | ON, OFF, CYCLE | does not move: NodeTakenError                                      |
    """

    def __init__(self) -> None:
        self._claims: dict[str, Claim] = {}

    def words(self, node: str) -> str:
        """Return who has taken a node and what for; "" when nobody has."""
        claim = self._claims.get(node)
        return claim.words if claim else ""

    def take(self, nodes: Collection[str], claim: Claim) -> None:
        """Take nodes that nobody has. Raises NodeTakenError, and then takes none."""
        for node in nodes:
            if node in self._claims:
                raise NodeTakenError(node, self._claims[node].words)
        self._claims.update(dict.fromkeys(nodes, claim))

    def drop(self, node: str, claim: Claim) -> None:
        """Let go of a node, if it is this claim that has it."""
        if self._claims.get(node) is claim:
            del self._claims[node]

    async def admit(self, node: str, wish: PowerWish, caller: Caller) -> None:
        """Return when `caller` may move the node. Raises NodeTakenError when it may not."""
        claim = self._claims.get(node)
        if claim is None or caller == claim.holder:
            return
        if wish.action is not PowerAction.FORCE_OFF and caller != BUDGET_POLICY:
            raise NodeTakenError(node, claim.words)
        self.drop(node, claim)
        await claim.release(node, f"{wish.word} of {caller.who}")
