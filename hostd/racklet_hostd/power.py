"""Power transactions of one node, one at a time."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntFlag
from typing import Protocol

from racklet.link.v1 import link_pb2
from racklet_hostd.caller import Caller
from racklet_hostd.clock import Clock
from racklet_hostd.hat_events import amperes, state_word, volts
from racklet_hostd.hat_session import Answer, HatSession
from racklet_hostd.model import PowerAction
from racklet_hostd.refusals import (
    NoAnswerError,
    PowerBusyError,
    PowerFailedError,
    PowerOvertakenError,
    RefusedError,
)

log = logging.getLogger(__name__)

# Results that say that the HAT goes on with what it was doing.
_NOT_TAKEN = frozenset({link_pb2.RESULT_BUSY, link_pb2.RESULT_INVALID})
# A rail rises and falls within 3 s; the rest is for repeats on a bad line.
SWITCHING_MS = 15_000
DEFAULT_GRACE_LIMIT_MS = 120_000  # what a HAT may take as the grace when the caller named none


class PowerSteps(IntFlag):
    """What a HAT did and saw in a power transaction: the bits of Reply.detail."""

    ASKED = 1
    HALT_WAS_HIGH = 2
    HALT_ROSE = 4
    CURRENT_FELL = 8
    CUT = 16
    SET = 32


@dataclass(frozen=True, slots=True)
class PowerWish:
    """What a caller wants of a supply.

    Attributes:
        action: where to.
        grace_ms: of OFF, how long the node may take to become idle; 0 means the HAT's default.
        force: of OFF, cut even if the node has not become idle.
        off_ms: of CYCLE, how long the supply stays off; 0 means the HAT's minimum.
    """

    action: PowerAction
    grace_ms: int = 0
    force: bool = False
    off_ms: int = 0

    @property
    def timeout_ms(self) -> int:
        """How long the HAT may take for its final answer."""
        grace_ms = self.grace_ms or DEFAULT_GRACE_LIMIT_MS
        return SWITCHING_MS + (grace_ms if self.action is PowerAction.OFF else self.off_ms)

    @property
    def starts(self) -> bool:
        """Whether the node is on when it is done."""
        return self.action in {PowerAction.ON, PowerAction.CYCLE}

    @property
    def word(self) -> str:
        """The action as people write it: "on", "off", "force-off", "cycle"."""
        return self.action.name.lower().replace("_", "-")


class Transaction:
    """One power request, from when the switch took it up until it ended.

    Attributes:
        is_sent: whether it was put to the HAT; until then it waits for the power budget.
        outcome: the HAT's final reply, or why there is none.
        took_ms: from its begin to its end.
        is_late: whether its caller left before its end.
        overtaken: of a force-off, the OFF that it came upon.
    """

    def __init__(self, wish: PowerWish, caller: Caller, since_ms: int) -> None:
        self.wish = wish
        self.caller = caller
        self.since_ms = since_ms
        self.is_sent = False
        self.outcome: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.took_ms = 0
        self.is_late = False
        self.overtaken: Transaction | None = None

    @property
    def result_word(self) -> str:
        """The outcome in a word, such as "done" or "NoAnswerError"; "" before the end."""
        if not self.outcome.done():
            return ""
        answer = self.outcome.result()
        return type(answer).__name__ if isinstance(answer, RefusedError) else _result_word(answer.result)

    def end(self, answer: Answer) -> None:
        """Settle the outcome, unless it is settled."""
        if not self.outcome.done():
            self.outcome.set_result(answer)


class Admission(Protocol):
    """Lets starts pass, at once or later."""

    async def admit(self, node: str, wish: PowerWish) -> None:
        """Return when the supply may be moved. Raises RefusedError when it never may. Cancelling waits no more."""

    def dismiss(self, node: str, why: RefusedError) -> None:
        """Let `admit` of this node raise `why`, if it waits."""

    def take_back(self, node: str) -> None:
        """Nothing was put to the HAT after `admit`."""

    def end(self, node: str) -> None:
        """What was admitted has ended, however."""


class PowerSwitch:
    """Moves one node's supply. A transaction belongs to the HAT: it goes on when its caller has gone.

    What a second request meets:

    | there is             | ON, OFF, CYCLE | FORCE_OFF                                            |
    |----------------------|----------------|------------------------------------------------------|
    | nothing              | begins         | begins                                               |
    | one that waits       | refused        | begins; the other ends, overtaken                    |
    | OFF                  | refused        | begins; when the HAT takes it, OFF ends, overtaken   |
    | ON, CYCLE, FORCE_OFF | refused        | refused                                              |

    `measured` gets each reply at once, `late` each transaction whose caller left, when it has ended. `before_off` is
    called with the HAT's session right before an OFF is put to it.
    """

    def __init__(
        self,
        node: str,
        clock: Clock,
        admission: Admission | None,
        measured: Callable[[link_pb2.Reply], None],
        late: Callable[[Transaction], None],
    ) -> None:
        self._node = node
        self._clock = clock
        self._admission = admission
        self._measured = measured
        self._late = late
        self._running: Transaction | None = None
        self.before_off: Callable[[HatSession], None] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether the HAT has a transaction to end."""
        return self._running is not None and self._running.is_sent

    async def set(
        self,
        talking: Callable[[], HatSession],
        wish: PowerWish,
        caller: Caller,
        on_sent: Callable[[Transaction], None] | None = None,
    ) -> link_pb2.Reply:
        """Return the HAT's final reply, which says what was measured.

        Cancelling leaves the transaction to the HAT, unless it still waits for its admission. `talking` returns the
        session of the HAT, or raises RefusedError. `on_sent` is called when the transaction was put to the HAT.

        Raises:
            PowerBusyError: another transaction runs, also one whose caller has gone.
            PowerOvertakenError: a force-off came in between.
            PowerFailedError: it ended otherwise than wished.
            NoAnswerError: it did not end in time.
            RefusedError: the power budget or the HAT cannot take it, or the HAT went away.
        """
        talking()
        mine = self._take_turn(wish, caller)
        try:
            await self._admitted(mine)
            self._send(mine, talking())
            if on_sent is not None:
                on_sent(mine)
        finally:
            if not mine.is_sent:
                self._leave(mine)
        try:
            return judged(self._node, wish, await asyncio.shield(mine.outcome))
        finally:
            mine.is_late = not mine.outcome.done()

    def _take_turn(self, wish: PowerWish, caller: Caller) -> Transaction:
        before, mine = self._running, Transaction(wish, caller, self._clock.monotonic_ms())
        if before is not None:
            may_be_overtaken = not before.is_sent or before.wish.action is PowerAction.OFF
            if wish.action is not PowerAction.FORCE_OFF or not may_be_overtaken:
                raise PowerBusyError(self._node, self._described(before))
            if before.is_sent:
                mine.overtaken = before
            elif self._admission is not None:
                self._admission.dismiss(self._node, PowerOvertakenError(self._node, before.wish.word, caller.who))
        self._running = mine
        return mine

    def _described(self, running: Transaction) -> str:
        seconds = (self._clock.monotonic_ms() - running.since_ms) / 1000
        waits = "" if running.is_sent else ", which waits for the power budget"
        return f"{running.wish.word}, for {seconds:.1f} s, of {running.caller.who}{waits}"

    async def _admitted(self, mine: Transaction) -> None:
        if self._admission is None or not mine.wish.starts:
            return
        await self._admission.admit(self._node, mine.wish)
        if self._running is not mine and self._running is not None:
            raise PowerOvertakenError(self._node, mine.wish.word, self._running.caller.who)

    def _send(self, mine: Transaction, session: HatSession) -> None:
        wish = mine.wish
        operation = link_pb2.SetPower(
            action=link_pb2.PowerAction.ValueType(wish.action),
            grace_ms=wish.grace_ms,
            force=wish.force,
            off_ms=wish.off_ms,
        )
        extra = {"node": self._node, "action": wish.word, "who": mine.caller.who}
        log.info("power requested", extra=extra)
        if self.before_off is not None and wish.action is PowerAction.OFF:
            self.before_off(session)
        mine.is_sent = True
        session.request(operation, wish.timeout_ms).add_done_callback(lambda answer: self._end(mine, answer.result()))

    def _leave(self, mine: Transaction) -> None:
        """Nothing was put to the HAT."""
        if self._admission is not None and mine.wish.starts:
            self._admission.take_back(self._node)
        if self._running is mine:
            self._running = mine.overtaken

    def _end(self, mine: Transaction, answer: Answer) -> None:
        mine.took_ms = self._clock.monotonic_ms() - mine.since_ms
        if self._admission is not None and mine.wish.starts:
            self._admission.end(self._node)
        if not isinstance(answer, RefusedError):
            self._measured(answer)
        mine.end(self._overtaken_answer(mine, answer))
        self._hand_on(mine, answer)
        extra = {"node": self._node, "action": mine.wish.word, "result": mine.result_word, "took_ms": mine.took_ms}
        log.info("power ended", extra=extra)
        if mine.is_late:
            self._late(mine)

    def _overtaken_answer(self, mine: Transaction, answer: Answer) -> Answer:
        """Return the answer, or that a force-off came in between when that is why there is no better one."""
        running = self._running
        is_done = not isinstance(answer, RefusedError) and answer.result == link_pb2.RESULT_DONE
        if running is None or running.overtaken is not mine or is_done:
            return answer
        return PowerOvertakenError(self._node, mine.wish.word, running.caller.who)

    def _hand_on(self, mine: Transaction, answer: Answer) -> None:
        """Say what runs now. A force-off that the HAT did not take leaves the running off alone."""
        if self._running is not mine:
            return
        before = mine.overtaken
        is_taken = not isinstance(answer, RefusedError) and answer.result not in _NOT_TAKEN
        self._running = None if is_taken or before is None or before.outcome.done() else before
        if before is not None and is_taken and not before.outcome.done():
            before.end(PowerOvertakenError(self._node, before.wish.word, mine.caller.who))
            if before.is_late:
                self._late(before)


