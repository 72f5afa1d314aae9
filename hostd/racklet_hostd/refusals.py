"""Why a node does not do what a caller asks, by who can mend it.

RefusedError
├── UnknownNodeError       the caller: there is no such node
├── HatOfflineError        the person at the rack: the HAT does not talk
├── NoAnswerError          the HAT gave no final answer, so the outcome is not known
├── TooManyRequestsError   the callers: too many requests to one HAT at once
├── PowerBusyError         the caller: another power transaction runs
├── PowerOvertakenError    another caller: its force-off ended this transaction
├── NeverFitsError         the caller, or who configured the power budget
├── QueueFullError         the callers: too many starts wait for the power budget
├── NodeTakenError         whoever has taken the node, or a force-off
├── NodeIsOnError          the caller: a self-test would cut a node that is on
├── UnknownHatError        the caller: there is no such HAT
├── AdoptionRefusedError   the person at the rack: what the HAT or the node is, it cannot be adopted so
├── PowerFailedError       the node or its rail did not follow, or the HAT refused
└── ConsoleInUseError      the caller: somebody else writes on the console
"""

from collections.abc import Sequence

from racklet.link.v1 import link_pb2
from racklet_hostd.errors import RackletError

_NAMES_SHOWN = 5


class RefusedError(RackletError):
    """A caller does not get what it asks for. Its text is a sentence for a person."""


class UnknownNodeError(RefusedError):
    """There is no node of that name."""

    def __init__(self, name: str, names: Sequence[str]) -> None:
        self.name = name
        shown = ", ".join(names[:_NAMES_SHOWN]) or "none"
        more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
        super().__init__(f"there is no node {name}; the nodes are {shown}{more}")


class UnknownHatError(RefusedError):
    """There is no HAT of that id, neither plugged in nor adopted."""

    def __init__(self, hat_id: str) -> None:
        self.hat_id = hat_id
        super().__init__(f"there is no HAT {hat_id}; `racklet hats` lists those that are plugged in or adopted")


class AdoptionRefusedError(RefusedError):
    """A HAT is not adopted. `why` says what to do first."""

    def __init__(self, hat_id: str, why: str) -> None:
        self.hat_id = hat_id
        super().__init__(f"the HAT {hat_id} is not adopted: {why}")


class HatOfflineError(RefusedError):
    """The HAT of a node does not talk, or went away before it answered."""

    def __init__(self, node: str, problem: str) -> None:
        self.node = node
        super().__init__(f"the HAT of {node} is offline: {problem}")


class NoAnswerError(RefusedError):
    """A request got no final answer. Whether it was executed is not known."""

    def __init__(self, node: str, why: str) -> None:
        self.node = node
        super().__init__(f"the HAT of {node} {why}; look at the node's state before you try again")


class TooManyRequestsError(RefusedError):
    """As many requests as a HAT may hold are on their way."""

    def __init__(self, node: str) -> None:
        self.node = node
        super().__init__(f"the HAT of {node} has its hands full of requests; try again in a second")


class PowerBusyError(RefusedError):
    """Another power transaction runs on the node."""

    def __init__(self, node: str, running: str) -> None:
        self.node = node
        super().__init__(f"{node} is busy with another power transaction, {running}; try again when it has ended")


class NodeIsOnError(RefusedError):
    """A self-test would cut the supply of a node that is on."""

    def __init__(self, node: str) -> None:
        self.node = node
        super().__init__(
            f"{node} is on: switch it off first, or let the test cut its supply and give it back (--interrupt)"
        )


class PowerOvertakenError(RefusedError):
    """A force-off ended the transaction before it was over. `by` says whose."""

    def __init__(self, node: str, action: str, by: str) -> None:
        self.node = node
        super().__init__(f"{action} of {node} was overtaken by a force-off of {by}")


class NeverFitsError(RefusedError):
    """The power budget will not let the node start, however long it waits."""

    def __init__(self, node: str, why: str) -> None:
        self.node = node
        super().__init__(f"the power budget does not let {node} start: {why}")


class QueueFullError(RefusedError):
    """As many starts as may be wait for the power budget."""

    def __init__(self, node: str, limit: int) -> None:
        self.node = node
        super().__init__(f"{limit} starts wait for the power budget already; try {node} again later")


class NodeTakenError(RefusedError):
    """Somebody has taken the node for himself. `by` says who and what for."""

    def __init__(self, node: str, by: str) -> None:
        self.node = node
        super().__init__(f"{node} is taken by {by}; force-off takes it away from that, and then it stays off")


class PowerFailedError(RefusedError):
    """A power transaction ended, but not as wished. `reply` holds the result and what was measured."""

    def __init__(self, node: str, reply: link_pb2.Reply, sentence: str) -> None:
        self.node = node
        self.reply = reply
        super().__init__(sentence)


class ConsoleInUseError(RefusedError):
    """Somebody else writes on the console."""

    def __init__(self, node: str, writer: str) -> None:
        self.node = node
        self.writer = writer
        super().__init__(f"{writer or 'somebody else'} is writing on the console of {node}; take it over, or look only")


class UpdateFailedError(RefusedError):
    """The firmware of a HAT was not updated; the HAT has its old firmware."""

    def __init__(self, node: str, why: str) -> None:
        self.node = node
        super().__init__(f"the firmware of {node}'s HAT was not updated: {why}")


class UpdateRunningError(RefusedError):
    """Another update of firmware is on in the rack."""

    def __init__(self, by: str) -> None:
        super().__init__(f"an update of firmware by {by} is on; try again when it has ended")
