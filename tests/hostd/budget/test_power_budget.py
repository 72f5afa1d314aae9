"""The budget, case by case: each row of its tables."""

from __future__ import annotations

import pytest

from racklet_hostd.budget import (
    Admitted,
    BudgetExceeded,
    BudgetKept,
    BudgetRules,
    Cancelled,
    Demand,
    Phase,
    PowerBudget,
    Queued,
    Refused,
    RefusedWhy,
    Seen,
    Shed,
    ShedHow,
    Wait,
)
from racklet_hostd.budget.claim import SHED_AGAIN_MS
from racklet_hostd.model import SupplyState

RULES = BudgetRules(capacity_mw=60_000, reserve_mw=0, hard_limit_mw=66_000, exceeded_ms=30_000, queue_limit=16)
START_MS = 10_000
OFF, STARTING, ON = SupplyState.OFF, SupplyState.STARTING, SupplyState.ON
STOPPING, TRIPPED = SupplyState.STOPPING, SupplyState.TRIPPED


def demand(name: str, priority: int = 0, peak_mw: int = 8_000, inrush_mw: int = 15_000) -> Demand:
    return Demand(name, peak_mw, inrush_mw, priority, START_MS)


def budget_of(*demands: Demand, rules: BudgetRules = RULES, supply: SupplyState = OFF) -> PowerBudget:
    """Return a budget whose nodes were all seen in that state at time 0."""
    budget = PowerBudget(rules, demands)
    for each in demands:
        budget.see(each.name, Seen(supply, is_online=True), 0)
    budget.take_decisions()
    return budget


def start(budget: PowerBudget, node: str, now_ms: int) -> None:
    """Ask for a start that is admitted at once, and let it succeed."""
    budget.ask(node, now_ms, restarts=False)
    budget.end(node, now_ms)
    budget.see(node, Seen(ON, is_online=True), now_ms)
    assert isinstance(budget.take_decisions()[-1], Admitted)


def names(*indices: int) -> list[str]:
    return [f"node-{index}" for index in indices]


def test_starts_are_staggered_so_that_the_inrush_never_adds_up() -> None:
    budget = budget_of(*(demand(name) for name in names(*range(1, 8))))
    for name in names(*range(1, 8)):
        budget.ask(name, 0, restarts=False)
    decided = budget.take_decisions()
    assert [type(decision) for decision in decided] == [Admitted] * 4 + [Queued] * 3
    assert decided[3] == Admitted("node-4", 0, 60_000, 60_000)
    assert decided[4] == Queued("node-5", Wait(1, 15_000, 0, ""))
    assert decided[6] == Queued("node-7", Wait(3, 15_000, 0, "node-6"))
    for name in names(1, 2, 3, 4):
        budget.end(name, 1_000)
        budget.see(name, Seen(ON, is_online=True), 1_000)
    budget.tick(1_000 + START_MS - 1)
    assert budget.take_decisions() == []
    budget.tick(1_000 + START_MS)
    assert budget.take_decisions() == [Admitted("node-5", 11_000, 47_000, 60_000)]
    budget.end("node-5", 11_000)
    budget.tick(21_000)
    assert budget.take_decisions() == [Admitted("node-6", 21_000, 55_000, 60_000)]


def test_the_higher_priority_goes_first_and_nobody_is_passed_by_one_that_needs_less() -> None:
    budget = budget_of(demand("a", inrush_mw=50_000), demand("b", inrush_mw=55_000), demand("c"), demand("d", 9))
    for name in "abcd":
        budget.ask(name, 0, restarts=False)
    assert [claim.name for claim in budget.queue] == ["d", "b", "c"]
    budget.end("a", 0)
    budget.tick(START_MS)
    assert [each.node for each in budget.take_decisions() if isinstance(each, Admitted)] == ["a", "d"]
    assert [claim.name for claim in budget.queue] == ["b", "c"]


def test_what_never_fits_is_refused_at_once() -> None:
    budget = budget_of(demand("a", inrush_mw=60_001))
    budget.ask("a", 0, restarts=False)
    assert budget.take_decisions() == [Refused("a", RefusedWhy.NEVER_FITS, 60_001, 60_000)]


def test_a_full_queue_refuses_and_a_cancelled_place_is_free_again() -> None:
    rules = BudgetRules(20_000, 0, 20_000, 1_000, queue_limit=1)
    budget = budget_of(*(demand(name) for name in "abc"), rules=rules)
    for name in "abc":
        budget.ask(name, 0, restarts=False)
    assert budget.take_decisions()[-1] == Refused("c", RefusedWhy.QUEUE_FULL, 15_000, 20_000)
    budget.cancel("b", 700)
    budget.cancel("b", 700)
    budget.ask("c", 800, restarts=False)
    assert budget.take_decisions() == [Cancelled("b", 700), Queued("c", Wait(1, 15_000, 5_000, ""))]


