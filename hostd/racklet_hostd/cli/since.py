"""Times as people type them: a moment, or how long ago it was."""

import re
from datetime import UTC, datetime, timedelta

import typer

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SPAN = re.compile(r"([0-9]{1,9}) ?(s|sec|seconds?|m|min|minutes?|h|hours?|d|days?)( ago)?")
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_EXPECTED = "give 90s, 10m, 2h, 3d, or a time such as 2026-11-22T08:30 (here) or 2026-11-22T08:30:00Z"


def since(text: str) -> datetime:
    """Return the moment that the value of an option means; a usage error when it means none."""
    return moment(text, datetime.now(UTC))


def moment(text: str, now: datetime) -> datetime:
    """Return the moment that `text` means at `now`, which has its zone; a usage error when it means none.

    A time without a zone is one of this computer's.
    """
    try:
        if span := _SPAN.fullmatch(text.strip()):
            found = now - timedelta(**{_UNITS[span[2][0]]: int(span[1])})
        else:
            found = datetime.fromisoformat(text.strip()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(f"{text!r} is no time: {_EXPECTED}") from error
    if found < _FIRST:
        raise typer.BadParameter(f"{text!r} is before 1970")
    return found
