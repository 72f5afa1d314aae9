"""The rack as the API, the metrics and the health pages see it."""

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial

from racklet_hostd import __version__
from racklet_hostd.bell import ChangeFeed, Moments
from racklet_hostd.boot_watch import BootWatch
from racklet_hostd.caller import BUDGET_POLICY, WATCHDOG_POLICY, Caller
from racklet_hostd.claims import Claims
from racklet_hostd.clock import Clock
from racklet_hostd.config import NodeConfig, RackletConfig, WatchdogConfig
from racklet_hostd.doctor.signatures import signatures_with
from racklet_hostd.event_log import EventLog
from racklet_hostd.faults.execution import Commons as FaultCommons
from racklet_hostd.faults.runner import FaultRunner
from racklet_hostd.firmware_rollout import Rollout
from racklet_hostd.hat_session import HatSession
from racklet_hostd.hat_settings import settings_of
from racklet_hostd.hats import Hats
from racklet_hostd.model import PowerAction
from racklet_hostd.node import Commons, Node
from racklet_hostd.node_shutdown import NodeShutdown
from racklet_hostd.phase_energy import PhaseEnergy
from racklet_hostd.power import PowerWish, Transaction
from racklet_hostd.rack_budget import RackBudget
from racklet_hostd.refusals import RefusedError, UnknownNodeError
from racklet_hostd.slot import Slot, SlotCommons
from racklet_hostd.slots import Slots
from racklet_hostd.store import LogFailure, Store, SyncReport
from racklet_hostd.store.debts import Debts
from racklet_hostd.urgent import UrgentNodes
from racklet_hostd.watchdog.guard import Guard

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Failing:
    """A node whose log the disk did not take: why, and how much of it the disk had taken until then."""

    problem: str
    log_bytes: int


