"""Measurement over one telemetry period, and energy over the session."""

from racklet_hat.power_monitor import MonitorError
from racklet_link.kernels import const, put_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array

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

# Sums count in steps of 16 µV, 16 µA and 128 µW: below what a monitor resolves, and 3200 samples stay below 2**30.
_SHIFT = const(4)
_POWER_SHIFT = const(7)
_SAMPLES_MAX = const(3200)
_TEMPERATURE_EVERY = const(25)  # samples
_RETRY_EVERY = const(25)


class Meter:
    """Samples a power monitor. `valid` is False while it does not answer; then nothing is measured, not zero."""

    def __init__(self, monitor: "PowerMonitor") -> None:
        self.monitor = monitor
        self.valid = False
        self.failures = 0  # samples without an answer, since the last with one
        self._turn = 0
        self._energy_high = 0  # µJ, in units of 2**30…
        self._energy_low = 0  # …and the rest
        self._begin_period()

    def sample(self) -> bool:
        """Read the monitor; tell whether it answered. A monitor that came back is configured first."""
        self._turn += 1
        try:
            if not self.valid:
                if self.failures % _RETRY_EVERY:
                    self.failures += 1
                    return False
                self.monitor.configure()
            self.monitor.sample()
            if self._turn % _TEMPERATURE_EVERY == 0 or not self.valid:
                self.monitor.sample_temperature()
                self._add_energy(self.monitor.take_energy_mj())
        except MonitorError:
            self.valid = False
            self.failures += 1
            return False
        self.valid = True
        self.failures = 0
        self._add(self.monitor.supply_uv, self.monitor.supply_ua, self.monitor.supply_uw)
        return True

    def fill(self, slots: "array[int]") -> None:
        """Put the period that ends now into the slots of a Telemetry, and begin the next one."""
        count = self._samples
        slots[_TELEMETRY_SAMPLES] = count
        if count:
            try:
                self._add_energy(self.monitor.take_energy_mj())
            except MonitorError:
                self.valid = False  # the energy stands at what was read before
        if count:
            slots[_TELEMETRY_SUPPLY_UV] = (self._sum_uv // count) << _SHIFT
            slots[_TELEMETRY_SUPPLY_MIN_UV] = self._min_uv
            slots[_TELEMETRY_SUPPLY_MAX_UV] = self._max_uv
            slots[_TELEMETRY_SUPPLY_UA] = (self._sum_ua // count) << _SHIFT
            slots[_TELEMETRY_SUPPLY_MIN_UA] = self._min_ua
            slots[_TELEMETRY_SUPPLY_MAX_UA] = self._max_ua
            slots[_TELEMETRY_SUPPLY_UW] = (self._sum_uw // count) << _POWER_SHIFT
            slots[_TELEMETRY_TEMPERATURE_MC] = self.monitor.temperature_mc
            put_time(slots, _TELEMETRY_ENERGY_UJ, self._energy_high, self._energy_low)
        self._begin_period()

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

    def _add_energy(self, energy_mj: int) -> None:
        energy_uj = energy_mj % 1_000_000 * 1000  # a kilojoule in half a second is no energy but a fault
        room = 0x3FFFFFFF - self._energy_low
        if energy_uj > room:
            self._energy_low = energy_uj - room - 1
            self._energy_high += 1
        else:
            self._energy_low += energy_uj
