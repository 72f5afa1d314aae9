"""Whether a node lives, and what to do when it does not. Pure: times come in, verdicts come out."""

from collections import deque
from dataclasses import dataclass
from enum import Enum

HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class LifeRules:
    """What is expected of a node.

    Attributes:
        boot_ms: how long after its supply came on it need not give a sign.
        silence_ms: how long its console may be silent; None when that tells nothing.
        probe_failures: after how many failed probes in a row it is taken for dead; None when it is not probed.
        recoveries_per_hour: how often it is cycled within an hour at most; 0 means that it is only reported.
    """

    boot_ms: int
    silence_ms: int | None
    probe_failures: int | None
    recoveries_per_hour: int


class Step(Enum):
    """What to do about a node."""

    REPORT = "report"  # it gives no sign of life, and is left as it is
    RECOVER = "recover"  # likewise, and shall be cycled
    GIVE_UP = "give up"  # likewise, but it was cycled as often as it may be
    REJOICE = "rejoice"  # it gives signs of life again


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do, and why, as a part of a sentence."""

    step: Step
    why: str


class _State(Enum):
    RESTING = "resting"
    BOOTING = "booting"
    ALIVE = "alive"
    LOST = "lost"


class LifeWatch:
    """Watches one node.

    | state | it is so when | leaves it |
    |---|---|---|
    | resting | its supply is not on, or its HAT is offline | supply on: booting |
    | booting | the supply came on, less than boot_ms ago | boot_ms are over: alive |
    | alive | signs come as expected | a sign is missing: lost, with a verdict |
    | lost | it was reported, cycled or given up | a sign comes: alive, REJOICE; supply off: resting |

    A recovery takes the supply off and on, and so leads through resting and booting to alive. Each counts for an hour.
    """

    def __init__(self, rules: LifeRules) -> None:
        self._rules = rules
        self._state = _State.RESTING
        self._since_ms = 0
        self._heard_ms = 0
        self._failures = 0
        self._failure = ""
        self._recoveries: deque[int] = deque(maxlen=max(1, rules.recoveries_per_hour))

    @property
    def wants_probes(self) -> bool:
        """Whether a probe would tell something now."""
        return self._rules.probe_failures is not None and self._state in {_State.ALIVE, _State.LOST}

    def see_supply(self, *, on: bool, now_ms: int) -> None:
        """Take note of the supply; an offline HAT's counts as off, since nobody knows."""
        if on and self._state is _State.RESTING:
            self._enter(_State.BOOTING, now_ms)
        elif not on:
            self._enter(_State.RESTING, now_ms)

    def hear_console(self, now_ms: int) -> None:
        """Take note that the node said something."""
        self._heard_ms = now_ms

    def take_probe(self, failure: str) -> None:
        """Take the outcome of a probe: "" when the node answered, else why not."""
        self._failures = self._failures + 1 if failure else 0
        self._failure = failure

    def tick(self, now_ms: int) -> Verdict | None:
        """Return what there is to do now. Call it about once a second."""
        if self._state is _State.BOOTING and now_ms - self._since_ms >= self._rules.boot_ms:
            self._enter(_State.ALIVE, now_ms)
        if self._state not in {_State.ALIVE, _State.LOST}:
            return None
        missing = self._missing(now_ms)
        if self._state is _State.LOST:
            if missing:
                return None
            self._state = _State.ALIVE
            return Verdict(Step.REJOICE, "it gives signs of life again")
        if not missing:
            return None
        self._state = _State.LOST
        return Verdict(self._step(now_ms), missing)

    def _enter(self, state: _State, now_ms: int) -> None:
        self._state = state
        self._since_ms = self._heard_ms = now_ms
        self._failures = 0

    def _missing(self, now_ms: int) -> str:
        """Say which sign of life is missing; "" when none is."""
        silence_ms = now_ms - self._heard_ms
        if self._rules.silence_ms is not None and silence_ms >= self._rules.silence_ms:
            return f"its console has been silent for {silence_ms / 1000:.0f} s"
        if self._rules.probe_failures is not None and self._failures >= self._rules.probe_failures:
            return f"{self._failures} probes in a row failed: {self._failure}"
        return ""

    def _step(self, now_ms: int) -> Step:
        most = self._rules.recoveries_per_hour
        if most == 0:
            return Step.REPORT
        if len(self._recoveries) == most and now_ms - self._recoveries[0] < HOUR_MS:
            return Step.GIVE_UP
        self._recoveries.append(now_ms)
        return Step.RECOVER
