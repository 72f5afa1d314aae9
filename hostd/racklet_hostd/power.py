"""Power transactions of one node, one at a time."""

import asyncio
import logging
from dataclasses import dataclass
from enum import IntFlag

from racklet.link.v1 import link_pb2
from racklet_hostd.clock import Clock
from racklet_hostd.hat_events import amperes, state_word, volts
from racklet_hostd.hat_session import Answer, HatSession
from racklet_hostd.model import PowerAction
from racklet_hostd.refusals import NoAnswerError, PowerBusyError, PowerFailedError, RefusedError

log = logging.getLogger(__name__)

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
    def word(self) -> str:
        """The action as people write it: "on", "off", "force-off", "cycle"."""
        return self.action.name.lower().replace("_", "-")


@dataclass(frozen=True, slots=True)
class _Running:
    wish: PowerWish
    since_ms: int


class PowerSwitch:
    """Moves one node's supply. A transaction belongs to the HAT: it goes on when its caller has gone."""

    def __init__(self, node: str, clock: Clock) -> None:
        self._node = node
        self._clock = clock
        self._running: _Running | None = None

    async def set(self, session: HatSession, wish: PowerWish) -> link_pb2.Reply:
        """Return the HAT's final reply, which says what was measured. Cancelling leaves the transaction to the HAT.

        Raises:
            PowerBusyError: another transaction runs, also one whose caller has gone.
            PowerFailedError: it ended otherwise than wished.
            NoAnswerError: it did not end in time.
            RefusedError: the HAT cannot take it, or went away.
        """
        if self._running is not None:
            seconds = (self._clock.monotonic_ms() - self._running.since_ms) / 1000
            raise PowerBusyError(self._node, f"{self._running.wish.word}, for {seconds:.1f} s")
        self._running = _Running(wish, self._clock.monotonic_ms())
        log.info("power requested", extra={"node": self._node, "action": wish.word})
        operation = link_pb2.SetPower(
            action=link_pb2.PowerAction.ValueType(wish.action),
            grace_ms=wish.grace_ms,
            force=wish.force,
            off_ms=wish.off_ms,
        )
        answer = session.request(operation, wish.timeout_ms)
        answer.add_done_callback(self._end)
        return self._judged(wish, await asyncio.shield(answer))

    def _end(self, answer: asyncio.Future[Answer]) -> None:
        running, self._running = self._running, None
        outcome = answer.result()
        if running is None:
            return
        result = type(outcome).__name__ if isinstance(outcome, RefusedError) else _result_word(outcome.result)
        took_ms = self._clock.monotonic_ms() - running.since_ms
        extra = {"node": self._node, "action": running.wish.word, "result": result, "took_ms": took_ms}
        log.info("power ended", extra=extra)

    def _judged(self, wish: PowerWish, answer: Answer) -> link_pb2.Reply:
        if isinstance(answer, RefusedError):
            raise answer
        if answer.result == link_pb2.RESULT_DONE:
            return answer
        if answer.result == link_pb2.RESULT_BUSY:
            raise PowerBusyError(self._node, "which its HAT has not ended yet")
        if answer.result == link_pb2.RESULT_STALE:
            raise NoAnswerError(self._node, "has forgotten the request")
        raise PowerFailedError(self._node, answer, self._failure(wish, answer))

    def _failure(self, wish: PowerWish, reply: link_pb2.Reply) -> str:  # noqa: PLR0911  a sentence each
        node = self._node
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
