"""What the supply did around a trip."""

from racklet_link.kernels import const

_HALF = const(64)  # samples
_AFTER_AT = const(256)  # bytes


class Waveform:
    """The 64 samples up to a trip in a ring, and the 64 after it; a sample is as Event.samples says. Nothing allocates.

    A trip while one is held is not traced. `about` is the sequence number of the trip's event, 0 before one; `after`
    counts the samples after it, and is 64 until what is held is cleared.
    """

    def __init__(self) -> None:
        self.samples = bytearray(2 * _AFTER_AT)
        self.clear()

    def clear(self) -> None:
        """Forget what is held and begin again."""
        self.about = 0
        self.before = 0  # samples in the ring
        self.oldest = 0  # of them, once the ring is full: the place where they begin
        self.after = 0

    def trip(self, sequence: int) -> None:
        """The newest sample is one that tripped."""
        if self.about == 0:
            self.about = sequence

    def add(self, supply_uv: int, supply_ua: int) -> bool:
        """Take a sample; tell whether it is the last of the 64 after the trip. Then, and later, it changes nothing."""
        if self.after == _HALF:
            return False
        if self.about:
            at = _AFTER_AT + 4 * self.after
            self.after += 1
        elif self.before < _HALF:
            at = 4 * self.before
            self.before += 1
        else:
            at = 4 * self.oldest
            self.oldest = (self.oldest + 1) % _HALF
        self._put(at, supply_uv // 1000)
        self._put(at + 2, supply_ua // 1000)
        return self.after == _HALF

    def _put(self, at: int, number: int) -> None:
        number = min(max(number, -0x8000), 0x7FFF)
        self.samples[at] = number & 0xFF
        self.samples[at + 1] = number >> 8 & 0xFF
