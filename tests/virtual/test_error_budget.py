"""What docs/metering.md states: the true value lies inside the band, whatever the specimen, the load, the heat."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from racklet_hat.ina226 import Ina226 as Driver226
from racklet_hat.ina228 import Ina228 as Driver228
from racklet_virtual.error_budget import INA226, INA228, PartLimits, band, drawn
from racklet_virtual.ina226 import Ina226
from racklet_virtual.ina228 import Ina228, Sample
from tests.conftest import ROOT

if TYPE_CHECKING:
    from racklet_hat.power_monitor import Monitor

SETTINGS = settings(max_examples=60, deadline=None)
PARTS: dict[str, PartLimits] = {"INA228": INA228, "INA226": INA226}
MEASURED_S = 2


class Bus:
    """A monitor with a specimen's errors, on a steady load, behind the firmware's own driver."""

    def __init__(self, part: str, seed: int, volts: float, amperes: float, celsius: float) -> None:
        self.volts, self.amperes, self.celsius = volts, amperes, celsius
        self.at_us = 0
        model, driver = (Ina228, Driver228) if part == "INA228" else (Ina226, Driver226)
        self.chip = model(self.sense, errors=drawn(PARTS[part], seed), seed=seed)
        self.monitor: Monitor = driver(self, 0x40, 10_000)

    def sense(self, at_us: int) -> Sample:
        seconds = at_us * 1e-6
        coulombs = self.amperes * seconds
        return Sample(
            self.volts, self.amperes, self.celsius, self.volts * coulombs, coulombs, self.volts * seconds, at_us
        )

    def readfrom_mem_into(self, _address: int, register: int, buf: bytearray) -> None:
        buf[:] = self.chip.read(register, self.at_us)

    def writeto_mem(self, _address: int, register: int, buf: bytearray) -> None:
        self.chip.write(register, bytes(buf), self.at_us)

    def run(self, seconds: int) -> tuple[float, float]:
        """Sample as the firmware does; return joules and coulombs."""
        monitor = self.monitor
        for _ in range(50 * seconds):
            self.at_us += 20_000
            monitor.sample(self.at_us // 1000)
        return monitor.take_energy_uj() / 1e6, monitor.take_charge_uc() / 1e6


@pytest.mark.parametrize("part", PARTS)
@given(
    seed=st.integers(0, 2**32),
    volts=st.floats(4.5, 5.4),
    amperes=st.floats(0.0, 6.0),
    celsius=st.floats(-20, 85),
)
@SETTINGS
def test_the_truth_lies_inside_the_stated_band(
    part: str, seed: int, volts: float, amperes: float, celsius: float
) -> None:
    bus = Bus(part, seed, volts, amperes, celsius)
    bus.monitor.configure()
    bus.run(1)
    joules, coulombs = bus.run(MEASURED_S)
    stated, monitor = band(PARTS[part], volts, amperes, celsius), bus.monitor
    rounding = 1.5e-3  # a counter's step, and what the firmware's sums drop
    lag = 0.012  # the counters are as old as the last set of conversions: once at each end, and it does not add up
    assert monitor.supply_uv / 1e6 == pytest.approx(volts, abs=stated.volts)
    assert monitor.supply_ua / 1e6 == pytest.approx(amperes, abs=stated.amperes)
    assert monitor.supply_uw / 1e6 == pytest.approx(volts * amperes, abs=stated.watts + 0.01)
    off_j = stated.joules_per_second * MEASURED_S + rounding + lag * volts * amperes
    off_c = stated.coulombs_per_second * MEASURED_S + rounding + lag * amperes
    assert joules == pytest.approx(volts * amperes * MEASURED_S, abs=off_j)
    assert coulombs == pytest.approx(amperes * MEASURED_S, abs=off_c)


def test_the_bands_are_not_wider_than_they_need_to_be() -> None:
    """Of many specimens the worst comes near the band: within a third of it."""
    worst = 0.0
    for seed in range(200):
        bus = Bus("INA228", seed, 5.1, 1.0, 25.0)
        bus.monitor.configure()
        bus.run(1)
        worst = max(worst, abs(bus.monitor.supply_ua / 1e6 - 1.0))
    assert worst > band(INA228, 5.1, 1.0).amperes / 2


def test_the_table_in_the_documentation_is_what_the_formulas_say() -> None:
    text = (ROOT / "docs" / "metering.md").read_text()
    rows = re.findall(r"^\| (INA22[68]) \| ([\d.]+) A \| (\d+) °C \|(.*)\|$", text, re.MULTILINE)
    assert len(rows) == 12
    for part, amperes, celsius, cells in rows:
        load = 5.1 * float(amperes)
        stated = band(PARTS[part], 5.1, float(amperes), float(celsius))
        told = [float(word) for word in re.findall(r"±([\d.]+)", cells)]
        expected = [
            round(stated.volts * 1e3, 1),
            stated.amperes * 1e3,
            stated.watts * 1e3,
            stated.joules_per_second / load * 100,
            stated.coulombs_per_second / float(amperes) * 100,
        ]
        assert told == [pytest.approx(value, abs=0.005) for value in expected], (part, amperes, celsius)
