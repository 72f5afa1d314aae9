"""The budget against a rack that does anything: what it promises holds whatever comes."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from racklet_hostd.budget import (
    Admitted,
    BudgetRules,
    Cancelled,
    Demand,
    PowerBudget,
    Queued,
    Refused,
    Seen,
    Shed,
)
from racklet_hostd.model import SupplyState

OFF, ON, TRIPPED = SupplyState.OFF, SupplyState.ON, SupplyState.TRIPPED
EXCEEDED_MS = 5_000
QUEUE_LIMIT = 4
NODES = st.integers(0, 6)


@dataclass
class Board:
    """A node as it really is: the model's own bookkeeping, which asks the budget nothing."""

    demand: Demand
    is_on: bool = False
    transacting: bool = False
    surge_ends_ms: int = 0
    peak_mw: int = 0
    is_online: bool = True
    is_leaving: bool = False
    switched: int = 0

    def most_mw(self, now_ms: int) -> int:
        """The most it may draw now."""
        if self.transacting or (self.is_on and now_ms < self.surge_ends_ms):
            return max(self.demand.peak_mw, self.demand.inrush_mw, self.peak_mw)
        return max(self.demand.peak_mw, self.peak_mw) if self.is_on else 0


class BudgetMachine(RuleBasedStateMachine):
    """Callers, nodes and a supply. `is_closed`: nothing grows, shrinks or is switched on but by the budget."""

    is_closed = False

    @initialize(
        demands=st.lists(
            st.tuples(st.integers(1, 20), st.integers(1, 40), st.integers(0, 2), st.integers(0, 4)),
            min_size=7,
            max_size=7,
        ),
        limit=st.integers(20, 80),
        found_on=st.integers(0, 7),
    )
    def begin(self, demands: list[tuple[int, int, int, int]], limit: int, found_on: int) -> None:
        self.now_ms = 0
        self.boards = {
            f"n{index}": Board(Demand(f"n{index}", peak * 1000, inrush * 1000, priority, start * 1000))
            for index, (peak, inrush, priority, start) in enumerate(demands)
        }
        rules = BudgetRules(limit * 1000, 0, limit * 1100, EXCEEDED_MS, QUEUE_LIMIT)
        self.budget = PowerBudget(rules, [board.demand for board in self.boards.values()])
        self.waiting: dict[str, int] = {}  # by node: the number of its request
        self.asked = 0
        self.endings: dict[int, str] = {}
        self.switches = 0
        self.grew = False  # the limit may be passed, but not by an admission
        for board in list(self.boards.values())[: 0 if self.is_closed else found_on]:
            board.is_on = self.grew = True
        for name in self.boards:
            self.see(name)

    @rule(index=NODES, restarts=st.booleans())
    def ask(self, index: int, *, restarts: bool) -> None:
        name = f"n{index}"
        board = self.boards[name]
        if name in self.waiting or board.transacting:
            return
        self.asked += 1
        self.waiting[name] = self.asked
        self.budget.ask(name, self.now_ms, restarts=restarts)
        self.obey()

    @rule(index=NODES)
    def cancel(self, index: int) -> None:
        self.budget.cancel(f"n{index}", self.now_ms)
        self.obey()

    @rule(index=NODES, succeeds=st.booleans())
    def end(self, index: int, *, succeeds: bool) -> None:
        name = f"n{index}"
        board = self.boards[name]
        if not board.transacting:
            return
        board.transacting, board.is_on = False, succeeds
        board.surge_ends_ms = self.now_ms + board.demand.start_ms
        self.budget.end(name, self.now_ms)
        self.obey()
        self.see(name)

    @rule(index=NODES)
    def never_begin(self, index: int) -> None:
        name = f"n{index}"
        if self.boards[name].transacting:
            self.boards[name].transacting = False
            self.budget.take_back(name, self.now_ms)
            self.obey()

    @rule(index=NODES, trips=st.booleans())
    def go_off(self, index: int, *, trips: bool) -> None:
        board = self.boards[f"n{index}"]
        if not board.transacting:
            board.is_on = board.is_leaving = False
            self.see(f"n{index}", TRIPPED if trips else OFF)

    @rule(index=NODES)
    def stay_on(self, index: int) -> None:
        """A shedding fails."""
        board = self.boards[f"n{index}"]
        if board.is_leaving:
            board.is_leaving = False
            self.budget.shed_failed(f"n{index}", self.now_ms)
            self.obey()

    @rule(index=NODES, is_online=st.booleans())
    def plug(self, index: int, *, is_online: bool) -> None:
        self.boards[f"n{index}"].is_online = is_online
        self.see(f"n{index}")

    @rule(span_ms=st.sampled_from([1, 900, 2_000, EXCEEDED_MS]))
    def wait(self, span_ms: int) -> None:
        self.now_ms += span_ms
        self.budget.tick(self.now_ms)
        self.obey()

    @precondition(lambda self: not self.is_closed)
    @rule(index=NODES)
    def switched_on_by_another(self, index: int) -> None:
        board = self.boards[f"n{index}"]
        if not (board.transacting or board.is_on):
            board.is_on, self.grew = True, True
            board.surge_ends_ms = self.now_ms + board.demand.start_ms
            self.see(f"n{index}")

    @precondition(lambda self: not self.is_closed)
    @rule(index=NODES, watts=st.integers(1, 40))
    def draw(self, index: int, watts: int) -> None:
        board = self.boards[f"n{index}"]
        if board.is_on and board.is_online and not board.transacting:
            board.peak_mw = max(board.peak_mw, watts * 1000)
            self.grew = True
            seen = Seen(ON, is_online=True, drawn_mw=watts * 1000, peak_mw=watts * 1000)
            self.budget.see(f"n{index}", seen, self.now_ms)
            self.obey()

    @precondition(lambda self: not self.is_closed)
    @rule(watts=st.integers(20, 80))
    def change_supply(self, watts: int) -> None:
        self.grew = True
        self.budget.set_capacity(watts * 1000, watts * 1100, self.now_ms)
        self.obey()

    @invariant()
    def the_sum_never_passes_the_limit(self) -> None:
        if hasattr(self, "boards") and not self.grew:
            truth_mw = sum(board.most_mw(self.now_ms) for board in self.boards.values())
            assert truth_mw <= self.budget.reserved_mw <= self.budget.rules.limit_mw

    @invariant()
    def the_queue_is_bounded_and_holds_who_waits(self) -> None:
        if hasattr(self, "boards"):
            assert {claim.name for claim in self.budget.queue} == set(self.waiting)
            assert len(self.waiting) <= QUEUE_LIMIT

    def teardown(self) -> None:
        """When the nodes go, everybody who waits has a turn, unless it never fits."""
        if not hasattr(self, "boards"):
            return
        for _ in range(3 * len(self.boards)):
            for index in range(7):
                self.plug(index, is_online=True)
                self.end(index, succeeds=False)
                self.go_off(index, trips=False)
                self.budget.see(f"n{index}", Seen(OFF, is_online=True, drawn_mw=0), self.now_ms)
                self.obey()
        assert self.waiting == {}
        assert len(self.endings) == self.asked

    def see(self, name: str, supply: SupplyState | None = None) -> None:
        board = self.boards[name]
        state = supply or (ON if board.is_on else OFF)
        self.budget.see(name, Seen(state, board.is_online), self.now_ms)
        self.obey()
        if board.is_online and state is not ON and not board.transacting:
            board.is_leaving = False

    def obey(self) -> None:
        """Do what was decided, and hold it against the promises."""
        for decision in self.budget.take_decisions():
            match decision:
                case Admitted():
                    self.take_admitted(decision)
                case Refused(node):
                    if node in self.waiting:
                        self.end_request(node, "refused")
                case Cancelled(node):
                    self.end_request(node, "cancelled")
                case Queued(node):
                    assert node in self.waiting
                case Shed(node):
                    self.take_shed(node)
                case _:
                    pass

    def take_admitted(self, decision: Admitted) -> None:
        board = self.boards[decision.node]
        if decision.starts:
            assert decision.claimed_mw <= decision.limit_mw
            mine = (-board.demand.priority, self.waiting[decision.node])
            for name, number in self.waiting.items():
                assert mine <= (-self.boards[name].demand.priority, number)
            board.transacting = True
            self.switches += 1
            board.switched = self.switches
        else:
            assert board.is_on or not board.is_online
        self.end_request(decision.node, "admitted")

    def take_shed(self, node: str) -> None:
        board = self.boards[node]
        assert board.is_online
        assert not board.transacting
        assert self.budget.is_exceeded
        for claim in self.budget.claims:
            if claim.demand.priority < board.demand.priority:
                assert not claim.may_be_shed(self.now_ms), f"{claim.name} was to be shed before {node}"
        board.is_leaving = True

    def end_request(self, node: str, how: str) -> None:
        number = self.waiting.pop(node)
        assert number not in self.endings
        self.endings[number] = how


class ClosedBudgetMachine(BudgetMachine):
    """Nothing happens but by the budget, so that the limit holds at every moment."""

    is_closed = True


BudgetMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
ClosedBudgetMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestBudget = BudgetMachine.TestCase
TestClosedBudget = ClosedBudgetMachine.TestCase
