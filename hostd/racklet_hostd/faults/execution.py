"""A run of faults at work: listens to its nodes, does the deeds through the ordinary power path, tells the steps."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from racklet_hostd.bell import Bell, ChangeFeed, ShuttingDownError
from racklet_hostd.caller import Caller
from racklet_hostd.clock import Clock
from racklet_hostd.errors import RackletError, StoreError
from racklet_hostd.event_log import EventLog
from racklet_hostd.faults.hold import Deed, Outcome
from racklet_hostd.faults.listener import Listener
from racklet_hostd.faults.run import STEPS_LIMIT, FaultRun, Order, Step
from racklet_hostd.model import HatState, PowerAction, SupplyState
from racklet_hostd.node import Node
from racklet_hostd.power import PowerWish
from racklet_hostd.refusals import PowerBusyError, TooManyRequestsError
from racklet_hostd.store.debts import Debt, Debts

log = logging.getLogger(__name__)

LOOK_AGAIN_MS = 1000  # when nothing tells of a change
RELEASE_PATIENCE_S = 2.0  # a force-off does not wait longer for a disk that hangs
_TRIPPED = "a protection has tripped, its events tell which"
_EVENT_KINDS = {
    "off": "fault_taken",
    "restored": "fault_restored",
    "failed": "fault_failed",
    "released": "fault_released",
}

SetPower = Callable[[Caller, str, PowerWish], Awaitable[object]]
_END = {Deed.CUT: PowerAction.FORCE_OFF, Deed.RAISE: PowerAction.ON}


@dataclass(frozen=True, slots=True)
class Commons:
    """What all runs share."""

    set_power: SetPower
    events: EventLog
    changes: ChangeFeed
    clock: Clock
    debts: Debts


class Told(NamedTuple):
    """A step, and the unix time when it was taken."""

    step: Step
    unix_ms: int


class Execution:
    """One run, until it is over. A Claim on its nodes.

    Attributes:
        run: what it carries out.
        holder: who its power requests are by.
        words: whose run it is, for a person.
        is_over: whether nothing more happens.
    """

    def __init__(self, run: FaultRun, nodes: Sequence[Node], holder: Caller, words: str, commons: Commons) -> None:
        self.run = run
        self.holder = holder
        self.words = words
        self.is_over = False
        self._nodes = {node.name: node for node in nodes}
        self._commons = commons
        self._listeners = {node.name: Listener(node) for node in nodes}
        self._wake = asyncio.Event()
        self._steps: deque[Told] = deque(maxlen=STEPS_LIMIT)  # the oldest go, and are counted
        self._dropped = 0
        self._told = Bell()

    async def perform(self) -> None:
        """Carry the run out until it is over. Cancelling leaves the debts to the next start of hostd."""
        async with asyncio.TaskGroup() as tasks:
            hearing = tasks.create_task(self._hear(), name="changes")
            while not self.run.is_over:
                self._wake.clear()
                self._look()
                self.run.tick(self._now_ms())
                for order in self.run.take_orders():
                    tasks.create_task(self._carry_out(order), name=f"{order.deed.name} {order.node}")
                self._pass_on()
                await self._pause()
            hearing.cancel()
        self._pass_on()
        self.is_over = True
        self._told.ring()

    def end(self, why: str) -> None:
        """End the run, unless it has ended: what it took is given back."""
        self.run.end(why, self._now_ms())
        self._wake.set()

    async def release(self, node: str, why: str) -> None:
        """Let go of a node for good, as Claim says."""
        self.run.release(node, why, self._now_ms())
        self._wake.set()
        self._nodes[node].mark_changed()  # wakes who waits for its HAT
        try:
            async with asyncio.timeout(RELEASE_PATIENCE_S):
                await self._commons.debts.remove(node)
        except (StoreError, TimeoutError) as error:
            problem = str(error) or "the disk hangs"
            log.warning("debt not struck out", extra={"node": node, "problem": problem})
            message = f"{node} is let go, but the disk does not take that ({problem}): a new hostd will switch it on"
            self._record(node, "fault_failed", message)

    async def steps(self) -> AsyncIterator[Told]:
        """Yield the steps as they come, until the run is over."""
        while True:
            if self._dropped:
                words = f"{self._dropped} steps before are left out: the reader was too slow"
                self._dropped = 0
                yield Told(Step("note", "", words), self._commons.clock.unix_ms())
            while self._steps:
                yield self._steps.popleft()
            if self.is_over:
                return
            await self._told.wait()

    async def _hear(self) -> None:
        with suppress(ShuttingDownError):
            while True:
                await self._commons.changes.bell.wait()
                self._wake.set()

    async def _pause(self) -> None:
        now_ms = self._now_ms()
        due_ms = self.run.due_ms()
        pause_ms = LOOK_AGAIN_MS if due_ms is None else min(max(0, due_ms - now_ms), LOOK_AGAIN_MS)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_ms / 1000):
                await self._wake.wait()

    def _look(self) -> None:
        for name, listener in self._listeners.items():
            self.run.see_supply(name, self._nodes[name].supply_state)
            has_booted, phases = listener.phases()
            if has_booted:
                self.run.see_boot(name)
            reached = deque(phases)
            lines = listener.lines() if self.run.wants_lines(name) else iter(())
            for boot, offset, line in lines:
                while reached and (boot, offset) >= (listener.boot, reached[0].offset):
                    self.run.see_phase(name, reached.popleft().phase, self._now_ms())
                self.run.see_line(name, line, self._now_ms())
            for start in reached:
                self.run.see_phase(name, start.phase, self._now_ms())

    def _pass_on(self) -> None:
        for step in self.run.take_steps():
            self._dropped += len(self._steps) == STEPS_LIMIT
            self._steps.append(Told(step, self._commons.clock.unix_ms()))
            log.info("fault", extra={"node": step.node, "step": step.kind, "what": step.message})
            if step.kind in _EVENT_KINDS:
                self._record(step.node, _EVENT_KINDS[step.kind], f"{step.message} ({self.words})")
        self._told.ring()

    async def _carry_out(self, order: Order) -> None:
        outcome, words = await (self._settle(order) if order.deed is Deed.SETTLE else self._move(order))
        self.run.finished(order, outcome, self._now_ms(), words)
        self._wake.set()

    async def _settle(self, order: Order) -> tuple[Outcome, str]:
        try:
            await self._commons.debts.remove(order.node)
        except StoreError as error:
            return Outcome.FAILED, str(error)
        return Outcome.DONE, ""

    async def _move(self, order: Order) -> tuple[Outcome, str]:
        node = self._nodes[order.node]
        try:
            await (self._note_debt(node) if order.deed is Deed.CUT else self._online(node, order))
        except (StoreError, ShuttingDownError) as error:
            return Outcome.UNTOUCHED, str(error)
        if order.deed is Deed.RAISE and node.supply_state is SupplyState.TRIPPED:
            return Outcome.TRIPPED, _TRIPPED
        if not self.run.is_wanted(order):
            return Outcome.UNTOUCHED, "it is not wanted any more"
        try:
            await self._commons.set_power(self.holder, node.name, PowerWish(_END[order.deed]))
        except (PowerBusyError, TooManyRequestsError) as error:
            return Outcome.UNTOUCHED, str(error)
        except RackletError as error:
            return (Outcome.TRIPPED if node.supply_state is SupplyState.TRIPPED else Outcome.FAILED), str(error)
        return Outcome.DONE, ""

    async def _note_debt(self, node: Node) -> None:
        debt = Debt(node.name, self.words, self.holder.who, self._commons.clock.unix_ms())
        await self._commons.debts.add(debt)

    async def _online(self, node: Node, order: Order) -> None:
        """Return when the node's HAT talks, or the order is not wanted any more. Raises ShuttingDownError."""
        while node.hat.state is not HatState.ONLINE and self.run.is_wanted(order):
            await self._commons.changes.bell.wait()

    def _record(self, node: str, kind: str, message: str) -> None:
        self._commons.events.record(node, self._commons.clock.unix_ms(), kind, message)

    def _now_ms(self) -> int:
        return self._commons.clock.monotonic_ms()
