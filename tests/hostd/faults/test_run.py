"""A run of faults as pure logic: whatever happens, what was taken is given back, and nothing comes after the end."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from racklet_hostd.doctor.phases import Phase
from racklet_hostd.faults.hold import RETRY_MS, Deed, Hold, HoldState, Outcome
from racklet_hostd.faults.pattern import Pattern
from racklet_hostd.faults.plan import Fault, Plan, Span
from racklet_hostd.faults.run import STEPS_LIMIT, FaultRun, Order
from racklet_hostd.model import SupplyState

NODES = ("node-1", "node-2", "node-3")
LIMIT_MS = 20_000


def fault(
    number: int = 1,
    *spans: Span,
    node: str = "node-1",
    delay_ms: int = 0,
    pattern: str = "",
    phase: Phase | None = None,
) -> Fault:
    what = Pattern(pattern) if pattern else None
    return Fault(number, node, "cut", spans or (Span(1000, 0),), phase, what, delay_ms)


def run_of(*faults: Fault, limit_ms: int = LIMIT_MS) -> FaultRun:
    run = FaultRun(Plan("lesson.toml", 1, limit_ms, faults), 0)
    run.tick(0)
    return run


def do(run: FaultRun, now_ms: int, outcome: Outcome = Outcome.DONE) -> list[tuple[str, Deed]]:
    """Carry out what there is to do at this time until there is no more; return it."""
    done: list[tuple[str, Deed]] = []
    run.tick(now_ms)
    while orders := run.take_orders():
        for order in orders:
            done.append((order.node, order.deed))
            run.finished(order, outcome, now_ms, "so it is")
    return done


def kinds(run: FaultRun) -> list[str]:
    return [step.kind for step in run.take_steps()]


CUT, RAISE, SETTLE = ("node-1", Deed.CUT), ("node-1", Deed.RAISE), ("node-1", Deed.SETTLE)


def test_the_time_off_counts_from_the_cut() -> None:
    run = run_of(fault())
    (order,) = run.take_orders()
    assert order == Order(*CUT)
    run.finished(order, Outcome.DONE, 900)
    assert do(run, 999) == []
    assert do(run, 1000) == [RAISE, SETTLE]
    assert run.is_over
    assert run.problems == []


def test_a_cut_that_takes_longer_than_the_time_off_is_waited_for() -> None:
    run = run_of(fault())
    (order,) = run.take_orders()
    assert do(run, 5000) == []
    run.finished(order, Outcome.DONE, 5000)
    assert do(run, 5000) == [RAISE, SETTLE]
    assert run.is_over
    assert run.problems == []


def test_two_faults_of_a_node_keep_it_off_as_long_as_one_of_them_wants() -> None:
    run = run_of(fault(1, Span(1000, 0)), fault(2, Span(3000, 0), delay_ms=500))
    assert do(run, 0) == [CUT]
    assert [do(run, now_ms) for now_ms in (500, 1000, 3499)] == [[], [], []]
    assert do(run, 3500) == [RAISE, SETTLE]
    assert run.is_over


def test_a_node_that_comes_into_its_turn_again_is_taken_again() -> None:
    run = run_of(fault(1), fault(2, delay_ms=5000))
    assert do(run, 0) + do(run, 1000) == [CUT, RAISE, SETTLE]
    assert not run.is_over
    assert do(run, 5000) + do(run, 6000) == [CUT, RAISE, SETTLE]
    assert run.is_over


def test_the_time_on_between_two_cuts_counts_from_when_the_supply_is_on() -> None:
    run = run_of(fault(1, Span(100, 50), Span(100, 0)))
    do(run, 0)
    run.tick(100)
    (order,) = run.take_orders()
    run.finished(order, Outcome.DONE, 900)
    assert do(run, 949) == []
    assert do(run, 950) == [CUT]
    assert do(run, 1050) == [RAISE, SETTLE]
    assert kinds(run) == ["off", "on", "off", "restored"]


def test_a_cut_whose_end_is_not_known_is_made_good() -> None:
    run = run_of(fault())
    (order,) = run.take_orders()
    run.finished(order, Outcome.FAILED, 0, "no answer")
    assert do(run, 0) == [RAISE, SETTLE]
    assert run.problems == ["fault 1 failed: could not cut node-1: no answer"]


def test_a_cut_that_was_surely_not_done_needs_no_raise() -> None:
    for outcome in (Outcome.UNTOUCHED, Outcome.TRIPPED):
        run = run_of(fault())
        (order,) = run.take_orders()
        run.finished(order, outcome, 0, "busy")
        assert do(run, 0) == [SETTLE]
        assert run.is_over


def test_giving_back_is_tried_again_with_growing_pauses_without_end() -> None:
    run = run_of(fault())
    do(run, 0)
    now_ms = 1000
    assert do(run, now_ms, Outcome.FAILED) == [RAISE]
    for pause_ms in (*RETRY_MS[:-1], *[RETRY_MS[-1]] * 3):
        assert do(run, now_ms + pause_ms - 1) == []
        now_ms += pause_ms
        assert do(run, now_ms, Outcome.FAILED) == [RAISE]
    assert not run.is_over
    assert do(run, now_ms + RETRY_MS[-1]) == [RAISE, SETTLE]
    assert run.is_over


def test_a_debt_that_cannot_be_struck_out_keeps_the_run() -> None:
    run = run_of(fault())
    do(run, 0)
    run.tick(1000)
    (order,) = run.take_orders()
    run.finished(order, Outcome.DONE, 1000)
    assert do(run, 1000, Outcome.FAILED) == [SETTLE]
    assert not run.is_over
    assert do(run, 2000) == [SETTLE]
    assert run.is_over


def test_a_trip_ends_every_fault_of_the_node() -> None:
    run = run_of(fault(1), fault(2, pattern="later"))
    do(run, 0)
    run.tick(1000)
    (order,) = run.take_orders()
    run.finished(order, Outcome.TRIPPED, 1000, "over-current")
    assert do(run, 1000) == [SETTLE]
    assert run.is_over
    assert run.problems == ["fault 2 failed: over-current", "node-1 is not switched on again: over-current"]


def test_a_node_that_is_off_already_is_left_alone() -> None:
    run = run_of(fault(1, delay_ms=10))
    run.see_supply("node-1", SupplyState.TRIPPED)
    assert do(run, 10) == []
    assert run.problems == ["fault 1 failed: the supply of node-1 is tripped, so there is nothing to take"]
    assert run.is_over


def test_a_released_node_gets_nothing_more() -> None:
    run = run_of(fault(1, Span(None, 0)))
    do(run, 0)
    run.release("node-1", "force-off of uid 7", 10)
    assert do(run, LIMIT_MS) == []
    assert run.is_over
    assert run.kept_nodes == []
    assert run.problems[1] == "node-1 was taken and is not given back: force-off of uid 7"


def test_a_run_is_not_over_while_a_deed_to_a_released_node_is_under_way() -> None:
    run = run_of(fault())
    run.release("node-1", "force-off of uid 7", 0)
    (order,) = run.take_orders()
    assert not run.is_wanted(order)
    assert not run.is_over
    run.finished(order, Outcome.UNTOUCHED, 0)
    assert run.is_over


def test_the_end_waits_for_the_deed_that_is_under_way() -> None:
    run = run_of(fault())
    (order,) = run.take_orders()
    run.end("its caller left", 0)
    assert run.take_orders() == []
    run.finished(order, Outcome.DONE, 10)
    assert do(run, 10) == [RAISE, SETTLE]
    assert run.problems == ["fault 1 was broken off: its caller left"]


def test_a_fault_until_the_end_lasts_until_the_limit_and_did_what_it_should() -> None:
    run = run_of(fault(1, Span(None, 0)), fault(2, node="node-2"))
    do(run, 0)
    do(run, 1000)
    assert do(run, LIMIT_MS - 1) == []
    assert do(run, LIMIT_MS) == [RAISE, SETTLE]
    assert run.problems == []


def test_a_line_counts_only_after_the_phase_and_a_new_boot_begins_anew() -> None:
    run = run_of(fault(1, phase=Phase.KERNEL, pattern="mmc"))
    run.see_line("node-1", "mmc0", 0)
    run.see_phase("node-1", Phase.KERNEL, 0)
    run.see_boot("node-1")
    run.see_line("node-1", "mmc0", 0)
    assert run.take_orders() == []
    run.see_phase("node-1", Phase.KERNEL, 0)
    run.see_line("node-2", "mmc0", 0)
    assert run.take_orders() == []
    assert run.wants_lines("node-1")
    run.see_line("node-1", "mmc0", 0)
    assert len(run.take_orders()) == 1
    assert not run.wants_lines("node-1")


def test_time_tells_when_it_changes_something() -> None:
    run = run_of(fault(1, delay_ms=500))
    assert run.due_ms() == 500
    do(run, 500)
    assert run.due_ms() == 1500
    run.end("its caller left", 600)
    do(run, 600, Outcome.FAILED)
    assert run.due_ms() == 1600
    do(run, 1600)
    assert run.due_ms() is None
    assert run_of(fault(1, pattern="x")).due_ms() == LIMIT_MS


def test_what_is_owed_from_before_is_given_back_at_once() -> None:
    run = FaultRun(None, 0, ["node-1"])
    assert do(run, 0) == [RAISE, SETTLE]
    assert run.is_over
    assert kinds(run) == ["restored"]


def test_steps_that_nobody_takes_are_bounded() -> None:
    run = run_of(fault(1, *[Span(1, 1)] * 1000, Span(1, 0)), limit_ms=10_000_000)
    now_ms = 0
    while not run.is_over:
        do(run, now_ms)
        now_ms += 1
    assert len(run.take_steps()) == STEPS_LIMIT
    assert run.take_steps() == []


def test_a_hold_whose_deed_ended_twice_takes_only_one() -> None:
    hold = Hold()
    assert hold.next_deed(off=True, kept=True, now_ms=0) is Deed.CUT
    assert hold.finished(Outcome.DONE, 0) is Deed.CUT
    assert hold.finished(Outcome.FAILED, 0) is None
    assert hold.state is HoldState.OFF


spans = st.lists(
    st.builds(Span, st.integers(1, 2000), st.integers(0, 1000)) | st.just(Span(None, 0)), min_size=1, max_size=3
).map(lambda each: (*(span if span.off_ms is not None else Span(1, 5) for span in each[:-1]), each[-1]))
faults = st.lists(
    st.builds(
        lambda node, spans, delay_ms, pattern, phase: fault(
            1, *spans, node=node, delay_ms=delay_ms, pattern=pattern, phase=phase
        ),
        st.sampled_from(NODES),
        spans,
        st.sampled_from([0, 0, 500, 9000, LIMIT_MS + 1]),
        st.sampled_from(["", "", "panic"]),
        st.sampled_from([None, None, Phase.KERNEL]),
    ),
    min_size=1,
    max_size=6,
)


RARE = st.sampled_from([True, False, False, False])


class AnyRun(RuleBasedStateMachine):
    """Everything that can happen to a run, in any order, against the truth about the supplies and the disk."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = 0
        self.run = FaultRun(None, 0)
        self.named: list[str] = []
        self.supplies = dict.fromkeys(NODES, SupplyState.ON)
        self.owed: set[str] = set()  # as the disk has it
        self.taken: set[str] = set()  # by us, whether the disk knows or not
        self.released: set[str] = set()
        self.under_way: list[Order] = []
        self.was_over = False

    @initialize(faults=faults)
    def begin(self, faults: list[Fault]) -> None:
        self.run = FaultRun(Plan("lesson.toml", 1, LIMIT_MS, tuple(faults)), 0)
        self.named = sorted({each.node for each in faults})

    def _collect(self) -> None:
        fresh = self.run.take_orders()
        assert not (fresh and self.was_over)
        self.under_way += fresh
        nodes = [order.node for order in self.under_way]
        assert len(nodes) == len(set(nodes)), "one deed at a time for a node"

    @rule(ms=st.sampled_from([0, 50, 1000, 2000, 7000]))
    def time_passes(self, ms: int) -> None:
        self.now_ms += ms
        for node in self.named:
            self.run.see_supply(node, self.supplies[node])
        self.run.tick(self.now_ms)
        self._collect()

    @rule(node=st.sampled_from(NODES))
    def a_line_comes(self, node: str) -> None:
        self.run.see_line(node, "kernel panic", self.now_ms)
        self._collect()

    @rule(node=st.sampled_from(NODES), phase=st.sampled_from([Phase.KERNEL, Phase.LOGIN]))
    def a_phase_is_reached(self, node: str, phase: Phase) -> None:
        self.run.see_boot(node)
        self.run.see_phase(node, phase, self.now_ms)
        self._collect()

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), outcome=st.sampled_from((Outcome.DONE, *Outcome)), is_done=st.booleans())
    def a_deed_ends(self, data: st.DataObject, outcome: Outcome, is_done: bool) -> None:
        order = data.draw(st.sampled_from(self.under_way))
        self._end(order, outcome, is_done)

    @rule(node=st.sampled_from(NODES), rare=RARE)
    def somebody_takes_a_node(self, node: str, *, rare: bool) -> None:
        if rare and node in self.named and node not in self.released and not self.was_over:
            self.run.release(node, "force-off of uid 7", self.now_ms)
            self.released.add(node)
            self.owed.discard(node)
            self._collect()

    @rule(node=st.sampled_from(NODES), rare=RARE)
    def a_protection_trips(self, node: str, *, rare: bool) -> None:
        if rare and self.supplies[node] is SupplyState.ON:
            self.supplies[node] = SupplyState.TRIPPED

    @rule(rare=RARE)
    def its_caller_leaves(self, *, rare: bool) -> None:
        if rare:
            self.run.end("its caller left", self.now_ms)
            self._collect()

    def _end(self, order: Order, outcome: Outcome, is_done: bool) -> None:
        """End a deed as a HAT and a disk can: a cut is noted down first, and one that failed may be done."""
        self.under_way.remove(order)
        node, deed = order
        is_wanted = self.run.is_wanted(order)
        if deed is Deed.CUT and is_wanted:
            self.owed.add(node)
            if outcome is Outcome.DONE or (outcome is Outcome.FAILED and is_done):
                self.supplies[node] = SupplyState.OFF
                self.taken.add(node)
        elif deed is Deed.RAISE and is_wanted:
            if self.supplies[node] is SupplyState.TRIPPED or outcome is Outcome.TRIPPED:
                outcome, self.supplies[node] = Outcome.TRIPPED, SupplyState.TRIPPED
            elif outcome is Outcome.DONE or (outcome is Outcome.FAILED and is_done):
                self.supplies[node] = SupplyState.ON
                self.taken.discard(node)
        elif deed is Deed.SETTLE and (outcome is Outcome.DONE or not is_wanted):
            outcome = Outcome.DONE
            self.owed.discard(node)
        self.run.finished(order, outcome if is_wanted else Outcome.UNTOUCHED, self.now_ms, "so it is")
        self._collect()

    @invariant()
    def nothing_is_off_that_the_disk_does_not_know_of(self) -> None:
        ours = {node for node in self.taken if self.supplies[node] is SupplyState.OFF}
        assert ours - self.released <= self.owed

    @invariant()
    def what_is_over_owes_nothing_and_stays_over(self) -> None:
        if self.run.is_over:
            self.was_over = True
            assert self.under_way == []
            assert not self.owed
            assert all(self.supplies[node] is not SupplyState.OFF for node in set(NODES) - self.released)
        assert self.run.is_over or not self.was_over

    def teardown(self) -> None:
        """In the end everything goes well again: then the run comes to its end, and owes nothing."""
        self.run.end("its caller left", self.now_ms)
        for _ in range(20):
            self.now_ms += RETRY_MS[-1]
            self.run.tick(self.now_ms)
            self._collect()
            while self.under_way:
                self._end(self.under_way[0], Outcome.DONE, is_done=True)
        assert self.run.is_over
        self.what_is_over_owes_nothing_and_stays_over()


AnyRun.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
test_whatever_happens_everything_is_given_back = AnyRun.TestCase