def test_a_node_that_is_on_needs_nothing_unless_it_is_to_restart() -> None:
    budget = budget_of(demand("a"), demand("b", inrush_mw=46_000), supply=ON)
    budget.ask("a", 0, restarts=False)
    assert budget.take_decisions() == [Admitted("a", 0, 16_000, 60_000, starts=False)]
    budget.end("a", 0)
    assert budget.claims[0].phase is Phase.ON
    budget.ask("b", 0, restarts=True)
    assert budget.take_decisions() == [Admitted("b", 0, 54_000, 60_000)]


def test_who_waits_or_starts_cannot_ask_again() -> None:
    budget = budget_of(demand("a"))
    budget.ask("a", 0, restarts=False)
    with pytest.raises(ValueError, match="a waits or starts already"):
        budget.ask("a", 0, restarts=False)


def test_a_start_that_did_not_begin_gives_its_claim_back() -> None:
    budget = budget_of(demand("a"))
    budget.ask("a", 0, restarts=False)
    budget.take_back("a", 0)
    assert budget.reserved_mw == 0
    budget.take_back("a", 0)
    assert budget.claims[0].phase is Phase.OFF


def test_a_start_that_failed_counts_until_the_node_is_seen_off() -> None:
    budget = budget_of(demand("a"))
    budget.ask("a", 0, restarts=False)
    budget.see("a", Seen(OFF, is_online=True), 0)
    assert budget.reserved_mw == 15_000
    budget.end("a", 100)
    budget.see("a", Seen(OFF, is_online=False), 200)
    assert budget.reserved_mw == 15_000
    budget.see("a", Seen(TRIPPED, is_online=True), 300)
    assert budget.reserved_mw == 0


@pytest.mark.parametrize(
    ("before", "seen", "after"),
    [
        (None, OFF, Phase.OFF),
        (None, TRIPPED, Phase.OFF),
        (None, STARTING, Phase.STARTING),
        (None, ON, Phase.ON),
        (None, STOPPING, Phase.ON),
        (None, SupplyState.UNSPECIFIED, Phase.UNKNOWN),
        (OFF, STARTING, Phase.STARTING),
        (OFF, ON, Phase.STARTING),
        (OFF, STOPPING, Phase.ON),
        (STARTING, OFF, Phase.OFF),
        (STARTING, ON, Phase.STARTING),
        (STARTING, STOPPING, Phase.STARTING),
        (ON, TRIPPED, Phase.OFF),
        (ON, STARTING, Phase.STARTING),
        (ON, STOPPING, Phase.ON),
    ],
)
def test_what_is_seen_decides_what_a_node_counts(before: SupplyState | None, seen: SupplyState, after: Phase) -> None:
    budget = PowerBudget(RULES, [demand("a")])
    assert budget.reserved_mw == 8_000
    if before is not None:
        budget.see("a", Seen(before, is_online=True), 0)
    budget.see("a", Seen(seen, is_online=True), 0)
    assert budget.claims[0].phase is after
    budget.tick(START_MS)
    assert budget.claims[0].phase is (Phase.ON if after is Phase.STARTING else after)


def test_an_offline_hat_changes_nothing() -> None:
    budget = budget_of(demand("a"), supply=ON)
    budget.see("a", Seen(OFF, is_online=False), 0)
    assert budget.reserved_mw == 8_000


def test_what_is_measured_raises_the_claim_and_the_inrush() -> None:
    budget = budget_of(demand("a"))
    start(budget, "a", 0)
    budget.see("a", Seen(ON, is_online=True, drawn_mw=5_000, peak_mw=17_000), 100)
    assert budget.reserved_mw == 17_000
    budget.tick(START_MS)
    budget.see("a", Seen(ON, is_online=True, drawn_mw=5_000, peak_mw=9_000), START_MS)
    assert (budget.reserved_mw, budget.drawn_mw) == (9_000, 5_000)
    budget.see("a", Seen(OFF, is_online=True), START_MS)
    assert budget.claims[0].start_mw == 17_000


def exceeded_budget() -> PowerBudget:
    """Return a budget that four nodes exceed since time 0: 64 W of 60 W, in order of their priorities."""
    budget = PowerBudget(RULES, [demand(name, priority, 16_000) for priority, name in enumerate("abcd")])
    for name in "abcd":
        budget.see(name, Seen(ON, is_online=True, drawn_mw=10_000), 0)
    return budget


