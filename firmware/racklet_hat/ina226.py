"""The INA226 power monitor (TI, SBOS547): voltage and current. Energy and charge are summed here, over time."""

from racklet_hat.power_monitor import Monitor, MonitorError
from racklet_link.kernels import const, elapsed_ms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from racklet_hat.ports import I2C

_CONFIG = const(0x00)
_SHUNT = const(0x01)
_BUS = const(0x02)
_MASK_ENABLE = const(0x06)
_ALERT_LIMIT = const(0x07)
_MANUFACTURER_ID = const(0xFE)
_DIE_ID = const(0xFF)

_TEXAS_INSTRUMENTS = const(0x5449)
_INA226 = const(0x2260)

# Continuously voltage and current, 588 µs each, the mean of 16 (7.1.1): 18.8 ms, so that hardly a moment between two
# samples 20 ms apart is missed.
_MEASURE_BOTH = const(0x44DF)

_ALERT_ON_SHUNT = const(0x8001)  # shunt over-voltage, latched
_ALERTED = const(0x0010)
_CONVERTED = const(0x0008)
_SANE_MASK = const(0x83E1)  # the alert as it was set up, and the bits that are always 0 (7.1.7)
_STALE_MAX = const(5)  # samples: a slow part takes 20.7 ms
_SPAN_MAX_MS = const(4000)  # whoever did not look for longer does not know what flowed


class Ina226(Monitor):
    """A power monitor on I2C. It offers what `ports.PowerMonitor` says. Nothing here allocates after start."""

    def __init__(self, i2c: "I2C", address: int, shunt_uohm: int) -> None:
        Monitor.__init__(self, i2c, address, shunt_uohm)
        self._step_ua = 2_500_000 // shunt_uohm  # of 2.5 µV
        self._sampled_ms = -1
        self._energy = 0  # in 256 nJ
        self._charge = 0  # in 64 nC

    def configure(self) -> bool:
        """Check that it is an INA226 and let it measure; False: it counts nothing by itself. Raises MonitorError."""
        if self.read_16(_MANUFACTURER_ID) != _TEXAS_INSTRUMENTS or self.read_16(_DIE_ID) != _INA226:
            raise MonitorError
        self.was_set_up = self.read_16(_CONFIG) == _MEASURE_BOTH
        if not self.was_set_up:
            self.write_16(_CONFIG, _MEASURE_BOTH)
        self._stale = 0
        self._sampled_ms = -1
        self.arm()
        return False

    def arm(self) -> None:
        """Let the alert tell of a current above `alert_ma`. Raises MonitorError."""
        self.write_16(_ALERT_LIMIT, min(self.alert_ma * self._shunt_uohm // 2500, 0x7FFF))
        self.write_16(_MASK_ENABLE, _ALERT_ON_SHUNT)

    def sample(self, now_ms: int) -> bool:
        """Read voltage and current, add up; False when nothing new was measured. Raises MonitorError."""
        flags = self.read_16(_MASK_ENABLE)  # which also lets the alert go
        if flags & _SANE_MASK != _ALERT_ON_SHUNT:
            raise MonitorError(1)
        self.alerted = bool(flags & _ALERTED)
        if not flags & _CONVERTED:
            self._stale += 1
            if self._stale == _STALE_MAX:
                raise MonitorError(1)
            return False
        self._stale = 0
        steps = self.read_16(_BUS)
        if steps & 0x8000:
            raise MonitorError(1)
        self.supply_uv = steps * 1250
        steps = self.read_16(_SHUNT)
        if steps & 0x8000:
            steps -= 0x10000
        self.supply_ua = steps * self._step_ua
        # 2**16 pW are 1024 / 15625 µW, in two steps of 125 that stay small integers.
        self.supply_uw = (self.supply_uv >> 8) * (abs(self.supply_ua) >> 8) // 125 * 128 // 125 * 8
        self._add_up(now_ms)
        return True

    def sample_temperature(self) -> None:
        """Do nothing: it has no thermometer, and `temperature_mc` stays 0."""

    def take_energy_uj(self) -> int:
        """Return the energy since this was last called."""
        energy = self._energy
        self._energy = energy % 125
        return energy // 125 * 32

    def take_charge_uc(self) -> int:
        """Return the charge likewise, negative when it flowed back."""
        charge = self._charge
        self._charge = charge % 125
        return charge // 125 * 8

    def _add_up(self, now_ms: int) -> None:
        span_ms = elapsed_ms(now_ms, self._sampled_ms)
        if self._sampled_ms >= 0 and span_ms <= _SPAN_MAX_MS:
            self._energy += ((self.supply_uw + 128) >> 8) * span_ms
            self._charge += ((self.supply_ua + 32) >> 6) * span_ms
        self._sampled_ms = now_ms
