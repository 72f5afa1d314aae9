"""The latch, the gate and the rail."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racklet_virtual.supply import NODE_RESETS_VOLTS, POWER_GOOD_VOLTS, GateLine, Stuck, Supply

MS = 1_000


def pulse(supply: Supply, line: GateLine, at_us: int, width_us: int = 1_500) -> int:
    supply.set_line(line, 1, at_us)
    supply.set_line(line, 0, at_us + width_us)
    return at_us + width_us


def switched_on() -> Supply:
    supply = Supply()
    pulse(supply, GateLine.SET, 0)
    supply.advance(100 * MS)
    return supply


def test_a_pulse_of_a_millisecond_switches_on() -> None:
    supply = Supply()
    pulse(supply, GateLine.SET, 0, 1_000)
    assert supply.latch_on


@given(st.lists(st.integers(1, 999), max_size=20))
def test_glitches_never_switch_on(widths_us: list[int]) -> None:
    supply = Supply()
    at_us = 0
    for width_us in widths_us:
        at_us = pulse(supply, GateLine.SET, at_us + 1, width_us)
    supply.advance(at_us + 100 * MS)
    assert not supply.latch_on
    assert supply.volts == 0


def test_the_rail_rises_in_about_three_milliseconds() -> None:
    def good_after(rise_us: int) -> bool:
        supply.advance(1_000 + rise_us)
        return supply.good

    supply = Supply()
    supply.set_line(GateLine.SET, 1, 0)
    assert not good_after(1_000)
    assert good_after(3_500)
    assert supply.volts == pytest.approx(5.1, rel=0.05)


def test_the_rail_falls_with_forty_milliseconds() -> None:
    supply = switched_on()
    supply.set_line(GateLine.CLEAR, 1, 100 * MS)
    supply.advance(101 * MS + 40 * MS)
    assert supply.volts == pytest.approx(5.1 / 2.71828, rel=0.01)


def test_clear_wins_over_set() -> None:
    supply = switched_on()
    supply.set_line(GateLine.CLEAR, 1, 200 * MS)
    pulse(supply, GateLine.SET, 210 * MS)
    assert not supply.latch_on


def test_a_load_pulls_the_rail_down_a_little() -> None:
    supply = switched_on()
    supply.draw(3.0, 100 * MS)
    supply.advance(200 * MS)
    assert supply.volts == pytest.approx(5.04, abs=0.001)


def test_energy_is_volts_times_amperes_times_time() -> None:
    supply = switched_on()
    before = supply.totals.joules
    supply.draw(1.0, 100 * MS)
    supply.advance(100 * MS + 10_000 * MS)
    assert supply.totals.joules - before == pytest.approx(5.08 * 10, rel=1e-4)
    assert supply.totals.coulombs == pytest.approx(10, rel=1e-6)


@given(st.lists(st.integers(1, 200 * MS), min_size=1, max_size=30))
def test_the_size_of_the_steps_does_not_matter(steps_us: list[int]) -> None:
    coarse, fine = Supply(), Supply()
    for supply in (coarse, fine):
        supply.set_line(GateLine.SET, 1, 0)
        supply.draw(0.5, 0)
    at_us = 0
    for step_us in steps_us:
        at_us += step_us
        fine.advance(at_us)
    coarse.advance(at_us)
    assert fine.volts == pytest.approx(coarse.volts)
    assert fine.totals.joules == pytest.approx(coarse.totals.joules)


def test_time_that_goes_back_changes_nothing() -> None:
    supply = switched_on()
    volts = supply.volts
    supply.advance(0)
    assert supply.volts == volts


@given(st.booleans(), st.integers(0, 50 * MS))
def test_the_next_change_is_where_power_good_changes(on: bool, later_us: int) -> None:
    supply = Supply() if on else switched_on()
    supply.set_line(GateLine.SET if on else GateLine.CLEAR, 1, 100 * MS)
    good = supply.good
    change_us = 0
    while supply.good == good:
        next_us = supply.next_change_us()
        assert next_us is not None
        supply.advance(next_us - 1)
        assert supply.good == good
        supply.advance(next_us)
        change_us = next_us
    assert abs(supply.volts - POWER_GOOD_VOLTS) < 0.01
    supply.advance(change_us + later_us)
    assert supply.good != good


def test_a_gate_stuck_on_keeps_the_rail_up_whatever_the_latch_says() -> None:
    supply = switched_on()
    supply.stuck = Stuck.ON
    pulse(supply, GateLine.CLEAR, 100 * MS)
    supply.advance(500 * MS)
    assert not supply.latch_on
    assert supply.good


def test_a_gate_stuck_off_leaves_the_rail_down() -> None:
    supply = Supply()
    supply.stuck = Stuck.OFF
    pulse(supply, GateLine.SET, 0)
    supply.advance(500 * MS)
    assert supply.latch_on
    assert supply.volts == 0


def test_a_sag_ends() -> None:
    supply = switched_on()
    supply.sag(4.0, 200 * MS)
    supply.advance(199 * MS)
    assert supply.volts == pytest.approx(4.0, abs=0.01)
    assert supply.volts < NODE_RESETS_VOLTS
    supply.advance(220 * MS)
    assert supply.good
