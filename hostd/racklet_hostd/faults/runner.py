"""The runs of faults of a rack: who may begin one, and what earlier ones still owe."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from racklet_hostd.bell import Bell, ShuttingDownError
from racklet_hostd.caller import Caller, faults_policy
from racklet_hostd.claims import Claims
from racklet_hostd.errors import RackletError, StoreError
from racklet_hostd.faults.execution import Commons, Execution
from racklet_hostd.faults.plan import Plan
from racklet_hostd.faults.run import FaultRun
from racklet_hostd.faults.script import FaultEntry, Script
from racklet_hostd.model import HatState, SupplyState
from racklet_hostd.node import Node
from racklet_hostd.store.debts import Debt

log = logging.getLogger(__name__)

SHUTDOWN_PATIENCE_S = 8.0  # a rail takes up to 3 s either way; what is owed after that waits for the next hostd
# The boards that can lower their supply's voltage. Revision A has a switch, and no more.
BROWN_OUT_BOARDS: frozenset[str] = frozenset()
BROWN_OUT = "brown-out"


class FaultsRunningError(RackletError):
    """A run is on already."""

    def __init__(self, words: str) -> None:
        super().__init__(f"{words} runs already, and one at a time may; it ends when its caller leaves")


class ScriptRefusedError(RackletError):
    """The rack is not as the script needs it. The text has a line for each reason."""


class FaultRunner:
    """Begins runs, and gives back what runs under an earlier hostd took. Lives in the event loop's thread.

    Nodes that are owed something are taken from the beginning, before anybody can ask for them.
    """

    def __init__(self, nodes: Sequence[Node], claims: Claims, commons: Commons) -> None:
        self._nodes = {node.name: node for node in nodes}
        self._claims = claims
        self._commons = commons
        self._strangers = [debt for debt in commons.debts.all if debt.node not in self._nodes]
        self._begun = [self._take_up(debt) for debt in commons.debts.all if debt.node in self._nodes]
        self._live: list[Execution] = list(self._begun)
        self._bell = Bell()

    def check(self, script: Script) -> None:
        """Raise ScriptRefusedError or FaultsRunningError when the script cannot be run now."""
        reasons = enumerate(map(self._reason, script.entries))
        problems = {index: reason for index, reason in reasons if reason is not None}
        if problems:
            raise ScriptRefusedError(str(script.refusal(problems)))
        for execution in self._live:
            if not execution.run.why_ended:
                raise FaultsRunningError(execution.words)

    @asynccontextmanager
    async def running(self, plan: Plan, caller: Caller) -> AsyncIterator[Execution]:
        """Run a plan that was checked. It is ended when the block is left, however, and goes on until it owes nothing.

        Raises NodeTakenError.
        """
        words = f"the fault script {plan.name} of {caller.who}"
        nodes = [self._nodes[name] for name in plan.nodes]
        run = FaultRun(plan, self._commons.clock.monotonic_ms())
        execution = Execution(run, nodes, faults_policy(caller.who), words, self._commons)
        self._claims.take(plan.nodes, execution)
        self._record("", "faults_began", f"{_capital(words)} began, with seed {plan.seed}: {', '.join(plan.nodes)}")
        self._live.append(execution)
        self._begun.append(execution)
        self._mark(plan.nodes)
        self._bell.ring()
        try:
            yield execution
        finally:
            execution.end("its caller left")

    async def run(self) -> None:
        """Carry out what is begun, until hostd is gone."""
        await self._strike_strangers()
        async with asyncio.TaskGroup() as tasks:
            with suppress(ShuttingDownError):
                while True:
                    while self._begun:
                        execution = self._begun.pop()
                        tasks.create_task(self._perform(execution), name=execution.words)
                    await self._bell.wait()

    async def end_all(self) -> None:
        """End every run, and wait until nothing is owed, but for no longer than SHUTDOWN_PATIENCE_S."""
        for execution in self._live:
            execution.end("hostd is shutting down")
        try:
            async with asyncio.timeout(SHUTDOWN_PATIENCE_S):
                while self._live:
                    await self._bell.wait()
        except TimeoutError:
            owed = [debt.node for debt in self._commons.debts.all]
            log.warning("nodes are not given back yet", extra={"nodes": ", ".join(owed)})

    async def _perform(self, execution: Execution) -> None:
        await execution.perform()
        self._live.remove(execution)
        nodes = execution.run.kept_nodes
        for node in nodes:
            self._claims.drop(node, execution)
        self._mark(nodes)
        problems = "; ".join(execution.run.problems)
        ended = f"{_capital(execution.words)} ended: {execution.run.why_ended}"
        self._record("", "faults_ended", f"{ended}. {_capital(problems)}." if problems else f"{ended}.")
        self._bell.ring()

    def _take_up(self, debt: Debt) -> Execution:
        run = FaultRun(None, self._commons.clock.monotonic_ms(), [debt.node])
        execution = Execution(run, [self._nodes[debt.node]], Caller(debt.who, "hostd"), debt.run, self._commons)
        self._claims.take([debt.node], execution)
        message = f"{debt.run} had cut {debt.node} when hostd ended; it is switched on again"
        log.warning("node is owed its supply", extra={"node": debt.node, "run": debt.run})
        self._record(debt.node, "fault_owed", _capital(message))
        return execution

    async def _strike_strangers(self) -> None:
        """Forget what is owed to nodes that are not in the config any more."""
        for debt in self._strangers:
            message = f"{debt.run} had cut {debt.node}, which is not in the config any more: it is left as it is"
            self._record("", "fault_failed", _capital(message))
            try:
                await self._commons.debts.remove(debt.node)
            except StoreError as error:
                log.warning("debt not struck out", extra={"node": debt.node, "problem": str(error)})

    def _reason(self, entry: FaultEntry) -> tuple[str, str] | None:
        """Say why an entry cannot be run now, with the key that it is about; None when it can."""
        node = self._nodes.get(entry.node)
        if node is None:
            return (
                "node",
                f'expected the name of a node ({", ".join(self._nodes) or "there is none"}), found "{entry.node}"',
            )
        if node.hat.state is not HatState.ONLINE:
            return "node", f"the HAT of {node.name} is offline: {node.hat.problem}"
        if entry.what == BROWN_OUT and node.hat.board not in BROWN_OUT_BOARDS:
            cannot = f"the HAT of {node.name} (board {node.hat.board}) cannot lower its supply's voltage"
            return "what", f"{cannot}, it can only switch it: cut or flap, or another board"
        if node.taken_by:
            return "node", f"{node.name} is taken by {node.taken_by}"
        if node.supply_state is not SupplyState.ON:
            word = node.supply_state.name.lower().replace("_", " ")
            return "node", f"the supply of {node.name} is {word}, so there is nothing to take: switch it on first"
        return None

    def _mark(self, nodes: Sequence[str]) -> None:
        for name in nodes:
            self._nodes[name].mark_changed()

    def _record(self, node: str, kind: str, message: str) -> None:
        self._commons.events.record(node, self._commons.clock.unix_ms(), kind, message)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
