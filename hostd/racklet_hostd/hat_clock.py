"""A HAT's clock, as seen from here."""

_WINDOW = 60  # readings; over a minute a crystal of 50 ppm drifts by 3 ms


class HatClock:
    """Turns a HAT's milliseconds into wall time.

    What a HAT sends may be late but never early. So of each window of readings the least late one sets the clock, which
    follows a drifting crystal and a corrected wall clock, and not the jitter of the line.
    """

    def __init__(self, hat_ms: int, unix_ms: int) -> None:
        self._offset_ms = unix_ms - hat_ms
        self._least_ms = self._offset_ms
        self._readings = 0

    def hear(self, hat_ms: int, unix_ms: int) -> None:
        """Take the HAT's time from a message that came now."""
        offset_ms = unix_ms - hat_ms
        self._least_ms = min(self._least_ms, offset_ms) if self._readings else offset_ms
        self._readings += 1
        if self._readings == _WINDOW:
            self._offset_ms = self._least_ms
            self._readings = 0

    def unix_ms(self, hat_ms: int, now_unix_ms: int) -> int:
        """Return the wall time of `hat_ms`: never in the future, whatever the HAT says, nor before 1970."""
        return max(0, min(self._offset_ms + hat_ms, now_unix_ms))
