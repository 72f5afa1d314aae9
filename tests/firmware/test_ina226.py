"""The driver of the cheaper power monitor, on registers that are computed as the data sheet (TI, SBOS547) says."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from racklet_hat.ina226 import Ina226
from racklet_hat.power_monitor import MonitorError

ADDRESS = 0x40
SETTINGS = settings(max_examples=100, deadline=None)


@dataclass
class Registers:
    """The registers of an INA226 that measures `volts` and `amperes`, on an I2C bus."""

    volts: float = 0.0
    amperes: float = 0.0
    shunt_ohm: float = 0.01
    answers: bool = True
    manufacturer: int = 0x5449
    die: int = 0x2260
    flags: int = 0x0008
    written: dict[int, int] = field(default_factory=lambda: {0x00: 0x4127, 0x06: 0})
    writes: int = 0

    def value(self, register: int) -> int:
        match register:
            case 0x01:
                return round(self.amperes * self.shunt_ohm / 2.5e-6)
            case 0x02:
                return round(self.volts / 1.25e-3)
            case 0x06:
                return self.written[0x06] | self.flags
            case 0xFE:
                return self.manufacturer
            case 0xFF:
                return self.die
        return self.written[register]

    def readfrom_mem_into(self, address: int, register: int, buf: bytearray) -> None:
        self.check(address)
        assert len(buf) == 2
        buf[:] = (self.value(register) & 0xFFFF).to_bytes(2, "big")

    def writeto_mem(self, address: int, register: int, buf: bytearray) -> None:
        self.check(address)
        self.writes += 1
        self.written[register] = int.from_bytes(buf, "big")

    def check(self, address: int) -> None:
        if not self.answers or address != ADDRESS:
            raise OSError(errno.EIO)


def monitor_on(registers: Registers, shunt_uohm: int = 10_000) -> Ina226:
    monitor = Ina226(registers, ADDRESS, shunt_uohm)
    assert monitor.configure() is False
    return monitor


def test_it_measures_both_continuously_and_is_left_alone_when_it_does() -> None:
    registers = Registers()
    monitor = monitor_on(registers)
    assert registers.written == {0x00: 0x44DF, 0x06: 0x8001, 0x07: 0}
    before = registers.writes
    monitor.configure()
    assert registers.writes == before + 2


@pytest.mark.parametrize("wrong", [{"manufacturer": 0x5448}, {"die": 0x2280}])
def test_another_part_is_an_error_and_is_not_configured(wrong: dict[str, int]) -> None:
    registers = Registers(**wrong)
    with pytest.raises(MonitorError):
        monitor_on(registers)
    assert registers.writes == 0


@given(volts=st.floats(0, 40), amperes=st.floats(-8.19, 8.19))
@SETTINGS
def test_it_measures_voltage_and_current(volts: float, amperes: float) -> None:
    monitor = monitor_on(Registers(volts=volts, amperes=amperes))
    assert monitor.sample(0)
    assert monitor.supply_uv == pytest.approx(volts * 1e6, abs=626)
    assert monitor.supply_ua == pytest.approx(amperes * 1e6, abs=126)


@given(volts=st.floats(0, 6), amperes=st.floats(-8.19, 8.19))
@SETTINGS
def test_it_works_the_power_out(volts: float, amperes: float) -> None:
    monitor = monitor_on(Registers(volts=volts, amperes=amperes))
    monitor.sample(0)
    assert monitor.supply_uw == pytest.approx(monitor.supply_uv * abs(monitor.supply_ua) / 1e6, abs=4000, rel=1e-4)


@pytest.mark.parametrize("shunt_uohm", [5_000, 10_000, 20_000])
def test_units_do_not_depend_on_the_shunt(shunt_uohm: int) -> None:
    monitor = monitor_on(Registers(volts=5.0, amperes=2.0, shunt_ohm=shunt_uohm / 1e6), shunt_uohm)
    monitor.sample(0)
    assert monitor.supply_ua == pytest.approx(2_000_000, abs=500)


def test_a_current_that_flows_back_is_negative() -> None:
    monitor = monitor_on(Registers(volts=5.0, amperes=-1.0))
    monitor.sample(0)
    assert (monitor.supply_ua, monitor.supply_uw) == (-1_000_000, pytest.approx(5_000_000, rel=1e-3))


def test_the_alert_is_set_to_a_current_and_told_with_the_sample() -> None:
    registers = Registers()
    monitor = monitor_on(registers)
    monitor.alert_ma = 8000
    monitor.arm()
    assert registers.written[0x07] == 32_000
    monitor.sample(0)
    assert not monitor.alerted
    registers.flags |= 0x10
    monitor.sample(0)
    assert monitor.alerted


@given(
    spans=st.lists(st.tuples(st.integers(1, 4000), st.floats(0, 5.5), st.floats(-8, 8)), min_size=1, max_size=30),
    start_ms=st.integers(0, 2**30 - 1),
)
@SETTINGS
def test_energy_and_charge_are_summed_over_measured_time(spans: list[tuple[int, float, float]], start_ms: int) -> None:
    registers = Registers()
    monitor = monitor_on(registers)
    monitor.sample(start_ms)
    joules = coulombs = span_s = 0.0
    told_uj = told_uc = 0
    now_ms = start_ms
    for span_ms, volts, amperes in spans:
        now_ms = (now_ms + span_ms) & 0x3FFFFFFF
        registers.volts, registers.amperes = volts, amperes
        monitor.sample(now_ms)
        told_uj += monitor.take_energy_uj()
        told_uc += monitor.take_charge_uc()
        joules += monitor.supply_uw * span_ms / 1e9
        coulombs += monitor.supply_ua * span_ms / 1e9
        span_s += span_ms / 1000
    assert told_uj == pytest.approx(joules * 1e6, abs=128 * span_s + 33)
    assert told_uc == pytest.approx(coulombs * 1e6, abs=32 * span_s + 9)


def test_what_flowed_while_nobody_looked_is_not_made_up() -> None:
    registers = Registers(volts=5, amperes=1)
    monitor = monitor_on(registers)
    monitor.sample(0)
    monitor.sample(4001)
    assert (monitor.take_energy_uj(), monitor.take_charge_uc()) == (0, 0)
    monitor.configure()
    monitor.sample(4021)
    assert monitor.take_energy_uj() == 0
    monitor.sample(4041)
    assert monitor.take_energy_uj() == pytest.approx(100_000, rel=1e-3)


@pytest.mark.parametrize("flags", [0x0000, 0xFFFF])
def test_a_stuck_bus_is_nonsense(flags: int) -> None:
    registers = Registers()
    monitor = monitor_on(registers)
    registers.written[0x06], registers.flags = flags, flags
    with pytest.raises(MonitorError) as error:
        monitor.sample(0)
    assert error.value.args


def test_a_negative_voltage_is_nonsense() -> None:
    with pytest.raises(MonitorError) as error:
        monitor_on(Registers(volts=-2)).sample(0)
    assert error.value.args


def test_a_part_that_stops_converting_is_noticed_after_five_samples() -> None:
    registers = Registers()
    monitor = monitor_on(registers)
    monitor.sample(0)
    registers.flags = 0
    assert [monitor.sample(0) for _ in range(4)] == [False] * 4
    with pytest.raises(MonitorError):
        monitor.sample(0)


def test_a_part_that_does_not_answer_is_an_error() -> None:
    registers = Registers()
    monitor = monitor_on(registers)
    registers.answers = False
    for call in (monitor.configure, monitor.arm, lambda: monitor.sample(0)):
        with pytest.raises(MonitorError) as error:
            call()
        assert not error.value.args


def test_it_has_no_thermometer() -> None:
    monitor = monitor_on(Registers())
    monitor.sample_temperature()
    assert monitor.temperature_mc == 0
