"""The electronics and the node, wired to the pins."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from racklet_virtual.error_budget import MonitorErrors
from racklet_virtual.hardware import MONITOR_ADDRESS, HatHardware, NoAcknowledgeError, Pin
from racklet_virtual.ina228 import Register
from racklet_virtual.node import Inrush, NodeProfile
from racklet_virtual.record import SentBoots
from racklet_virtual.script import NodeState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MS = 1_000
SECOND_US = 1_000_000
PACE_US = 10_000


class Bench:
    """A HAT's hardware and a clock that is turned by hand."""

    def __init__(self, record: SentBoots) -> None:
        self.hat = HatHardware(NodeProfile("node-1", speed=50), record, errors=MonitorErrors())
        self.at_us = 0

    def pulse(self, pin: Pin) -> None:
        self.hat.set_pin(pin, 1, self.at_us)
        self.at_us += 1_500
        self.hat.set_pin(pin, 0, self.at_us)

    def run(self, seconds: float) -> None:
        end_us = self.at_us + round(seconds * SECOND_US)
        while (next_us := self.hat.next_change_us(PACE_US)) is not None and next_us < end_us:
            self.at_us = max(self.at_us, next_us)
            self.hat.advance(self.at_us)
            self.hat.node.take_output()
        self.at_us = end_us
        self.hat.advance(end_us)

    def pin(self, pin: Pin) -> int:
        return self.hat.pin(pin, self.at_us)

    def volts(self) -> float:
        raw = self.hat.read_i2c(MONITOR_ADDRESS, Register.VBUS, 3, self.at_us)
        return (int.from_bytes(raw, "big") >> 4) * 195.3125e-6


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with closing(SentBoots(tmp_path)) as record:
        yield Bench(record)


def test_everything_is_off_at_first(bench: Bench) -> None:
    bench.run(1)
    pins = (Pin.GATE_STATE, Pin.POWER_GOOD, Pin.NODE_HALTED, Pin.ALERT, Pin.SOFT_OFF)
    assert [bench.pin(pin) for pin in pins] == [0, 0, 0, 1, 1]
    assert bench.volts() < 0.001
    assert bench.hat.next_change_us(PACE_US) is None


def test_a_set_pulse_brings_rail_and_node_up(bench: Bench) -> None:
    bench.pulse(Pin.GATE_SET)
    bench.run(0.2)
    assert bench.pin(Pin.GATE_STATE) == 1
    assert bench.pin(Pin.POWER_GOOD) == 1
    assert bench.volts() == pytest.approx(5.1, abs=0.05)
    assert bench.hat.node.state is NodeState.BOOTING


def test_a_clear_pulse_takes_both_down(bench: Bench) -> None:
    bench.pulse(Pin.GATE_SET)
    bench.run(1)
    bench.pulse(Pin.GATE_CLEAR)
    bench.run(0.3)
    assert bench.pin(Pin.POWER_GOOD) == 0
    assert bench.volts() < 0.01
    assert bench.hat.node.state is NodeState.OFF


def test_floating_pins_leave_the_supply_as_it_is(bench: Bench) -> None:
    bench.pulse(Pin.GATE_SET)
    bench.run(1)
    bench.hat.release_pins(bench.at_us)
    bench.run(1)
    assert bench.pin(Pin.GATE_STATE) == 1


def test_a_reset_in_the_middle_of_a_short_pulse_switches_nothing(bench: Bench) -> None:
    bench.hat.set_pin(Pin.GATE_SET, 1, 0)
    bench.hat.release_pins(900)
    bench.run(1)
    assert bench.pin(Pin.GATE_STATE) == 0


def test_the_soft_off_pin_shuts_the_node_down(bench: Bench) -> None:
    bench.pulse(Pin.GATE_SET)
    bench.run(6)
    bench.hat.set_pin(Pin.SOFT_OFF, 0, bench.at_us)
    bench.run(4)
    assert bench.pin(Pin.NODE_HALTED) == 1
    assert bench.hat.supply.amperes == pytest.approx(0.06, rel=0.1)
    assert bench.pin(Pin.GATE_STATE) == 1


