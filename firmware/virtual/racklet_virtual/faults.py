"""Faults of a line. Pure and seeded: the same seed and the same chunks give the same damage."""

from __future__ import annotations

import random
from dataclasses import dataclass

_ENDLESS_BITS = 1 << 40


@dataclass(frozen=True, slots=True)
class FaultRates:
    """How often a line goes wrong: bit errors per bit, the rest per chunk; each from 0 to 1."""

    bit_errors: float = 0.0
    drops: float = 0.0
    duplicates: float = 0.0


class LineFaults:
    """Damages the chunks that pass a line."""

    def __init__(self, seed: int) -> None:
        self.rates = FaultRates()
        self.damaged_chunks = 0
        self._random = random.Random(seed)  # noqa: S311  repeatable damage

    def apply(self, chunk: bytes) -> bytes:
        """Return what comes out at the other end."""
        rates = self.rates
        if rates == _NONE:
            return chunk
        damaged = b"" if self._random.random() < rates.drops else self._flip_bits(chunk)
        if self._random.random() < rates.duplicates:
            damaged += damaged
        self.damaged_chunks += damaged != chunk
        return damaged

    def garbage(self, count: int) -> bytes:
        """Return bytes that mean nothing."""
        return self._random.randbytes(count)

    def _flip_bits(self, chunk: bytes) -> bytes:
        rate = self.rates.bit_errors
        if rate <= 0:
            return chunk
        flipped = bytearray(chunk)
        bit = self._gap(rate)
        while bit < 8 * len(flipped):
            flipped[bit >> 3] ^= 1 << (bit & 7)
            bit += 1 + self._gap(rate)
        return bytes(flipped)

    def _gap(self, rate: float) -> int:
        """Bits that stay right before the next wrong one."""
        return int(min(self._random.expovariate(rate), _ENDLESS_BITS))


_NONE = FaultRates()
