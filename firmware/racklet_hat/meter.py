"""Measurement over one telemetry period, and energy and charge over the session."""

from array import array

from racklet_hat.power_monitor import MonitorError
from racklet_link.kernels import const, put_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from racklet_hat.ports import PowerMonitor

_TELEMETRY_SAMPLES = const(4)
_TELEMETRY_SUPPLY_UV = const(5)
_TELEMETRY_SUPPLY_MIN_UV = const(6)
_TELEMETRY_SUPPLY_MAX_UV = const(7)
_TELEMETRY_SUPPLY_UA = const(8)
_TELEMETRY_SUPPLY_MIN_UA = const(9)
_TELEMETRY_SUPPLY_MAX_UA = const(10)
_TELEMETRY_SUPPLY_UW = const(11)
_TELEMETRY_TEMPERATURE_MC = const(12)
_TELEMETRY_ENERGY_UJ = const(13)
_TELEMETRY_CHARGE_UC = const(22)

# Sums count in steps of 16 µV, 16 µA and 128 µW: below what a monitor resolves, and 3200 samples stay below 2**30.
_SHIFT = const(4)
_POWER_SHIFT = const(7)
_SAMPLES_MAX = const(3200)
_TEMPERATURE_EVERY = const(25)  # samples
_RETRY_EVERY = const(25)
_LOW_MAX = const(0x3FFFFFFF)
_CHARGE_BITS = const(35)  # an INA228 counts the charge modulo 2**40 steps of 625 / 32 µC
_OWED_MAX_UC = const(500_000_000)  # so that it stays a small integer


class Meter:
    """Samples a power monitor. `valid` is False while it does not answer or talks nonsense; then nothing is measured.

    `continues` tells that energy and charge count on from before this start: the monitor has kept its counters.
    """

    def __init__(self, monitor: "PowerMonitor") -> None:
        self.monitor = monitor
        self.valid = False
        self.nonsense = False  # why it is not valid: what it answers cannot be
        self.failures = 0  # samples without an answer, since the last with one
        self.continues = False
        self._known = False  # it was configured before
        self._turn = 0
        self._totals = array("i", (0, 0, 0, 0))  # µJ in units of 2**30, and the rest; µC likewise
        self._owed_uc = 0  # of the charge, at most 0: what flowed back is not counted again
        self._begin_period()

    def sample(self, now_ms: int) -> bool:
        """Read the monitor; tell whether it answered. A monitor that came back is configured first."""
        self._turn += 1
        if not self.valid and self.failures % _RETRY_EVERY:
            self.failures += 1
            return False
        try:
            self._read(now_ms)
        except MonitorError as error:
            self.valid = False
            self.nonsense = bool(error.args)
            self.failures += 1
        return self.valid

    def arm(self, alert_ma: int) -> None:
        """Let the monitor's alert tell of a current above that; at once, or when the monitor is back."""
        self.monitor.alert_ma = alert_ma
        try:
            self.monitor.arm()
        except MonitorError:
            self.valid = False

    def fill(self, slots: "array[int]") -> None:
        """Put the period that ends now into the slots of a Telemetry, and begin the next one."""
        count = self._samples
        slots[_TELEMETRY_SAMPLES] = count
        if count:
            try:
                self._take()
            except MonitorError:
                self.valid = False  # the counters stand at what was read before
            slots[_TELEMETRY_SUPPLY_UV] = (self._sum_uv // count) << _SHIFT
            slots[_TELEMETRY_SUPPLY_MIN_UV] = self._min_uv
            slots[_TELEMETRY_SUPPLY_MAX_UV] = self._max_uv
            slots[_TELEMETRY_SUPPLY_UA] = (self._sum_ua // count) << _SHIFT
            slots[_TELEMETRY_SUPPLY_MIN_UA] = self._min_ua
            slots[_TELEMETRY_SUPPLY_MAX_UA] = self._max_ua
            slots[_TELEMETRY_SUPPLY_UW] = (self._sum_uw // count) << _POWER_SHIFT
            slots[_TELEMETRY_TEMPERATURE_MC] = self.monitor.temperature_mc
            totals = self._totals
            put_time(slots, _TELEMETRY_ENERGY_UJ, totals[0], totals[1])
            put_time(slots, _TELEMETRY_CHARGE_UC, totals[2], totals[3])
        self._begin_period()

    def _read(self, now_ms: int) -> None:
        monitor = self.monitor
        if not self.valid:
            kept = monitor.configure()
            if not self._known:
                self._known = True
                self._begin_counting(kept)
        if monitor.sample(now_ms):
            if self._turn % _TEMPERATURE_EVERY == 0 or not self.valid:
                monitor.sample_temperature()
                self._take()
            self.valid = True
            self.nonsense = False
            self.failures = 0
            self._add(monitor.supply_uv, monitor.supply_ua, monitor.supply_uw)

    def _begin_counting(self, kept: bool) -> None:
        """Count on from what the monitor kept; but when it comes later than Hello, nobody knows of it any more."""
        energy_uj = self.monitor.take_energy_uj()
        charge_uc = self.monitor.take_charge_uc()
        if kept and self._turn == 1:
            self.continues = True
            self._count(0, energy_uj)
            self._count(2, charge_uc if charge_uc >= 0 else charge_uc + (625 << _CHARGE_BITS))

    def _begin_period(self) -> None:
        self._samples = 0
        self._sum_uv = self._sum_ua = self._sum_uw = 0
        self._min_uv = self._max_uv = self._min_ua = self._max_ua = 0

    def _add(self, supply_uv: int, supply_ua: int, supply_uw: int) -> None:
        if self._samples == _SAMPLES_MAX:
            return
        if self._samples == 0:
            self._min_uv = self._max_uv = supply_uv
            self._min_ua = self._max_ua = supply_ua
        self._samples += 1
        self._sum_uv += (supply_uv + 8) >> _SHIFT
        self._sum_ua += (supply_ua + 8) >> _SHIFT
        self._sum_uw += (supply_uw + 64) >> _POWER_SHIFT
        self._min_uv = min(self._min_uv, supply_uv)
        self._max_uv = max(self._max_uv, supply_uv)
        self._min_ua = min(self._min_ua, supply_ua)
        self._max_ua = max(self._max_ua, supply_ua)

    def _take(self) -> None:
        self._count(0, self.monitor.take_energy_uj())
        owed_uc = self._owed_uc + self.monitor.take_charge_uc()
        if owed_uc > 0:
            self._count(2, owed_uc)
            owed_uc = 0
        self._owed_uc = max(owed_uc, -_OWED_MAX_UC)

    def _count(self, at: int, amount: int) -> None:
        totals = self._totals
        totals[at] += amount >> 30
        amount &= _LOW_MAX
        room = _LOW_MAX - totals[at + 1]
        if amount > room:
            totals[at] += 1
            totals[at + 1] = amount - room - 1
        else:
            totals[at + 1] += amount
