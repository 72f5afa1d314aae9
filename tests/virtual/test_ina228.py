"""The power monitor's registers, against the formulas of its data sheet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racklet_virtual.error_budget import MonitorErrors
from racklet_virtual.ina228 import Ina228, Register, Sample

SHUNT_OHMS = 0.01
SHUNT_CAL = 1280
CURRENT_LSB = SHUNT_CAL / (13107.2e6 * SHUNT_OHMS)
SECOND_US = 1_000_000
ALL_CHANNELS_1052_US = 0xFB68
EXACT = MonitorErrors()

volts = st.floats(0, 85)
amperes = st.floats(-16, 16)
celsius = st.floats(-40, 125)


class Bench:
    """A steady supply and load on a monitor."""

    def __init__(
        self, volts: float = 5.1, amperes: float = 1.0, celsius: float = 25.0, errors: MonitorErrors = EXACT
    ) -> None:
        self.volts, self.amperes, self.celsius = volts, amperes, celsius
        self.monitor = Ina228(self.sense, shunt_ohms=SHUNT_OHMS, errors=errors, seed=7)
        self.write(Register.SHUNT_CAL, SHUNT_CAL)

    def sense(self, at_us: int) -> Sample:
        seconds = at_us / SECOND_US
        return Sample(
            self.volts,
            self.amperes,
            self.celsius,
            self.volts * self.amperes * seconds,
            self.amperes * seconds,
            self.volts * seconds,
            at_us,
        )

    def write(self, register: int, word: int, at_us: int = 0) -> None:
        self.monitor.write(register, word.to_bytes(2, "big"), at_us)

    def raw(self, register: int, at_us: int = SECOND_US) -> int:
        return int.from_bytes(self.monitor.read(register, at_us), "big")

    def signed(self, register: int, at_us: int = SECOND_US) -> int:
        return int.from_bytes(self.monitor.read(register, at_us), "big", signed=True)


@pytest.mark.parametrize(
    ("register", "width"),
    [
        (Register.CONFIG, 2),
        (Register.VSHUNT, 3),
        (Register.VBUS, 3),
        (Register.DIETEMP, 2),
        (Register.CURRENT, 3),
        (Register.POWER, 3),
        (Register.ENERGY, 5),
        (Register.CHARGE, 5),
        (Register.DIAG_ALRT, 2),
    ],
)
def test_a_register_is_as_wide_as_the_data_sheet_says(register: Register, width: int) -> None:
    assert len(Bench().monitor.read(register, SECOND_US)) == width


def test_the_monitor_says_who_it_is() -> None:
    bench = Bench()
    assert (bench.raw(Register.MANUFACTURER_ID), bench.raw(Register.DEVICE_ID)) == (0x5449, 0x2281)


@given(volts)
def test_vbus_counts_195_microvolts_in_its_upper_20_bits(truth: float) -> None:
    raw = Bench(volts=truth).raw(Register.VBUS)
    assert raw & 0xF == 0
    assert (raw >> 4) * 195.3125e-6 == pytest.approx(truth, abs=100e-6)


@given(amperes)
def test_vshunt_counts_312_nanovolts(truth: float) -> None:
    code = Bench(amperes=truth).signed(Register.VSHUNT) >> 4
    assert code * 312.5e-9 == pytest.approx(truth * SHUNT_OHMS, abs=160e-9)


@given(st.floats(-4, 4))
def test_vshunt_counts_78_nanovolts_in_the_narrow_range(truth: float) -> None:
    bench = Bench(amperes=truth)
    bench.write(Register.CONFIG, 1 << 4)
    assert (bench.signed(Register.VSHUNT) >> 4) * 78.125e-9 == pytest.approx(truth * SHUNT_OHMS, abs=40e-9)


@given(st.floats(-4, 4))
def test_current_is_the_same_in_both_ranges(truth: float) -> None:
    bench = Bench(amperes=truth)
    wide = (bench.signed(Register.CURRENT) >> 4) * CURRENT_LSB
    bench.write(Register.CONFIG, 1 << 4, SECOND_US)
    bench.write(Register.SHUNT_CAL, 4 * SHUNT_CAL, SECOND_US)
    narrow = (bench.signed(Register.CURRENT, 2 * SECOND_US) >> 4) * CURRENT_LSB
    assert narrow == pytest.approx(wide, abs=50e-6)


@given(celsius)
def test_dietemp_counts_eight_thousandths_of_a_degree(truth: float) -> None:
    assert Bench(celsius=truth).signed(Register.DIETEMP) * 7.8125e-3 == pytest.approx(truth, abs=0.004)


@given(st.floats(-5, 5))
def test_current_follows_the_calibration(truth: float) -> None:
    bench = Bench(amperes=truth)
    assert (bench.signed(Register.CURRENT) >> 4) * CURRENT_LSB == pytest.approx(truth, abs=40e-6)


@given(st.floats(0, 24), st.floats(-5, 5))
def test_power_counts_3_2_current_units_without_a_sign(bus: float, load: float) -> None:
    measured = Bench(volts=bus, amperes=load).raw(Register.POWER) * 3.2 * CURRENT_LSB
    assert measured == pytest.approx(abs(bus * load), rel=1e-4, abs=2e-3)


@given(st.floats(0, 24), st.floats(0, 5), st.integers(1, 3600))
def test_energy_counts_51_2_current_units(bus: float, load: float, seconds: int) -> None:
    measured = Bench(volts=bus, amperes=load).raw(Register.ENERGY, seconds * SECOND_US) * 16 * 3.2 * CURRENT_LSB
    assert measured == pytest.approx(bus * load * seconds, abs=1e-3)


@given(st.floats(-5, 5), st.integers(1, 3600))
def test_charge_counts_current_units_with_a_sign(load: float, seconds: int) -> None:
    measured = Bench(amperes=load).signed(Register.CHARGE, seconds * SECOND_US) * CURRENT_LSB
    assert measured == pytest.approx(load * seconds, abs=1e-4)


@given(amperes=st.floats(1e3, 1e6))
def test_a_reading_beyond_the_range_stops_at_its_end(amperes: float) -> None:
    bench = Bench(volts=1e6, amperes=amperes)
    assert bench.raw(Register.VBUS) >> 4 == 0x7FFFF
    assert bench.signed(Register.VSHUNT) >> 4 == 0x7FFFF
    bench.amperes = -amperes
    assert bench.signed(Register.VSHUNT, 2 * SECOND_US) >> 4 == -0x80000


def test_a_reading_stays_until_the_next_conversion_ends() -> None:
    bench = Bench(volts=5.0)
    first = bench.raw(Register.VBUS, 3 * 1052)
    bench.volts = 3.0
    assert bench.raw(Register.VBUS, 6 * 1052 - 1) == first
    assert bench.raw(Register.VBUS, 6 * 1052) < first


def test_averaging_makes_a_conversion_longer() -> None:
    bench = Bench(volts=5.0)
    bench.write(Register.ADC_CONFIG, ALL_CHANNELS_1052_US | 3)
    assert bench.raw(Register.VBUS, 64 * 3 * 1052 - 1) == 0
    assert bench.raw(Register.VBUS, 64 * 3 * 1052) != 0


def test_a_triggered_conversion_happens_once() -> None:
    bench = Bench(volts=5.0)
    bench.write(Register.ADC_CONFIG, 0x7B68)
    first = bench.raw(Register.VBUS, 10_000)
    bench.volts = 3.0
    assert bench.raw(Register.VBUS, SECOND_US) == first != 0


def test_shutdown_measures_nothing() -> None:
    bench = Bench()
    bench.write(Register.ADC_CONFIG, 0x0B68)
    assert bench.raw(Register.VBUS, SECOND_US) == 0


def test_accumulators_start_again_on_request_and_keep_the_calibration() -> None:
    bench = Bench()
    bench.write(Register.CONFIG, 1 << 14, SECOND_US)
    assert bench.raw(Register.ENERGY, SECOND_US) == 0
    assert bench.raw(Register.CONFIG, SECOND_US) == 0
    assert bench.raw(Register.SHUNT_CAL, SECOND_US) == SHUNT_CAL
    assert bench.raw(Register.ENERGY, 2 * SECOND_US) * 51.2 * CURRENT_LSB == pytest.approx(5.1, abs=1e-3)


def test_a_reset_restores_every_default() -> None:
    bench = Bench()
    bench.write(Register.BOVL, 0x1234)
    bench.write(Register.CONFIG, 1 << 15, SECOND_US)
    assert bench.raw(Register.SHUNT_CAL, SECOND_US) == 0x1000
    assert bench.raw(Register.BOVL, SECOND_US) == 0x7FFF
    assert bench.raw(Register.ENERGY, SECOND_US) == 0


def test_a_full_energy_counter_starts_again_and_says_so_once() -> None:
    bench = Bench(volts=85.0, amperes=16.0)
    bench.write(Register.SHUNT_CAL, 1)
    day_us = 24 * 3600 * SECOND_US
    assert bench.raw(Register.ENERGY, day_us) < 1 << 40
    bench.raw(Register.ENERGY, 8 * day_us)
    assert not bench.raw(Register.DIAG_ALRT, 8 * day_us) & 1 << 11
    bench.raw(Register.VBUS, 40 * day_us)
    assert bench.raw(Register.DIAG_ALRT, 40 * day_us) & 1 << 11
    bench.raw(Register.ENERGY, 40 * day_us)
    assert not bench.raw(Register.DIAG_ALRT, 40 * day_us) & 1 << 11


@pytest.mark.parametrize(
    ("register", "word", "flag"),
    [
        (Register.SOVL, 999 * 2 - 10, 1 << 6),  # 1 A in 10 mohm is 10 mV, a step is 5 uV
        (Register.SUVL, 2010, 1 << 5),
        (Register.BOVL, 1600, 1 << 4),  # 5 V, a step is 3.125 mV
        (Register.BUVL, 1700, 1 << 3),
        (Register.TEMP_LIMIT, 20 * 128, 1 << 7),
        (Register.PWR_LIMIT, 600, 1 << 2),  # 4.9 W, a step is 256 power units
    ],
)
def test_a_crossed_limit_raises_its_flag_and_the_alert(register: Register, word: int, flag: int) -> None:
    bench = Bench()
    assert not bench.monitor.alert_low(SECOND_US)
    bench.write(register, word, SECOND_US)
    assert bench.monitor.alert_low(2 * SECOND_US)
    assert bench.raw(Register.DIAG_ALRT, 2 * SECOND_US) & 0xFC == flag


def test_a_latched_alert_stays_until_it_is_read() -> None:
    bench = Bench(volts=6.0)
    bench.write(Register.DIAG_ALRT, 1 << 15)
    bench.write(Register.BOVL, 1760)
    assert bench.monitor.alert_low(SECOND_US)
    bench.volts = 5.0
    assert bench.monitor.alert_low(2 * SECOND_US)
    bench.raw(Register.DIAG_ALRT, 2 * SECOND_US)
    assert not bench.monitor.alert_low(3 * SECOND_US)


def test_a_single_conversion_above_the_limit_alerts_before_its_set_is_complete() -> None:
    bench = Bench()
    bench.write(Register.ADC_CONFIG, ALL_CHANNELS_1052_US | 3, SECOND_US)
    bench.write(Register.SOVL, 2010, SECOND_US)
    bench.amperes = 1.1
    assert bench.monitor.cycle_us == 3 * 1052
    assert not bench.monitor.alert_low(SECOND_US + 4000)
    bench.monitor.watch(SECOND_US + 4000)
    assert bench.monitor.alert_low(SECOND_US + 4000)


def test_conversion_ready_can_drive_the_alert() -> None:
    bench = Bench()
    bench.write(Register.DIAG_ALRT, 1 << 14)
    assert bench.monitor.alert_low(SECOND_US)
    bench.raw(Register.DIAG_ALRT, SECOND_US)
    assert not bench.monitor.alert_low(SECOND_US)


@given(st.binary(max_size=5), st.integers(0, 255), st.integers(0, 255))
def test_any_write_and_any_read_is_answered(data: bytes, written: int, read: int) -> None:
    bench = Bench()
    bench.monitor.write(written, data, SECOND_US)
    assert 2 <= len(bench.monitor.read(read, 2 * SECOND_US)) <= 5


@given(st.floats(-0.01, 0.01), st.floats(-0.01, 0.01), st.floats(0, 0.002))
def test_errors_show_in_readings_and_energy_alike(gain: float, amperes_gain: float, offset: float) -> None:
    errors = MonitorErrors(volts_gain=gain, amperes_gain=amperes_gain, amperes_offset=offset)
    bench = Bench(errors=errors)
    power = bench.raw(Register.POWER, 100 * SECOND_US) * 3.2 * CURRENT_LSB
    energy = bench.raw(Register.ENERGY, 100 * SECOND_US) * 51.2 * CURRENT_LSB
    assert power == pytest.approx(5.1 * (1 + gain) * (1 + amperes_gain + offset), rel=1e-4)
    assert energy == pytest.approx(100 * power, rel=2e-3)


def test_averaging_quietens_the_noise_and_a_seed_repeats_it() -> None:
    def spread(adc_config: int) -> float:
        bench = Bench(errors=MonitorErrors(volts_noise=0.01))
        bench.write(Register.ADC_CONFIG, adc_config)
        readings = [bench.raw(Register.VBUS, index * SECOND_US) for index in range(1, 200)]
        mean = sum(readings) / len(readings)
        return float(sum((reading - mean) ** 2 for reading in readings))

    assert spread(ALL_CHANNELS_1052_US) == spread(ALL_CHANNELS_1052_US)
    assert spread(ALL_CHANNELS_1052_US | 2) < spread(ALL_CHANNELS_1052_US) / 8
