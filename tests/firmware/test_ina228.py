"""The driver of the power monitor, on registers that are computed as the data sheet (TI, SLYS021) says."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from racklet_hat.ina228 import Ina228
from racklet_hat.power_monitor import MonitorError

ADDRESS = 0x40
SIZES = {0x05: 3, 0x07: 3, 0x08: 3, 0x09: 5, 0x0A: 5}  # bytes of a register; others have 2
CURRENT_LSB = 13_107.2e6  # SHUNT_CAL = this * CURRENT_LSB * R_SHUNT (8.1.2)
SETTINGS = settings(max_examples=100, deadline=None)


@dataclass
class Registers:
    """The registers of an INA228 that measures `volts`, `amperes` and `celsius`, on an I2C bus."""

    volts: float = 0.0
    amperes: float = 0.0
    celsius: float = 25.0
    joules: float = 0.0
    coulombs: float = 0.0
    flags: int = 0x0003
    shunt_ohm: float = 0.01
    answers: bool = True
    manufacturer: int = 0x5449
    device: int = 0x2281
    written: dict[int, int] = field(default_factory=lambda: {0x01: 0xFB68, 0x02: 0x1000})

    @property
    def current_lsb(self) -> float:
        return self.written[0x02] / (CURRENT_LSB * self.shunt_ohm)

    def value(self, register: int) -> int:
        match register:
            case 0x3E:
                return self.manufacturer
            case 0x3F:
                return self.device
            case 0x05:
                return round(self.volts / 195.3125e-6) << 4
            case 0x06:
                return round(self.celsius / 7.8125e-3)
            case 0x07:
                return round(self.amperes / self.current_lsb) << 4
            case 0x08:
                return round(abs(self.volts * self.amperes) / (3.2 * self.current_lsb))
            case 0x09:
                return int(self.joules / (16 * 3.2 * self.current_lsb))
            case 0x0A:
                return round(self.coulombs / self.current_lsb)
            case 0x0B:
                return self.written[0x0B] | self.flags
        return self.written[register]

    def readfrom_mem_into(self, address: int, register: int, buf: bytearray) -> None:
        self.check(address)
        size = SIZES.get(register, 2)
        assert len(buf) == size
        buf[:] = (self.value(register) & (1 << 8 * size) - 1).to_bytes(size, "big")

    def writeto_mem(self, address: int, register: int, buf: bytearray) -> None:
        self.check(address)
        self.written[register] = int.from_bytes(buf, "big")

    def check(self, address: int) -> None:
        if not self.answers or address != ADDRESS:
            raise OSError(errno.EIO)


def monitor_on(registers: Registers, shunt_uohm: int = 10_000) -> Ina228:
    monitor = Ina228(registers, ADDRESS, shunt_uohm)
    monitor.configure()
    return monitor


def test_it_measures_all_continuously_with_the_calibration_of_its_shunt() -> None:
    registers = Registers()
    monitor_on(registers)
    assert registers.written == {0x00: 0x4000, 0x01: 0xF502, 0x02: 2560, 0x0B: 0x8000, 0x0C: 0}


def test_a_part_that_measures_already_is_left_alone() -> None:
    registers = Registers()
    monitor = monitor_on(registers)
    registers.written[0x00] = 0
    assert monitor.configure() is True
    assert registers.written[0x00] == 0


def test_the_alert_is_set_to_a_current_whatever_the_shunt() -> None:
    for shunt_uohm, steps in ((10_000, 16_000), (5_000, 8_000), (100_000, 0x7FFF)):
        registers = Registers(shunt_ohm=shunt_uohm / 1e6)
        monitor = monitor_on(registers, shunt_uohm)
        monitor.alert_ma = 8000
        monitor.arm()
        assert registers.written[0x0C] == steps


def test_an_alert_is_told_with_the_sample() -> None:
    registers = Registers()
    monitor = monitor_on(registers)
    assert monitor.sample(0)
    assert not monitor.alerted
    registers.flags |= 0x40
    assert monitor.sample(0)
    assert monitor.alerted


@pytest.mark.parametrize("diagnosis", [0x0000, 0xFFFF, 0x0003, 0x8002])
def test_a_stuck_bus_a_lost_configuration_and_a_bad_memory_are_nonsense(diagnosis: int) -> None:
    registers = Registers()
    monitor = monitor_on(registers)
    registers.written[0x0B], registers.flags = diagnosis, 0
    with pytest.raises(MonitorError) as error:
        monitor.sample(0)
    assert error.value.args


def test_a_part_that_stops_converting_is_noticed_after_three_samples() -> None:
    registers = Registers(volts=5)
    monitor = monitor_on(registers)
    monitor.sample(0)
    registers.flags = 1
    assert [monitor.sample(0), monitor.sample(0)] == [False, False]
    with pytest.raises(MonitorError) as error:
        monitor.sample(0)
    assert error.value.args


def test_a_voltage_beyond_the_input_is_nonsense() -> None:
    with pytest.raises(MonitorError):
        monitor_on(Registers(volts=42)).sample(0)


@pytest.mark.parametrize("shunt_uohm", [5_000, 10_000, 20_000])
def test_units_do_not_depend_on_the_shunt(shunt_uohm: int) -> None:
    registers = Registers(volts=5.0, amperes=2.0, shunt_ohm=shunt_uohm / 1e6)
    monitor = monitor_on(registers, shunt_uohm)
    monitor.sample(0)
    assert monitor.supply_ua == pytest.approx(2_000_000, abs=20)
    assert monitor.supply_uw == pytest.approx(10_000_000, abs=70)


@pytest.mark.parametrize("wrong", [{"manufacturer": 0x5448}, {"device": 0x2391}])
def test_another_part_is_an_error_and_is_not_configured(wrong: dict[str, int]) -> None:
    registers = Registers(**wrong)
    with pytest.raises(MonitorError):
        monitor_on(registers)
    assert registers.written == {0x01: 0xFB68, 0x02: 0x1000}


def test_any_revision_of_the_part_will_do() -> None:
    monitor_on(Registers(device=0x228F))


@given(volts=st.floats(0, 40))
@SETTINGS
def test_voltage_is_measured_in_microvolts(volts: float) -> None:
    monitor = monitor_on(Registers(volts=volts))
    monitor.sample(0)
    assert monitor.supply_uv == pytest.approx(volts * 1e6, abs=100)


@given(amperes=st.floats(-10, 10))
@SETTINGS
def test_current_is_measured_in_microamperes_with_its_sign(amperes: float) -> None:
    monitor = monitor_on(Registers(amperes=amperes))
    monitor.sample(0)
    assert monitor.supply_ua == pytest.approx(amperes * 1e6, abs=12)


def test_the_smallest_negative_current_is_not_zero() -> None:
    monitor = monitor_on(Registers(amperes=-20e-6))
    monitor.sample(0)
    assert monitor.supply_ua == -20


@given(volts=st.floats(0, 6), amperes=st.floats(-10, 10))
@SETTINGS
def test_power_is_measured_in_microwatts_without_a_sign(volts: float, amperes: float) -> None:
    monitor = monitor_on(Registers(volts=volts, amperes=amperes))
    monitor.sample(0)
    assert monitor.supply_uw == pytest.approx(abs(volts * amperes) * 1e6, abs=40)


@pytest.mark.parametrize(("celsius", "temperature_mc"), [(25.0, 25_000), (-0.0078125, -8), (-40.0, -40_000)])
def test_a_temperature_has_its_sign(celsius: float, temperature_mc: int) -> None:
    monitor = monitor_on(Registers(celsius=celsius))
    monitor.sample_temperature()
    assert monitor.temperature_mc == temperature_mc


@given(celsius=st.floats(-40, 150))
@SETTINGS
def test_temperature_is_measured_in_thousandths_of_a_degree(celsius: float) -> None:
    monitor = monitor_on(Registers(celsius=celsius))
    monitor.sample_temperature()
    assert monitor.temperature_mc == pytest.approx(celsius * 1000, abs=5)


def taken(monitor: Ina228) -> tuple[int, int]:
    return monitor.take_energy_uj(), monitor.take_charge_uc()


def test_counters_are_told_once_and_first_all_that_was_counted() -> None:
    registers = Registers(joules=123.0, coulombs=25.0)
    monitor = monitor_on(registers)
    assert taken(monitor) == (123_000_000, 25_000_000)
    registers.joules += 4.5
    registers.coulombs += 1
    assert taken(monitor) == (4_500_000, 1_000_000)
    assert taken(monitor) == (0, 0)


@given(begin_kj=st.integers(0, 1_099_000), spans_j=st.lists(st.integers(0, 4_000), max_size=10))
@SETTINGS
def test_energy_goes_on_counting_when_the_accumulator_turns_over(begin_kj: int, spans_j: list[int]) -> None:
    registers = Registers(joules=begin_kj * 1000)
    monitor = monitor_on(registers)
    taken(monitor)
    for span_j in spans_j:
        registers.joules += span_j
        assert monitor.take_energy_uj() == pytest.approx(span_j * 1e6, abs=1001)


@given(begin=st.floats(-10e6, 10.7e6), spans=st.lists(st.floats(-80, 80), max_size=20))
@SETTINGS
def test_charge_goes_on_counting_when_the_accumulator_turns_over(begin: float, spans: list[float]) -> None:
    registers = Registers(coulombs=begin)
    monitor = monitor_on(registers)
    taken(monitor)
    told_uc = 0
    for span in spans:
        registers.coulombs += span
        told_uc += monitor.take_charge_uc()
        assert told_uc == pytest.approx((registers.coulombs - begin) * 1e6, abs=1300)


@pytest.mark.parametrize("joules", [2e4, 2e9, -3.0])
def test_a_leap_of_a_counter_is_a_misreading_and_loses_nothing(joules: float) -> None:
    registers = Registers(joules=1000.0)
    monitor = monitor_on(registers)
    taken(monitor)
    registers.joules += joules
    with pytest.raises(MonitorError) as error:
        monitor.take_energy_uj()
    assert error.value.args
    registers.joules += 7 - joules
    assert monitor.take_energy_uj() == 7_000_000


def test_a_leap_of_the_charge_is_a_misreading_as_well() -> None:
    for coulombs in (-100.0, 100.0, 1e6, -1e6):
        registers = Registers()
        monitor = monitor_on(registers)
        taken(monitor)
        registers.coulombs = coulombs
        with pytest.raises(MonitorError):
            monitor.take_charge_uc()


def test_what_was_counted_while_the_part_was_away_is_told_when_it_is_back() -> None:
    registers = Registers(joules=100.0)
    monitor = monitor_on(registers)
    taken(monitor)
    registers.joules += 5e8
    registers.coulombs += 1e6
    assert monitor.configure()
    assert taken(monitor) == (pytest.approx(5e14, abs=1001), pytest.approx(1e12, abs=1300))


def test_an_overflow_that_the_flag_alone_tells_of_is_counted() -> None:
    registers = Registers(joules=1000.0)
    monitor = monitor_on(registers)
    taken(monitor)
    registers.joules += 10  # and once all the way round
    registers.flags |= 0x0800
    monitor.sample(0)
    monitor.configure()
    assert monitor.take_energy_uj() == (2**40 + 10_000) * 1000
    registers.flags = 3
    registers.joules += 1
    monitor.take_charge_uc()
    assert monitor.take_energy_uj() == 1_000_000


def test_a_charge_beyond_half_the_counter_has_the_sign_that_the_flag_tells() -> None:
    for flags, told_c in ((0x0403, 12e6), (0x0003, 12e6 - 2**40 * 19.53125e-6)):
        registers = Registers(coulombs=12e6, flags=flags)
        monitor = monitor_on(registers)
        monitor.sample(0)
        assert monitor.take_charge_uc() == pytest.approx(told_c * 1e6, abs=700)


def silent_after_configuration() -> Ina228:
    registers = Registers()
    monitor = monitor_on(registers)
    registers.answers = False
    return monitor


@pytest.mark.parametrize("method", ["configure", "arm", "sample_temperature", "take_energy_uj", "take_charge_uc"])
def test_a_part_that_does_not_answer_is_an_error(method: str) -> None:
    monitor = silent_after_configuration()
    with pytest.raises(MonitorError):
        getattr(monitor, method)()
    with pytest.raises(MonitorError) as error:
        monitor.sample(0)
    assert not error.value.args


def test_a_part_that_stops_answering_while_it_is_configured_is_an_error() -> None:
    @dataclass
    class Deaf(Registers):
        def writeto_mem(self, address: int, register: int, buf: bytearray) -> None:
            self.answers = False
            super().writeto_mem(address, register, buf)

    with pytest.raises(MonitorError):
        monitor_on(Deaf())


def test_energy_that_could_not_be_read_is_told_later() -> None:
    registers = Registers(joules=10)
    monitor = monitor_on(registers)
    taken(monitor)
    registers.joules += 2
    registers.answers = False
    with pytest.raises(MonitorError):
        monitor.take_energy_uj()
    registers.answers = True
    assert monitor.take_energy_uj() == 2_000_000
