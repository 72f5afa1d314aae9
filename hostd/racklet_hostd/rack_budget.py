"""The power budget of the rack at work: who asks waits, what is decided is told and carried out."""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable

from racklet_hostd.bell import Bell, ShuttingDownError
from racklet_hostd.budget import (
    Admitted,
    BudgetExceeded,
    BudgetKept,
    BudgetRules,
    Decision,
    Demand,
    PowerBudget,
    Refused,
    RefusedWhy,
    Seen,
    Shed,
    ShedHow,
    Wait,
    words,
)
from racklet_hostd.clock import Clock
from racklet_hostd.config import NodeConfig, RackletConfig
from racklet_hostd.errors import RackletError
from racklet_hostd.event_log import EventLog
from racklet_hostd.model import Measurement, PowerAction, SupplyState
from racklet_hostd.power import PowerWish
from racklet_hostd.refusals import NeverFitsError, PowerOvertakenError, QueueFullError, RefusedError

log = logging.getLogger(__name__)

LOOK_AGAIN_MS = 250  # while something is due
_MW_PER_W = 1_000
_MS_PER_S = 1_000
_UVUA_PER_MW = 1_000_000_000
_UW_PER_MW = 1_000

SwitchOff = Callable[[str, PowerWish], Awaitable[object]]


