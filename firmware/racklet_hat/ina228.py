"""The INA228 power monitor (TI, SLYS021): voltage, current, power, energy, charge and its own temperature."""

from array import array

from racklet_hat.power_monitor import Monitor, MonitorError
from racklet_link.kernels import const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from racklet_hat.ports import I2C

_CONFIG = const(0x00)
_ADC_CONFIG = const(0x01)
_SHUNT_CAL = const(0x02)
_VBUS = const(0x05)
_DIETEMP = const(0x06)
_CURRENT = const(0x07)
_POWER = const(0x08)
_ENERGY = const(0x09)
_CHARGE = const(0x0A)
_DIAG_ALRT = const(0x0B)
_SOVL = const(0x0C)
_MANUFACTURER_ID = const(0x3E)
_DEVICE_ID = const(0x3F)

_TEXAS_INSTRUMENTS = const(0x5449)
_INA228 = const(0x228)
_CLEAR_COUNTERS = const(0x4000)

# Continuously voltage for 150 µs, current for 540 µs, temperature for 50 µs (7.6.1.2): the alert, which takes single
# conversions, is at most 0.74 ms late. Registers hold the mean of 16, a new set every 11.8 ms.
_MEASURE_ALL = const(0xF502)

# SHUNT_CAL = 13107.2e6 * CURRENT_LSB * R (8.1.2). 2560 at 10 mΩ makes the steps round numbers: current 19.53125 µA,
# power 3.2 times that, 62.5 µW, and energy 16 times that, 1 mJ.
_SHUNT_CAL_AT_10_MOHM = const(2560)

_LATCH_ALERT = const(0x8000)
_ENERGY_OVERFLOW = const(0x0800)
_CHARGE_OVERFLOW = const(0x0400)
_SHUNT_OVER_LIMIT = const(0x0040)
_CONVERTED = const(0x0002)
# The alert latched as it was set up, a good memory, and the bit that is always 0 (7.6.1.12): a bus that is stuck at 0
# or 1 and a part that has lost its power in between read otherwise.
_SANE_MASK = const(0x8101)
_SANE = const(0x8001)
_STALE_MAX = const(3)  # samples
_OF_ENERGY = const(0)  # in `_taken`: the upper 10 of a counter's 40 bits, then the lower 30
_OF_CHARGE = const(2)
_LEAP = const(0x400000)  # 4.2 kJ or 82 C between two readings, half a second: not measured but misread
_LOW_MAX = const(0x3FFFFFFF)
_HALF = const(512)  # of the turns of the lower 30 bits
_VBUS_MAX = const(0x33333)  # 41 V: beyond what the input can be


