"""A HAT's clock, as seen from here."""

# A new window of readings begins when this one is so old and has so many: a crystal of 50 ppm drifts by 3 ms meanwhile,
# by 9 ms at the longest telemetry period, and hostd is not late three times running.
_WINDOW_MS = 60_000
_READINGS = 3


class HatClock:
    """Turns a HAT's milliseconds into wall time.

    What a HAT sends may be late but never early. So a reading that is less late than all before it counts at once, and
    of each window of readings the least late one, which follows a drifting crystal and not the jitter of the line.

    The readings are compared with a clock of this computer that never jumps. So when the wall clock is set, the very
    next time follows it.
    """

    def __init__(self, hat_ms: int, monotonic_ms: int) -> None:
        self._offset_ms = monotonic_ms - hat_ms
        self._begin_ms = monotonic_ms
        self._least_ms: int | None = None  # of this window
        self._readings = 0
        self._wall_ms = 0  # the wall clock less the one that never jumps

    def hear(self, hat_ms: int, monotonic_ms: int) -> None:
        """Take the HAT's time from a message that came now."""
        offset_ms = monotonic_ms - hat_ms
        self._offset_ms = min(self._offset_ms, offset_ms)
        self._least_ms = offset_ms if self._least_ms is None else min(self._least_ms, offset_ms)
        self._readings += 1
        if self._readings >= _READINGS and monotonic_ms - self._begin_ms >= _WINDOW_MS:
            self._offset_ms = self._least_ms
            self._begin_ms, self._least_ms, self._readings = monotonic_ms, None, 0

    def unix_ms(self, hat_ms: int, monotonic_ms: int, unix_ms: int) -> int:
        """Return the wall time of `hat_ms`, given what both clocks here say now.

        It is never in the future, whatever the HAT says, nor before 1970.
        """
        wall_ms = unix_ms - monotonic_ms
        if abs(wall_ms - self._wall_ms) > 1:  # both are cut to whole milliseconds
            self._wall_ms = wall_ms
        return max(0, min(unix_ms, self._wall_ms + self._offset_ms + hat_ms))
