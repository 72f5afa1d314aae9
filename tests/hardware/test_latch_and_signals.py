"""The latch and the signals simulated: a resetting MCU, power coming and going, sides that feed each other."""

from __future__ import annotations

import shutil

import pytest

from hardware.netlist import read_golden
from hardware.simulation import parameters, run

pytestmark = pytest.mark.skipif(
    shutil.which("ngspice") is None, reason="ngspice is missing; `just hardware` installs it"
)

VALUES: dict[str, float | str] = {**parameters(read_golden("hat")), "VNODE": 0.0, "VDIODE": 0.0, "C13_END": "0"}

# 74LVC1G175 as an edge-triggered flip-flop that may come up set; the supervisor as its open drain; pins of the MCU as
# 3.3 V behind 30 Ohm while it drives them. Each pin couples with 5 pF to a track that switches all the time.
LATCH = """
V33 v33 0 {V33}
VSET_WISH set_wish 0 {SET}
VCLR_WISH clr_wish 0 {CLEAR}
VDRIVEN driven 0 {DRIVEN}
SSET set_wish gate_set driven 0 PIN
SCLR clr_wish gate_clear driven 0 PIN
.model PIN SW(Vt=0.5 Ron=30 Roff=10Meg)
VNOISE noise 0 PULSE(0 3.3 0 2n 2n 500u 1m)
CNS noise gate_set 5p
CNC noise gate_clear 5p
C43 gate_set 0 {C43}
C44 gate_clear 0 {C44}
R17 gate_set 0 {R17}
R18 gate_clear 0 {R18}
M7 clear_n gate_clear 0 SIGNAL_N
R19 v33 clear_n {R19}
BRST rst 0 V = (V(v33) < 2.93 || time < {T33} + 0.2) ? 3.3 : 0
SRST clear_n 0 rst 0 OD
.model OD SW(Vt=1.65 Ron=50 Roff=10Meg)
BCLR clear_hi 0 V = V(clear_n) < 1.2 ? 3.3 : 0
BONE one 0 V = 3.3
BSET clock 0 V = V(gate_set)
AIN [clock clear_hi one] [dclock dclear done] BRIDGE
.model BRIDGE adc_bridge(in_low=1.2 in_high=2.0)
AFF done dclock dlow dclear dq dqn FLIPFLOP
.model FLIPFLOP d_dff(clk_delay=5n set_delay=5n reset_delay=5n ic=1)
APD dlow PULLDOWN
.model PULLDOWN d_pulldown
AOUT [dq] [qraw] LEVEL
.model LEVEL dac_bridge(out_low=0 out_high=3.3)
BQ q 0 V = V(qraw) * V(v33) / 3.3
RQ q 0 100k
"""


def latch(measures: str, tran: str, **settings: float | str) -> dict[str, float]:
    deck = LATCH
    defaults: dict[str, float | str] = {"V33": "3.3", "SET": "0", "CLEAR": "0", "DRIVEN": "1", "T33": 0}
    for name, value in (defaults | settings).items():
        deck = deck.replace("{" + name + "}", str(value))
    return run(f"{deck}.control\ntran {tran} uic\n{measures}\nquit\n.endc", VALUES)


# The pins float from 0.26 s to 0.28 s, as they do in a reset; before, the firmware pulsed GATE_SET, or not.
RESET = "PWL(0 1 260m 1 260.01m 0 280m 0 280.01m 1)"


@pytest.mark.parametrize(("pulse", "held"), [("PULSE(0 3.3 250m 1u 1u 1m 9)", 3.3), ("0", 0.0)])
def test_floating_pins_of_a_resetting_mcu_leave_the_latch_as_it_was(pulse: str, held: float) -> None:
    found = latch(
        "meas tran during FIND v(q) AT=270m\nmeas tran after FIND v(q) AT=289m\n"
        "meas tran noise MAX v(gate_set) FROM=262m TO=279m",
        "20u 290m 240m",
        SET=pulse,
        DRIVEN=RESET,
    )
    assert found["during"] == found["after"] == pytest.approx(held, abs=0.01)
    assert 0.005 < found["noise"] < 0.1  # without C43 it is 1.6 V, and the latch would take it for a 1


def test_a_latch_that_comes_up_set_is_cleared_before_it_can_switch() -> None:
    found = latch(
        "meas tran first MAX v(q) FROM=10.5m TO=300m",
        "50u 300m",
        V33="PWL(0 0 10m 0 10.2m 3.3)",
        T33=0.01,
    )
    assert found["first"] < 0.1


def test_a_pulse_on_gate_clear_clears() -> None:
    found = latch(
        "meas tran before FIND v(q) AT=255m\nmeas tran after FIND v(q) AT=262m",
        "20u 265m 240m",
        SET="PULSE(0 3.3 250m 1u 1u 1m 9)",
        CLEAR="PULSE(0 3.3 260m 1u 1u 1m 9)",
    )
    assert found["before"] > 3.2
    assert found["after"] < 0.1


def test_a_dip_of_the_standby_rail_ends_in_off_not_in_something_between() -> None:
    found = latch(
        "meas tran before FIND v(q) AT=255m\nmeas tran after MAX v(q) FROM=271m TO=300m",
        "20u 300m 240m",
        SET="PULSE(0 3.3 250m 1u 1u 1m 9)",
        V33="PWL(0 3.3 260m 3.3 265m 2.5 270m 3.3)",
    )
    assert found["before"] > 3.2
    assert found["after"] < 0.1


def test_our_signals_do_not_feed_a_dead_node() -> None:
    # The dead node's 3.3 V rail as 1 kOhm, its pins with protection diodes to it.
    found = run(
        """
V33 v33 0 3.3
R43 v33 rxbuf {R43}
R42 rxbuf txd {R42}
D42 txd node33 CLAMP
R44 v33 softoff {R44}
M8 gpio3 v33 softoff SHIFTER_N
DBODY softoff gpio3 CLAMP
R3V gpio3 node33 1.8k
RNODE node33 0 1k
.control
tran 1u 1m
meas tran rail FIND v(node33) AT=0.9m
quit
.endc
""",
        VALUES,
    )
    assert found["rail"] < 0.1


def test_a_live_node_does_not_feed_a_dead_hat() -> None:
    # Our dead 3.3 V rail as 1 kOhm. U13 stands its input with Ioff; Q8's gate is at 0 V; R45 is what is left.
    found = run(
        """
VNODE node33 0 3.3
R45 node33 halted {R45}
R46 halted 0 {R46}
DHALT halted v33 CLAMP
R3V node33 gpio3 1.8k
M8 gpio3 v33 softoff SHIFTER_N
DSOFT softoff v33 CLAMP
R44 v33 softoff {R44}
R42 node33 rxbuf {R42}
R43 rxbuf v33 {R43}
RHAT v33 0 1k
.control
tran 1u 1m
meas tran rail FIND v(v33) AT=0.9m
quit
.endc
""",
        VALUES,
    )
    assert found["rail"] < 0.4  # 0.3 mA: far below what starts an RP2040 (1.6 V)
