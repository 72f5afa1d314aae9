"""The cheaper power monitor's registers, against the formulas of its data sheet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racklet_virtual.error_budget import NO_ERRORS, MonitorErrors
from racklet_virtual.ina226 import Ina226, Register
from racklet_virtual.ina228 import Sample

SECOND_US = 1_000_000


class Bench:
    """A steady supply and load on a monitor; change them only between conversions."""

    def __init__(self, volts: float = 5.1, amperes: float = 1.0, errors: MonitorErrors = NO_ERRORS) -> None:
        self.volts, self.amperes = volts, amperes
        self.at_us = 0
        self.coulombs = self.volt_seconds = 0.0
        self.monitor = Ina226(self.sense, errors=errors, seed=7)

    def sense(self, at_us: int) -> Sample:
        span_s = (at_us - self.at_us) * 1e-6
        self.at_us = at_us
        self.coulombs += self.amperes * span_s
        self.volt_seconds += self.volts * span_s
        return Sample(self.volts, self.amperes, 25.0, 0.0, self.coulombs, self.volt_seconds, at_us)

    def write(self, register: int, word: int, at_us: int = 0) -> None:
        self.monitor.write(register, word.to_bytes(2, "big"), at_us)

    def raw(self, register: int, at_us: int = SECOND_US, *, signed: bool = False) -> int:
        return int.from_bytes(self.monitor.read(register, at_us), "big", signed=signed)


def test_the_monitor_says_who_it_is_and_has_nothing_where_the_other_one_has_its_id() -> None:
    bench = Bench()
    assert (bench.raw(Register.MANUFACTURER_ID), bench.raw(Register.DIE_ID)) == (0x5449, 0x2260)
    assert (bench.raw(0x3E), bench.raw(0x3F)) == (0, 0)


@given(st.floats(0, 36), st.floats(-8, 8))
def test_it_measures_both(volts: float, amperes: float) -> None:
    bench = Bench(volts, amperes)
    assert bench.raw(Register.BUS) * 1.25e-3 == pytest.approx(volts, abs=0.63e-3)
    assert bench.raw(Register.SHUNT, signed=True) * 2.5e-6 == pytest.approx(amperes * 0.01, abs=1.26e-6)


def test_a_set_is_the_mean_of_what_was_while_it_lasted() -> None:
    bench = Bench(amperes=1.0)
    bench.write(Register.CONFIG, 0x44DF)
    assert bench.monitor.cycle_us == 18_816
    bench.sense(9408)
    bench.amperes = 3.0
    assert bench.raw(Register.SHUNT, 18_816) * 2.5e-6 == pytest.approx(0.02, abs=3e-6)


def test_a_reading_stays_until_the_next_set_is_complete_and_tells_that_it_was_read() -> None:
    bench = Bench(volts=5.0)
    first = bench.raw(Register.BUS, 2200)
    bench.volts = 3.0
    assert bench.raw(Register.BUS, 4399) == first
    assert bench.raw(Register.MASK_ENABLE, 4399) & 8
    assert not bench.raw(Register.MASK_ENABLE, 4399) & 8
    assert bench.raw(Register.BUS, 4400) < first


def test_shutdown_measures_nothing() -> None:
    bench = Bench()
    bench.write(Register.CONFIG, 0x4120)
    assert bench.raw(Register.BUS) == 0


def test_too_high_a_current_alerts_until_it_is_read() -> None:
    bench = Bench(amperes=2.0)
    bench.write(Register.ALERT_LIMIT, 4000)  # 1 A in 10 mohm is 10 mV, a step is 2.5 uV
    bench.write(Register.MASK_ENABLE, 0x8001)
    assert bench.monitor.alert_low(SECOND_US)
    bench.sense(SECOND_US)
    bench.amperes = 0.5
    assert bench.monitor.alert_low(2 * SECOND_US)
    assert bench.raw(Register.MASK_ENABLE, 2 * SECOND_US) & 0x10
    assert not bench.monitor.alert_low(3 * SECOND_US)


def test_an_alert_that_is_not_latched_ends_with_its_cause() -> None:
    bench = Bench(amperes=2.0)
    bench.write(Register.ALERT_LIMIT, 4000)
    bench.write(Register.MASK_ENABLE, 0x8000)
    assert bench.monitor.alert_low(SECOND_US)
    bench.sense(SECOND_US)
    bench.amperes = 0.5
    assert not bench.monitor.alert_low(2 * SECOND_US)


def test_a_reset_restores_every_default() -> None:
    bench = Bench()
    bench.write(Register.ALERT_LIMIT, 4000)
    bench.write(Register.CONFIG, 0x8000)
    assert bench.raw(Register.CONFIG) == 0x4127
    assert bench.raw(Register.ALERT_LIMIT) == 0


@given(st.binary(max_size=4), st.integers(0, 255), st.integers(0, 255))
def test_any_write_and_any_read_is_answered(data: bytes, written: int, read: int) -> None:
    bench = Bench()
    bench.monitor.write(written, data, SECOND_US)
    assert len(bench.monitor.read(read, 2 * SECOND_US)) == 2