class Rack:
    """The nodes of a rack, in the order of their names, and what they share.

    Raises ConfigError when a table of signatures is wrong, StoreError when it cannot be read what is owed to nodes.

    Attributes:
        moments: pauses, which end when hostd shuts down.
        changes: numbers every change of a node.
        urgent: the nodes whose HATs hold so much that is not stored that they cannot wait for the period's end.
        store_failures: how often the disk did not take something, by reason.
        signatures: what the boot doctor looks for.
        energy_marks: where the nodes' energy counters stood in their boots.
        sync_problem: what the disk did not take, until it takes such again; "" when all is well.
        faults: the runs of faults.
        firmware: the updates of the HATs' firmware.
        slots: where HATs may be plugged in.
        hats: the HATs, and whose they are.
    """

    def __init__(self, config: RackletConfig, store: Store, clock: Clock) -> None:
        self.name, self.version = config.rack.name, __version__
        self.clock = clock
        self.start_ms = clock.unix_ms()
        self.events = EventLog(store.events)
        self.audit = store.audit
        self.changes = ChangeFeed()
        self.urgent = UrgentNodes()
        self.moments = Moments()
        self.signatures = signatures_with(config.doctor.signatures)
        self.energy_marks = store.energy_marks
        self.store_failures = Counter({"disk_full": 0, "disk_error": 0, "index": 0})
        self.sync_problem = ""
        self._failing: dict[str, _Failing] = {}
        self._watchdogs = config.watchdogs
        self.budget = RackBudget(config, self.events, clock, self._mark_changed) if config.power.capacity_w else None
        claims = Claims()
        commons = Commons(self.events, self.changes, self.urgent, clock, self.budget, self._tell_late, claims)
        self._nodes = {
            node.name: Node(node.name, node.port, store.node(node.name), self._watch(node.name, store), commons)
            for node in sorted(config.nodes, key=lambda node: name_order(node.name))
        }
        self.slots, self.hats = self._make_slots(config, store)
        self._shutdowns: list[NodeShutdown] = []
        for node in config.nodes:
            self._nodes[node.name].settings = settings_of(node)
            self._prepare_shutdown(node)
        owed = Debts(config.state.folder)
        fault_commons = FaultCommons(self._set_power, self.events, self.changes, clock, owed)
        self.faults, self.firmware = FaultRunner(self.nodes, claims, fault_commons), Rollout(self.events, clock)

    def _slot_of(self, session: HatSession) -> Slot | None:
        return self.slots.of_session(session)

    def _make_slots(self, config: RackletConfig, store: Store) -> tuple[Slots, Hats]:
        commons = SlotCommons(
            adoptions=store.adoptions,
            node_of=self._nodes.get,
            slot_of=self._slot_of,
            events=self.events,
            clock=self.clock,
            first_use=config.rack.adopt == "first-use",
        )
        configured = [Slot(node.home, node, commons) for node in self.nodes if node.home is not None]
        slots = Slots(configured, config.rack.ports, lambda port: Slot(port, None, commons))
        return slots, Hats(slots, store.adoptions, self.events, self.clock)

    @property
    def nodes(self) -> list[Node]:
        """Every node, in the order of their names."""
        return list(self._nodes.values())

    def node(self, name: str) -> Node:
        """Return the node of that name. Raises UnknownNodeError."""
        node = self._nodes.get(name)
        if node is None:
            raise UnknownNodeError(name, list(self._nodes))
        return node

    async def run_policies(self) -> None:
        """Do what the config asks hostd to do by itself, until the rack is closed."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.faults.run(), name="faults")
            if self.budget is not None:
                tasks.create_task(self.budget.run(partial(self._set_power, BUDGET_POLICY)), name="budget")
            for shutdown in self._shutdowns:
                tasks.create_task(shutdown.run(), name="shutdown command")
            for watchdog in self._watchdogs:
                tasks.create_task(self._guard(watchdog), name=f"watchdog of {watchdog.node}")

    def prepare_sync(self, names: Collection[str] | None = None) -> None:
        """Do what belongs before a sync of these nodes, or of all."""
        for name in self._nodes if names is None else names:
            self._nodes[name].prepare_sync()

    def take_sync(self, report: SyncReport, names: Collection[str] | None = None) -> None:
        """Acknowledge what is durable now of these nodes, or of all.

        What the disk did not take is told of once until it takes such again.
        """
        for name in self._nodes if names is None else names:
            node = self._nodes[name]
            node.acknowledge()
            failing = self._failing.get(node.name)
            if failing is not None and node.store.totals.log_bytes > failing.log_bytes:
                del self._failing[node.name]
        for failure in report.failures:
            self._take_failure(failure)
        problems = {failing.problem for failing in self._failing.values()}
        if report.index_problem:
            self.store_failures["index"] += 1
            problems.add(report.index_problem)
        problem = "; ".join(sorted(problems))
        if problem != self.sync_problem:
            log.log(logging.WARNING if problem else logging.INFO, "disk", extra={"problem": problem or "none any more"})
            self.sync_problem = problem

    def _take_failure(self, failure: LogFailure) -> None:
        self.store_failures[failure.reason] += 1
        if failure.node not in self._failing:
            lost = f"{failure.dropped_bytes} bytes of boot {failure.boot} are lost"
            message = f"The disk does not take boot logs ({failure.problem}): {lost}, and more until it does."
            self.events.record(failure.node, self.clock.unix_ms(), failure.reason, message)
        log_bytes = self.node(failure.node).store.totals.log_bytes
        self._failing[failure.node] = _Failing(failure.problem, log_bytes)

    def _prepare_shutdown(self, node: NodeConfig) -> None:
        if not (node.shutdown_console or node.shutdown_command):
            return

        def tell(message: str) -> None:
            log.warning("shutdown not asked for", extra={"node": node.name, "problem": message})
            self.events.record(node.name, self.clock.unix_ms(), "shutdown_failed", message)

        shutdown = NodeShutdown(node, tell)
        self._nodes[node.name].ask_before_off(shutdown.ask)
        if node.shutdown_command:
            self._shutdowns.append(shutdown)

    async def _guard(self, watchdog: WatchdogConfig) -> None:
        cycle = partial(self._set_power, WATCHDOG_POLICY, watchdog.node, PowerWish(PowerAction.CYCLE))
        guard = Guard(self.node(watchdog.node), watchdog, self.events, self.clock, cycle)
        await guard.run()

    async def _set_power(self, policy: Caller, name: str, wish: PowerWish) -> None:
        """Move a supply for a policy, on the record. Raises RefusedError."""
        about = {"who": policy.who, "peer": policy.peer, "method": "SetPower", "node": name}
        arguments = {"action": wish.word}
        asked = await self.audit.record("asked", **about, arguments=arguments)
        start_ms = self.clock.monotonic_ms()
        outcome = "it was not waited for"
        try:
            await self.node(name).set_power(wish, policy)
            outcome = "OK"
        except RefusedError as error:
            outcome = str(error)
            raise
        finally:
            took_ms = self.clock.monotonic_ms() - start_ms
            ended = {"asked": asked, "arguments": arguments, "outcome": outcome, "duration_ms": took_ms}
            self.audit.append("ended", **about, **ended)

    def _tell_late(self, name: str, transaction: Transaction) -> None:
        """Put on record how a power transaction ended whose caller has left."""
        self.audit.append(
            "late",
            who=transaction.caller.who,
            peer=transaction.caller.peer,
            method="SetPower",
            node=name,
            arguments={"action": transaction.wish.word},
            outcome=transaction.result_word,
            duration_ms=transaction.took_ms,
        )

    def _watch(self, node: str, store: Store) -> BootWatch:
        return BootWatch(node, self.events, self.signatures, PhaseEnergy(node, store.energy_marks))

    def _mark_changed(self, name: str) -> None:
        self._nodes[name].mark_changed()

    def close(self) -> None:
        """Let go of every caller, for hostd is shutting down."""
        if self.budget is not None:
            self.budget.close()
        for each in (self.moments, self.changes.bell, self.events.grown):
            each.close()
        for node in self._nodes.values():
            node.end_calls()


def name_order(name: str) -> tuple[tuple[int, str], ...]:
    """Sort key by which node-10 comes after node-9."""
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name))
