"""The budget's decisions as events: a kind and a sentence."""

from racklet_hostd.budget.claim import ShedHow
from racklet_hostd.budget.decisions import (
    Admitted,
    BudgetExceeded,
    BudgetKept,
    Cancelled,
    Decision,
    Queued,
    Refused,
    RefusedWhy,
    Shed,
    Wait,
)

_MW_PER_W = 1_000
_MS_PER_S = 1_000


def watts(mw: int) -> str:
    """Return milliwatts as watts, such as "15.0 W"."""
    return f"{mw / _MW_PER_W:.1f} W"


def wait_reason(wait: Wait, limit_mw: int) -> str:
    """Return why a start waits."""
    needs = f"it needs {watts(wait.needed_mw)} more, and {watts(max(0, wait.free_mw))} of {watts(limit_mw)} are free"
    return f"{needs}; {wait.behind} is before it" if wait.behind else needs


def refused_reason(refused: Refused) -> str:
    """Return why a start was refused."""
    match refused.why:
        case RefusedWhy.NEVER_FITS:
            return f"it needs {watts(refused.needed_mw)}, and the whole budget is {watts(refused.limit_mw)}"
        case RefusedWhy.QUEUE_FULL:
            return "too many starts wait already"
        case RefusedWhy.SHED:
            return "it is being switched off, because the rack exceeds its budget"


def describe(decision: Decision) -> tuple[str, str]:  # noqa: PLR0911  one for each decision
    """Return the event's kind and its sentence."""
    match decision:
        case Queued(_, wait):
            return "power_queued", f"The start waits at place {wait.position}."
        case Admitted(_, waited_ms, claimed_mw, limit_mw):
            after = f" after {_seconds(waited_ms)}" if waited_ms else ""
            sum_then = f"claims are {watts(claimed_mw)} of {watts(limit_mw)}"
            return "power_admitted", f"The start is admitted{after}: {sum_then}."
        case Refused():
            return "power_refused", f"The start is refused: {refused_reason(decision)}."
        case Cancelled(_, waited_ms):
            return "power_cancelled", f"The start waits no more: its caller left after {_seconds(waited_ms)}."
        case Shed(how=how):
            deed = "cut" if how is ShedHow.CUT else "asked to shut down"
            return "power_shed", f"The node is {deed} to keep the budget: {_sums(decision)}."
        case BudgetExceeded():
            return "power_exceeded", f"The rack exceeds its power budget: {_sums(decision)}."
        case BudgetKept(lasted_ms):
            return "power_kept", f"The rack is within its power budget again, after {_seconds(lasted_ms)}."


def _sums(decision: Shed | BudgetExceeded) -> str:
    claimed, drawn, limit = watts(decision.claimed_mw), watts(decision.drawn_mw), watts(decision.limit_mw)
    return f"claims are {claimed} and {drawn} are drawn, of {limit}"


def _seconds(span_ms: int) -> str:
    return f"{span_ms / _MS_PER_S:.1f} s"