def judged(node: str, wish: PowerWish, answer: Answer) -> link_pb2.Reply:
    """Return the reply to a wish when it is as wished, else raise why it is not."""
    if isinstance(answer, RefusedError):
        raise answer
    if answer.result == link_pb2.RESULT_DONE:
        return answer
    if answer.result == link_pb2.RESULT_BUSY:
        raise PowerBusyError(node, "which its HAT has not ended yet")
    if answer.result == link_pb2.RESULT_STALE:
        raise NoAnswerError(node, "has forgotten the request")
    raise PowerFailedError(node, answer, _failure(node, wish, answer))


def _failure(node: str, wish: PowerWish, reply: link_pb2.Reply) -> str:  # noqa: PLR0911  a sentence each
    measured = (
        f"the supply is {state_word(reply.supply_state)}"
        f" at {volts(reply.supply_uv)} and {amperes(reply.supply_ua)} after {reply.duration_ms / 1000:.1f} s"
    )
    match reply.result:
        case link_pb2.RESULT_NOT_REACHED:
            return f"the rail of {node} did not follow {wish.word}: {measured}"
        case link_pb2.RESULT_NODE_BUSY:
            return f"{node} did not shut down within its grace: {measured}{_seen(reply)}; use force, or force-off"
        case link_pb2.RESULT_OVERTAKEN:
            return f"a force-off overtook the {wish.word} of {node}: {measured}"
        case link_pb2.RESULT_TRIPPED:
            return f"a protection of {node} tripped: {measured}; its events tell which"
        case link_pb2.RESULT_NO_MONITOR:
            return f"the power monitor of {node} does not answer, and its HAT does not switch on blind"
        case link_pb2.RESULT_INVALID:
            field = link_pb2.SetPower.DESCRIPTOR.fields_by_number.get(reply.detail)
            which = f": {field.name} is out of range" if field else " with these arguments"
            return f"the firmware of {node}'s HAT does not take {wish.word}{which}"
        case other:
            return f"the HAT of {node} answered with result {other}, which this hostd does not know: {measured}"


def _seen(reply: link_pb2.Reply) -> str:
    """Tell why the node was not taken for halted, as far as the HAT says."""
    if not reply.detail & PowerSteps.ASKED:
        return ""
    stuck = ", its halt signal was high all the time" if reply.detail & PowerSteps.HALT_WAS_HIGH else ""
    return f", its current never below {amperes(reply.lowest_ua)}{stuck}"


def _result_word(result: int) -> str:
    known = link_pb2.Result.DESCRIPTOR.values_by_number.get(result)
    return known.name.removeprefix("RESULT_").lower() if known else f"result_{result}"
