"""The backplane: what its netlist must say, and what its slots do to each other, simulated."""

from __future__ import annotations

import shutil

import pytest

from hardware.netlist import Netlist, read_golden
from hardware.simulation import parameters, run

SLOTS = range(1, 6)
HUB_PORT = {1: ("U1", "7", "8"), 2: ("U1", "5", "6"), 3: ("U1", "3", "4"), 4: ("U2", "7", "8"), 5: ("U2", "5", "6")}


@pytest.fixture(scope="module")
def backplane() -> Netlist:
    return read_golden("backplane")


def net(netlist: Netlist, pin: str) -> str | None:
    return next((name for name, pins in netlist.nets.items() if pin in pins), None)


@pytest.mark.parametrize("slot", SLOTS)
def test_every_slot_has_the_pins_of_every_racklet(backplane: Netlist, slot: int) -> None:
    found = {pin: net(backplane, f"J{slot}.{pin}") for pin in range(1, 13)}
    vin, standby = f"VIN_{slot}", f"5V_STBY_{slot}"
    assert found == dict.fromkeys((5, 6, 10, 11, 12), "GND") | {
        1: vin, 7: vin, 2: None, 8: None, 3: f"USB_{slot}_N", 4: f"USB_{slot}_P", 9: standby,
    }  # fmt: skip


@pytest.mark.parametrize("pin", range(1, 13))
def test_what_meets_in_the_connector_is_meant_to(backplane: Netlist, pin: int) -> None:
    ours = {None: None, "VIN_1": "VIN", "USB_1_N": "USB_BP_N", "USB_1_P": "USB_BP_P", "5V_STBY_1": "5V_STBY_IN",
            "GND": "GND"}  # fmt: skip
    assert net(read_golden("hat"), f"J2.{pin}") == ours[net(backplane, f"J1.{pin}")]


@pytest.mark.parametrize("slot", SLOTS)
def test_a_slot_has_fuses_of_its_own_for_both_supplies(backplane: Netlist, slot: int) -> None:
    assert backplane.nets[f"VIN_{slot}"] == {f"F{slot}.2", f"J{slot}.1", f"J{slot}.7"}
    assert backplane.nets[f"5V_STBY_{slot}"] == {f"F{10 + slot}.2", f"J{slot}.9"}
    assert (net(backplane, f"F{slot}.1"), net(backplane, f"F{10 + slot}.1")) == ("VIN", "5V_STBY")


@pytest.mark.parametrize("slot", SLOTS)
def test_a_slot_is_always_on_the_same_port(backplane: Netlist, slot: int) -> None:
    hub, minus, plus = HUB_PORT[slot]
    assert (net(backplane, f"{hub}.{minus}"), net(backplane, f"{hub}.{plus}")) == (f"USB_{slot}_N", f"USB_{slot}_P")
    assert {net(backplane, "U1.1"), net(backplane, "U2.10")} == {"USB_LINK_N"}
    assert {net(backplane, "U1.2"), net(backplane, "U2.11")} == {"USB_LINK_P"}


def test_neither_the_controller_nor_the_rack_powers_the_other_over_usb(backplane: Netlist) -> None:
    assert backplane.nets["USB_VBUS"] == {"J7.A4", "J7.A9", "J7.B4", "J7.B9"}
    assert {net(backplane, "J7.A5"), net(backplane, "J7.B5")} == {"CC1", "CC2"}


def test_a_reversed_supply_finds_a_diode_before_the_regulator(backplane: Netlist) -> None:
    assert (net(backplane, "D2.2"), net(backplane, "D2.1")) == ("VIN_FUSED", "VIN_AUX")
    behind = {pin.split(".")[0] for pin in backplane.nets["VIN"]}
    assert behind == {"J6", "D1", "F6", "TP1"} | {f"F{slot}" for slot in SLOTS}  # D1 conducts in neither direction
    assert backplane.components["D1"].value == "SMBJ24CA"


