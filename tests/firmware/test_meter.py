"""The meter, on a small monitor that measures what it is told."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from racklet.link.v1 import link_pb2
from racklet_hat.meter import Meter
from racklet_hat.power_monitor import MonitorError
from racklet_link import messages
from racklet_link.message import Message
from tests.protocol.hat_messages import read

RETRY_EVERY = 25  # samples
SAMPLES_MAX = 3200
SETTINGS = settings(max_examples=100, deadline=None)


class Monitor:
    """A power monitor on a supply of `uv` and `ua`; its temperature and energy are read separately."""

    def __init__(self) -> None:
        self.uv, self.ua, self.uw, self.mc = 5_100_000, 600_000, 3_060_000, 40_000
        self.supply_uv = self.supply_ua = self.supply_uw = self.temperature_mc = 0
        self.energy_uj = 0
        self.charge_uc = 0
        self.kept = False
        self.new = True
        self.answers = True
        self.talks_nonsense = False
        self.configured = 0
        self.alert_ma = 0
        self.alerted = False

    def check(self) -> None:
        if not self.answers:
            raise MonitorError
        if self.talks_nonsense:
            raise MonitorError(1)

    def configure(self) -> bool:
        self.check()
        self.configured += 1
        if not self.kept:
            self.energy_uj = self.charge_uc = 0
        kept, self.kept = self.kept, True
        return kept

    def arm(self) -> None:
        self.check()

    def sample(self, _now_ms: int) -> bool:
        self.check()
        self.supply_uv, self.supply_ua, self.supply_uw = self.uv, self.ua, self.uw
        return self.new

    def sample_temperature(self) -> None:
        self.check()
        self.temperature_mc = self.mc

    def take_energy_uj(self) -> int:
        self.check()
        taken, self.energy_uj = self.energy_uj, 0
        return taken

    def take_charge_uc(self) -> int:
        self.check()
        taken, self.charge_uc = self.charge_uc, 0
        return taken


class Bench:
    def __init__(self) -> None:
        self.monitor = Monitor()
        self.meter = Meter(self.monitor)

    def sample(self, count: int = 1) -> list[bool]:
        return [self.meter.sample(0) for _ in range(count)]

    def fill(self) -> link_pb2.Telemetry:
        message = Message(*messages.TELEMETRY[1:])
        message.begin(messages.TELEMETRY)
        self.meter.fill(message.slots)
        return read(message, link_pb2.Telemetry)

    def measure(self, *samples: tuple[int, int, int]) -> link_pb2.Telemetry:
        """Sample each of (µV, µA, µW), and end the period."""
        for sample in samples:
            self.monitor.uv, self.monitor.ua, self.monitor.uw = sample
            assert self.meter.sample(0)
        return self.fill()


def test_nothing_is_measured_before_the_first_sample() -> None:
    bench = Bench()
    assert not bench.meter.valid
    assert bench.fill() == link_pb2.Telemetry()


def test_the_first_sample_configures_the_monitor_and_reads_all_of_it() -> None:
    bench = Bench()
    assert bench.sample() == [True]
    assert bench.meter.valid
    assert bench.monitor.configured == 1
    assert bench.monitor.temperature_mc == 40_000


def test_a_period_tells_mean_lowest_and_highest() -> None:
    telemetry = Bench().measure((5_120_000, 320_000, 1_280_000), (5_088_000, 960_000, 5_120_000))
    assert telemetry == link_pb2.Telemetry(
        samples=2,
        supply_uv=5_104_000,
        supply_min_uv=5_088_000,
        supply_max_uv=5_120_000,
        supply_ua=640_000,
        supply_min_ua=320_000,
        supply_max_ua=960_000,
        supply_uw=3_200_000,
        temperature_mc=40_000,
    )


def test_the_next_period_begins_with_nothing() -> None:
    bench = Bench()
    bench.measure((5_000_000, 1_000_000, 5_000_000))
    telemetry = bench.measure((4_000_000, 2_000_000, 8_000_000))
    assert (telemetry.samples, telemetry.supply_max_uv, telemetry.supply_min_ua) == (1, 4_000_000, 2_000_000)


@given(
    samples=st.lists(
        st.tuples(st.integers(0, 5_500_000), st.integers(-6_000_000, 6_000_000), st.integers(0, 33_000_000)),
        min_size=1,
        max_size=50,
    )
)
@SETTINGS
def test_means_are_right_to_what_a_monitor_resolves(samples: list[tuple[int, int, int]]) -> None:
    telemetry = Bench().measure(*samples)
    voltages, currents, powers = zip(*samples, strict=True)
    assert telemetry.supply_uv == pytest.approx(sum(voltages) / len(samples), abs=24)
    assert telemetry.supply_ua == pytest.approx(sum(currents) / len(samples), abs=24)
    assert telemetry.supply_uw == pytest.approx(sum(powers) / len(samples), abs=192)
    assert (telemetry.supply_min_uv, telemetry.supply_max_uv) == (min(voltages), max(voltages))
    assert (telemetry.supply_min_ua, telemetry.supply_max_ua) == (min(currents), max(currents))


def test_sums_of_the_longest_period_stay_small_integers() -> None:
    bench = Bench()
    bench.monitor.uv, bench.monitor.ua, bench.monitor.uw = 5_300_000, 5_300_000, 28_000_000
    bench.sample(SAMPLES_MAX)
    assert max(bench.meter._sum_uv, bench.meter._sum_ua, bench.meter._sum_uw) < 2**30


def test_samples_beyond_the_longest_period_are_not_counted() -> None:
    bench = Bench()
    bench.sample(SAMPLES_MAX)
    bench.monitor.uv = 9_000_000
    assert bench.sample() == [True]
    telemetry = bench.fill()
    assert (telemetry.samples, telemetry.supply_max_uv) == (SAMPLES_MAX, 5_100_000)


def test_the_temperature_is_read_at_times() -> None:
    bench = Bench()
    bench.sample()
    bench.monitor.mc = 50_000
    assert bench.sample(23) == [True] * 23
    assert bench.monitor.temperature_mc == 40_000
    bench.sample()
    assert bench.monitor.temperature_mc == 50_000


def test_a_monitor_that_stops_answering_makes_the_measurement_invalid() -> None:
    bench = Bench()
    bench.sample(3)
    bench.monitor.answers = False
    assert bench.sample(4) == [False] * 4
    assert not bench.meter.valid
    assert bench.meter.failures == 4
    assert bench.fill().samples == 3


def test_a_monitor_is_tried_again_at_times_and_configured_when_it_is_back() -> None:
    bench = Bench()
    bench.sample()
    bench.monitor.answers = False
    bench.sample()
    bench.monitor.answers = True
    assert bench.sample(RETRY_EVERY) == [False] * (RETRY_EVERY - 1) + [True]
    assert bench.monitor.configured == 2
    assert (bench.meter.valid, bench.meter.failures) == (True, 0)


def test_a_monitor_that_stays_away_is_tried_once_in_25_samples() -> None:
    bench = Bench()
    bench.monitor.answers = False
    bench.sample(RETRY_EVERY)
    bench.monitor.answers = True
    assert bench.sample() == [True]


def test_energy_is_summed_over_periods() -> None:
    bench = Bench()
    bench.sample()
    for energy_uj in (1_500_000, 3_000_000):
        bench.sample()
        bench.monitor.energy_uj += 1_500_000
        assert bench.fill().energy_uj == energy_uj


def test_energy_in_the_middle_of_a_period_counts_as_well() -> None:
    bench = Bench()
    bench.sample()
    bench.monitor.energy_uj = 700_000
    bench.sample(RETRY_EVERY)
    assert bench.monitor.energy_uj == 0
    assert bench.fill().energy_uj == 700_000


def test_energy_that_cannot_be_read_stands_and_the_measurement_is_invalid() -> None:
    bench = Bench()
    bench.sample()
    bench.monitor.energy_uj = 2_000_000
    bench.fill()
    bench.sample()
    bench.monitor.answers = False
    telemetry = bench.fill()
    assert (telemetry.samples, telemetry.energy_uj) == (1, 2_000_000)
    assert not bench.meter.valid
    bench.monitor.answers = True
    assert bench.sample() == [True]


def test_energy_runs_over_the_small_integers() -> None:
    bench = Bench()
    for energy_uj in (600_000_000, 1_200_000_000, 1_800_000_000, 2_400_000_000):
        bench.sample()
        bench.monitor.energy_uj = 600_000_000
        assert bench.fill().energy_uj == energy_uj


@given(spans_uj=st.lists(st.integers(0, 2**50), max_size=40))
@SETTINGS
def test_counters_run_over_the_small_integers_without_a_step_whatever_is_added(spans_uj: list[int]) -> None:
    bench = Bench()
    total_uj = 0
    for span_uj in spans_uj:
        bench.sample()
        bench.monitor.energy_uj = bench.monitor.charge_uc = span_uj
        total_uj += span_uj
        telemetry = bench.fill()
        assert (telemetry.energy_uj, telemetry.charge_uc) == (total_uj, total_uj)
        assert all(0 <= word < 2**30 for word in bench.meter._totals)


@given(spans_uc=st.lists(st.integers(-400_000_000, 400_000_000), max_size=40))
@SETTINGS
def test_charge_that_flowed_back_is_set_off_against_what_flows_later(spans_uc: list[int]) -> None:
    bench = Bench()
    net_uc = highest_uc = 0
    for span_uc in spans_uc:
        bench.sample()
        bench.monitor.charge_uc = span_uc
        net_uc = max(net_uc + span_uc, highest_uc - 500_000_000)
        highest_uc = max(highest_uc, net_uc)
        assert bench.fill().charge_uc == highest_uc


def test_a_monitor_that_kept_its_counters_is_counted_on_from_them() -> None:
    bench = Bench()
    bench.monitor.kept = True
    bench.monitor.energy_uj, bench.monitor.charge_uc = 2**40, 2**41
    bench.sample()
    assert bench.meter.continues
    telemetry = bench.fill()
    assert (telemetry.energy_uj, telemetry.charge_uc) == (2**40, 2**41)


def test_a_kept_charge_is_told_modulo_what_the_monitor_holds() -> None:
    bench = Bench()
    bench.monitor.kept, bench.monitor.charge_uc = True, -625
    bench.sample()
    assert bench.fill().charge_uc == (625 << 35) - 625


def test_counters_of_a_monitor_that_came_late_are_counted_from_there() -> None:
    bench = Bench()
    bench.monitor.kept, bench.monitor.energy_uj, bench.monitor.answers = True, 2**40, False
    bench.sample()
    bench.monitor.answers = True
    bench.sample(RETRY_EVERY)
    assert not bench.meter.continues
    assert bench.fill().energy_uj == 0


def test_an_alert_is_armed_at_once_or_when_the_monitor_is_back() -> None:
    bench = Bench()
    bench.sample()
    bench.meter.arm(7_000)
    assert bench.monitor.alert_ma == 7_000
    bench.monitor.answers = False
    bench.meter.arm(6_000)
    assert (bench.monitor.alert_ma, bench.meter.valid) == (6_000, False)


def test_what_was_not_measured_anew_is_not_counted_as_a_sample() -> None:
    bench = Bench()
    bench.monitor.new = False
    assert bench.sample(2) == [False, False]
    bench.monitor.new = True
    bench.sample()
    bench.monitor.new = False
    assert bench.sample() == [True]
    assert bench.fill().samples == 1


def test_a_monitor_that_talks_nonsense_is_not_valid_and_told_as_such() -> None:
    bench = Bench()
    bench.sample()
    bench.monitor.talks_nonsense = True
    assert bench.sample() == [False]
    assert bench.meter.nonsense
    bench.monitor.talks_nonsense = False
    bench.sample(RETRY_EVERY)
    assert not bench.meter.nonsense


def test_a_monitor_that_is_known_keeps_its_sum_when_it_comes_back() -> None:
    bench = Bench()
    bench.sample()
    bench.monitor.energy_uj = 5
    bench.fill()
    bench.monitor.answers = False
    bench.sample()
    bench.monitor.answers, bench.monitor.energy_uj = True, 7
    bench.sample(RETRY_EVERY)
    assert not bench.meter.continues
    assert bench.fill().energy_uj == 12


def test_charge_is_summed_over_periods() -> None:
    bench = Bench()
    bench.sample()
    for charge_uc, told_uc in ((600_000, 600_000), (-100_000, 600_000), (150_000, 650_000)):
        bench.sample()
        bench.monitor.charge_uc = charge_uc
        assert bench.fill().charge_uc == told_uc


def test_nothing_but_its_own_slots_is_filled() -> None:
    bench = Bench()
    bench.sample()
    slots = array("i", [-5] * 24)
    bench.meter.fill(slots)
    assert [slot for slot in range(24) if slots[slot] == -5] == [0, 1, 2, 3, 15, 16, 17, 18, 19, 20, 21]


class AnyHistory(RuleBasedStateMachine):
    """Whatever the monitor does: valid means that it has just answered, and energy never goes back."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()
        self.energy_uj = 0
        self.sampled = 0

    @rule(count=st.integers(1, 60))
    def sample(self, count: int) -> None:
        for answered in self.bench.sample(count):
            assert answered is self.bench.monitor.answers or not answered
            self.sampled += answered
        assert self.bench.meter.valid <= self.bench.monitor.answers

    @rule(answers=st.booleans(), energy_uj=st.integers(0, 100_000_000))
    def change(self, energy_uj: int, *, answers: bool) -> None:
        self.bench.monitor.answers = answers
        self.bench.monitor.energy_uj += energy_uj

    @rule()
    def fill(self) -> None:
        telemetry = self.bench.fill()
        assert telemetry.samples == self.sampled
        self.sampled = 0
        if telemetry.samples:
            assert telemetry.energy_uj >= self.energy_uj
            self.energy_uj = telemetry.energy_uj

    @invariant()
    def failures_are_counted_while_it_is_not_valid(self) -> None:
        meter = self.bench.meter
        assert not meter.valid or meter.failures == 0

    def teardown(self) -> None:
        self.bench.monitor.answers = True
        self.bench.sample(RETRY_EVERY + 1)
        assert self.bench.meter.valid


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
