"""The INA228 power monitor (TI, SBOS997): voltage, current, power, energy and its own temperature."""

from racklet_hat.power_monitor import MonitorError
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
_MANUFACTURER_ID = const(0x3E)
_DEVICE_ID = const(0x3F)

_TEXAS_INSTRUMENTS = const(0x5449)
_INA228 = const(0x228)

# Continuous voltage, current and temperature, 1.052 ms each, mean of 4 (7.6.1.2): a new set every 12.6 ms.
_MEASURE_ALL = const(0xFB69)

# SHUNT_CAL = 13107.2e6 * CURRENT_LSB * R (8.1.2). 2560 at 10 mΩ makes the steps round numbers: current 19.53125 µA,
# power 3.2 times that, 62.5 µW, and energy 16 times that, 1 mJ.
_SHUNT_CAL_AT_10_MOHM = const(2560)


class Ina228:
    """A power monitor on I2C. It offers what `ports.PowerMonitor` says. Nothing here allocates after start."""

    def __init__(self, i2c: "I2C", address: int, shunt_uohm: int) -> None:
        self._i2c = i2c
        self._address = address
        self._shunt_cal = _SHUNT_CAL_AT_10_MOHM * shunt_uohm // 10_000
        self._two = bytearray(2)
        self._three = bytearray(3)
        self._five = bytearray(5)
        self._energy_mj = 0  # the low 30 bits of the accumulator when it was last read
        self.supply_uv = 0
        self.supply_ua = 0
        self.supply_uw = 0
        self.temperature_mc = 0

    def configure(self) -> None:
        """Check that it is an INA228 and let it measure. Its energy goes on counting. Raises MonitorError."""
        if self._read_16(_MANUFACTURER_ID) != _TEXAS_INSTRUMENTS or self._read_16(_DEVICE_ID) >> 4 != _INA228:
            raise MonitorError
        self._write_16(_CONFIG, 0)
        self._write_16(_ADC_CONFIG, _MEASURE_ALL)
        self._write_16(_SHUNT_CAL, self._shunt_cal)
        self._energy_mj = self._read_energy_mj()

    def sample(self) -> None:
        """Read voltage, current and power. Raises MonitorError."""
        self.supply_uv = (self._read_24(_VBUS) >> 4) * 3125 >> 4  # 195.3125 µV a step
        current = self._read_24(_CURRENT) >> 4
        if current & 0x80000:
            current -= 0x100000
        self.supply_ua = current * 625 >> 5
        self.supply_uw = self._read_24(_POWER) * 125 >> 1

    def sample_temperature(self) -> None:
        """Read the temperature of the die. Raises MonitorError."""
        steps = self._read_16(_DIETEMP)
        if steps & 0x8000:
            steps -= 0x10000
        self.temperature_mc = steps * 125 >> 4  # 7.8125 m°C a step

    def take_energy_mj(self) -> int:
        """Return the energy since this was last called, at most 2**30 - 1 mJ. Raises MonitorError."""
        before, self._energy_mj = self._energy_mj, self._read_energy_mj()
        return (self._energy_mj - before) & 0x3FFFFFFF

    def _read_energy_mj(self) -> int:
        five = self._five
        self._read(_ENERGY, five)
        return (five[1] & 0x3F) << 24 | five[2] << 16 | five[3] << 8 | five[4]

    def _read_16(self, register: int) -> int:
        two = self._two
        self._read(register, two)
        return two[0] << 8 | two[1]

    def _read_24(self, register: int) -> int:
        three = self._three
        self._read(register, three)
        return three[0] << 16 | three[1] << 8 | three[2]

    def _read(self, register: int, buf: bytearray) -> None:
        try:
            self._i2c.readfrom_mem_into(self._address, register, buf)
        except OSError:
            raise MonitorError

    def _write_16(self, register: int, value: int) -> None:
        two = self._two
        two[0] = value >> 8
        two[1] = value & 255
        try:
            self._i2c.writeto_mem(self._address, register, two)
        except OSError:
            raise MonitorError