# A brick of 1 mF behind 1 m of cable, the bus, a HAT at full load in slot 2, an idle one in slot 3, an empty one that
# is plugged into slot 1, and standby. A HAT is its reverse-polarity FET (12 mOhm, its body diode), C1, its ceramics
# (two of 10 uF keep 12 uF at 12 V), the divider of the buck's enable pin, and 26 W at 88 %.
_HOT_PLUG = """
VBRICK brick 0 {V}
RB brick b1 30m
CB b1 bx 1000u IC={V}
RCB bx 0 30m
LCABLE b1 c1 1u
RCABLE c1 bus 40m
D1 0 bus TVS24
RF2 bus s2 25m
XH2 s2 h2 hat v0={V} p=26
RF3 bus s3 25m
XH3 s3 h3 hat v0={V} p=0.5
SPLUG bus p1 plug 0 CONTACT
VPLUG plug 0 PULSE(0 1 100u 10n 10n 1)
.model CONTACT SW(Vt=0.5 Ron=5m Roff=10Meg)
RF1 p1 s1 25m
XH1 s1 h1 hat v0=0 p=0
D2 bus aux SS34D
.model SS34D D Is=1u N=1.05 Rs=50m
CAUX aux 0 14u IC={V}
BAUX aux 0 I = V(aux) > 6 ? 5/0.85/V(aux) : 0
.subckt hat in vin params: v0=0 p=0
DQ1 in vin BODY
BQ1 in vin I = V(vin) > 2.5 ? V(in,vin)/12m : 0
C1 vin e 100u IC={v0}
RC1 e 0 0.3
CCER vin 0 12u IC={v0}
BHATLOAD vin 0 I = V(vin) > 5.6 ? p/V(vin)/0.88 : 0
R6 vin en {R6}
R7 en 0 {R7}
C45 en 0 {C45} IC={v0*15/115}
.ends
.control
tran 20n 600u uic
meas tran bus MIN v(bus) FROM=50u TO=600u
meas tran neighbour MIN v(h2) FROM=50u TO=600u
meas tran enable MIN v(xh2.en) FROM=50u TO=600u
meas tran standby MIN v(aux) FROM=50u TO=600u
meas tran plugged MAX v(h1) FROM=50u TO=600u
quit
.endc
"""
_ENABLE_FALLS_V = 1.10  # AP64502: rises 1.18 V, 80 mV of hysteresis
needs_ngspice = pytest.mark.skipif(
    shutil.which("ngspice") is None, reason="ngspice is missing; `just hardware` installs it"
)


@needs_ngspice
@pytest.mark.parametrize("volts", [12, 24])
def test_a_hat_that_is_plugged_in_does_not_restart_its_neighbour(volts: int) -> None:
    found = run(_HOT_PLUG, {**parameters(read_golden("hat")), "V": volts})
    assert found["neighbour"] > 5.8  # the buck makes 5.2 V of it
    assert found["enable"] > _ENABLE_FALLS_V
    assert found["standby"] > 5.8
    assert found["plugged"] < 40


@needs_ngspice
def test_without_c45_the_neighbour_would_restart_at_12_v() -> None:
    found = run(_HOT_PLUG, {**parameters(read_golden("hat")), "V": 12, "C45": 1e-12})
    assert found["enable"] < _ENABLE_FALLS_V


# A short in slot 1 at 1 ms. Its fuse is 25 mOhm until I2t has passed (7 A fast, 1206: 5 A2s at most), then it opens
# within 50 us: one run finds when, the next has it open then. The supply limits itself to 15 A behind its 1 mF; a HAT
# at full load beside it lives from the bus.
_SHORT = """
BBRICK 0 b1 I = min(15, max(0, ({V} - V(b1))*200))
CB b1 bx 1000u IC={V}
RCB bx 0 30m
LCABLE b1 c1 1u IC=0
RCABLE c1 bus 40m
D1 0 bus TVS24
SF1 bus s1 hold 0 INTACT
VHOLD hold 0 PWL(0 1 {OPENS} 1 {DONE} 0)
.model INTACT SW(Vt=0.5 Ron=25m Roff=10Meg)
CBUS bus cb 1u IC={V}
RCBUS cb 0 0.2
BMELT 0 melted I = i(VSLOT)*i(VSLOT)
CMELT melted 0 1 IC=0
RMELT melted 0 1G
VSLOT s1 short 0
SSH short 0 hit 0 CONTACT
VHIT hit 0 PULSE(0 1 1m 1u 1u 1)
.model CONTACT SW(Vt=0.5 Ron=5m Roff=10Meg)
RF2 bus h2 25m
C2 h2 e2 100u IC={V}
RC2 e2 0 0.3
RLOAD h2 0 4.9
.control
tran 5u 30m uic
meas tran last MAX i(VSLOT) FROM=25m TO=29m
meas tran bus FIND v(bus) AT=29m
{MELTS}
quit
.endc
"""


@needs_ngspice
def test_a_short_in_one_slot_opens_that_slot_s_fuse_and_the_bus_comes_back() -> None:
    melts = "meas tran melts WHEN v(melted)=5"
    held = run(_SHORT, {"V": 12, "OPENS": 1, "DONE": 2, "MELTS": melts})
    assert held["bus"] < 2  # without a fuse the whole rack would stay down
    assert held["melts"] < 0.025
    found = run(_SHORT, {"V": 12, "OPENS": held["melts"], "DONE": held["melts"] + 50e-6, "MELTS": ""})
    assert found["last"] < 0.01
    assert found["bus"] > 11.5
