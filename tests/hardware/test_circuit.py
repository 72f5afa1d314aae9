"""What the netlist must say for the HAT to keep its promises, and the values its thresholds come from."""

from __future__ import annotations

import re

import pytest

from hardware.netlist import Netlist, read_golden

BACKPLANE = {
    1: "VIN", 7: "VIN", 2: None, 8: None, 3: "USB_BP_N", 4: "USB_BP_P", 9: "5V_STBY_IN",
    5: "GND", 6: "GND", 10: "GND", 11: "GND", 12: "GND",
}  # fmt: skip
NODE = {
    1: "NODE_3V3", 2: "5V_NODE", 4: "5V_NODE", 5: "NODE_GPIO3", 8: "NODE_TXD", 10: "NODE_RXD", 17: "NODE_3V3",
    27: "ID_SD", 28: "ID_SC", 37: "NODE_GPIO26",
} | dict.fromkeys((6, 9, 14, 20, 25, 30, 34, 39), "GND")  # fmt: skip
# Where 5 A go: from one terminal of a part to another, in order.
POWER_PATH = [
    ("J2.1", "VIN", "F1.1"),
    ("F1.2", "VIN_FUSED", "Q1.5"),
    ("Q1.1", "VIN_PROT", "U1.2"),
    ("U1.8", "SW", "L1.1"),
    ("L1.2", "5V_BUCK", "Q3.1"),
    ("Q3.5", "5V_DIODE", "Q2.5"),
    ("Q2.1", "5V_SUPPLY", "R22.1"),
    ("R22.4", "5V_NODE", "J1.2"),
]


@pytest.fixture(scope="module")
def hat() -> Netlist:
    return read_golden("hat")


def ohm(hat: Netlist, ref: str) -> float:
    value = hat.components[ref].value
    match = re.fullmatch(r"(\d+)([RkM])(\d*)", value)
    assert match, value
    return float(f"{match[1]}.{match[3] or 0}") * {"R": 1, "k": 1e3, "M": 1e6}[match[2]]


def divided(hat: Netlist, upper: str, lower: str) -> float:
    return 1 + ohm(hat, upper) / ohm(hat, lower)


@pytest.mark.parametrize(("pin", "net"), BACKPLANE.items())
def test_the_backplane_header_has_the_pins_of_every_racklet(hat: Netlist, pin: int, net: str | None) -> None:
    if net is None:
        assert not any(f"J2.{pin}" in pins for pins in hat.nets.values())
    else:
        assert hat.net_of(f"J2.{pin}") == net


@pytest.mark.parametrize("pin", range(1, 41))
def test_the_node_s_header_is_a_pi_s(hat: Netlist, pin: int) -> None:
    found = [name for name, pins in hat.nets.items() if f"J1.{pin}" in pins]
    assert found == ([NODE[pin]] if pin in NODE else [])


@pytest.mark.parametrize(("start", "net", "end"), POWER_PATH)
def test_power_flows_through_each_part_in_turn(hat: Netlist, start: str, net: str, end: str) -> None:
    assert (hat.net_of(start), hat.net_of(end)) == (net, net)


def test_the_two_power_fets_stand_back_to_back(hat: Netlist) -> None:
    # Body diodes point from source to drain: Q3 (ideal diode) blocks backward, Q2 (gate) blocks forward.
    assert {hat.net_of("Q2.5"), hat.net_of("Q3.5")} == {"5V_DIODE"}
    assert (hat.net_of("U3.6"), hat.net_of("U3.4"), hat.net_of("U3.5")) == ("5V_BUCK", "5V_DIODE", hat.net_of("Q3.4"))


def test_reverse_polarity_finds_the_body_diode_against_it(hat: Netlist) -> None:
    assert (hat.net_of("Q1.5"), hat.net_of("Q1.3")) == ("VIN_FUSED", "VIN_PROT")
    assert (hat.net_of("D1.1"), hat.net_of("D1.2")) == ("VIN_PROT", hat.net_of("Q1.4"))


def test_everything_that_clears_the_latch_pulls_one_open_net(hat: Netlist) -> None:
    pulls = {"Q7.3", "U5.2", "U9.7", "D4.2"}  # GATE_CLEAR, supervisor, over-voltage, ALERT
    assert hat.nets["GATE_CLEAR_N"] == pulls | {"U4.6", "R19.2", "TP8.1"}
    assert hat.net_of("U4.3") == "+3V3"
    assert hat.net_of("D4.1") == hat.net_of("R21.1")
    assert hat.net_of("R21.2") == "ALERT"


@pytest.mark.parametrize(("net", "resistor"), [("GATE_SET", "R17"), ("GATE_CLEAR", "R18"), ("LATCH_Q", "R15")])
def test_what_moves_the_gate_is_pulled_to_rest(hat: Netlist, net: str, resistor: str) -> None:
    assert {hat.net_of(f"{resistor}.1"), hat.net_of(f"{resistor}.2")} == {net, "GND"}


def test_the_gate_s_capacitor_goes_to_ground(hat: Netlist) -> None:
    assert {hat.net_of("C13.1"), hat.net_of("C13.2")} == {"GATE_DRV", "GND"}


def test_no_resistor_or_buffer_feeds_the_node_from_our_3v3_below_100k(hat: Netlist) -> None:
    assert hat.net_of("U12.5") == "NODE_3V3"
    assert hat.net_of("U13.5") == "+3V3"
    assert (ohm(hat, "R43"), ohm(hat, "R44")) == (100e3, 100e3)


def test_the_buck_makes_5_2_v(hat: Netlist) -> None:
    assert 0.8 * divided(hat, "R9", "R10") == pytest.approx(5.2)


def test_the_buck_starts_at_9_v(hat: Netlist) -> None:
    assert 1.18 * divided(hat, "R6", "R7") == pytest.approx(9.05, abs=0.01)


def test_power_is_good_above_4_6_v(hat: Netlist) -> None:
    assert 1.65 * divided(hat, "R30", "R31") == pytest.approx(4.62, abs=0.01)


def test_the_cut_off_stands_above_every_normal_voltage_and_below_5_8_v(hat: Netlist) -> None:
    typical = 1.65 * divided(hat, "R34", "R35")
    spread = 0.015 + 2 * 0.01 * ohm(hat, "R34") / (ohm(hat, "R34") + ohm(hat, "R35"))  # 3.3 V, two resistors of 1 %
    assert typical * (1 - spread) > 5.2 * 1.03
    assert typical * (1 + spread) < 5.8


def test_the_gate_fet_s_gate_drive_never_passes_its_rating(hat: Netlist) -> None:
    assert hat.components["D3"].value == "BZT52C15"  # 15.9 V at most; Q2 stands 20 V with its source at 0 V
    assert (hat.net_of("D3.1"), hat.net_of("D3.2")) == ("GATE_DRV", "GND")
    off = 26 / divided(hat, "R13", "R14")
    assert off < 20  # 2N7002
    assert 9 / divided(hat, "R13", "R14") > 2.5  # its highest threshold, at the lowest input


def test_each_part_has_a_number_to_order_by(hat: Netlist) -> None:
    assert [part.ref for part in hat.components.values() if part.fitted and part.listed and not part.mpn] == []
