"""The driver of the power monitor, on registers that are computed as the data sheet (TI, SBOS997) says."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from racklet_hat.ina228 import Ina228
from racklet_hat.power_monitor import MonitorError

ADDRESS = 0x40
SIZES = {0x05: 3, 0x07: 3, 0x08: 3, 0x09: 5}  # bytes of a register; others have 2
CURRENT_LSB = 13_107.2e6  # SHUNT_CAL = this * CURRENT_LSB * R_SHUNT (8.1.2)
SETTINGS = settings(max_examples=100, deadline=None)


@dataclass
class Registers:
    """The registers of an INA228 that measures `volts`, `amperes` and `celsius`, on an I2C bus."""

    volts: float = 0.0
    amperes: float = 0.0
    celsius: float = 25.0
    joules: float = 0.0
    shunt_ohm: float = 0.01
    answers: bool = True
    manufacturer: int = 0x5449
    device: int = 0x2281
    written: dict[int, int] = field(default_factory=lambda: {0x02: 0x1000})

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
    assert registers.written == {0x00: 0, 0x01: 0xFB69, 0x02: 2560}


@pytest.mark.parametrize("shunt_uohm", [5_000, 10_000, 20_000])
def test_units_do_not_depend_on_the_shunt(shunt_uohm: int) -> None:
    registers = Registers(volts=5.0, amperes=2.0, shunt_ohm=shunt_uohm / 1e6)
    monitor = monitor_on(registers, shunt_uohm)
    monitor.sample()
    assert monitor.supply_ua == pytest.approx(2_000_000, abs=20)
    assert monitor.supply_uw == pytest.approx(10_000_000, abs=70)


@pytest.mark.parametrize("wrong", [{"manufacturer": 0x5448}, {"device": 0x2391}])
def test_another_part_is_an_error_and_is_not_configured(wrong: dict[str, int]) -> None:
    registers = Registers(**wrong)
    with pytest.raises(MonitorError):
        monitor_on(registers)
    assert registers.written == {0x02: 0x1000}


def test_any_revision_of_the_part_will_do() -> None:
    monitor_on(Registers(device=0x228F))


@given(volts=st.floats(0, 60))
@SETTINGS
def test_voltage_is_measured_in_microvolts(volts: float) -> None:
    monitor = monitor_on(Registers(volts=volts))
    monitor.sample()
    assert monitor.supply_uv == pytest.approx(volts * 1e6, abs=100)


@given(amperes=st.floats(-10, 10))
@SETTINGS
def test_current_is_measured_in_microamperes_with_its_sign(amperes: float) -> None:
    monitor = monitor_on(Registers(amperes=amperes))
    monitor.sample()
    assert monitor.supply_ua == pytest.approx(amperes * 1e6, abs=12)


def test_the_smallest_negative_current_is_not_zero() -> None:
    monitor = monitor_on(Registers(amperes=-20e-6))
    monitor.sample()
    assert monitor.supply_ua == -20


@given(volts=st.floats(0, 6), amperes=st.floats(-10, 10))
@SETTINGS
def test_power_is_measured_in_microwatts_without_a_sign(volts: float, amperes: float) -> None:
    monitor = monitor_on(Registers(volts=volts, amperes=amperes))
    monitor.sample()
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


def test_energy_is_counted_from_the_configuration_on_and_told_once() -> None:
    registers = Registers(joules=123.0)
    monitor = monitor_on(registers)
    assert monitor.take_energy_mj() == 0
    registers.joules += 4.5
    assert monitor.take_energy_mj() == 4500
    assert monitor.take_energy_mj() == 0


@given(begin_kj=st.integers(0, 1_099_000), spans_j=st.lists(st.integers(0, 1_000_000), max_size=10))
@SETTINGS
def test_energy_goes_on_counting_when_the_accumulator_turns_over(begin_kj: int, spans_j: list[int]) -> None:
    registers = Registers(joules=begin_kj * 1000)
    monitor = monitor_on(registers)
    for span_j in spans_j:
        registers.joules += span_j
        assert monitor.take_energy_mj() == pytest.approx(span_j * 1000, abs=1)


def silent_after_configuration() -> Ina228:
    registers = Registers()
    monitor = monitor_on(registers)
    registers.answers = False
    return monitor


@pytest.mark.parametrize("method", ["configure", "sample", "sample_temperature", "take_energy_mj"])
def test_a_part_that_does_not_answer_is_an_error(method: str) -> None:
    monitor = silent_after_configuration()
    with pytest.raises(MonitorError):
        getattr(monitor, method)()


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
    registers.joules += 2
    registers.answers = False
    with pytest.raises(MonitorError):
        monitor.take_energy_mj()
    registers.answers = True
    assert monitor.take_energy_mj() == 2000
