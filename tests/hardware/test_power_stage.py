"""The gate simulated: soft start, hot-plug, short circuit, back-power, ramps, failures."""

from __future__ import annotations

import shutil

import pytest

from hardware.netlist import read_golden
from hardware.simulation import parameters, run

pytestmark = pytest.mark.skipif(
    shutil.which("ngspice") is None, reason="ngspice is missing; `just hardware` installs it"
)

VALUES: dict[str, float | str] = {
    **parameters(read_golden("hat")),
    "C13_END": "0",
    "VNODE": 0.0,
    "VDIODE": 0.0,
    "VGATE": 0.0,
}

# A supply of VIN volts at the end of a cable, the latch as a wave, the node as what each test says.
RIG = """
VIN src 0 {WAVE}
LCABLE src c1 {LCABLE}
RCABLE c1 fuse 60m
M1 fuse q1gate vin POWER_P
R3 q1gate 0 {R3}
D1 q1gate vin ZENER12
C1 vin cesr 100u IC={VSTART}
RC1 cesr 0 0.3
C34 vin 0 10u IC={VSTART}
D2 0 vin TVS24
XBUCK vin buck buck {BUCK}
XGATE vin buck diode supply node on gate gate
VON on 0 {LATCH}
{NODE}
"""


def simulate(control: str, **changes: float | str) -> dict[str, float]:
    settings: dict[str, float | str] = {
        "LCABLE": "1u",
        "VSTART": 0,
        "BUCK": "",
        "LATCH": "0",
        "NODE": "RNODE node 0 10k",
    }
    settings |= changes
    deck = RIG
    for name, value in settings.items():
        deck = deck.replace("{" + name + "}", str(value))
    return run(deck + control, {**VALUES, **changes})


def control(tran: str, *measures: str) -> str:
    lines = "\n".join(f"meas tran {measure}" for measure in measures)
    return f".control\ntran {tran} uic\n{lines}\nquit\n.endc"


# The supply on since long ago.
ON: dict[str, float | str] = {"VGATE": 11.9, "VNODE": 5.2, "VDIODE": 5.2, "BUCK": "ic=5.2", "LATCH": "3.3"}
BULK = "CNODE node nc 1000u IC=0\nRNC nc 0 20m\nRNODE node 0 5"


@pytest.mark.parametrize("volts", [9.5, 12, 24])
def test_inrush_into_1000_uf_stays_below_2_5_a(volts: float) -> None:
    found = simulate(
        control("20u 200m", "peak MAX i(VSENSE)", "final FIND v(node) AT=195m", "drive MAX v(gate)"),
        WAVE=f"PWL(0 0 1m {volts})",
        LATCH="PULSE(0 3.3 30m 1u 1u 1)",
        NODE="VSENSE node n2 0\n" + BULK.replace("node ", "n2 "),
    )
    assert found["peak"] < 2.5  # 1 A of it is the node's own
    assert found["final"] > 5.05
    assert found["drive"] < 17


@pytest.mark.parametrize("volts", [12, 26])
def test_hot_plug_with_the_latch_off_or_without_supply_leaves_the_node_at_zero(volts: float) -> None:
    found = simulate(
        control("0.2u 20m", "node MAX v(node)", "input MAX v(vin)", "drive MAX v(gate)"),
        WAVE=f"PWL(0 0 10u 0 11u {volts})",
        NODE="CNODE node 0 1u IC=0\nRNODE node 0 10k",
    )
    assert found["node"] < 0.05
    assert found["drive"] < 0.9  # below any FET's threshold
    assert found["input"] < 40  # the buck stands 42 V


def test_the_simulation_would_see_a_glitch_if_c13_hung_on_the_drain() -> None:
    found = simulate(
        control("0.5u 2m", "node MAX v(node)"),
        WAVE="PWL(0 0 10u 0 11u 24)",
        C13_END="buck",
        R12=10_000.0,
        NODE="CNODE node 0 1u IC=0\nRNODE node 0 1k",
    )
    assert found["node"] > 0.3