def test_the_lowest_priority_is_shed_when_the_budget_was_exceeded_for_long_enough() -> None:
    budget = exceeded_budget()
    assert budget.take_decisions() == [BudgetExceeded(64_000, 40_000, 60_000)]
    assert budget.due_ms(0) == 30_000
    budget.tick(29_999)
    assert budget.take_decisions() == []
    budget.tick(30_000)
    assert budget.take_decisions() == [Shed("a", ShedHow.GRACEFUL, 64_000, 40_000, 60_000)]
    budget.tick(31_000)
    budget.see("a", Seen(STOPPING, is_online=True), 31_000)
    assert budget.take_decisions() == []
    budget.see("a", Seen(OFF, is_online=True), 32_000)
    assert budget.take_decisions() == [BudgetKept(32_000)]
    assert budget.drawn_mw == 30_000


def test_nothing_is_admitted_while_the_budget_is_exceeded() -> None:
    budget = PowerBudget(RULES, [demand("a"), demand("b")])
    budget.see("a", Seen(ON, is_online=True, drawn_mw=61_000), 0)
    budget.see("b", Seen(OFF, is_online=True), 0)
    budget.take_decisions()
    budget.ask("b", 0, restarts=False)
    assert isinstance(budget.take_decisions()[0], Queued)


def test_who_cannot_be_shed_makes_way_for_the_next_and_has_its_turn_again() -> None:
    budget = exceeded_budget()
    budget.see("a", Seen(ON, is_online=False), 0)
    budget.tick(30_000)
    assert [each.node for each in budget.take_decisions() if isinstance(each, Shed)] == ["b"]
    budget.shed_failed("b", 30_000)
    assert [each.node for each in budget.take_decisions() if isinstance(each, Shed)] == ["c"]
    budget.shed_failed("c", 30_000)
    budget.shed_failed("d", 30_000)
    budget.take_decisions()
    assert budget.due_ms(30_000) == 30_000 + SHED_AGAIN_MS
    budget.tick(30_000 + SHED_AGAIN_MS)
    assert [each.node for each in budget.take_decisions() if isinstance(each, Shed)] == ["b"]


def test_above_the_hard_limit_nodes_are_cut_at_once_also_those_that_take_their_time() -> None:
    budget = exceeded_budget()
    budget.tick(30_000)
    budget.take_decisions()
    budget.see("d", Seen(ON, is_online=True, drawn_mw=46_000), 31_000)
    cut, next_one = budget.take_decisions()
    assert cut == Shed("a", ShedHow.CUT, 64_000, 76_000, 60_000)
    assert next_one == Shed("b", ShedHow.GRACEFUL, 64_000, 76_000, 60_000)
    budget.see("d", Seen(ON, is_online=True, drawn_mw=57_000), 31_000)
    assert [each.node for each in budget.take_decisions() if isinstance(each, Shed)] == ["b", "c"]


def test_of_equals_who_started_last_is_shed_first() -> None:
    budget = budget_of(demand("a"), demand("b"))
    start(budget, "b", 0)
    start(budget, "a", 5)
    assert [claim.name for claim in budget.shed_order] == ["a", "b"]


def test_a_node_that_waits_for_its_restart_is_refused_when_it_is_shed() -> None:
    budget = exceeded_budget()
    budget.ask("a", 0, restarts=True)
    budget.take_decisions()
    budget.tick(30_000)
    refused, shed = budget.take_decisions()
    assert refused == Refused("a", RefusedWhy.SHED, 16_000, 60_000)
    assert isinstance(shed, Shed)
    budget.ask("a", 30_000, restarts=False)
    assert budget.take_decisions() == [refused]


def test_a_smaller_supply_sheds_and_refuses_who_will_never_fit() -> None:
    budget = budget_of(demand("a", 1), demand("b", 2), demand("c", inrush_mw=50_000), supply=ON)
    budget.see("c", Seen(OFF, is_online=True), 0)
    budget.ask("c", 0, restarts=False)
    assert isinstance(budget.take_decisions()[-1], Queued)
    budget.set_capacity(12_000, 13_000, 100)
    budget.tick(30_100)
    decided = budget.take_decisions()
    assert decided[:2] == [BudgetExceeded(16_000, 0, 12_000), Refused("c", RefusedWhy.NEVER_FITS, 50_000, 12_000)]
    assert decided[2] == Shed("a", ShedHow.GRACEFUL, 16_000, 0, 12_000)


def test_nodes_that_were_never_heard_of_count_but_nobody_is_shed_for_them() -> None:
    budget = PowerBudget(RULES, [demand(f"n{index}", peak_mw=16_000) for index in range(5)])
    budget.see("n0", Seen(ON, is_online=True), 0)
    budget.see("n1", Seen(OFF, is_online=True), 0)
    budget.tick(100_000)
    assert budget.take_decisions() == []
    budget.ask("n1", 100_000, restarts=False)
    assert budget.take_decisions() == [Queued("n1", Wait(1, 16_000, -4_000, ""))]


def test_time_alone_changes_nothing_when_nothing_is_under_way() -> None:
    assert budget_of(demand("a"), supply=ON).due_ms(0) is None
