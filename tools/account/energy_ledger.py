"""The books of the energy account: what hostd counted, beside what really flowed and how far it may be off."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from racklet_virtual.error_budget import band

if TYPE_CHECKING:
    from racklet.link.v1 import link_pb2
    from racklet_virtual.hardware import HatHardware

_SET_S = 0.0118  # a reading is as old as the monitor's last set of conversions, at most; see docs/metering.md
_STEP_J = 0.001  # of the monitor's counters
_STEP_C = 0.0000195


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a counter stood at a moment: the truth, and how far from it hostd may be, without the age of a reading."""

    true_j: float
    stated_j: float
    lag_j: float
    told_j: float = 0.0


@dataclass(slots=True)
class Outcome:
    """What came of a run. `at_stake_j`, `lost_j` and `shows_from_j` have an entry for each MCU reset.

    Attributes:
        telemetries: how many hostd folded into its counter.
        outside: after how many of them that counter was further from the truth than stated.
        most_of_band: the greatest part of the stated error that was used up, 1 being all.
        published: how often the published counter moved.
        steps_back: how often it moved back.
        hat_steps_back: how often the HAT told less than before.
        at_stake_j: what flowed between the last telemetry heard before a reset and the first one after it.
        lost_j: what of that is missing in hostd's counter beyond the stated error.
        shows_from_j: that error.
        dark_s: the longest time without a telemetry.
        switches: how often the supply was switched on, and off.
    """

    joules: float = 0.0
    true_joules: float = 0.0
    stated_joules: float = 0.0
    coulombs: float = 0.0
    true_coulombs: float = 0.0
    stated_coulombs: float = 0.0
    telemetries: int = 0
    outside: int = 0
    most_of_band: float = 0.0
    published: int = 0
    steps_back: int = 0
    hat_steps_back: int = 0
    at_stake_j: list[float] = field(default_factory=list)
    lost_j: list[float] = field(default_factory=list)
    shows_from_j: list[float] = field(default_factory=list)
    dark_s: float = 0.0
    resets: int = 0
    kills: int = 0
    pulls: int = 0
    switches: tuple[int, int] = (0, 0)


class Ledger:
    """Keeps the books while the run goes on. The truth is the virtual supply's."""

    def __init__(self, hardware: HatHardware) -> None:
        self.outcome = Outcome()
        self._hardware = hardware
        self._stated_at_ms = 0
        self._before = (0.0, 0.0)  # volt seconds and coulombs
        self._session = 0
        self._marks: dict[int, Mark] = {}  # by the sequence of a telemetry of this session
        self._last: Mark | None = None
        self._heard_ms = 0
        self._has_reset = False
        self._told_uj = 0
        self._published_uj = 0

    def flow(self, now_ms: int) -> None:
        """Add the error that docs/metering.md states for what flowed since the last call."""
        self._hardware.advance(now_ms * 1000)
        totals, outcome = self._hardware.supply.totals, self.outcome
        span_s = (now_ms - self._stated_at_ms) / 1000
        volts = (totals.volt_seconds - self._before[0]) / span_s
        amperes = (totals.coulombs - self._before[1]) / span_s
        limit = band(self._hardware.limits, volts, amperes, self._hardware.celsius)
        outcome.stated_joules += limit.joules_per_second * span_s
        outcome.stated_coulombs += limit.coulombs_per_second * span_s
        self._stated_at_ms, self._before = now_ms, (totals.volt_seconds, totals.coulombs)

    def tell(self, session: int, sequence: int, now_ms: int) -> None:
        """A HAT fills a telemetry in at this moment."""
        if session != self._session:
            self._session = session
            self._marks.clear()
        self._marks[sequence] = self._mark(now_ms)

    def hear(self, telemetry: link_pb2.Telemetry, folded_uj: int, now_ms: int) -> None:
        """Take a telemetry of the newest session that hostd has folded into its counter; that is not durable yet."""
        mark = self._marks.pop(telemetry.sequence)
        mark = Mark(mark.true_j, mark.stated_j, mark.lag_j, folded_uj / 1e6)
        outcome = self.outcome
        outcome.telemetries += 1
        outcome.hat_steps_back += telemetry.energy_uj < self._told_uj
        self._told_uj = telemetry.energy_uj
        used = abs(mark.told_j - mark.true_j) / (mark.stated_j + mark.lag_j)
        outcome.outside += used > 1
        outcome.most_of_band = max(outcome.most_of_band, used)
        outcome.dark_s = max(outcome.dark_s, (now_ms - self._heard_ms) / 1000)
        self._heard_ms = now_ms
        if self._has_reset and self._last is not None:
            self._settle_reset(self._last, mark)
        self._last = mark

    def reset(self) -> None:
        """The HAT's microcontroller resets."""
        self._has_reset = True

    def publish(self, energy_uj: int) -> None:
        """What hostd tells its readers from now on."""
        self.outcome.published += energy_uj != self._published_uj
        self.outcome.steps_back += energy_uj < self._published_uj
        self._published_uj = energy_uj

    def close(self, published_uj: int, published_uc: int, now_ms: int) -> Outcome:
        """Put hostd's last word beside the truth."""
        mark, outcome = self._mark(now_ms), self.outcome
        supply = self._hardware.supply
        outcome.joules, outcome.coulombs = published_uj / 1e6, published_uc / 1e6
        outcome.true_joules, outcome.true_coulombs = supply.totals.joules, supply.totals.coulombs
        outcome.stated_joules += mark.lag_j
        outcome.stated_coulombs += _SET_S * supply.amperes + _STEP_C
        outcome.switches = (supply.switch_ons, supply.switch_ons - supply.latch_on)
        return outcome

    def _mark(self, now_ms: int) -> Mark:
        self._hardware.advance(now_ms * 1000)
        supply = self._hardware.supply
        lag_j = _SET_S * supply.volts * supply.amperes + _STEP_J
        return Mark(supply.totals.joules, self.outcome.stated_joules, lag_j)

    def _settle_reset(self, before: Mark, after: Mark) -> None:
        self._has_reset = False
        at_stake_j = after.true_j - before.true_j
        missing_j = at_stake_j - (after.told_j - before.told_j)
        error_j = after.stated_j - before.stated_j + max(before.lag_j, after.lag_j)
        self.outcome.at_stake_j.append(at_stake_j)
        self.outcome.shows_from_j.append(error_j)
        self.outcome.lost_j.append(max(0.0, missing_j - error_j))
