"""The books of the request account: what was asked, what the HAT did, what the caller was told, what the rail shows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from racklet.link.v1 import link_pb2

if TYPE_CHECKING:
    from racklet_virtual.supply import Supply

_UP_VOLTS = 4.75
_DOWN_VOLTS = 0.3
TURNS_ON = (link_pb2.POWER_ACTION_ON, link_pb2.POWER_ACTION_CYCLE)
IDENTIFY = 0  # in the place of an action


@dataclass(slots=True)
class Asked:
    """A request as its caller knows it. `told` has every end of it: a Result, or None for a time-out. One is right."""

    action: int
    told: list[int | None] = field(default_factory=list)


class RequestLedger:
    """Keeps the books of one host session, whose request ids are never used again."""

    def __init__(self, supply: Supply) -> None:
        self.asked: dict[int, Asked] = {}
        self.executed: Counter[int] = Counter()  # by request id
        self.decided: dict[int, int] = {}  # the final Result of each request at the HAT
        self.begun: dict[int, int] = {}  # the actions of power transactions, by request id
        self.late = 0  # executed after the caller was told of a time-out
        self.wrong_rail = 0  # transactions that ended as done while the rail was not so
        self.expected_on = False
        self._supply = supply

    # The caller's side.

    def ask(self, request_id: int, action: int) -> None:
        """A caller asks for something; an action, or IDENTIFY."""
        self.asked[request_id] = Asked(action)

    def tell(self, request_id: int, result: int | None) -> None:
        """The caller is told the end: a Result, or None for a time-out."""
        self.asked[request_id].told.append(result)

    # The HAT's side.

    def execute(self, request_id: int, action: int, result: int) -> None:
        """The HAT does what it is asked for, or finds that it may not: it decides."""
        self.executed[request_id] += 1
        self.late += bool(self.asked[request_id].told)
        if result == link_pb2.RESULT_PENDING:
            self.begun[request_id] = action
        else:
            self.decided[request_id] = result
            if result == link_pb2.RESULT_DONE and action != IDENTIFY:
                self._settle(action)

    def finish(self, request_id: int, result: int) -> None:
        """A power transaction ends."""
        self.decided[request_id] = result
        if result == link_pb2.RESULT_DONE:
            self._settle(self.begun[request_id])
        elif result == link_pb2.RESULT_NODE_BUSY:
            self.expected_on = True

    # What the books say.

    @property
    def unanswered(self) -> int:
        """Requests of which the caller was told nothing."""
        return sum(not request.told for request in self.asked.values())

    @property
    def told_twice(self) -> int:
        """Requests of which the caller was told more than one end."""
        return sum(len(request.told) > 1 for request in self.asked.values())

    @property
    def executed_twice(self) -> int:
        """Requests that the HAT did more than once."""
        return sum(times > 1 for times in self.executed.values())

    @property
    def timed_out(self) -> int:
        """Requests of which the caller was told that there was no answer in time."""
        return sum(request.told == [None] for request in self.asked.values())

    @property
    def timed_out_executed(self) -> int:
        """How many of these the HAT did execute, in time or later."""
        return sum(request.told == [None] and number in self.executed for number, request in self.asked.items())

    @property
    def stale_executed(self) -> int:
        """How many requests were refused to their caller as too old although the HAT had executed them."""
        stale = link_pb2.RESULT_STALE
        return sum(request.told == [stale] and number in self.executed for number, request in self.asked.items())

    @property
    def answers(self) -> Counter[int]:
        """The results that callers were told."""
        return Counter(told for request in self.asked.values() for told in request.told if told is not None)

    @property
    def untrue(self) -> int:
        """Answers that are not what the HAT decided, nor the refusal of an id that is too old."""
        return sum(
            told not in (None, link_pb2.RESULT_STALE, self.decided.get(request_id))
            for request_id, request in self.asked.items()
            for told in request.told
        )

    @property
    def starts(self) -> int:
        """How often the transactions that ended as done have switched the supply on."""
        done = link_pb2.RESULT_DONE
        return sum(
            action in TURNS_ON and self.decided.get(request_id) == done for request_id, action in self.begun.items()
        )

    def rail_is(self, *, on: bool) -> bool:
        """Tell whether the rail is up, or down."""
        volts = self._supply.volts
        return volts > _UP_VOLTS if on else volts < _DOWN_VOLTS

    def _settle(self, action: int) -> None:
        self.expected_on = action in TURNS_ON
        self.wrong_rail += not self.rail_is(on=self.expected_on)
