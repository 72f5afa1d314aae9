"""The rack as the API, the metrics and the health pages see it."""

import logging
import re
from collections import Counter
from dataclasses import dataclass

from racklet_hostd import __version__
from racklet_hostd.bell import Bell, ChangeFeed
from racklet_hostd.clock import Clock
from racklet_hostd.config import RackletConfig
from racklet_hostd.event_log import EventLog
from racklet_hostd.hat_settings import settings_of
from racklet_hostd.node import Node
from racklet_hostd.refusals import UnknownNodeError
from racklet_hostd.store import LogFailure, Store, SyncReport

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Failing:
    """A node whose log the disk did not take: why, and how much of it the disk had taken until then."""

    problem: str
    log_bytes: int


class Rack:
    """The nodes of a rack, in the order of their names, and what they share.

    Attributes:
        closing: rings never, and closes when hostd shuts down.
        changes: numbers every change of a node.
        store_failures: how often the disk did not take something, by reason.
        sync_problem: what the disk did not take, until it takes such again; "" when all is well.
    """

    def __init__(self, config: RackletConfig, store: Store, clock: Clock) -> None:
        self.name = config.rack.name
        self.version = __version__
        self.clock = clock
        self.start_ms = clock.unix_ms()
        self.events = EventLog(store.events)
        self.changes = ChangeFeed()
        self.closing = Bell()
        self.store_failures = Counter({"disk_full": 0, "disk_error": 0, "index": 0})
        self.sync_problem = ""
        self._failing: dict[str, _Failing] = {}
        self._nodes = {
            node.name: Node(
                node.name, node.port, store.node(node.name), events=self.events, changes=self.changes, clock=clock
            )
            for node in sorted(config.nodes, key=lambda node: name_order(node.name))
        }
        for node in config.nodes:
            self._nodes[node.name].settings = settings_of(node)

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

    def take_sync(self, report: SyncReport) -> None:
        """Acknowledge what is durable now; tell of what the disk did not take, once until it takes such again."""
        for node in self._nodes.values():
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

    def close(self) -> None:
        """Let go of every caller, for hostd is shutting down."""
        for bell in (self.closing, self.changes.bell, self.events.grown):
            bell.close()
        for node in self._nodes.values():
            node.end_calls()


def name_order(name: str) -> tuple[tuple[int, str], ...]:
    """Sort key by which node-10 comes after node-9."""
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name))
