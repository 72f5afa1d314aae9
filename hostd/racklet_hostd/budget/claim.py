"""What one node counts in the budget."""

from dataclasses import dataclass
from enum import Enum

from racklet_hostd.model import SupplyState

SHED_AGAIN_MS = 5_000  # after a shedding that failed; meanwhile the next node has its turn


class Phase(Enum):
    """How a node counts."""

    UNKNOWN = "unknown"  # its HAT has not been heard since hostd started
    OFF = "off"
    STARTING = "starting"
    ON = "on"


class ShedHow(Enum):
    """How a node is switched off."""

    GRACEFUL = "graceful"  # it is asked to shut down, and cut when the grace is over
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Demand:
    """What the config says of a node.

    Attributes:
        name: the node's.
        peak_mw: the most it draws while it runs.
        inrush_mw: the most it draws while it starts.
        priority: the higher, the earlier it is admitted and the later it is shed.
        start_ms: how long it counts as starting, from when its supply was switched on.
    """

    name: str
    peak_mw: int
    inrush_mw: int
    priority: int
    start_ms: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What a HAT tells, or that it is offline. The powers are None when nothing new was measured."""

    supply: SupplyState
    is_online: bool
    drawn_mw: int | None = None
    peak_mw: int | None = None


class Claim:
    """A node's place in the budget.

    What is seen, while no admitted start is on its way (`is_starting` False) and the HAT is online:

    | phase    | OFF, TRIPPED | STARTING | ON       | STOPPING | start time over |
    |----------|--------------|----------|----------|----------|-----------------|
    | UNKNOWN  | OFF          | STARTING | ON       | ON       | -               |
    | OFF      | -            | STARTING | STARTING | ON       | -               |
    | STARTING | OFF          | -        | -        | -        | ON              |
    | ON       | OFF          | STARTING | -        | -        | -               |

    Admission makes it STARTING and `is_starting`; what is seen counts again when the transaction has ended, and then
    the start time begins. A HAT that is offline changes nothing: its node counts as before.

    What it counts: OFF nothing; ON and UNKNOWN `claim_mw`; STARTING `start_mw`.

    Attributes:
        measured_mw: the most that was measured while it ran, since hostd started.
        measured_inrush_mw: likewise while it started.
        drawn_mw: what it draws, as measured last.
        asked: the number of its request that waits; None when none does.
        asked_ms: since when it waits.
        switched_ms: when it was admitted or found on.
        shed: how it is being shed, if it is.
    """

    def __init__(self, demand: Demand) -> None:
        self.demand = demand
        self.phase = Phase.UNKNOWN
        self.measured_mw = 0
        self.measured_inrush_mw = 0
        self.drawn_mw = 0
        self.asked: int | None = None
        self.asked_ms = 0
        self.switched_ms = 0
        self.shed: ShedHow | None = None
        self.is_starting = False
        self.is_online = False
        self._is_stopping = False
        self._before = Phase.UNKNOWN
        self._settled_ms: int | None = None
        self._shed_again_ms = 0

    @property
    def name(self) -> str:
        """The node's name."""
        return self.demand.name

    @property
    def claim_mw(self) -> int:
        """What it counts while it runs."""
        return max(self.demand.peak_mw, self.measured_mw)

    @property
    def start_mw(self) -> int:
        """What it counts while it starts."""
        return max(self.claim_mw, self.demand.inrush_mw, self.measured_inrush_mw)

    @property
    def counted_mw(self) -> int:
        """What it counts now."""
        if self.phase is Phase.OFF:
            return 0
        return self.start_mw if self.phase is Phase.STARTING else self.claim_mw

    @property
    def needed_mw(self) -> int:
        """What a start would add."""
        return self.start_mw - self.counted_mw

    @property
    def is_leaving(self) -> bool:
        """Whether it is on its way off."""
        return self.shed is not None or self._is_stopping

    @property
    def due_ms(self) -> int | None:
        """When its start time is over; None when that is not running."""
        return self._settled_ms

    @property
    def shed_again_ms(self) -> int:
        """Before this it is not shed again."""
        return self._shed_again_ms

    def may_be_shed(self, now_ms: int) -> bool:
        """Tell whether it runs, can be reached, and is not on its way already."""
        runs = self.phase in {Phase.STARTING, Phase.ON} and not self.is_starting
        return runs and self.is_online and not self.is_leaving and now_ms >= self._shed_again_ms

    def start(self, now_ms: int) -> None:
        """It was admitted, and its transaction begins."""
        self._before, self.phase = self.phase, Phase.STARTING
        self.is_starting = True
        self._settled_ms = None
        self.switched_ms = now_ms

    def take_back(self) -> None:
        """Nothing was asked of the HAT after the admission."""
        if self.is_starting:
            self.is_starting = False
            self.phase = self._before

    def end(self, now_ms: int) -> None:
        """The transaction ended in some way; it counts as starting until it is seen to be off."""
        if self.is_starting:
            self.is_starting = False
            self._settled_ms = now_ms + self.demand.start_ms

    def see(self, seen: Seen, now_ms: int) -> None:
        """Take what the HAT tells."""
        self.is_online = seen.is_online
        if not seen.is_online:
            return
        self._is_stopping = seen.supply is SupplyState.STOPPING
        self._measure(seen)
        if self.is_starting:
            return
        match seen.supply:
            case SupplyState.OFF | SupplyState.TRIPPED:
                self._see_off(seen)
            case SupplyState.STARTING:
                self._see_starting(now_ms)
            case SupplyState.ON:
                self._see_on(now_ms)
            case SupplyState.STOPPING if self.phase in {Phase.UNKNOWN, Phase.OFF}:
                self.phase = Phase.ON
            case _:
                pass

    def settle(self, now_ms: int) -> None:
        """Let time pass."""
        if self._settled_ms is not None and now_ms >= self._settled_ms:
            self._settled_ms = None
            self.phase = Phase.ON

    def shed_failed(self, now_ms: int) -> None:
        """It could not be switched off."""
        self.shed = None
        self._shed_again_ms = now_ms + SHED_AGAIN_MS

    def _see_off(self, seen: Seen) -> None:
        if self.phase is not Phase.OFF:
            self.drawn_mw = seen.drawn_mw or 0  # what it drew before is over
        self.phase = Phase.OFF
        self._settled_ms = None
        self.shed = None

    def _see_starting(self, now_ms: int) -> None:
        if self.phase is not Phase.STARTING:
            self.phase = Phase.STARTING
            self.switched_ms = now_ms
            self._settled_ms = now_ms + self.demand.start_ms

    def _see_on(self, now_ms: int) -> None:
        if self.phase is Phase.OFF:  # somebody else switched it on
            self._see_starting(now_ms)
        elif self.phase is Phase.UNKNOWN:
            self.phase = Phase.ON
            self.switched_ms = now_ms

    def _measure(self, seen: Seen) -> None:
        if seen.drawn_mw is not None:
            self.drawn_mw = seen.drawn_mw
        if seen.peak_mw is None:
            return
        if self.phase is Phase.STARTING:
            self.measured_inrush_mw = max(self.measured_inrush_mw, seen.peak_mw)
        elif self.phase is Phase.ON:
            self.measured_mw = max(self.measured_mw, seen.peak_mw)
