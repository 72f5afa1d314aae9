"""What every power monitor has: 16-bit registers on I2C, what it measured last, and its errors."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from racklet_hat.ports import I2C


class MonitorError(Exception):
    """The power monitor does not answer or is another part; with an argument: what it answers cannot be."""


class Monitor:
    """The part of a driver that all monitors share."""

    def __init__(self, i2c: "I2C", address: int, shunt_uohm: int) -> None:
        self._i2c = i2c
        self._address = address
        self._shunt_uohm = shunt_uohm
        self._two = bytearray(2)
        self._stale = 0  # samples in a row without a new conversion
        self.was_set_up = False  # when it was configured last: it had kept its power and its settings
        self.alert_ma = 0
        self.alerted = False
        self.supply_uv = 0
        self.supply_ua = 0
        self.supply_uw = 0
        self.temperature_mc = 0

    def read_16(self, register: int) -> int:
        """Return a register. Raises MonitorError."""
        two = self._two
        self.read(register, two)
        return two[0] << 8 | two[1]

    def read(self, register: int, buf: bytearray) -> None:
        """Fill `buf` from a register. Raises MonitorError."""
        try:
            self._i2c.readfrom_mem_into(self._address, register, buf)
        except OSError:
            raise MonitorError

    def write_16(self, register: int, value: int) -> None:
        """Write a register. Raises MonitorError."""
        two = self._two
        two[0] = value >> 8
        two[1] = value & 255
        try:
            self._i2c.writeto_mem(self._address, register, two)
        except OSError:
            raise MonitorError
