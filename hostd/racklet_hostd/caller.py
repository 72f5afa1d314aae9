"""Who asks hostd for something."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as well as hostd can know.

    Attributes:
        who: "uid 1000", "loopback", or a policy of hostd's own, such as "policy:budget".
        peer: from where, as gRPC tells it; "hostd" for a policy.
    """

    who: str
    peer: str


UNKNOWN_CALLER = Caller("unknown", "")
BUDGET_POLICY = Caller("policy:budget", "hostd")
WATCHDOG_POLICY = Caller("policy:watchdog", "hostd")


def faults_policy(starter: str) -> Caller:
    """Return who moves supplies in a run of faults; `starter` is whose run it is."""
    return Caller(f"policy:faults for {starter}", "hostd")
