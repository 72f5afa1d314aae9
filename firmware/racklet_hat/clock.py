"""The HAT's clock: milliseconds that wrap at 2**30, and how often they have."""


class Clock:
    """Call `turn` more often than every twelve days; then `turns` * 2**30 + `now_ms` never goes back."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.turns = 0

    def turn(self, ticks_ms: int) -> None:
        """Take the hardware's milliseconds, 0 to 2**30 - 1."""
        if ticks_ms < self.now_ms:
            self.turns += 1
        self.now_ms = ticks_ms
