"""The registers of a TI INA226 power monitor (data sheet SBOS547). Pure: time comes in as microseconds."""

from __future__ import annotations

import random
from enum import IntEnum
from typing import TYPE_CHECKING

from racklet_virtual.error_budget import NO_ERRORS, SHUNT_OHMS, MonitorErrors

if TYPE_CHECKING:
    from collections.abc import Callable

    from racklet_virtual.ina228 import Sample


class Register(IntEnum):
    """The addresses of the registers."""

    CONFIG = 0x00
    SHUNT = 0x01
    BUS = 0x02
    POWER = 0x03
    CURRENT = 0x04
    CALIBRATION = 0x05
    MASK_ENABLE = 0x06
    ALERT_LIMIT = 0x07
    MANUFACTURER_ID = 0xFE
    DIE_ID = 0xFF


SHUNT_LSB_VOLTS = 2.5e-6
BUS_LSB_VOLTS = 1.25e-3

_POWER_ON = {
    Register.CONFIG: 0x4127,
    Register.SHUNT: 0,
    Register.BUS: 0,
    Register.POWER: 0,
    Register.CURRENT: 0,
    Register.CALIBRATION: 0,
    Register.MASK_ENABLE: 0,
    Register.ALERT_LIMIT: 0,
}
_WRITABLE = {Register.CONFIG, Register.CALIBRATION, Register.MASK_ENABLE, Register.ALERT_LIMIT}
_CONVERSION_US = (140, 204, 332, 588, 1100, 2116, 4156, 8244)
_AVERAGES = (1, 4, 16, 64, 128, 256, 512, 1024)
_RESET = 1 << 15
_SHUNT_OVER, _ALERT_FLAG, _CONVERTED, _LATCH = 1 << 15, 1 << 4, 1 << 3, 1
_MASK_WRITABLE = 0xFC03
_CONTINUOUS_BOTH = 7


class Ina226:
    """One monitor, measuring shunt and bus continuously: the registers hold the mean of the last set of conversions.

    Of the alert functions it has the one for too high a shunt voltage, which is compared after every set.
    """

    def __init__(self, sense: Callable[[int], Sample], *, errors: MonitorErrors = NO_ERRORS, seed: int = 0) -> None:
        self._sense = sense
        self._errors = errors
        self._random = random.Random(seed)  # noqa: S311  noise
        self._words = dict(_POWER_ON)
        self._since = sense(0)

    def read(self, register: int, at_us: int) -> bytes:
        """Return a register's two bytes, most significant first. Registers that do not exist read as 0."""
        self.watch(at_us)
        if register == Register.MANUFACTURER_ID:
            return b"TI"
        if register == Register.DIE_ID:
            return b"\x22\x60"
        word = self._words.get(Register(register), 0) if register in _POWER_ON else 0
        if register == Register.MASK_ENABLE:
            latched = _ALERT_FLAG if self._words[Register.MASK_ENABLE] & _LATCH else 0
            self._words[Register.MASK_ENABLE] &= ~(_CONVERTED | latched)
        return word.to_bytes(2, "big")

    def write(self, register: int, data: bytes, at_us: int) -> None:
        """Write a register. Other widths and read-only registers are ignored, as the chip does."""
        self.watch(at_us)
        if len(data) != 2 or register not in _WRITABLE:  # noqa: PLR2004
            return
        word = int.from_bytes(data, "big")
        if register == Register.CONFIG:
            if word & _RESET:
                self._words = dict(_POWER_ON)
                word = _POWER_ON[Register.CONFIG]
            self._since = self._sense(at_us)
        elif register == Register.MASK_ENABLE:
            word = word & _MASK_WRITABLE | self._words[Register.MASK_ENABLE] & _CONVERTED
        self._words[Register(register)] = word

    def alert_low(self, at_us: int) -> bool:
        """Whether the open-drain ALERT output pulls low."""
        self.watch(at_us)
        return bool(self._words[Register.MASK_ENABLE] & _ALERT_FLAG)

    def exceeds(self, amperes: float) -> bool:
        """Whether a set of this current, without the errors, would raise the alert that is not raised yet."""
        words = self._words
        over = amperes * SHUNT_OHMS / SHUNT_LSB_VOLTS > words[Register.ALERT_LIMIT]
        return over and words[Register.MASK_ENABLE] & (_SHUNT_OVER | _ALERT_FLAG) == _SHUNT_OVER

    @property
    def is_alerting(self) -> bool:
        """Whether the alert is raised."""
        return bool(self._words[Register.MASK_ENABLE] & _ALERT_FLAG)

    @property
    def cycle_us(self) -> int:
        """How long a set of conversions takes: the longest before the limit is compared again."""
        config = self._words[Register.CONFIG]
        both = _CONVERSION_US[config >> 6 & 7] + _CONVERSION_US[config >> 3 & 7]
        return both * _AVERAGES[config >> 9 & 7]

    def watch(self, at_us: int) -> None:
        """Convert up to now."""
        elapsed_us = at_us - self._since.at_us
        if elapsed_us < self.cycle_us or self._words[Register.CONFIG] & 7 != _CONTINUOUS_BOTH:
            return
        before, self._since = self._since, self._sense(at_us)
        span_s = elapsed_us * 1e-6
        volts = (self._since.volt_seconds - before.volt_seconds) / span_s
        amperes = (self._since.coulombs - before.coulombs) / span_s
        errors, celsius, noise = self._errors, self._since.celsius, self._random.gauss
        volts = errors.volts(volts, celsius) + noise(0, errors.volts_noise)
        amperes = errors.amperes(amperes, celsius) + noise(0, errors.amperes_noise)
        shunt = max(-0x8000, min(0x7FFF, round(amperes * SHUNT_OHMS / SHUNT_LSB_VOLTS)))
        words = self._words
        words[Register.BUS] = max(0, min(0x7FFF, round(volts / BUS_LSB_VOLTS)))
        words[Register.SHUNT] = shunt & 0xFFFF
        over = words[Register.MASK_ENABLE] & _SHUNT_OVER and shunt > words[Register.ALERT_LIMIT]
        kept = words[Register.MASK_ENABLE]
        kept = kept if kept & _LATCH else kept & ~_ALERT_FLAG
        words[Register.MASK_ENABLE] = kept | _CONVERTED | (_ALERT_FLAG if over else 0)
