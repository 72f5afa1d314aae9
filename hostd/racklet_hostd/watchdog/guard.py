"""The watch over one node at work: looks, probes, reports, and has it cycled."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from racklet_hostd.clock import Clock
from racklet_hostd.config import WatchdogConfig
from racklet_hostd.event_log import EventLog
from racklet_hostd.model import HatState, SupplyState
from racklet_hostd.node import Node
from racklet_hostd.refusals import RefusedError
from racklet_hostd.watchdog.life import LifeRules, LifeWatch, Step, Verdict
from racklet_hostd.watchdog.probe import CommandProbe, HttpProbe, Probe, TcpProbe

log = logging.getLogger(__name__)

LOOK_S = 1.0
_MS_PER_S = 1000

_KINDS = {
    Step.REPORT: "node_silent",
    Step.RECOVER: "node_silent",
    Step.GIVE_UP: "watchdog_gave_up",
    Step.REJOICE: "node_back",
}


class Guard:
    """Watches a node for as long as hostd runs. `cycle` takes its supply off and on again, or raises RefusedError."""

    def __init__(
        self, node: Node, config: WatchdogConfig, events: EventLog, clock: Clock, cycle: Callable[[], Awaitable[object]]
    ) -> None:
        self._node = node
        self._config = config
        self._probe = _probe_of(config)
        self._life = LifeWatch(_rules(config))
        self._events = events
        self._clock = clock
        self._cycle = cycle
        self._boot_and_end = (0, 0)

    async def run(self) -> None:
        """Look at the node, and probe it, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch(), name="watch")
            if self._probe is not None:
                tasks.create_task(self._ask(self._probe), name="probe")

    async def _watch(self) -> None:
        while True:
            self._look()
            verdict = self._life.tick(self._clock.monotonic_ms())
            if verdict is not None:
                await self._act(verdict)
            await asyncio.sleep(LOOK_S)

    async def _ask(self, probe: Probe) -> None:
        while True:
            await asyncio.sleep(self._config.probe_every_s)
            if self._life.wants_probes:
                self._life.take_probe(await probe.ask(self._config.probe_timeout_s))

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


def _rules(config: WatchdogConfig) -> LifeRules:
    return LifeRules(
        boot_ms=config.boot_s * _MS_PER_S,
        silence_ms=config.console_silence_s * _MS_PER_S or None,
        probe_failures=config.probe_failures if _probe_of(config) else None,
        recoveries_per_hour=config.cycles_per_hour,
    )


def _probe_of(config: WatchdogConfig) -> Probe | None:
    if config.probe_tcp is not None:
        return TcpProbe(config.probe_tcp.host, config.probe_tcp.port)
    if config.probe_http:
        return HttpProbe(config.probe_http)
    return CommandProbe(config.probe_command) if config.probe_command else None
