"""What a check found."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How it stands. UNKNOWN: this user may not see it, or this computer does not tell."""

    GOOD = "good"
    WARNING = "warning"
    PROBLEM = "problem"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        area: such as "config" or "ports".
        what: what was found, a sentence without its full stop.
        advice: what to do; "" when there is nothing to do.
    """

    verdict: Verdict
    area: str
    what: str
    advice: str = ""


def good(area: str, what: str) -> Finding:
    """Return that all is well."""
    return Finding(Verdict.GOOD, area, what)


def warning(area: str, what: str, advice: str) -> Finding:
    """Return what works, but not as it should."""
    return Finding(Verdict.WARNING, area, what, advice)


def problem(area: str, what: str, advice: str) -> Finding:
    """Return what does not work."""
    return Finding(Verdict.PROBLEM, area, what, advice)


def unknown(area: str, what: str, advice: str = "") -> Finding:
    """Return what cannot be told."""
    return Finding(Verdict.UNKNOWN, area, what, advice)