class RackBudget:
    """Lets starts pass as the budget admits them, and sheds nodes while `run` runs. Lives in the event loop's thread.

    `changed` is told of each node whose wait changed.

    Attributes:
        plan: the budget itself, to be read.
        shed_count: how often each node was switched off to keep the budget.
    """

    def __init__(
        self, config: RackletConfig, events: EventLog, clock: Clock, changed: Callable[[str], None] | None = None
    ) -> None:
        settle_ms = (
            2 * config.telemetry.period_ms
        )  # so that no measurement of the running node holds a bit of its start
        self.plan = PowerBudget(_rules(config), [_demand(node, settle_ms) for node in config.nodes])
        self.shed_count = Counter({node.name: 0 for node in config.nodes})
        self.exceed_unix_ms = 0
        self._hard_percent = config.power.hard_limit_percent
        self._grace_ms = round(config.power.shed_grace_s * _MS_PER_S)
        self._events = events
        self._clock = clock
        self._changed = changed
        self._asking: dict[str, asyncio.Future[Admitted | RackletError]] = {}
        self._waits: dict[str, Wait] = {}
        self._since_unix_ms: dict[str, int] = {}
        self._orders: deque[Shed] = deque(maxlen=2 * len(config.nodes))  # at most one of each kind for a node
        self._bell = Bell()

    @property
    def waits(self) -> dict[str, Wait]:
        """Why each node that waits does."""
        return self._waits

    def wait_since_unix_ms(self, node: str) -> int:
        """Return since when a node waits."""
        return self._since_unix_ms[node]

    async def admit(self, node: str, wish: PowerWish) -> None:
        """Return when the node may start. Cancelling gives its place in the queue up.

        Raises NeverFitsError, QueueFullError, what `dismiss` says, or ShuttingDownError.
        """
        answer: asyncio.Future[Admitted | RackletError] = asyncio.get_running_loop().create_future()
        self._asking[node] = answer
        self._since_unix_ms[node] = self._clock.unix_ms()
        try:
            self.plan.ask(node, self._now_ms(), restarts=wish.action is PowerAction.CYCLE)
            self._carry_out()
            outcome = await answer
        finally:
            self._asking.pop(node, None)
            if not answer.done() or answer.cancelled():
                self.plan.cancel(node, self._now_ms())
                self._carry_out()
        if isinstance(outcome, RackletError):
            raise outcome

    def dismiss(self, node: str, why: RackletError) -> None:
        """Let who waits for the node have `why`. Nothing happens when nobody does."""
        answer = self._asking.get(node)
        if answer is not None and not answer.done():
            answer.set_result(why)
            self.plan.cancel(node, self._now_ms())
            self._carry_out()

    def take_back(self, node: str) -> None:
        """An admitted start did not begin."""
        self.plan.take_back(node, self._now_ms())
        self._carry_out()

    def end(self, node: str) -> None:
        """What was admitted has ended, however."""
        self.plan.end(node, self._now_ms())
        self._carry_out()

    def see(self, node: str, supply: SupplyState, measured: Measurement | None, *, is_online: bool) -> None:
        """Take what is known of a node; `measured` is None when nothing new was measured."""
        drawn_mw = measured.supply_uw // _UW_PER_MW if measured else None
        peak_mw = measured.supply_max_uv * measured.supply_max_ua // _UVUA_PER_MW if measured else None
        self.plan.see(node, Seen(supply, is_online, drawn_mw, peak_mw), self._now_ms())
        self._carry_out()

    def set_capacity(self, capacity_mw: int) -> None:
        """Go by another supply until hostd starts again."""
        self.plan.set_capacity(capacity_mw, _hard_limit_mw(capacity_mw, self._hard_percent), self._now_ms())
        log.warning("power budget set", extra={"capacity_mw": capacity_mw})
        self._carry_out()

    async def run(self, switch_off: SwitchOff) -> None:
        """Let time pass and shed nodes with `switch_off`, until the budget is closed."""
        async with asyncio.TaskGroup() as tasks:
            is_open = True
            while is_open:
                self.plan.tick(self._now_ms())
                self._carry_out()
                while self._orders:
                    tasks.create_task(self._shed(self._orders.popleft(), switch_off), name="shed")
                is_open = await self._pause()

    def close(self) -> None:
        """Let go of everybody who waits, for hostd is shutting down."""
        for node in list(self._asking):
            self.dismiss(node, ShuttingDownError())
        self._bell.close()

    async def _shed(self, order: Shed, switch_off: SwitchOff) -> None:
        graceful = PowerWish(PowerAction.OFF, grace_ms=self._grace_ms, force=True)
        try:
            await switch_off(
                order.node, graceful if order.how is ShedHow.GRACEFUL else PowerWish(PowerAction.FORCE_OFF)
            )
        except PowerOvertakenError:
            return  # somebody switches it off faster
        except RefusedError as error:
            log.warning("shedding failed", extra={"node": order.node, "problem": str(error)})
            self.plan.shed_failed(order.node, self._now_ms())
            self._carry_out()
        else:
            self.shed_count[order.node] += 1

    async def _pause(self) -> bool:
        """Wait until something may be to be done; False when that will never be."""
        now_ms = self._now_ms()
        due_ms = self.plan.due_ms(now_ms)
        pause_ms = None if due_ms is None else min(due_ms - now_ms, LOOK_AGAIN_MS)
        try:
            async with asyncio.timeout(None if pause_ms is None else pause_ms / _MS_PER_S):
                await self._bell.wait()
        except TimeoutError:
            return True
        except ShuttingDownError:
            return False
        return True

    def _carry_out(self) -> None:
        """Tell what was decided and who waits for it."""
        for decision in self.plan.take_decisions():
            self._tell(decision)
            match decision:
                case Admitted(node):
                    self._settle(node, decision)
                case Refused(node):
                    self._settle(node, self._refusal(decision))
                case Shed():
                    self._orders.append(decision)
                case BudgetExceeded():
                    self.exceed_unix_ms = self._clock.unix_ms()
                case BudgetKept():
                    self.exceed_unix_ms = 0
                case _:
                    pass
        self._note_waits()
        self._bell.ring()

    def _tell(self, decision: Decision) -> None:
        if isinstance(decision, Admitted) and not decision.starts:
            return
        node = getattr(decision, "node", "")
        kind, sentence = words.describe(decision)
        grave = isinstance(decision, Shed | BudgetExceeded)
        log.log(logging.WARNING if grave else logging.INFO, kind, extra={"node": node, "what": sentence})
        self._events.record(node, self._clock.unix_ms(), kind, sentence)

    def _settle(self, node: str, outcome: Admitted | RackletError) -> None:
        answer = self._asking.get(node)
        if answer is not None and not answer.done():
            answer.set_result(outcome)

    def _refusal(self, refused: Refused) -> RackletError:
        if refused.why is RefusedWhy.QUEUE_FULL:
            return QueueFullError(refused.node, self.plan.rules.queue_limit)
        return NeverFitsError(refused.node, words.refused_reason(refused))

    def _note_waits(self) -> None:
        before, self._waits = self._waits, self.plan.waits()
        if self._changed is None:
            return
        for node in before.keys() | self._waits.keys():
            if before.get(node) != self._waits.get(node):
                self._changed(node)

    def _now_ms(self) -> int:
        return self._clock.monotonic_ms()


def _rules(config: RackletConfig) -> BudgetRules:
    power = config.power
    capacity_mw = round(power.capacity_w * _MW_PER_W)
    return BudgetRules(
        capacity_mw=capacity_mw,
        reserve_mw=round(power.reserve_w * _MW_PER_W),
        hard_limit_mw=_hard_limit_mw(capacity_mw, power.hard_limit_percent),
        exceeded_ms=round(power.exceeded_s * _MS_PER_S),
        queue_limit=power.queue,
    )


def _hard_limit_mw(capacity_mw: int, percent: int) -> int:
    return capacity_mw * percent // 100


def _demand(node: NodeConfig, settle_ms: int) -> Demand:
    peak_w = node.peak_w or 0.0
    return Demand(
        name=node.name,
        peak_mw=round(peak_w * _MW_PER_W),
        inrush_mw=round((node.inrush_w or peak_w) * _MW_PER_W),
        priority=node.priority,
        start_ms=round(node.start_s * _MS_PER_S) + settle_ms,
    )
