"""The DMA channel that fills the firmware's ring: it writes into the memory of the firmware's process."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass

_ENTRY_BYTES = 2
# Written before the count moves: fewer than the firmware keeps as a margin to what is being overwritten.
_PIECE_BYTES = 64 * _ENTRY_BYTES
_START = struct.Struct("<QQII")
_COUNT = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class DmaSetup:
    """What the firmware tells: where its ring and the channel's count are, and how many transfers make a run."""

    ring: int
    count: int
    transfers: int
    ring_bytes: int

    @classmethod
    def unpack(cls, payload: bytes) -> DmaSetup:
        """Read what `rp2.py` packed."""
        return cls(*_START.unpack(payload))


class ReceiveDma:
    """Runs until `close`, also while the process is stopped. Raises OSError when it may not write to its memory."""

    def __init__(self, pid: int, setup: DmaSetup) -> None:
        self._memory = os.open(f"/proc/{pid}/mem", os.O_WRONLY | os.O_CLOEXEC)
        self._setup = setup
        self._moved_bytes = 0

    def move(self, entries: bytes) -> None:
        """Write entries to the ring, over the oldest ones, and count them. Nothing happens once the process is gone."""
        for start in range(0, len(entries), _PIECE_BYTES):
            self._move(entries[start : start + _PIECE_BYTES])

    def close(self) -> None:
        """Write nothing more."""
        os.close(self._memory)

    def _move(self, piece: bytes) -> None:
        setup = self._setup
        at = self._moved_bytes % setup.ring_bytes
        to_end = setup.ring_bytes - at
        self._moved_bytes += len(piece)
        left = setup.transfers - self._moved_bytes // _ENTRY_BYTES % setup.transfers
        try:
            os.pwrite(self._memory, piece[:to_end], setup.ring + at)
            if len(piece) > to_end:
                os.pwrite(self._memory, piece[to_end:], setup.ring)
            os.pwrite(self._memory, _COUNT.pack(left), setup.count)
        except OSError:  # the process has just ended, which the board learns by itself
            return
