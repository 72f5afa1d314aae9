"""How often something may happen."""


class TokenBucket:
    """Lets `burst` through at once and `per_second` in the long run. Starts full."""

    def __init__(self, burst: float, per_second: float) -> None:
        self._burst = burst
        self._per_ms = per_second / 1000
        self._tokens = burst
        self._since_ms = 0

    def take(self, now_ms: int) -> bool:
        """Tell whether it may happen now; if so, it counts."""
        elapsed_ms = max(0, now_ms - self._since_ms)
        self._since_ms = now_ms
        self._tokens = min(self._burst, self._tokens + elapsed_ms * self._per_ms)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    @property
    def wait_ms(self) -> int:
        """In how many milliseconds from the last `take` the next one succeeds."""
        return max(0, -int(-(1 - self._tokens) // self._per_ms))
