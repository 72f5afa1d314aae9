"""The receiving half of the RP2040's UART, a PL011, bit by bit. Pure: time comes in as nanoseconds."""

from __future__ import annotations

import random
from itertools import chain

FRAMING_ERROR = 0x100
BREAK = 0x400

CHARACTER_BITS = 10  # start, eight data, stop
_NS_PER_SECOND = 1_000_000_000
_STOP_AT = 9.5  # bits after the falling edge of the start bit: the middle of the stop bit
_ENTRY_BYTES = 2
_LEVELS = [bytes([0, *(byte >> bit & 1 for bit in range(8)), 1]) for byte in range(256)]
_HIGH = bytes([1])
_LOW = bytes([0])


class UartReceiver:
    """Makes entries, as the data register gives them, of what a node's line does: 16 bits each, low byte first.

    A node at the same rate gives its bytes. At another rate the line is sampled where the PL011 samples it, so that
    characters, framing errors and breaks are those that the chip would see.
    """

    def __init__(self, seed: int = 0) -> None:
        self.loops = False  # it hears what its own transmitter sends
        self.noise = 0.0  # the share of characters whose stop bit is disturbed
        self._bit_ns = 0.0  # not set up by the firmware yet
        self._random = random.Random(seed)  # noqa: S311  noise
        self._line_bit_ns = 0.0
        self._levels = bytearray()  # of the line, a bit of the node each, from the falling edge that is not yet judged
        self._end_ns = 0.0

    def set_baud(self, baud: int) -> None:
        """Listen at this rate from here on, to nothing that began before."""
        self._bit_ns = _NS_PER_SECOND / baud
        self._levels.clear()

    def hear(self, data: bytes, start_ns: float, baud: int) -> bytes:
        """Return the entries that come of bytes that the node sent one after another from `start_ns` on."""
        line_bit_ns = _NS_PER_SECOND / baud
        if not self._bit_ns:
            return b""
        if line_bit_ns == self._bit_ns:
            return self._disturbed(data) if self.noise else _as_entries(data)
        if line_bit_ns != self._line_bit_ns:
            self._levels.clear()
            self._line_bit_ns = line_bit_ns
        found = self.idle(start_ns)
        if not self._levels:
            self._levels += _HIGH
        self._levels += b"".join(_LEVELS[byte] for byte in data)
        self._end_ns = start_ns + len(data) * CHARACTER_BITS * line_bit_ns
        return found + self._sample()

    def hear_itself(self, data: bytes) -> bytes:
        """Return the entries of what its own transmitter sent: at its own rate."""
        return _as_entries(data) if self._bit_ns else b""

    def hear_break(self) -> bytes:
        """Return the entry of a line that goes low for longer than a character."""
        self._levels.clear()
        return _entry(BREAK | FRAMING_ERROR) if self._bit_ns else b""

    def idle(self, until_ns: float) -> bytes:
        """Return the entry of a character that was under way when the line fell silent, once it is over."""
        pause_bits = round((until_ns - self._end_ns) / self._line_bit_ns) if self._levels else 0
        if pause_bits <= 0:
            return b""
        whole = int(CHARACTER_BITS * self._bit_ns / self._line_bit_ns) + CHARACTER_BITS
        self._levels += _HIGH * min(pause_bits, whole)
        self._end_ns = until_ns
        found = self._sample()
        if pause_bits >= whole:
            self._levels.clear()
        return found

    def _sample(self) -> bytes:
        """Judge the characters whose stop bit has come; keep the levels from the next start bit on."""
        levels, ratio = self._levels, self._bit_ns / self._line_bit_ns
        entries: list[int] = []
        at = 0.0
        while (edge := _falling_edge(levels, int(at))) is not None and edge + _STOP_AT * ratio < len(levels):
            if levels[int(edge + ratio / 2)]:  # no start bit: a glitch
                at = edge + ratio / 2
                continue
            bits = [levels[int(edge + (bit + 1.5) * ratio)] for bit in range(8)]
            entry = sum(bit << place for place, bit in enumerate(bits))
            at = edge + _STOP_AT * ratio
            if not levels[int(at)]:
                entry |= FRAMING_ERROR if entry else FRAMING_ERROR | BREAK
            entries.append(entry)
        if edge is not None:
            del levels[: max(edge - 1, 0)]
        elif levels[-1:] != _LOW:
            levels.clear()
        else:
            del levels[: int(at)]
        return b"".join(map(_entry, entries))

    def _disturbed(self, data: bytes) -> bytes:
        marks = (FRAMING_ERROR >> 8 if self._random.random() < self.noise else 0 for _ in data)
        return bytes(chain.from_iterable(zip(data, marks, strict=True)))


def _falling_edge(levels: bytearray, at: int) -> int | None:
    """Return where the line falls at or after `at`; None when it does not, or has not been high since."""
    high = levels.find(_HIGH, at)
    edge = levels.find(_LOW, high) if high >= 0 else -1
    return edge if edge >= 0 else None


def _as_entries(data: bytes) -> bytes:
    entries = bytearray(_ENTRY_BYTES * len(data))
    entries[::_ENTRY_BYTES] = data
    return bytes(entries)


def _entry(entry: int) -> bytes:
    return entry.to_bytes(_ENTRY_BYTES, "little")