def test_a_short_is_off_in_2_ms_and_the_fet_survives_it() -> None:
    # The monitor's ALERT comes after one conversion of 1.05 ms at most (INA228, 8.6), here after 1.2 ms.
    found = simulate(
        control(
            "1u 12m",
            "energy INTEG v(watts)",
            "later MAX i(VSENSE) FROM=7.5m TO=12m",
            "steady MAX i(VSENSE) FROM=5.2m TO=6.1m",
        ),
        WAVE="24",
        VSTART=24,
        **ON | {"VGATE": 14.9, "LATCH": "PWL(0 3.3 6.2m 3.3 6.201m 0)"},
        NODE=(
            "VSENSE node n2 0\nRNODE n2 0 5\nBWATTS watts 0 V=v(diode,supply)*i(VSENSE)\n"
            "SSH n2 0 hit 0 SHORT\n.model SHORT SW(Vt=0.5 Ron=20m Roff=1Meg)\nVHIT hit 0 PULSE(0 1 5m 1u 1u 1)"
        ),
    )
    assert found["later"] < 0.01
    assert found["steady"] < 9
    assert found["energy"] < 0.1  # the data sheet's safe area holds 5 V, 8 A for 10 ms: 0.4 J


def test_off_means_below_0_3_v_within_half_a_second_even_with_1000_uf() -> None:
    found = simulate(
        control("50u 800m", "fallen WHEN v(node)=0.3 FALL=1"),
        WAVE="12",
        VSTART=12,
        LATCH="PWL(0 3.3 100m 3.3 100.01m 0)",
        NODE="CNODE node 0 1000u IC=0\nRNODE node 0 10k",
    )
    assert 0.1 < found["fallen"] < 0.6  # switched off at 0.1 s


def test_a_node_with_its_own_supply_feeds_nothing_when_the_backplane_is_dead() -> None:
    found = simulate(
        control("5u 20m", "back MAX v(buck)", "input MAX v(vin)", "drawn FIND i(VUSB) AT=19m"),
        WAVE="0",
        VNODE=5.1,
        VDIODE=4.4,
        NODE="VUSB node 0 5.1",
    )
    assert found["back"] < 0.05
    assert found["input"] < 0.05
    assert abs(found["drawn"]) < 0.3e-3  # the dividers; no current goes on


def test_a_higher_source_on_the_node_gets_no_current_into_the_hat() -> None:
    found = simulate(
        control("5u 60m", "before FIND i(VUSB) AT=19m", "into FIND i(VUSB) AT=59m", "peak MIN i(VUSB) FROM=30m TO=60m"),
        WAVE="12",
        VSTART=12,
        **ON,
        NODE="VUSB usb 0 PWL(0 4.9 20m 4.9 40m 5.4)\nRUSB usb node 50m\nRNODE node 0 10",
    )
    assert found["into"] == pytest.approx(-0.54, abs=0.02)  # what the node draws; nothing goes back
    assert found["peak"] > -0.6


def test_with_the_latch_off_the_bleeder_is_all_that_a_foreign_supply_feeds() -> None:
    found = simulate(
        control("5u 20m", "drawn FIND i(VUSB) AT=19m"),
        WAVE="12",
        VSTART=12,
        VNODE=5.1,
        VDIODE=4.4,
        NODE="VUSB node 0 5.1",
    )
    assert found["drawn"] == pytest.approx(-5.1 / 153, rel=0.05)


@pytest.mark.parametrize("latch", ["0", "3.3"])
def test_a_slow_input_ramp_switches_only_what_the_latch_says_and_only_above_8_v(latch: str) -> None:
    found = simulate(
        control("50u 1", "low MAX v(node) FROM=0 TO=0.66", "high MAX v(node)"),
        WAVE="PWL(0 0 1 12)",
        LATCH=latch,
        NODE="CNODE node 0 100u IC=0\nRNODE node 0 10",
    )
    assert found["low"] < 0.1
    assert found["high"] < 0.1 if latch == "0" else found["high"] > 5.0


def test_a_failed_switch_of_the_buck_reaches_the_node_for_less_than_50_us() -> None:
    # 2 us for the comparator, the latch and 2N7002; the node with 100 uF, less than any real one has.
    found = simulate(
        control("0.1u 9m", "peak MAX v(node) FROM=8m TO=9m", "last MAX i(VSENSE) FROM=8.1m TO=9m"),
        WAVE="24",
        VSTART=24,
        **ON | {"VGATE": 14.9, "LATCH": "PWL(0 3.3 8.002m 3.3 8.0021m 0)", "BUCK": "short_at=8m ic=5.2"},
        NODE="VSENSE node n2 0\nCNODE n2 0 100u IC=5.2\nRNODE n2 0 5",
    )
    assert found["peak"] < 6.5
    assert found["last"] < 0.2


def test_a_reversed_input_gets_nowhere() -> None:
    found = simulate(
        control("1u 5m", "low MIN v(vin)", "drawn MIN i(VIN)", "back MAX i(VIN)"), WAVE="PWL(0 0 10u 0 20u -26)"
    )
    assert found["low"] > -0.1
    assert max(abs(found["drawn"]), abs(found["back"])) < 0.5  # the charge of Q1's own capacitance
