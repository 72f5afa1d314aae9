"""What the tests of the store share."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from pathlib import Path

from racklet_hostd.store import BootCause, BootLog, Chunk, NodeStore, Piece, Store, StoreLimits

LIMITS = StoreLimits(free_bytes_kept=0, journal_bytes=0)  # so that the index is up to date after every `tend`
SESSION = 7
HAT = b"hat-a"


def opened(folder: Path, **limits: int) -> AbstractContextManager[Store]:
    """Open the store in `folder`; close it at the end of the block."""
    return closing(Store.open(folder, replace(LIMITS, **limits)))


def begun_log(node: NodeStore, hat_boot: int = 1, *, session: int = SESSION) -> BootLog:
    """Attach a HAT session and begin one of its boots."""
    node.attach(session, HAT, boot_continues=False)
    return node.begin_boot(hat_boot, 1000, cause=BootCause.SUPPLY_ON, lost_boots=0)


def fill(log: BootLog, size: int, *, step: int = 400) -> bytes:
    """Append `size` bytes in chunks, which tell their offset; return them."""
    start = log.end
    data = b"".join(b"%07d " % offset for offset in range(start, start + size, 8))[:size]
    for offset in range(0, size, step):
        log.append(start + offset - log.base, 2000, data[offset : offset + step])
    return data


def read_all(log: BootLog, offset: int = 0, *, max_bytes: int = 5000) -> list[Piece]:
    """Read from `offset` to the end, as somebody who follows the log does."""
    return list(_follow(log, offset, max_bytes))


def _follow(log: BootLog, offset: int, max_bytes: int) -> Iterator[Piece]:
    while pieces := log.read(offset, max_bytes):
        assert pieces[-1].end > offset
        for piece in pieces:
            assert piece.offset == offset
            offset = piece.end
            yield piece
    assert offset == log.end


def content(pieces: list[Piece]) -> list[int | None]:
    """Return byte by byte what the pieces say; None for one that is lost."""
    found: list[int | None] = []
    for piece in pieces:
        found += piece.data if isinstance(piece, Chunk) else [None] * piece.lost_bytes
    return found


def data_of(pieces: list[Piece]) -> bytes:
    """Return the bytes; fail when one is lost."""
    assert all(isinstance(piece, Chunk) for piece in pieces)
    return b"".join(piece.data for piece in pieces if isinstance(piece, Chunk))
