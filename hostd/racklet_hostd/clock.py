"""Time, handed in wherever logic decides by it."""

import time
from typing import Protocol

_NS_PER_MS = 1_000_000


class Clock(Protocol):
    """Tells the time in whole milliseconds."""

    def monotonic_ms(self) -> int:
        """Return a time that never jumps, for spans."""

    def unix_ms(self) -> int:
        """Return the wall time, for records."""


class SystemClock:
    """The computer's clocks."""

    def monotonic_ms(self) -> int:
        """Return a time that never jumps, for spans."""
        return time.monotonic_ns() // _NS_PER_MS

    def unix_ms(self) -> int:
        """Return the wall time, for records."""
        return time.time_ns() // _NS_PER_MS
