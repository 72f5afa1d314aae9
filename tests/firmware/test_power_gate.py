"""The state table of the supply gate, cell by cell, with a small rail that rises and falls."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from racklet.link.v1.link_pb2 import (
    EventKind,
    PowerAction,
    Result,
    SupplyState,
)
from racklet_hat import power_gate
from racklet_hat.limits import Limits
from racklet_hat.power_gate import PowerGate

STEP_MS = 20
OVER_CURRENT_HOLD, UNDER_VOLTAGE_HOLD, HALT_CURRENT, HALT_HOLD, THERMAL_TIME = 1, 4, 6, 7, 10  # in Limits.values
OVER_CURRENT_HOLD_MS, UNDER_VOLTAGE_HOLD_MS, HALT_HOLD_MS, THERMAL_TIME_MS = (
    Limits().values[index] for index in (OVER_CURRENT_HOLD, UNDER_VOLTAGE_HOLD, HALT_HOLD, THERMAL_TIME)
)
ON, OFF = PowerAction.POWER_ACTION_ON, PowerAction.POWER_ACTION_OFF
FORCE_OFF, CYCLE = PowerAction.POWER_ACTION_FORCE_OFF, PowerAction.POWER_ACTION_CYCLE


def state_name(number: int) -> str:
    return SupplyState.Name(number).removeprefix("SUPPLY_STATE_")


def result_name(number: int) -> str:
    return Result.Name(number).removeprefix("RESULT_")


class Rail:
    """A latch, a rail with a node on it, and faults: `stuck` holds the rail where it is."""

    def __init__(self, *, is_on: bool) -> None:
        self.latch = is_on
        self.uv = 5_100_000 if is_on else 0
        self.load_ua = 600_000
        self.stuck = False
        self.halted = False
        self.asked = False
        self.pulses: list[str] = []

    def set(self) -> None:
        self.latch = True
        self.pulses.append("set")

    def clear(self) -> None:
        self.latch = False
        self.pulses.append("clear")

    def ask(self, active: bool) -> None:
        self.asked = active

    def is_halted(self) -> bool:
        return self.halted

    def pass_time(self) -> None:
        if not self.stuck:
            self.uv = 5_100_000 if self.latch else int(self.uv * 0.6)

    @property
    def ua(self) -> int:
        return self.load_ua if self.uv > 3_000_000 else 0


class Bench:
    """A gate on a rail, stepped like the firmware does."""

    def __init__(self, *, is_on: bool = False) -> None:
        self.rail = Rail(is_on=is_on)
        self.limits = Limits()
        self.events: list[tuple[str, int, int, int]] = []
        self.results: list[tuple[int, str, int]] = []
        self.gate = PowerGate(self.rail, self.limits, self.report, self.finish, is_on)
        self.now_ms = 1000
        self.valid = True
        self.temperature_mc = 30_000
        self.alerted = False
        self.step()

    def report(self, kind: int, value: int, limit: int, detail: int) -> None:
        self.events.append((EventKind.Name(kind).removeprefix("EVENT_KIND_"), value, limit, detail))

    def finish(self, request_id: int, result: int, duration_ms: int) -> None:
        self.results.append((request_id, result_name(result), duration_ms))

    def step(self) -> None:
        self.now_ms += STEP_MS
        self.rail.pass_time()
        self.gate.step(self.rail.uv, self.rail.ua, self.temperature_mc, self.valid, self.now_ms, self.alerted)
        self.alerted = False

    def run(self, duration_ms: int) -> None:
        for _ in range(duration_ms // STEP_MS):
            self.step()

    def ask(self, action: int, *, grace_ms: int = 0, force: int = 0, off_ms: int = 0, request_id: int = 1) -> str:
        return result_name(self.gate.request(request_id, action, grace_ms, force, off_ms, self.now_ms))

    @property
    def state(self) -> str:
        return state_name(self.gate.state)

    def kinds(self) -> list[str]:
        return [kind for kind, *_ in self.events if kind != "SUPPLY_STATE"]


def bench_in(state: str) -> Bench:
    """Return a bench whose gate is in `state` with no transaction running, but for STARTING."""
    bench = Bench(is_on=state in {"ON", "TRIPPED", "STOPPING", "STUCK_ON"})
    if state == "TRIPPED":
        bench.rail.load_ua = 9_000_000
        bench.run(500)
        bench.rail.load_ua = 600_000
        bench.run(2000)
    elif state in {"STOPPING", "STUCK_ON"}:
        bench.rail.stuck = True
        bench.valid = state == "STUCK_ON"
        bench.ask(FORCE_OFF)
        bench.run(4000)
        bench.valid = True
        bench.gate.valid = True  # it answers again, and nothing was measured yet
    elif state == "STARTING":
        bench.rail.stuck = True
        bench.ask(ON, request_id=9)
        bench.step()
    assert bench.state == state
    bench.rail.pulses.clear()
    bench.results.clear()
    return bench


@pytest.mark.parametrize(
    ("state", "action", "answer", "next_state", "pulses"),
    [
        ("OFF", ON, "PENDING", "STARTING", ["set"]),
        ("OFF", OFF, "DONE", "OFF", []),
        ("OFF", FORCE_OFF, "DONE", "OFF", []),
        ("OFF", CYCLE, "PENDING", "STOPPING", ["clear"]),
        ("STARTING", ON, "BUSY", "STARTING", []),
        ("STARTING", OFF, "BUSY", "STARTING", []),
        ("STARTING", FORCE_OFF, "BUSY", "STARTING", []),
        ("STARTING", CYCLE, "BUSY", "STARTING", []),
        ("ON", ON, "DONE", "ON", []),
        ("ON", OFF, "PENDING", "STOPPING", []),
        ("ON", FORCE_OFF, "PENDING", "STOPPING", ["clear"]),
        ("ON", CYCLE, "PENDING", "STOPPING", ["clear"]),
        ("STOPPING", ON, "PENDING", "STOPPING", ["clear"]),
        ("STOPPING", OFF, "PENDING", "STOPPING", ["clear"]),
        ("STOPPING", FORCE_OFF, "PENDING", "STOPPING", ["clear"]),
        ("STOPPING", CYCLE, "PENDING", "STOPPING", ["clear"]),
        ("TRIPPED", ON, "PENDING", "STARTING", ["set"]),
        ("TRIPPED", OFF, "PENDING", "STOPPING", ["clear"]),
        ("TRIPPED", FORCE_OFF, "PENDING", "STOPPING", ["clear"]),
        ("TRIPPED", CYCLE, "PENDING", "STOPPING", ["clear"]),
        ("STUCK_ON", ON, "PENDING", "STOPPING", ["clear"]),
        ("STUCK_ON", OFF, "PENDING", "STOPPING", ["clear"]),
        ("STUCK_ON", FORCE_OFF, "PENDING", "STOPPING", ["clear"]),
        ("STUCK_ON", CYCLE, "PENDING", "STOPPING", ["clear"]),
    ],
)
def test_a_request_does_in_each_state_what_the_table_says(
    state: str, action: int, answer: str, next_state: str, pulses: list[str]
) -> None:
    bench = bench_in(state)
    assert bench.ask(action) == answer
    assert bench.state == next_state
    assert bench.rail.pulses == pulses


@pytest.mark.parametrize("action", [ON, OFF, FORCE_OFF, CYCLE])
@pytest.mark.parametrize("state", ["OFF", "ON", "STOPPING", "TRIPPED", "STUCK_ON"])
def test_every_transaction_ends_where_it_should_once_the_rail_follows(state: str, action: int) -> None:
    bench = bench_in(state)
    bench.rail.stuck = False
    bench.rail.load_ua = 60_000  # the node lets itself be shut down
    answer = bench.ask(action)
    bench.run(10_000)
    assert bench.state == ("ON" if action in {ON, CYCLE} else "OFF")
    assert [result for _, result, _ in bench.results] == ([] if answer == "DONE" else ["DONE"])


def test_what_is_asked_during_a_transaction_is_busy_and_changes_nothing() -> None:
    bench = Bench(is_on=True)
    assert bench.ask(CYCLE, request_id=1) == "PENDING"
    for action in (ON, OFF, FORCE_OFF, CYCLE):
        assert bench.ask(action, request_id=2) == "BUSY"
    bench.run(5000)
    assert bench.results[0][:2] == (1, "DONE")
    assert bench.state == "ON"


def test_on_is_done_when_the_rail_is_measured_good_and_settled() -> None:
    bench = Bench()
    bench.ask(ON)
    bench.run(power_gate._SETTLE_MS)
    assert bench.results == []
    bench.step()
    assert bench.results == [(1, "DONE", power_gate._SETTLE_MS + STEP_MS)]
    assert bench.events == [("SUPPLY_STATE", 2, 0, 1), ("SUPPLY_STATE", 3, 0, 2)]
    assert (bench.gate.told_id, bench.gate.before_state, bench.gate.detail) == (1, 1, power_gate._SET)


def test_on_is_not_done_while_the_rail_still_rises() -> None:
    bench = Bench()
    bench.ask(ON)
    bench.rail.stuck = True
    for uv in (4_600_000, 4_760_000, 4_820_000, 4_880_000, 4_940_000, 5_000_000, 5_060_000):
        bench.rail.uv = uv
        bench.step()
    assert bench.results == []
    bench.run(power_gate._SETTLE_MS)
    assert bench.results[0][1] == "DONE"


def test_a_rail_that_does_not_rise_is_cut_and_told() -> None:
    bench = Bench()
    bench.rail.stuck = True
    bench.ask(ON)
    bench.run(600)
    assert bench.results[0][1] == "NOT_REACHED"
    assert bench.rail.pulses == ["set", "clear"]
    assert bench.kinds() == ["START_FAILED"]
    assert bench.gate.detail == power_gate._SET | power_gate._CUT
    bench.run(2000)
    assert bench.state == "OFF"


def test_a_graceful_off_presses_the_button_shortly_and_waits_for_the_halt_signal() -> None:
    bench = Bench(is_on=True)
    bench.ask(OFF)
    assert bench.rail.asked
    bench.run(power_gate._ASK_MS + STEP_MS)
    assert not bench.rail.asked
    bench.run(2000)
    assert bench.rail.latch
    bench.rail.halted = True
    bench.run(3000)
    assert bench.state == "OFF"
    assert bench.results[0][1] == "DONE"
    assert bench.gate.detail == power_gate._ASKED | power_gate._HALT_ROSE | power_gate._CUT
    assert (bench.gate.before_state, bench.gate.lowest_ua) == (3, 600_000)


def test_a_halt_signal_that_is_stuck_high_is_no_answer() -> None:
    bench = Bench(is_on=True)
    bench.rail.halted = True
    bench.ask(OFF, grace_ms=5000)
    bench.run(5100)
    assert (bench.state, bench.results[0][1], bench.rail.latch) == ("ON", "NODE_BUSY", True)
    assert bench.gate.detail == power_gate._ASKED | power_gate._HALT_WAS_HIGH


def test_a_halt_signal_that_went_low_meanwhile_counts_again() -> None:
    bench = Bench(is_on=True)
    bench.rail.halted = True
    bench.ask(OFF)
    bench.run(1000)
    bench.rail.halted = False
    bench.step()
    bench.rail.halted = True
    bench.run(3000)
    assert bench.results[0][1] == "DONE"
    assert bench.gate.detail & power_gate._HALT_ROSE


def test_a_node_that_has_halted_before_is_known_by_its_current() -> None:
    bench = Bench(is_on=True)
    bench.rail.halted, bench.rail.load_ua = True, 60_000
    bench.ask(OFF)
    bench.run(3000)
    assert bench.results[0][1] == "DONE"
    assert bench.gate.detail & power_gate._CURRENT_FELL


def test_force_off_overtakes_a_graceful_off() -> None:
    bench = Bench(is_on=True)
    assert bench.ask(OFF, request_id=1) == "PENDING"
    bench.run(1000)
    assert bench.ask(ON, request_id=2) == "BUSY"
    assert bench.ask(FORCE_OFF, request_id=3) == "PENDING"
    assert bench.results == [(1, "OVERTAKEN", 1000)]
    assert bench.ask(FORCE_OFF, request_id=4) == "BUSY"
    bench.run(3000)
    assert bench.results[1][:2] == (3, "DONE")
    assert not bench.rail.asked


def test_a_graceful_off_takes_a_lasting_idle_current_for_a_halt() -> None:
    bench = Bench(is_on=True)
    bench.ask(OFF)
    for _ in range(10):  # a dip is no halt
        bench.rail.load_ua = 100_000
        bench.run(HALT_HOLD_MS - 2 * STEP_MS)
        bench.rail.load_ua = 600_000
        bench.step()
    assert bench.rail.latch
    bench.rail.load_ua = 60_000
    bench.run(HALT_HOLD_MS + 2 * STEP_MS)
    assert not bench.rail.latch


def test_a_node_that_does_not_halt_stays_on_unless_force_was_asked() -> None:
    bench = Bench(is_on=True)
    bench.ask(OFF, grace_ms=1000)
    bench.run(1100)
    assert (bench.state, bench.results[0][1], bench.rail.latch) == ("ON", "NODE_BUSY", True)
    bench.ask(OFF, grace_ms=1000, force=1, request_id=2)
    bench.run(5000)
    assert (bench.state, bench.results[1][1]) == ("OFF", "DONE")


def test_a_cycle_keeps_the_minimum_off_time_and_a_longer_one_when_asked() -> None:
    for off_ms, expected_ms in ((0, power_gate._MIN_OFF_MS), (3000, 3000)):
        bench = Bench(is_on=True)
        bench.ask(CYCLE, off_ms=off_ms)
        off_for_ms = 0
        while not bench.results:
            off_for_ms += 0 if bench.rail.latch else STEP_MS
            bench.step()
        assert expected_ms <= off_for_ms <= expected_ms + 2 * STEP_MS
        assert bench.results[0][1] == "DONE"


def test_supply_stays_off_until_the_rail_has_fallen() -> None:
    bench = Bench(is_on=True)
    bench.ask(CYCLE)
    bench.rail.stuck = True
    bench.run(power_gate._FALL_MS - 100)
    assert bench.rail.pulses == ["clear"]
    assert bench.state == "STOPPING"


def test_a_rail_that_does_not_fall_is_told_once_and_ends_the_transaction_without_switching_on() -> None:
    bench = Bench(is_on=True)
    bench.rail.stuck = True
    bench.ask(CYCLE)
    bench.run(8000)
    assert bench.results[0][1] == "NOT_REACHED"
    assert bench.kinds() == ["SUPPLY_STUCK_ON"]
    assert bench.events[-2][3] == 600_000  # the current
    assert bench.state == "STUCK_ON"
    bench.rail.stuck = False
    bench.run(1000)
    assert bench.state == "OFF"


def test_on_soon_after_off_waits_for_the_minimum_off_time() -> None:
    bench = Bench(is_on=True)
    bench.ask(FORCE_OFF)
    bench.run(1500)
    assert bench.state == "OFF"
    bench.gate._cut_ms = bench.now_ms - 100
    assert bench.ask(ON, request_id=2) == "PENDING"
    assert bench.state == "STOPPING"
    bench.run(1100)
    assert bench.state == "ON"
    assert bench.results[-1][:2] == (2, "DONE")


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"load_ua": 6_000_000}, "OVER_CURRENT"),
        ({"uv": 5_600_000, "stuck": True}, "OVER_VOLTAGE"),
        ({"uv": 4_300_000, "stuck": True}, "UNDER_VOLTAGE"),
        ({"temperature_mc": 90_000}, "OVER_TEMPERATURE"),
    ],
)
@pytest.mark.parametrize("asked", [False, True])
def test_a_protection_cuts_latches_and_tells_the_value(change: dict[str, int], kind: str, *, asked: bool) -> None:
    bench = Bench(is_on=True)
    if asked:
        bench.ask(OFF)
    for name, value in change.items():
        setattr(bench if name == "temperature_mc" else bench.rail, name, value)
    bench.run(700)
    assert bench.state == "TRIPPED"
    assert bench.kinds() == [kind]
    event = next(event for event in bench.events if event[0] == kind)
    assert event[1] in change.values()
    assert [result for _, result, _ in bench.results] == (["TRIPPED"] if asked else [])
    bench.rail.stuck = False
    bench.run(5000)
    assert bench.state == "TRIPPED"
    assert not bench.rail.latch


def test_a_short_peak_of_current_or_dip_of_voltage_does_not_trip() -> None:
    bench = Bench(is_on=True)
    bench.rail.load_ua = 6_000_000
    bench.run(OVER_CURRENT_HOLD_MS - STEP_MS)
    bench.rail.load_ua = 600_000
    bench.step()
    bench.rail.uv, bench.rail.stuck = 4_300_000, True
    bench.run(UNDER_VOLTAGE_HOLD_MS - STEP_MS)
    bench.rail.stuck = False
    bench.run(1000)
    assert bench.state == "ON"


@pytest.mark.parametrize("alerted", [False, True])
def test_a_short_at_start_trips_and_tells_the_current(*, alerted: bool) -> None:
    bench = Bench()
    bench.ask(ON)
    bench.rail.load_ua = 9_000_000
    bench.rail.stuck, bench.rail.uv = True, 3_500_000
    bench.alerted = alerted
    bench.run(20 if alerted else 300)
    assert bench.state == "TRIPPED"
    assert bench.results[0][1] == "TRIPPED"
    assert [event for event in bench.events if event[0] == "START_FAILED"] == [
        ("START_FAILED", 3_500_000, power_gate._GOOD_UV, 9_000_000)
    ]


def test_an_alert_trips_at_once_and_tells_at_least_the_limit() -> None:
    bench = Bench(is_on=True)
    bench.alerted = True
    bench.step()
    assert bench.state == "TRIPPED"
    assert bench.events[-2] == ("OVER_CURRENT", 8_000_000, 8_000_000, power_gate._BY_ALERT)


def test_an_alert_trips_without_a_measurement_as_well() -> None:
    bench = Bench(is_on=True)
    bench.valid, bench.alerted = False, True
    bench.step()
    assert bench.state == "TRIPPED"


def test_an_alert_of_what_is_off_changes_nothing() -> None:
    bench = Bench()
    bench.alerted = True
    bench.step()
    assert (bench.state, bench.kinds()) == ("OFF", [])


@pytest.mark.parametrize("amperes", [5.05, 5.2, 5.4])
def test_heat_trips_when_its_time_has_come(amperes: float) -> None:
    """A first-order heat: from the square of a start current it reaches the limit after tau * ln(...)."""
    bench = Bench(is_on=True)
    bench.rail.load_ua = round(amperes * 1e6)
    began_ms = bench.now_ms
    while bench.state == "ON" and bench.now_ms - began_ms < 10 * THERMAL_TIME_MS:
        bench.step()
    took_ms = bench.now_ms - began_ms
    assert bench.events[-2][0] == "OVER_CURRENT"
    assert bench.events[-2][2:] == (5_000_000, power_gate._BY_HEAT)
    steps, limit = round(amperes * 1e6) >> 14, 5_000_000 >> 14
    assert took_ms == pytest.approx(THERMAL_TIME_MS * math.log(steps**2 / (steps**2 - limit**2)), rel=0.1)


def test_heat_leaves_a_current_at_the_limit_and_short_peaks_alone() -> None:
    bench = Bench(is_on=True)
    bench.rail.load_ua = 5_000_000
    bench.run(5 * THERMAL_TIME_MS)
    bench.rail.load_ua = 1_000_000
    bench.run(THERMAL_TIME_MS)
    for _ in range(20):
        bench.rail.load_ua = 5_450_000
        bench.run(2000)
        bench.rail.load_ua = 1_000_000
        bench.run(2000)
    assert bench.state == "ON"


@given(currents=st.lists(st.integers(-20_000_000, 20_000_000), max_size=30), tau_ms=st.integers(1000, 600_000))
@settings(max_examples=100, deadline=None)
def test_heat_stays_a_small_integer(currents: list[int], tau_ms: int) -> None:
    bench = Bench()
    bench.gate._limits[THERMAL_TIME] = tau_ms
    for ua in currents:
        bench.gate.step(0, ua, 30_000, True, bench.now_ms + 40)
        goal = power_gate._HEAT_AMPERES_MAX**2 << 5
        assert -(2**30) < (goal - bench.gate._heat) * power_gate._HEAT_SPAN_MAX_MS < 2**30
        assert 0 <= bench.gate._heat <= goal


def test_nothing_is_switched_on_without_a_monitor_and_what_is_on_stays_on() -> None:
    bench = Bench()
    bench.valid = False
    bench.step()
    assert bench.ask(ON) == "NO_MONITOR"
    assert bench.ask(CYCLE) == "NO_MONITOR"
    bench = Bench(is_on=True)
    bench.valid = False
    bench.rail.load_ua = 9_000_000
    bench.run(5000)
    assert (bench.state, bench.rail.pulses) == ("ON", [])


def test_a_monitor_lost_on_the_way_up_ends_the_start_and_on_the_way_down_proves_nothing() -> None:
    bench = Bench()
    bench.ask(ON)
    bench.valid = False
    bench.run(600)
    assert bench.results[0][1] == "NOT_REACHED"
    bench = Bench(is_on=True)
    bench.ask(OFF, request_id=2)
    bench.valid = False
    bench.rail.halted = True
    bench.run(5000)
    assert bench.results == [(2, "NOT_REACHED", bench.results[0][2])]
    assert bench.state == "STOPPING"
    bench.valid = True
    bench.run(200)
    assert bench.state == "OFF"


def test_a_stop_that_nobody_could_measure_is_told_stuck_once_it_is_measured() -> None:
    bench = bench_in("STOPPING")
    bench.step()
    assert (bench.state, bench.kinds()) == ("STUCK_ON", ["SUPPLY_STUCK_ON"])


def test_a_rail_that_comes_up_by_itself_is_cut_and_told() -> None:
    bench = Bench()
    bench.rail.latch = True
    bench.step()
    assert (bench.state, bench.kinds()) == ("STUCK_ON", ["SUPPLY_STUCK_ON"])
    bench.run(2000)
    assert bench.state == "OFF"


@pytest.mark.parametrize("state", ["OFF", "TRIPPED"])
def test_a_current_that_flows_though_off_is_a_fault_of_its_own(state: str) -> None:
    bench = bench_in(state)
    bench.run(2000)
    bench.events.clear()
    bench.rail.uv, bench.rail.stuck, bench.rail.load_ua = 3_100_000, True, 150_000
    bench.run(power_gate._FLOWS_MS)
    assert bench.state == state
    bench.step()
    assert bench.state == "STUCK_ON"
    assert ("SUPPLY_STUCK_ON", 3_100_000, power_gate._DOWN_UV, 150_000) in bench.events
    assert bench.rail.pulses == ["clear"]
    bench.rail.stuck = False
    bench.run(1000)
    assert bench.state == "OFF"


@pytest.mark.parametrize("is_on", [False, True])
def test_a_start_of_the_microcontroller_moves_nothing(*, is_on: bool) -> None:
    bench = Bench(is_on=is_on)
    bench.run(10_000)
    assert bench.rail.pulses == []
    assert bench.state == ("ON" if is_on else "OFF")


@pytest.mark.parametrize(
    "arguments",
    [
        {"action": 0},
        {"action": 5},
        {"action": OFF, "grace_ms": 600_001},
        {"action": OFF, "grace_ms": -1},
        {"action": CYCLE, "off_ms": 60_001},
    ],
)
def test_what_is_out_of_range_is_invalid_and_changes_nothing(arguments: dict[str, int]) -> None:
    bench = Bench(is_on=True)
    assert bench.ask(**arguments) == "INVALID"
    assert bench.gate.invalid_field == {0: 1, 5: 1, OFF: 2, CYCLE: 4}[arguments["action"]]
    assert bench.rail.pulses == []
    assert bench.state == "ON"


class AnyHistory(RuleBasedStateMachine):
    """Whatever happens: one result for each request, and the latch agrees with the state."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()
        self.pending: list[int] = []
        self.next_id = 1

    @rule(
        action=st.integers(0, 5),
        grace_ms=st.sampled_from([0, 500, 2000]),
        force=st.integers(0, 1),
        off_ms=st.sampled_from([0, 2000]),
    )
    def ask(self, action: int, grace_ms: int, force: int, off_ms: int) -> None:
        answer = self.bench.ask(action, grace_ms=grace_ms, force=force, off_ms=off_ms, request_id=self.next_id)
        if answer == "PENDING":
            self.pending.append(self.next_id)
        self.next_id += 1

    @rule(
        load_ua=st.sampled_from([0, 60_000, 600_000, 9_000_000]),
        stuck=st.booleans(),
        halted=st.booleans(),
        valid=st.booleans(),
        temperature_mc=st.sampled_from([30_000, 30_000, 95_000]),
        alerted=st.booleans(),
    )
    def change(
        self, *, load_ua: int, stuck: bool, halted: bool, valid: bool, temperature_mc: int, alerted: bool = False
    ) -> None:
        self.bench.alerted = alerted
        self.bench.rail.load_ua = load_ua
        self.bench.rail.stuck = stuck
        self.bench.rail.halted = halted
        self.bench.valid = valid
        self.bench.temperature_mc = temperature_mc

    @rule(duration_ms=st.sampled_from([20, 100, 600, 2000, 5000]))
    def wait(self, duration_ms: int) -> None:
        self.bench.run(duration_ms)

    @invariant()
    def every_result_belongs_to_a_pending_request(self) -> None:
        ended = [request_id for request_id, _, _ in self.bench.results]
        assert ended == self.pending[: len(ended)]
        assert len(self.pending) - len(ended) <= 1

    @invariant()
    def the_latch_agrees_with_the_state(self) -> None:
        state, latch = self.bench.state, self.bench.rail.latch
        if state in {"STARTING", "ON"}:
            assert latch
        if state in {"OFF", "TRIPPED", "STUCK_ON"}:
            assert not latch

    def teardown(self) -> None:
        self.change(load_ua=60_000, stuck=False, halted=True, valid=True, temperature_mc=30_000)
        self.bench.run(40_000)
        assert len(self.bench.results) == len(self.pending)
        assert self.bench.state in {"OFF", "ON", "TRIPPED"}


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
