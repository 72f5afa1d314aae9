"""The switched supply of one HAT: latch, gate, rail. Pure: time comes in as microseconds and never goes back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, StrEnum

PULSE_US = 1_000  # a gate line must stay high this long to move the latch
POWER_GOOD_VOLTS = 4.6
NODE_RESETS_VOLTS = 4.4  # below this the node's own regulators give up

_RISE_TAU_US = 1_000.0  # 95 % of the rail after 3 ms
_FALL_TAU_US = 40_000.0  # output capacitor into the bleeder
_SOURCE_OHMS = 0.02  # gate, shunt and connector


class GateLine(Enum):
    """The two inputs of the latch."""

    SET = "set"
    CLEAR = "clear"


class Stuck(StrEnum):
    """How a gate can be broken: it no longer follows the latch."""

    ON = "on"
    OFF = "off"


@dataclass(slots=True)
class Totals:
    """What went through the shunt, and the rail's voltage over time, since the world began."""

    joules: float = 0.0
    coulombs: float = 0.0
    volt_seconds: float = 0.0


class Supply:
    """The rail follows the gate, the gate follows the latch, and only pulses move the latch.

    CLEAR wins over SET. A stuck gate ignores the latch; a sag limits the rail for a while.
    """

    def __init__(self, nominal_volts: float = 5.1) -> None:
        self.nominal_volts = nominal_volts
        self.latch_on = False
        self.switch_ons = 0
        self.cleared_us = 0  # when a pulse cleared the latch last
        self.stuck: Stuck | None = None
        self.totals = Totals()
        self.volts = 0.0
        self.amperes = 0.0
        self._at_us = 0
        self._high_since_us: dict[GateLine, int] = {}
        self._due_us: dict[GateLine, int] = {}
        self._sag_volts = 0.0
        self._sag_until_us: int | None = None

    @property
    def gate_on(self) -> bool:
        """True while the gate conducts."""
        return self.latch_on if self.stuck is None else self.stuck is Stuck.ON

    @property
    def good(self) -> bool:
        """The power-good output: true while the rail is above its threshold."""
        return self.volts > POWER_GOOD_VOLTS

    def set_line(self, line: GateLine, level: int, at_us: int) -> None:
        """Drive one input of the latch."""
        self.advance(at_us)
        if level and line not in self._high_since_us:
            self._high_since_us[line] = at_us
            self._due_us[line] = at_us + PULSE_US
        elif not level:
            self._high_since_us.pop(line, None)
            self._due_us.pop(line, None)

    def draw(self, amperes: float, at_us: int) -> None:
        """Change the load on the rail."""
        self.advance(at_us)
        self.amperes = amperes

    def sag(self, volts: float, until_us: int) -> None:
        """Keep the rail from rising above `volts` until then, as a weak input does."""
        self._sag_volts = volts
        self._sag_until_us = until_us

    def advance(self, at_us: int) -> None:
        """Move the rail to `at_us`, taking every change on the way. An earlier time changes nothing."""
        while (change_us := self._next_input_us()) is not None and change_us <= at_us:
            self._integrate(change_us)
            self._take_changes(change_us)
        self._integrate(at_us)

    def next_change_us(self) -> int | None:
        """The next moment at which the latch, power good or the node's fate changes, if nobody interferes."""
        times = [self._next_input_us(), self._crossing_us(POWER_GOOD_VOLTS), self._crossing_us(NODE_RESETS_VOLTS)]
        return min((time_us for time_us in times if time_us is not None), default=None)

    def _target_volts(self) -> float:
        if not self.gate_on:
            return 0.0
        volts = self.nominal_volts - self.amperes * _SOURCE_OHMS
        return max(0.0, volts if self._sag_until_us is None else min(volts, self._sag_volts))

    def _tau_us(self) -> float:
        return _RISE_TAU_US if self.gate_on else _FALL_TAU_US

    def _next_input_us(self) -> int | None:
        times = list(self._due_us.values())
        if self._sag_until_us is not None:
            times.append(self._sag_until_us)
        return min(times, default=None)

    def _take_changes(self, at_us: int) -> None:
        if self._sag_until_us is not None and self._sag_until_us <= at_us:
            self._sag_until_us = None
        clearing = GateLine.CLEAR in self._high_since_us
        for line in [line for line, due_us in self._due_us.items() if due_us <= at_us]:
            del self._due_us[line]
            if line is GateLine.CLEAR:
                self.latch_on = False
                self.cleared_us = at_us
            elif not clearing:
                self.switch_ons += not self.latch_on
                self.latch_on = True

    def _integrate(self, at_us: int) -> None:
        elapsed_us = at_us - self._at_us
        if elapsed_us <= 0:
            return
        self._at_us = at_us
        target, tau_us = self._target_volts(), self._tau_us()
        left = math.exp(-elapsed_us / tau_us)
        volt_seconds = (target * elapsed_us + (self.volts - target) * tau_us * (1 - left)) * 1e-6
        self.volts = target + (self.volts - target) * left
        self.totals.volt_seconds += volt_seconds
        self.totals.coulombs += self.amperes * elapsed_us * 1e-6
        self.totals.joules += self.amperes * volt_seconds

    def _crossing_us(self, level_volts: float) -> int | None:
        """When the rail passes the level on its way to its target; always later than now."""
        target = self._target_volts()
        if (self.volts > level_volts) == (target > level_volts) or target == level_volts:
            return None
        ratio = (level_volts - target) / (self.volts - target)
        return self._at_us + max(1, math.ceil(-self._tau_us() * math.log(ratio)))
