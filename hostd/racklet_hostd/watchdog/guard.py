"""The watch over one node at work: looks, probes, reports, and has it cycled."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from racklet_hostd.clock import Clock
from racklet_hostd.event_log import EventLog
from racklet_hostd.model import HatState, SupplyState
from racklet_hostd.node import Node
from racklet_hostd.refusals import RefusedError
from racklet_hostd.watchdog.life import LifeRules, LifeWatch, Step, Verdict
from racklet_hostd.watchdog.probe import Probe

log = logging.getLogger(__name__)

LOOK_S = 1.0

_KINDS = {
    Step.REPORT: "node_silent",
    Step.RECOVER: "node_silent",
    Step.GIVE_UP: "watchdog_gave_up",
    Step.REJOICE: "node_back",
}


class Guard:
    """Watches a node for as long as hostd runs. `cycle` takes its supply off and on again, or raises RefusedError."""

    def __init__(
        self, node: Node, rules: LifeRules, events: EventLog, clock: Clock, cycle: Callable[[], Awaitable[object]]
    ) -> None:
        self._node = node
        self._life = LifeWatch(rules)
        self._events = events
        self._clock = clock
        self._cycle = cycle
        self._boot_and_end = (0, 0)

    async def run(self) -> None:
        """Look at the node every second, for ever."""
        while True:
            self._look()
            verdict = self._life.tick(self._clock.monotonic_ms())
            if verdict is not None:
                await self._act(verdict)
            await asyncio.sleep(LOOK_S)

    async def probe(self, probe: Probe, every_s: float, timeout_s: float) -> None:
        """Probe the node, for ever."""
        while True:
            await asyncio.sleep(every_s)
            if self._life.wants_probes:
                self._life.take_probe(await probe.ask(timeout_s))

    def _look(self) -> None:
        node, now_ms = self._node, self._clock.monotonic_ms()
        is_on = node.hat.state is HatState.ONLINE and node.supply_state is SupplyState.ON
        self._life.see_supply(on=is_on, now_ms=now_ms)
        newest = node.store.newest
        boot_and_end = (newest.number, newest.end) if newest else (0, 0)
        if boot_and_end != self._boot_and_end:
            self._boot_and_end = boot_and_end
            self._life.hear_console(now_ms)

    async def _act(self, verdict: Verdict) -> None:
        name = self._node.name
        log.warning("watchdog", extra={"node": name, "step": verdict.step.value, "why": verdict.why})
        outcome = {
            Step.REPORT: "It is left as it is.",
            Step.RECOVER: "Its supply is cycled.",
            Step.GIVE_UP: "It was cycled as often as its watchdog may within an hour: somebody should look at it.",
            Step.REJOICE: "",
        }[verdict.step]
        self._tell(_KINDS[verdict.step], f"{name}: {verdict.why}. {outcome}".rstrip())
        if verdict.step is not Step.RECOVER:
            return
        try:
            await self._cycle()
        except RefusedError as error:
            self._tell("watchdog_failed", f"The watchdog of {name} could not cycle its supply: {error}")

    def _tell(self, kind: str, message: str) -> None:
        self._events.record(self._node.name, self._clock.unix_ms(), kind, message)
