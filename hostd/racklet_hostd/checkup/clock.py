"""The computer's clock: every log, event and certificate goes by it."""

from collections.abc import Iterator
from datetime import UTC, datetime

from racklet_hostd.checkup.finding import Finding, good, problem, unknown, warning
from racklet_hostd.checkup.system import System

AREA = "clock"
_WRITTEN = datetime(2026, 11, 1, tzinfo=UTC)  # this program is not older


def check_clock(system: System) -> Iterator[Finding]:
    """Look whether the clock can be right, and whether somebody sets it."""
    now = datetime.fromtimestamp(system.unix_s(), UTC)
    shown = f"it is {now:%Y-%m-%d %H:%M:%S} UTC"
    if now < _WRITTEN:
        yield problem(AREA, f"{shown}, which is in the past", "set it: sudo timedatectl set-ntp true")
        return
    match system.ask("timedatectl", "show", "--property=NTPSynchronized", "--value"):
        case "yes":
            yield good(AREA, f"{shown}, by the network")
        case "no":
            yield warning(AREA, f"{shown}; nothing sets it", "an NTP client does: sudo apt install systemd-timesyncd")
        case _:
            yield unknown(AREA, f"{shown}; whether something sets it cannot be told here")
