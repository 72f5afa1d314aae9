"""The registers of a TI INA228 power monitor (data sheet SLYS021). Pure: time comes in as microseconds."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from racklet_virtual.error_budget import NO_ERRORS, MonitorErrors

if TYPE_CHECKING:
    from collections.abc import Callable


class Register(IntEnum):
    """The addresses of the registers."""

    CONFIG = 0x00
    ADC_CONFIG = 0x01
    SHUNT_CAL = 0x02
    SHUNT_TEMPCO = 0x03
    VSHUNT = 0x04
    VBUS = 0x05
    DIETEMP = 0x06
    CURRENT = 0x07
    POWER = 0x08
    ENERGY = 0x09
    CHARGE = 0x0A
    DIAG_ALRT = 0x0B
    SOVL = 0x0C
    SUVL = 0x0D
    BOVL = 0x0E
    BUVL = 0x0F
    TEMP_LIMIT = 0x10
    PWR_LIMIT = 0x11
    MANUFACTURER_ID = 0x3E
    DEVICE_ID = 0x3F


@dataclass(frozen=True, slots=True)
class Sample:
    """What is true at the shunt at one instant; the totals count since the world began."""

    volts: float
    amperes: float
    celsius: float
    joules: float
    coulombs: float
    volt_seconds: float
    at_us: int


VBUS_LSB_VOLTS = 195.3125e-6
VSHUNT_LSB_VOLTS = (312.5e-9, 78.125e-9)  # by ADCRANGE
DIETEMP_LSB_CELSIUS = 7.8125e-3
SHUNT_CAL_SCALE = 13107.2e6

_POWER_ON = {
    Register.CONFIG: 0,
    Register.ADC_CONFIG: 0xFB68,
    Register.SHUNT_CAL: 0x1000,
    Register.SHUNT_TEMPCO: 0,
    Register.DIAG_ALRT: 0x0001,
    Register.SOVL: 0x7FFF,
    Register.SUVL: 0x8000,
    Register.BOVL: 0x7FFF,
    Register.BUVL: 0,
    Register.TEMP_LIMIT: 0x7FFF,
    Register.PWR_LIMIT: 0xFFFF,
}
_NAMES = {int(register): register for register in Register}
_WIDTH_BYTES = {
    Register.VSHUNT: 3,
    Register.VBUS: 3,
    Register.CURRENT: 3,
    Register.POWER: 3,
    Register.ENERGY: 5,
    Register.CHARGE: 5,
}
_CONVERSION_US = (50, 84, 150, 280, 540, 1052, 2074, 4120)
_AVERAGES = (1, 4, 16, 64, 128, 256, 512, 1024)

_CONFIG_RST, _CONFIG_RSTACC, _CONFIG_ADCRANGE = 1 << 15, 1 << 14, 1 << 4
_ALATCH, _CNVR, _APOL = 1 << 15, 1 << 14, 1 << 12
_ENERGYOF, _CHARGEOF, _MATHOF = 1 << 11, 1 << 10, 1 << 9
_TMPOL, _SHNTOL, _SHNTUL, _BUSOL, _BUSUL, _POL = 1 << 7, 1 << 6, 1 << 5, 1 << 4, 1 << 3, 1 << 2
_CNVRF, _MEMSTAT = 1 << 1, 1
_QUIET_AVERAGES = 16  # as the firmware sets it up: what the noise is stated for
_LIMIT_FLAGS = _TMPOL | _SHNTOL | _SHNTUL | _BUSOL | _BUSUL | _POL
_WRITABLE_DIAG = 0xF000


def _clamp(value: float, bits: int) -> int:
    return max(-(1 << bits - 1), min((1 << bits - 1) - 1, round(value)))


def _signed(word: int) -> int:
    return word - 0x10000 if word & 0x8000 else word


class Ina228:
    """One monitor. `sense` tells what is true at a time; the registers hold what the last set of conversions made.

    A set takes the value at its end, with the noise that its averaging leaves. The limits are compared after every
    conversion (SLOWALERT 0), whether anybody reads or not: call `watch` when something has changed.
    """

    def __init__(
        self,
        sense: Callable[[int], Sample],
        *,
        shunt_ohms: float = 0.01,
        errors: MonitorErrors = NO_ERRORS,
        seed: int = 0,
    ) -> None:
        self._sense = sense
        self._shunt_ohms = shunt_ohms
        self._errors = errors
        self._random = random.Random(seed)  # noqa: S311  noise
        self._words: dict[Register, int] = {}
        self._reset(0)

    def read(self, register: int, at_us: int) -> bytes:
        """Return a register's bytes, most significant first. Registers that do not exist read as 0."""
        self._convert(at_us)
        if register == Register.MANUFACTURER_ID:
            return b"TI"
        if register == Register.DEVICE_ID:
            return b"\x22\x81"
        name = _NAMES.get(register)
        if name is None:
            return b"\x00\x00"
        width = _WIDTH_BYTES.get(name, 2)
        value = self._value(name) & ((1 << 8 * width) - 1)
        self._clear_on_read(name)
        return value.to_bytes(width, "big")

    def write(self, register: int, data: bytes, at_us: int) -> None:
        """Write a 16-bit register. Other widths and read-only registers are ignored, as the chip does."""
        self._convert(at_us)
        name, word = _NAMES.get(register), int.from_bytes(data, "big")
        if len(data) != 2 or name is None or name not in _POWER_ON:  # noqa: PLR2004
            return
        if name is Register.CONFIG and word & _CONFIG_RST:
            self._reset(at_us)
            return
        if name is Register.CONFIG:
            self._reset_totals(at_us, everything=bool(word & _CONFIG_RSTACC))
            word &= ~_CONFIG_RSTACC
        elif name is Register.ADC_CONFIG:
            self._restart(at_us, word)
        elif name is Register.DIAG_ALRT:
            word = word & _WRITABLE_DIAG | self._words[name] & ~_WRITABLE_DIAG
        elif name is Register.SHUNT_CAL:
            word &= 0x7FFF
        self._words[name] = word

    def alert_low(self, at_us: int) -> bool:
        """Whether the open-drain ALERT output pulls low."""
        self._convert(at_us)
        diag = self._words[Register.DIAG_ALRT]
        active = bool(diag & _LIMIT_FLAGS or (diag & _CNVR and diag & _CNVRF))
        return active != bool(diag & _APOL)

    def exceeds(self, amperes: float) -> bool:
        """Whether a conversion of this current, without the errors, would raise the alert that is not raised yet."""
        over = amperes * self._shunt_ohms / VSHUNT_LSB_VOLTS[self._range] > _signed(self._words[Register.SOVL]) * 16
        return over and not self._words[Register.DIAG_ALRT] & _SHNTOL

    def watch(self, at_us: int) -> None:
        """Convert up to now, and compare the newest single conversions with the limits."""
        self._convert(at_us)
        if self._channels & 2 and self._converted_us is not None:
            sample = self._sense(at_us)
            amperes = self._errors.amperes(sample.amperes, sample.celsius)
            vshunt = _clamp(amperes * self._shunt_ohms / VSHUNT_LSB_VOLTS[self._range], 20)
            if vshunt > _signed(self._words[Register.SOVL]) * 16:
                self._words[Register.DIAG_ALRT] |= _SHNTOL

    @property
    def is_alerting(self) -> bool:
        """Whether the alert for too high a current is raised."""
        return bool(self._words[Register.DIAG_ALRT] & _SHNTOL)

    @property
    def cycle_us(self) -> int:
        """How long one conversion of each channel takes together: the longest before a limit is compared again."""
        return self._period_us // self._averages

    @property
    def current_lsb_amperes(self) -> float:
        """The unit of CURRENT and CHARGE that SHUNT_CAL makes; 0 when SHUNT_CAL is 0."""
        cal = self._words[Register.SHUNT_CAL] / (4 if self._range else 1)
        return cal / (SHUNT_CAL_SCALE * self._shunt_ohms)

    @property
    def _range(self) -> int:
        return 1 if self._words[Register.CONFIG] & _CONFIG_ADCRANGE else 0

    def _reset(self, at_us: int) -> None:
        self._words.update(_POWER_ON)
        self._vshunt = self._vbus = self._current = self._power = self._dietemp = 0
        self._energy = self._charge = 0.0
        self._reset_totals(at_us, everything=True)
        self._restart(at_us, _POWER_ON[Register.ADC_CONFIG])

    def _reset_totals(self, at_us: int, *, everything: bool) -> None:
        if everything:
            self._energy = self._charge = 0.0
            self._words[Register.DIAG_ALRT] &= ~(_ENERGYOF | _CHARGEOF)
            self._summed = self._sense(at_us)

    def _restart(self, at_us: int, adc_config: int) -> None:
        mode = adc_config >> 12
        channels = mode & 7
        times = [_CONVERSION_US[adc_config >> shift & 7] for bit, shift in ((1, 9), (2, 6), (4, 3)) if channels & bit]
        self._averages = _AVERAGES[adc_config & 7]
        self._period_us = sum(times) * self._averages
        self._continuous = mode > 8  # noqa: PLR2004  modes 1 to 7 convert once, 0 and 8 never
        self._channels = channels
        self._converted_us: int | None = at_us if channels else None
        self._words[Register.DIAG_ALRT] &= ~_CNVRF

    def _convert(self, at_us: int) -> None:
        if self._converted_us is None or at_us - self._converted_us < self._period_us:
            return
        if self._continuous:
            self._converted_us += (at_us - self._converted_us) // self._period_us * self._period_us
        else:
            self._converted_us = None
        sample = self._sense(at_us)
        self._measure(sample)
        self._sum_up(sample)
        self._compare()

    def _measure(self, sample: Sample) -> None:
        errors = self._errors
        quiet = math.sqrt(_QUIET_AVERAGES / self._averages)
        noise = self._random.gauss
        if self._channels & 1:
            volts = errors.volts(sample.volts, sample.celsius) + noise(0, errors.volts_noise * quiet)
            self._vbus = max(0, _clamp(volts / VBUS_LSB_VOLTS, 20))
        if self._channels & 2:
            amperes = errors.amperes(sample.amperes, sample.celsius) + noise(0, errors.amperes_noise * quiet)
            self._vshunt = _clamp(amperes * self._shunt_ohms / VSHUNT_LSB_VOLTS[self._range], 20)
        if self._channels & 4:
            self._dietemp = _clamp((sample.celsius + errors.celsius_offset) / DIETEMP_LSB_CELSIUS, 16)
        cal = self._words[Register.SHUNT_CAL]
        # Both ranges: VSHUNT_LSB * SHUNT_CAL_SCALE is 4096, or 1024 times the 4 in the calibration of range 1.
        self._current = _clamp(self._vshunt * 4096 / cal, 20) if cal else 0
        self._power = min(0xFFFFFF, self._vbus * abs(self._current) >> 14)

    def _sum_up(self, sample: Sample) -> None:
        """Add energy and charge as the chip would have measured them since the last conversion."""
        before, self._summed = self._summed, sample
        lsb = self.current_lsb_amperes
        if not lsb or not self._continuous or self._channels & 3 != 3:  # noqa: PLR2004  needs bus and shunt
            return
        errors, celsius = self._errors, sample.celsius
        volts_scale, amperes_scale = 1 + errors.volts_gain_at(celsius), 1 + errors.amperes_gain_at(celsius)
        volts_offset, amperes_offset = errors.volts(0.0, celsius), errors.amperes_offset_at(celsius)
        span_s = (sample.at_us - before.at_us) * 1e-6
        volt_seconds = (sample.volt_seconds - before.volt_seconds) * volts_scale + volts_offset * span_s
        joules = (sample.joules - before.joules) * volts_scale * amperes_scale
        joules += (sample.coulombs - before.coulombs) * amperes_scale * volts_offset + volt_seconds * amperes_offset
        joules = abs(joules) * (1 + errors.clock_gain)  # the part takes the power without its sign
        coulombs = (sample.coulombs - before.coulombs) * amperes_scale + amperes_offset * span_s
        coulombs *= 1 + errors.clock_gain
        self._charge += coulombs / lsb
        self._energy += joules / (16 * 3.2 * lsb)
        if self._energy >= 1 << 40:
            self._energy -= 1 << 40
            self._words[Register.DIAG_ALRT] |= _ENERGYOF
        if abs(self._charge) >= 1 << 39:
            self._charge -= math.copysign(1 << 40, self._charge)
            self._words[Register.DIAG_ALRT] |= _CHARGEOF

    def _compare(self) -> None:
        words, shunt_per_limit = self._words, 16  # 5 uV or 1.25 uV a step
        flags = 0
        flags |= _SHNTOL if self._vshunt > _signed(words[Register.SOVL]) * shunt_per_limit else 0
        flags |= _SHNTUL if self._vshunt < _signed(words[Register.SUVL]) * shunt_per_limit else 0
        flags |= _BUSOL if self._vbus > words[Register.BOVL] * 16 else 0
        flags |= _BUSUL if self._vbus < words[Register.BUVL] * 16 else 0
        flags |= _TMPOL if self._dietemp > _signed(words[Register.TEMP_LIMIT]) else 0
        flags |= _POL if self._power > words[Register.PWR_LIMIT] * 256 else 0
        flags |= 0 if words[Register.SHUNT_CAL] else _MATHOF
        diag = words[Register.DIAG_ALRT]
        kept = diag if diag & _ALATCH else diag & ~(_LIMIT_FLAGS | _MATHOF)
        words[Register.DIAG_ALRT] = kept | flags | _CNVRF | _MEMSTAT

    def _value(self, register: Register) -> int:
        measured = {
            Register.VSHUNT: self._vshunt << 4,
            Register.VBUS: self._vbus << 4,
            Register.CURRENT: self._current << 4,
            Register.DIETEMP: self._dietemp,
            Register.POWER: self._power,
            Register.ENERGY: int(self._energy),
            Register.CHARGE: int(self._charge),
        }
        return measured[register] if register in measured else self._words[register]

    def _clear_on_read(self, register: Register) -> None:
        diag = Register.DIAG_ALRT
        if register is Register.ENERGY:
            self._words[diag] &= ~_ENERGYOF
        elif register is Register.CHARGE:
            self._words[diag] &= ~_CHARGEOF
        elif register is diag:
            latched = _LIMIT_FLAGS if self._words[diag] & _ALATCH else 0
            self._words[diag] &= ~(_CNVRF | latched)
