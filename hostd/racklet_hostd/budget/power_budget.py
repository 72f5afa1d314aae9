"""Who may start, who waits, and who has to go."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from racklet_hostd.budget.claim import Claim, Demand, Phase, Seen, ShedHow
from racklet_hostd.budget.decisions import (
    Admitted,
    BudgetExceeded,
    BudgetKept,
    Cancelled,
    Decision,
    Queued,
    Refused,
    RefusedWhy,
    Shed,
    Wait,
)


@dataclass(frozen=True, slots=True)
class BudgetRules:
    """What the supply gives, and how strictly.

    Attributes:
        capacity_mw: what the supply is rated for.
        reserve_mw: what of it is kept back.
        hard_limit_mw: drawn above it, nodes are cut without grace.
        exceeded_ms: for how long claims or draw may pass the limit before nodes are shed.
        queue_limit: the most starts that wait.
    """

    capacity_mw: int
    reserve_mw: int
    hard_limit_mw: int
    exceeded_ms: int
    queue_limit: int

    @property
    def limit_mw(self) -> int:
        """What all claims together may come to."""
        return self.capacity_mw - self.reserve_mw


class PowerBudget:
    """Admits starts so that the claims of all nodes never pass the limit, and sheds nodes when they do anyway.

    A request to start:

    | state    | event                                           | next                                  |
    |----------|-------------------------------------------------|---------------------------------------|
    | asked    | the node is on, and is not to be restarted      | admitted, it does not start           |
    | asked    | the node is being shed                          | refused, SHED                         |
    | asked    | it needs more than the limit by itself          | refused, NEVER_FITS                   |
    | asked    | nobody is before it, it fits, within the budget | admitted                              |
    | asked    | else, `queue_limit` wait                        | refused, QUEUE_FULL                   |
    | asked    | else                                            | waits                                 |
    | waits    | it is the first, it fits, within the budget     | admitted                              |
    | waits    | `cancel`                                        | cancelled                             |
    | waits    | the limit sank, or what was measured grew beyond it | refused, NEVER_FITS               |
    | waits    | its node, which is on, is shed                  | refused, SHED                         |

    The queue is by priority, then by who asked first. Nobody is passed by one that needs less: else a node that needs
    much would starve among its equals. See Claim for what a node counts.

    The rack:

    | state  | event                                                   | next                              |
    |--------|---------------------------------------------------------|-----------------------------------|
    | within | claims or draw pass the limit                           | exceeded; nothing is admitted     |
    | exceeded | neither does                                          | within                            |
    | exceeded | for `exceeded_ms`: what is not on its way off still does | shed gracefully, until it fits  |
    | any    | the draw passes `hard_limit_mw`                         | cut at once, until it fits        |

    Shed is who has the lowest priority; of equals who started last. Nodes that cannot be reached, or that are in the
    middle of starting, are left out. Nodes that were not heard of since hostd started count for admission, but nobody
    is shed for them.

    Every method may make decisions, which `take_decisions` hands out once, in order.
    """

    def __init__(self, rules: BudgetRules, demands: Iterable[Demand]) -> None:
        self.rules = rules
        self._claims = {demand.name: Claim(demand) for demand in demands}
        self._asked = 0
        self._exceeded_ms: int | None = None
        self._decisions: list[Decision] = []

    @property
    def claims(self) -> list[Claim]:
        """Every node's, to be read."""
        return list(self._claims.values())

    @property
    def queue(self) -> list[Claim]:
        """Who waits, the next first."""
        waiting = [(claim.demand.priority, claim.asked, claim) for claim in self.claims if claim.asked is not None]
        return [claim for *_, claim in sorted(waiting, key=lambda item: (-item[0], item[1]))]

    @property
    def reserved_mw(self) -> int:
        """What all nodes count, those that are not known too: what admission goes by."""
        return sum(claim.counted_mw for claim in self.claims)

    @property
    def claimed_mw(self) -> int:
        """What the nodes count that are known."""
        return sum(claim.counted_mw for claim in self.claims if claim.phase is not Phase.UNKNOWN)

    @property
    def drawn_mw(self) -> int:
        """What was measured last, all nodes together."""
        return sum(claim.drawn_mw for claim in self.claims)

    @property
    def is_exceeded(self) -> bool:
        """Whether claims or draw pass the limit."""
        return self._exceeded_ms is not None

    @property
    def shed_order(self) -> list[Claim]:
        """The nodes that run, in the order in which they would be shed."""
        running = [claim for claim in self.claims if claim.phase in {Phase.STARTING, Phase.ON}]
        return sorted(running, key=lambda claim: (claim.demand.priority, -claim.switched_ms, claim.name))

    def waits(self) -> dict[str, Wait]:
        """Return why each node that waits does, by name, the next first."""
        free_mw = self.rules.limit_mw - self.reserved_mw
        queue = self.queue
        before = ["", *(claim.name for claim in queue)]
        return {
            claim.name: Wait(place, claim.needed_mw, free_mw, before[place - 1]) for place, claim in enumerate(queue, 1)
        }

    def due_ms(self, now_ms: int) -> int | None:
        """Return when `tick` next has something to do; None when time alone changes nothing."""
        times = [claim.due_ms for claim in self.claims if claim.due_ms is not None]
        if self._exceeded_ms is not None:
            times.append(self._exceeded_ms + self.rules.exceeded_ms)
            times += [claim.shed_again_ms for claim in self.claims if claim.shed_again_ms > now_ms]
        return min((time_ms for time_ms in times if time_ms > now_ms), default=None)

    def take_decisions(self) -> list[Decision]:
        """Return what was decided since the call before."""
        decisions, self._decisions = self._decisions, []
        return decisions

    def ask(self, node: str, now_ms: int, *, restarts: bool) -> None:
        """Ask for a start. Raises ValueError when the node waits or starts already."""
        claim = self._claims[node]
        if claim.asked is not None or claim.is_starting:
            raise ValueError(f"{node} waits or starts already")
        if claim.phase is Phase.ON and not claim.is_leaving and not restarts:
            self._decisions.append(Admitted(node, 0, self.reserved_mw, self.rules.limit_mw, starts=False))
            return
        if claim.shed is not None:
            self._refuse(claim, RefusedWhy.SHED)
            return
        self._asked += 1
        claim.asked, claim.asked_ms = self._asked, now_ms
        self._decide(now_ms)
        wait = self.waits().get(node)
        if wait is not None and len(self.queue) > self.rules.queue_limit:
            self._refuse(claim, RefusedWhy.QUEUE_FULL)
        elif wait is not None:
            self._decisions.append(Queued(node, wait))

    def cancel(self, node: str, now_ms: int) -> None:
        """Wait no more. Nothing happens when the node does not wait."""
        claim = self._claims[node]
        if claim.asked is not None:
            claim.asked = None
            self._decisions.append(Cancelled(node, now_ms - claim.asked_ms))
            self._decide(now_ms)

    def take_back(self, node: str, now_ms: int) -> None:
        """An admitted start did not begin. Nothing happens when none was admitted."""
        self._claims[node].take_back()
        self._decide(now_ms)

    def end(self, node: str, now_ms: int) -> None:
        """The transaction of an admitted start ended, however. Nothing happens when none was admitted."""
        self._claims[node].end(now_ms)
        self._decide(now_ms)

    def see(self, node: str, seen: Seen, now_ms: int) -> None:
        """Take what the HAT of a node tells."""
        self._claims[node].see(seen, now_ms)
        self._decide(now_ms)

    def shed_failed(self, node: str, now_ms: int) -> None:
        """A node that was to be shed was not switched off."""
        self._claims[node].shed_failed(now_ms)
        self._decide(now_ms)

    def set_capacity(self, capacity_mw: int, hard_limit_mw: int, now_ms: int) -> None:
        """Go by another supply from now on."""
        self.rules = replace(self.rules, capacity_mw=capacity_mw, hard_limit_mw=hard_limit_mw)
        self._decide(now_ms)

    def tick(self, now_ms: int) -> None:
        """Let time pass."""
        self._decide(now_ms)

    def _decide(self, now_ms: int) -> None:
        for claim in self.claims:
            claim.settle(now_ms)
        self._judge(now_ms)
        self._shed(now_ms)
        for claim in self.queue:
            if claim.start_mw > self.rules.limit_mw:
                self._refuse(claim, RefusedWhy.NEVER_FITS)
        while (queue := self.queue) and self._fits(queue[0]):
            self._admit(queue[0], now_ms)

    def _judge(self, now_ms: int) -> None:
        claimed_mw, drawn_mw, limit_mw = self.claimed_mw, self.drawn_mw, self.rules.limit_mw
        exceeded = max(claimed_mw, drawn_mw) > limit_mw
        if exceeded and self._exceeded_ms is None:
            self._exceeded_ms = now_ms
            self._decisions.append(BudgetExceeded(claimed_mw, drawn_mw, limit_mw))
        elif not exceeded and self._exceeded_ms is not None:
            self._decisions.append(BudgetKept(now_ms - self._exceeded_ms))
            self._exceeded_ms = None

    def _shed(self, now_ms: int) -> None:
        if self._exceeded_ms is None:
            return
        if self.drawn_mw > self.rules.hard_limit_mw:
            self._cut(now_ms)
        if now_ms - self._exceeded_ms < self.rules.exceeded_ms:
            return
        candidates = [claim for claim in self.shed_order if claim.may_be_shed(now_ms)]
        while candidates and self._stays_exceeded():
            self._order(candidates.pop(0), ShedHow.GRACEFUL)

    def _cut(self, now_ms: int) -> None:
        """Cut nodes until what is left draws less than the hard limit; those that take their time to leave too."""
        for claim in self.shed_order:
            left_mw = sum(other.drawn_mw for other in self.claims if other.shed is not ShedHow.CUT)
            if left_mw <= self.rules.hard_limit_mw:
                return
            if claim.may_be_shed(now_ms) or (claim.shed is ShedHow.GRACEFUL and claim.is_online):
                self._order(claim, ShedHow.CUT)

    def _stays_exceeded(self) -> bool:
        """Tell whether claims or draw pass the limit when all have left that are on their way."""
        staying = [claim for claim in self.claims if not claim.is_leaving]
        claimed_mw = sum(claim.counted_mw for claim in staying if claim.phase is not Phase.UNKNOWN)
        return max(claimed_mw, sum(claim.drawn_mw for claim in staying)) > self.rules.limit_mw

    def _order(self, claim: Claim, how: ShedHow) -> None:
        if claim.asked is not None:
            self._refuse(claim, RefusedWhy.SHED)
        self._decisions.append(Shed(claim.name, how, self.claimed_mw, self.drawn_mw, self.rules.limit_mw))
        claim.shed = how

    def _fits(self, claim: Claim) -> bool:
        return self._exceeded_ms is None and self.reserved_mw + claim.needed_mw <= self.rules.limit_mw

    def _admit(self, claim: Claim, now_ms: int) -> None:
        claim.asked = None
        claim.start(now_ms)
        waited_ms = now_ms - claim.asked_ms
        self._decisions.append(Admitted(claim.name, waited_ms, self.reserved_mw, self.rules.limit_mw))

    def _refuse(self, claim: Claim, why: RefusedWhy) -> None:
        claim.asked = None
        self._decisions.append(Refused(claim.name, why, claim.start_mw, self.rules.limit_mw))