def test_each_switching_on_begins_a_record(bench: Bench) -> None:
    for _ in range(3):
        bench.pulse(Pin.GATE_SET)
        bench.run(0.5)
        bench.pulse(Pin.GATE_SET)
        bench.run(0.5)
        bench.pulse(Pin.GATE_CLEAR)
        bench.run(0.5)
    boots = bench.hat.record.boots
    assert [boot.number for boot in boots] == [1, 2, 3]
    assert all(boot.sent_bytes for boot in boots)


def test_a_brown_out_resets_the_node_and_keeps_its_boot(bench: Bench) -> None:
    bench.pulse(Pin.GATE_SET)
    bench.run(1)
    bench.hat.supply.sag(4.0, bench.at_us + 100 * MS)
    bench.run(0.05)
    assert bench.pin(Pin.POWER_GOOD) == 0
    assert bench.hat.node.state is NodeState.OFF
    bench.run(1)
    assert bench.hat.node.starts == 2
    assert len(bench.hat.record.boots) == 1


def test_a_disconnected_monitor_does_not_acknowledge(bench: Bench) -> None:
    bench.hat.monitor_connected = False
    with pytest.raises(NoAcknowledgeError):
        bench.hat.read_i2c(MONITOR_ADDRESS, Register.VBUS, 3, 0)
    with pytest.raises(NoAcknowledgeError, match="0x41"):
        bench.hat.write_i2c(0x41, Register.CONFIG, b"\0\0", 0)


def test_an_overload_shows_and_ends(bench: Bench) -> None:
    bench.pulse(Pin.GATE_SET)
    bench.run(1)
    bench.hat.overload(5.0, bench.at_us + 50 * MS)
    bench.run(0.01)
    assert bench.hat.supply.amperes > 5
    bench.run(0.1)
    assert bench.hat.supply.amperes < 2


def test_a_start_draws_its_inrush_for_a_while_each_time(bench: Bench, tmp_path: Path) -> None:
    with closing(SentBoots(tmp_path / "more")) as record:
        profile = NodeProfile("node-1", speed=50, inrush=Inrush(amperes=3.0, duration_us=200 * MS))
        bench.hat = HatHardware(profile, record, errors=MonitorErrors())
        for _ in range(2):
            bench.pulse(Pin.GATE_SET)
            bench.run(0.1)
            assert bench.hat.supply.amperes > 3
            bench.run(0.2)
            assert 0 < bench.hat.supply.amperes < 3
            bench.pulse(Pin.GATE_CLEAR)
            bench.run(1)
            assert bench.hat.supply.amperes == 0


def test_the_adc_sees_the_input_through_its_divider(bench: Bench) -> None:
    assert bench.hat.read_adc(Pin.INPUT_VOLTS, 0) / 65535 * 3.3 * 11 == pytest.approx(12.0, abs=0.06)
    assert bench.hat.read_adc(27, 0) < 200


def test_the_die_warms_up_with_the_load(bench: Bench) -> None:
    bench.pulse(Pin.GATE_SET)
    bench.run(300)
    assert 30 < bench.hat.celsius < 50


def test_energy_in_the_monitor_is_the_energy_that_was_used(bench: Bench) -> None:
    bench.hat.write_i2c(MONITOR_ADDRESS, Register.SHUNT_CAL, (1280).to_bytes(2, "big"), 0)
    bench.pulse(Pin.GATE_SET)
    bench.run(60)
    raw = bench.hat.read_i2c(MONITOR_ADDRESS, Register.ENERGY, 5, bench.at_us)
    lsb = 16 * 3.2 * 1280 / (13107.2e6 * 0.01)
    assert int.from_bytes(raw, "big") * lsb == pytest.approx(bench.hat.supply.totals.joules, abs=0.01)


def test_a_late_world_makes_its_node_late_instead_of_bursting(bench: Bench) -> None:
    bench.pulse(Pin.GATE_SET)
    while not bench.hat.node.sending:
        bench.run(0.001)
    bench.hat.node.take_output()
    bench.at_us += 2 * SECOND_US
    bench.hat.advance(bench.at_us)
    assert sum(len(sent.data) for sent in bench.hat.node.take_output()) < 0.03 * 11_520
