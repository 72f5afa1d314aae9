"""The search for a node's baud rate."""

from __future__ import annotations

from itertools import islice, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racklet_hat.baud_search import GARBAGE, PASS, WAIT, BaudSearch
from racklet_virtual.script import FLAVOURS, load_boot_text
from racklet_virtual.uart_receiver import UartReceiver

RATES = (115_200, 921_600, 1_500_000)
WINDOW = 32


def searching(rates: tuple[int, ...] = RATES) -> BaudSearch:
    search = BaudSearch(rates)
    search.begin()
    return search


def test_it_begins_with_the_first_rate_and_is_not_on_by_itself() -> None:
    search = BaudSearch(RATES)
    assert (search.rate, search.is_on) == (RATES[0], False)


def test_one_rate_needs_no_search() -> None:
    search = searching((921_600,))
    assert (search.rate, search.is_on) == (921_600, False)


def test_few_characters_tell_nothing_but_pass_when_the_line_falls_silent() -> None:
    search = searching()
    assert search.judge(31, 5, is_quiet=False) == WAIT
    assert search.judge(21, 5, is_quiet=True) == PASS
    assert search.is_on


def test_few_characters_of_which_a_quarter_is_damaged_are_garbage_and_the_rate_stays() -> None:
    search = searching()
    assert search.judge(1, 1, is_quiet=True) == GARBAGE
    assert search.judge(8, 2, is_quiet=True) == GARBAGE
    assert (search.rate, search.is_on) == (RATES[0], True)


def test_what_a_quiet_node_says_adds_up() -> None:
    search = searching()
    assert [search.judge(8, 1, is_quiet=True) for _ in range(4)] == [PASS] * 4
    assert not search.is_on
    search.begin()
    assert [search.judge(4, 2, is_quiet=True) for _ in range(3)] == [GARBAGE] * 3
    assert (search.rate, search.is_on) == (RATES[1], True)


def test_a_sound_window_ends_the_search_and_its_rate_is_the_next_ones_first() -> None:
    search = searching()
    assert search.judge(8, 6, is_quiet=False) == GARBAGE
    assert search.rate == RATES[1]
    assert search.judge(WINDOW, 5, is_quiet=False) == PASS
    assert not search.is_on
    search.begin()
    assert (search.rate, search.is_on) == (RATES[1], True)


def test_a_line_that_is_noisy_at_every_rate_is_heard_at_the_rate_that_worked_last() -> None:
    search = searching()
    search.judge(6, 6, is_quiet=False)
    search.judge(WINDOW, 0, is_quiet=False)
    search.begin()
    tried = []
    while search.is_on:
        tried.append(search.rate)
        search.judge(WINDOW, WINDOW, is_quiet=False)
    assert tried == [RATES[1], RATES[2], RATES[0]] * 2
    assert search.rate == RATES[1]
    search.doubt()
    assert not search.is_on
    search.begin()
    assert search.is_on


def test_doubt_searches_again_after_a_search_that_found_something() -> None:
    search = searching()
    search.judge(WINDOW, 0, is_quiet=False)
    search.doubt()
    assert search.is_on


@given(st.lists(st.tuples(st.integers(1, WINDOW), st.integers(0, WINDOW), st.booleans()), max_size=60))
def test_whatever_is_heard_the_rate_is_one_of_them_and_a_search_hops_six_times_at_most(
    windows: list[tuple[int, int, bool]],
) -> None:
    search = searching()
    hops = 0
    for count, damaged, is_quiet in windows:
        if not search.is_on:
            break
        before = search.rate
        verdict = search.judge(count, min(count, damaged), is_quiet)
        hops += search.rate != before
        assert search.rate == before or verdict == GARBAGE
        assert search.rate in RATES
        assert verdict != WAIT or (not is_quiet and count < WINDOW)
    assert hops <= 6


@pytest.mark.parametrize("flavour", [*FLAVOURS, "refused"])
@pytest.mark.parametrize(("node", "first"), [*permutations(RATES, 2), *((rate, rate) for rate in RATES)])
def test_the_rate_of_every_boot_text_is_found(flavour: str, node: int, first: int) -> None:
    search = searching((first, *(rate for rate in RATES if rate != first)))
    steps = [step.data for step in load_boot_text(flavour, "node-1") if step.data]
    line, at_ns = UartReceiver(), 0
    line.set_baud(search.rate)
    window: list[bool] = []
    for data in islice(steps, 60):
        entries = line.hear(data, at_ns, node)
        at_ns += len(data) * 10**10 // node
        window += [entries[at] != 0 for at in range(1, len(entries), 2)]
        while search.is_on and window:
            verdict = search.judge(min(WINDOW, len(window)), sum(window[:WINDOW]), is_quiet=False)
            if verdict == WAIT:
                break
            if verdict == GARBAGE:
                line.set_baud(search.rate)
                window.clear()
    assert (search.rate, search.is_on) == (node, False)
