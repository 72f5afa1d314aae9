"""What a boot log is made of."""

from typing import NamedTuple


class Chunk(NamedTuple):
    """Bytes of a boot log.

    Attributes:
        offset: of the first byte.
        at_ms: unix time when the first byte came.
        data: the bytes as the node sent them; never empty.
    """

    offset: int
    at_ms: int
    data: bytes


class GapPiece(NamedTuple):
    """A stretch of a boot log that is lost.

    Attributes:
        offset: of the first lost byte.
        at_ms: unix time when the loss was noticed.
        lost_bytes: how many; 0 when it is not known.
        reason: what the HAT said ("ring_full", "uart_overrun"), or "hat_restart", or one of the store's own:
            "disk_full", "disk_error", "store_behind", "missing", "damaged", "retention".
    """

    offset: int
    at_ms: int
    lost_bytes: int
    reason: str


Piece = Chunk | GapPiece
