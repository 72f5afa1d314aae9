"""What the chip measures, and how fast it acts. A real chip takes as long as the emulated one, or longer."""

from __future__ import annotations

import pytest

from racklet.link.v1 import link_pb2
from racklet_virtual.hardware import Pin
from tests.chip.conftest import MakeHat
from tools.chip_host import ChipHost

TURN_US = 10_000  # of the link's task, and of a slice of this test
ALERT_US = 100


@pytest.fixture(scope="module")
def host(make_module_hat: MakeHat) -> ChipHost:
    """A HAT whose node is on."""
    hat = make_module_hat()
    host = ChipHost(hat)
    host.greet()
    return host


def test_a_power_request_raises_the_set_pin_within_a_turn_of_the_link_and_ends_measured(
    host: ChipHost, figures: list[str]
) -> None:
    hat = host.hat
    host.run_ms(200)
    asked_us = hat.now_us
    reply = host.switch(link_pb2.POWER_ACTION_ON)

    edges = [(at_ns // 1000, level) for at_ns, pin, level in hat.edges if pin == Pin.GATE_SET]
    rises = [at_us for at_us, level in edges if level == 1]
    falls = [at_us for at_us, level in edges if level == 0 and at_us > rises[0]]
    after_us, pulse_us = rises[0] - asked_us, falls[0] - rises[0]
    figures.append(f"power request to the set pin's edge: {after_us:,} µs; the pulse: {pulse_us:,} µs")
    assert len(rises) == 1
    assert rises[0] - asked_us < 2 * TURN_US
    assert 1_500 <= falls[0] - rises[0] < 2_500, "the latch wants 1 ms"
    assert reply.result == link_pb2.RESULT_DONE
    assert reply.supply_state == link_pb2.SUPPLY_STATE_ON
    assert abs(reply.supply_uv - hat.hardware.supply.volts * 1e6) < 50_000


def test_telemetry_tells_what_stands_in_the_monitors_registers(host: ChipHost) -> None:
    host.run_ms(600)
    before = len(host.telemetry)
    host.run_until(lambda: len(host.telemetry) > before)
    telemetry, supply = host.telemetry[-1], host.hat.hardware.supply

    assert telemetry.samples >= 8
    assert telemetry.supply_uv == pytest.approx(supply.volts * 1e6, rel=0.01)
    assert telemetry.supply_ua == pytest.approx(supply.amperes * 1e6, rel=0.1)
    assert telemetry.input_uv == pytest.approx(12e6, rel=0.01)
    assert telemetry.frames_bad == 0


def test_the_alert_pin_cuts_the_supply_from_an_interrupt(host: ChipHost, figures: list[str]) -> None:
    hat = host.hat
    host.run_ms(7)
    hat.hardware.overload(9.0, hat.now_us + 400_000)
    begun_ns = hat.chip.now_ns
    host.run_until(lambda: not hat.hardware.supply.latch_on)

    def first_us(wanted: Pin, level: int) -> int:
        return next(at_ns // 1000 for at_ns, pin, to in hat.edges if at_ns >= begun_ns and (pin, to) == (wanted, level))

    fell_us, cut_us = first_us(Pin.ALERT, 0), first_us(Pin.GATE_CLEAR, 1)
    off_us = hat.hardware.supply.cleared_us - fell_us
    figures.append(f"alert pin to the clear pin's edge: {cut_us - fell_us:,} µs; the latch falls after {off_us:,} µs")
    assert 0 <= cut_us - fell_us < ALERT_US
    host.run_until(lambda: any(event.kind == link_pb2.EVENT_KIND_OVER_CURRENT for event in host.events))


def test_telemetry_is_exact_for_set_registers(make_hat: MakeHat, monkeypatch: pytest.MonkeyPatch) -> None:
    hat = make_hat()
    set_registers = {
        0x3E: b"TI",
        0x3F: bytes.fromhex("2281"),
        0x0B: bytes.fromhex("8003"),  # converted, memory good, alert latched
        0x05: (26_112 << 4).to_bytes(3),  # steps of 195.3125 µV
        0x07: ((-1_234 & 0xFFFFF) << 4).to_bytes(3),  # of 19.53125 µA
        0x08: (98_765).to_bytes(3),  # of 62.5 µW
        0x06: (3_456).to_bytes(2),  # of 7.8125 m°C
    }

    def read_i2c(_address: int, register: int, _count: int, _at_us: int) -> bytes:
        return set_registers.get(register, bytes(5))

    monkeypatch.setattr(hat.hardware, "read_i2c", read_i2c)
    host = ChipHost(hat)
    host.greet()
    host.run_until(lambda: len(host.telemetry) > 4)

    telemetry = host.telemetry[-1]
    assert telemetry.supply_min_uv == telemetry.supply_max_uv == 5_100_000
    assert telemetry.supply_min_ua == telemetry.supply_max_ua == -24_102
    assert telemetry.supply_uw == pytest.approx(98_765 * 62.5, abs=128)
    assert telemetry.temperature_mc == 27_000
