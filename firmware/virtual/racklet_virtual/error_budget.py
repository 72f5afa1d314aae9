"""How far a HAT's measurements may be off: what docs/metering.md states, and what virtual electronics are drawn from.

Limits are those of the data sheets (INA228: SLYS021, INA226: SBOS547), maxima at 25 °C and their drift.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

SHUNT_OHMS = 0.01
SHUNT_TOLERANCE = 0.005
SHUNT_DRIFT = 50e-6  # per °C
REFERENCE_CELSIUS = 25.0
_NOISE_SIGMAS = 6


@dataclass(frozen=True, slots=True)
class PartLimits:
    """A monitor's greatest errors. Gains are relative, drifts per °C, `clock` that of its time base.

    `volts_noise` and `amperes_noise` are rms values of one set of registers, `*_step` half the least step.
    """

    volts_gain: float
    volts_gain_drift: float
    volts_offset: float
    volts_offset_drift: float
    volts_noise: float
    volts_step: float
    shunt_gain: float
    shunt_gain_drift: float
    shunt_offset: float
    shunt_offset_drift: float
    shunt_noise: float
    shunt_step: float
    celsius: float
    clock: float


INA228 = PartLimits(
    volts_gain=0.0005,
    volts_gain_drift=20e-6,
    volts_offset=2.5e-3,
    volts_offset_drift=20e-6,
    volts_noise=150e-6,
    volts_step=98e-6,
    shunt_gain=0.0005,
    shunt_gain_drift=20e-6,
    shunt_offset=1e-6,
    shunt_offset_drift=10e-9,
    shunt_noise=0.5e-6,
    shunt_step=0.16e-6,
    celsius=2.0,
    clock=0.01,
)
INA226 = PartLimits(
    volts_gain=0.001,
    volts_gain_drift=50e-6,
    volts_offset=7.5e-3,
    volts_offset_drift=40e-6,
    volts_noise=300e-6,
    volts_step=625e-6,
    shunt_gain=0.001,
    shunt_gain_drift=50e-6,
    shunt_offset=10e-6,
    shunt_offset_drift=0.1e-6,
    shunt_noise=1e-6,
    shunt_step=1.25e-6,
    celsius=0.0,
    clock=100e-6,  # the microcontroller's crystal
)


@dataclass(frozen=True, slots=True)
class Band:
    """The greatest error of each quantity for a load; energy and charge for each second that it lasts."""

    volts: float
    amperes: float
    watts: float
    joules_per_second: float
    coulombs_per_second: float


def band(part: PartLimits, volts: float, amperes: float, celsius: float = REFERENCE_CELSIUS) -> Band:
    """Return the greatest errors, all at their worst at once."""
    drift = abs(celsius - REFERENCE_CELSIUS)
    volts_steady = volts * (part.volts_gain + part.volts_gain_drift * drift)
    volts_steady += part.volts_offset + part.volts_offset_drift * drift + part.volts_step
    gain = SHUNT_TOLERANCE + SHUNT_DRIFT * drift + part.shunt_gain + part.shunt_gain_drift * drift
    shunt = part.shunt_offset + part.shunt_offset_drift * drift + part.shunt_step
    amperes_steady = abs(amperes) * gain + shunt / SHUNT_OHMS
    watts_steady = _product(volts, volts_steady, amperes, amperes_steady)
    volts_error = volts_steady + _NOISE_SIGMAS * part.volts_noise
    amperes_error = amperes_steady + _NOISE_SIGMAS * part.shunt_noise / SHUNT_OHMS
    return Band(
        volts=volts_error,
        amperes=amperes_error,
        watts=_product(volts, volts_error, amperes, amperes_error),
        joules_per_second=watts_steady + (volts * abs(amperes) + watts_steady) * part.clock,
        coulombs_per_second=amperes_steady + (abs(amperes) + amperes_steady) * part.clock,
    )


@dataclass(frozen=True, slots=True)
class MonitorErrors:
    """How far one monitor and its shunt are off: gains relative, offsets absolute, drifts per °C from 25 °C.

    Noise is the rms of one set of registers; `clock_gain` is how much too fast it counts energy and charge.
    """

    volts_gain: float = 0.0
    volts_gain_drift: float = 0.0
    volts_offset: float = 0.0
    volts_offset_drift: float = 0.0
    volts_noise: float = 0.0
    amperes_gain: float = 0.0
    amperes_gain_drift: float = 0.0
    amperes_offset: float = 0.0
    amperes_offset_drift: float = 0.0
    amperes_noise: float = 0.0
    celsius_offset: float = 0.0
    clock_gain: float = 0.0

    def volts(self, truth: float, celsius: float) -> float:
        """Return what is measured but for the noise."""
        drift = celsius - REFERENCE_CELSIUS
        return truth * (1 + self.volts_gain_at(celsius)) + self.volts_offset + self.volts_offset_drift * drift

    def amperes(self, truth: float, celsius: float) -> float:
        """Return what is measured but for the noise."""
        return truth * (1 + self.amperes_gain_at(celsius)) + self.amperes_offset_at(celsius)

    def volts_gain_at(self, celsius: float) -> float:
        """Return the relative error of voltages."""
        return self.volts_gain + self.volts_gain_drift * (celsius - REFERENCE_CELSIUS)

    def amperes_gain_at(self, celsius: float) -> float:
        """Return the relative error of currents."""
        return self.amperes_gain + self.amperes_gain_drift * (celsius - REFERENCE_CELSIUS)

    def amperes_offset_at(self, celsius: float) -> float:
        """Return the offset of currents."""
        return self.amperes_offset + self.amperes_offset_drift * (celsius - REFERENCE_CELSIUS)


NO_ERRORS = MonitorErrors()


def drawn(part: PartLimits, seed: int) -> MonitorErrors:
    """Return the errors of one specimen: anything within the limits, each as likely as any other."""
    source = random.Random(seed)  # noqa: S311  no secret

    def within(*limits: float) -> float:
        return sum(source.uniform(-limit, limit) for limit in limits)

    return MonitorErrors(
        volts_gain=within(part.volts_gain),
        volts_gain_drift=within(part.volts_gain_drift),
        volts_offset=within(part.volts_offset),
        volts_offset_drift=within(part.volts_offset_drift),
        volts_noise=part.volts_noise,
        amperes_gain=within(SHUNT_TOLERANCE, part.shunt_gain),
        amperes_gain_drift=within(SHUNT_DRIFT, part.shunt_gain_drift),
        amperes_offset=within(part.shunt_offset) / SHUNT_OHMS,
        amperes_offset_drift=within(part.shunt_offset_drift) / SHUNT_OHMS,
        amperes_noise=part.shunt_noise / SHUNT_OHMS,
        celsius_offset=within(part.celsius),
        clock_gain=within(part.clock),
    )


def _product(volts: float, volts_error: float, amperes: float, amperes_error: float) -> float:
    return volts * amperes_error + abs(amperes) * volts_error + volts_error * amperes_error
