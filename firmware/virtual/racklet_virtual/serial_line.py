"""One direction of a serial line, paced at its baud rate. Pure: time comes in as microseconds."""

from __future__ import annotations

_BITS_PER_BYTE = 10  # start, eight data, stop
_NS_PER_SECOND = 1_000_000_000
_NS_PER_US = 1_000


class SerialLine:
    """Bytes put in come out one after another, each after its time on the wire.

    At most `capacity` bytes wait; what does not fit is refused.
    """

    def __init__(self, baud: int, capacity: int) -> None:
        self._byte_ns = _BITS_PER_BYTE * _NS_PER_SECOND // baud
        self._capacity = capacity
        self._waiting = bytearray()
        self._start_ns = 0  # when the first waiting byte starts to leave

    @property
    def busy(self) -> bool:
        """True while bytes wait."""
        return bool(self._waiting)

    @property
    def start_ns(self) -> int:
        """When the first waiting byte starts to leave."""
        return self._start_ns

    @property
    def free_us(self) -> int:
        """When the last waiting byte will have left."""
        return -(-(self._start_ns + len(self._waiting) * self._byte_ns) // _NS_PER_US)

    def put(self, data: bytes, at_us: int) -> int:
        """Queue bytes at `at_us`, and return how many were taken."""
        if not self._waiting:
            self._start_ns = max(self._start_ns, at_us * _NS_PER_US)
        taken = data[: self._capacity - len(self._waiting)]
        self._waiting += taken
        return len(taken)

    def advance(self, at_us: int) -> bytes:
        """Return the bytes that have left since the last call."""
        count = min(len(self._waiting), (at_us * _NS_PER_US - self._start_ns) // self._byte_ns)
        if count <= 0:
            return b""
        self._start_ns += count * self._byte_ns
        left = bytes(self._waiting[:count])
        del self._waiting[:count]
        return left

    def delay(self, by_us: int) -> None:
        """Hold the line still for a while."""
        self._start_ns += by_us * _NS_PER_US

    def drop(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
