"""What the budget decides, for its shell to carry out and to tell."""

from dataclasses import dataclass
from enum import Enum

from racklet_hostd.budget.claim import ShedHow


class RefusedWhy(Enum):
    """Why a start will not be admitted."""

    NEVER_FITS = "never_fits"  # it needs more than the whole budget
    QUEUE_FULL = "queue_full"
    SHED = "shed"  # the node that waits for its restart is switched off instead


@dataclass(frozen=True, slots=True)
class Wait:
    """Why a start has not been admitted yet.

    Attributes:
        position: 1 is the next to be admitted.
        needed_mw: what the start adds to the claims.
        free_mw: what the claims leave of the limit; negative when they pass it.
        behind: the node right before it in the queue; "" for the first.
    """

    position: int
    needed_mw: int
    free_mw: int
    behind: str


@dataclass(frozen=True, slots=True)
class Queued:
    """The start has to wait."""

    node: str
    wait: Wait


@dataclass(frozen=True, slots=True)
class Admitted:
    """The node may start now. `claimed_mw` is what all claims come to then; `starts` is False when it runs anyway."""

    node: str
    waited_ms: int
    claimed_mw: int
    limit_mw: int
    starts: bool = True


@dataclass(frozen=True, slots=True)
class Refused:
    """The node may not start, and does not wait any more."""

    node: str
    why: RefusedWhy
    needed_mw: int
    limit_mw: int


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Who asked does not wait any more."""

    node: str
    waited_ms: int


@dataclass(frozen=True, slots=True)
class Shed:
    """The node is to be switched off, because the rack claims or draws too much."""

    node: str
    how: ShedHow
    claimed_mw: int
    drawn_mw: int
    limit_mw: int


@dataclass(frozen=True, slots=True)
class BudgetExceeded:
    """The rack claims or draws more than it may, from now on."""

    claimed_mw: int
    drawn_mw: int
    limit_mw: int


@dataclass(frozen=True, slots=True)
class BudgetKept:
    """The rack is within its budget again, after so long."""

    lasted_ms: int


Decision = Queued | Admitted | Refused | Cancelled | Shed | BudgetExceeded | BudgetKept
