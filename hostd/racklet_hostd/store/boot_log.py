"""The log of one boot."""

from racklet_hostd.store.records import Piece


class BootLog:
    """Every byte that a node sent during one boot."""

    number: int
    start_ms: int
    last_byte_ms: int
    end: int
    lost_bytes: int
    from_supply_on: bool

    def append(self, hat_offset: int, at_ms: int, data: bytes) -> None:
        """Add bytes at `hat_offset` in the HAT's counting. Durable after the next sync."""
        raise NotImplementedError

    def append_gap(self, hat_offset: int, at_ms: int, lost_bytes: int, reason: str) -> None:
        """Add a gap at `hat_offset` in the HAT's counting."""
        raise NotImplementedError

    def read(self, offset: int, max_bytes: int) -> list[Piece]:
        """Return what lies from `offset` on, at most `max_bytes` of data; [] at the end."""
        raise NotImplementedError