class Ina228(Monitor):
    """A power monitor on I2C. It offers what `ports.PowerMonitor` says. Nothing here allocates after start."""

    def __init__(self, i2c: "I2C", address: int, shunt_uohm: int) -> None:
        Monitor.__init__(self, i2c, address, shunt_uohm)
        self._three = bytearray(3)
        self._five = bytearray(5)
        self._taken = array("i", (0, 0, 0, 0))  # both counters when they were last taken
        self._charge_rest = 0  # steps, less than 32
        self._overflows = 0
        self._is_fresh = True  # nothing was taken since it was configured

    def configure(self) -> bool:
        """Check that it is an INA228 and let it measure; tell whether it did so already. Raises MonitorError."""
        if self.read_16(_MANUFACTURER_ID) != _TEXAS_INSTRUMENTS or self.read_16(_DEVICE_ID) >> 4 != _INA228:
            raise MonitorError
        shunt_cal = _SHUNT_CAL_AT_10_MOHM * self._shunt_uohm // 10_000
        kept = self.was_set_up = self.read_16(_SHUNT_CAL) == shunt_cal and self.read_16(_ADC_CONFIG) == _MEASURE_ALL
        if not kept:
            self.write_16(_CONFIG, _CLEAR_COUNTERS)
            self.write_16(_ADC_CONFIG, _MEASURE_ALL)
            self.write_16(_SHUNT_CAL, shunt_cal)
            for index in range(4):
                self._taken[index] = 0
        self._stale = 0
        self._is_fresh = True
        self.arm()
        return kept

    def arm(self) -> None:
        """Let the alert tell of a current above `alert_ma`. Raises MonitorError."""
        self.write_16(_SOVL, min(self.alert_ma * self._shunt_uohm // 5000, 0x7FFF))  # 5 µV a step (7.6.1.13)
        self.write_16(_DIAG_ALRT, _LATCH_ALERT)

    def sample(self, _now_ms: int) -> bool:
        """Read voltage, current and power; False when nothing new was measured. Raises MonitorError."""
        diagnosis = self.read_16(_DIAG_ALRT)  # which also lets the alert go
        if diagnosis & _SANE_MASK != _SANE:
            raise MonitorError(1)
        self._overflows |= diagnosis
        self.alerted = bool(diagnosis & _SHUNT_OVER_LIMIT)
        if not diagnosis & _CONVERTED:
            self._stale += 1
            if self._stale == _STALE_MAX:
                raise MonitorError(1)
            return False
        self._stale = 0
        steps = self._read_24(_VBUS) >> 4
        if steps > _VBUS_MAX:
            raise MonitorError(1)
        self.supply_uv = steps * 3125 >> 4  # 195.3125 µV a step
        steps = self._read_24(_CURRENT) >> 4
        if steps & 0x80000:
            steps -= 0x100000
        self.supply_ua = steps * 625 >> 5
        self.supply_uw = self._read_24(_POWER) * 125 >> 1
        return True

    def sample_temperature(self) -> None:
        """Read the temperature of the die. Raises MonitorError."""
        steps = self.read_16(_DIETEMP)
        if steps & 0x8000:
            steps -= 0x10000
        self.temperature_mc = steps * 125 >> 4  # 7.8125 m°C a step

    def take_energy_uj(self) -> int:
        """Return the energy since this was last called; at first, since the part counts. Raises MonitorError."""
        return self._take(_ENERGY, _OF_ENERGY, _ENERGY_OVERFLOW) * 1000

    def take_charge_uc(self) -> int:
        """Return the charge likewise, negative when it flowed back. Call it after the energy. Raises MonitorError."""
        steps = self._take(_CHARGE, _OF_CHARGE, _CHARGE_OVERFLOW) + self._charge_rest
        self._is_fresh = False
        self._charge_rest = steps & 31
        return (steps >> 5) * 625  # 19.53125 µC a step

    def _take(self, register: int, at: int, overflow: int) -> int:
        """Return how many steps a counter of 40 bits went, over its end as well."""
        five = self._five
        self.read(register, five)
        taken = self._taken
        high = five[0] << 2 | five[1] >> 6
        low = (five[1] & 0x3F) << 24 | five[2] << 16 | five[3] << 8 | five[4]
        turns = high - taken[at]
        steps = low - taken[at + 1]
        if steps < 0:
            steps = steps + _LOW_MAX + 1
            turns -= 1
        went_over = turns < 0
        turns &= 2 * _HALF - 1
        overflowed = self._is_fresh and bool(self._overflows & overflow)
        if at == _OF_CHARGE and turns >= _HALF and not overflowed:
            turns -= 2 * _HALF  # the counter of the charge has a sign
        elif at == _OF_ENERGY and overflowed and not went_over:
            turns += 2 * _HALF  # it went all the way round while nobody read it
        if not self._is_fresh and (turns > 0 or turns < -1 or (steps if turns == 0 else _LOW_MAX - steps) > _LEAP):
            raise MonitorError(1)
        self._overflows &= ~overflow
        taken[at] = high
        taken[at + 1] = low
        return turns << 30 | steps

    def _read_24(self, register: int) -> int:
        three = self._three
        self.read(register, three)
        return three[0] << 16 | three[1] << 8 | three[2]
