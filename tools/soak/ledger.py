"""The account of one boot log: every byte that was sent is stored, or lies in a gap. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from racklet_virtual.flood import flood_place, flood_text

if TYPE_CHECKING:
    from collections.abc import Sequence

# Characters that were heard at a wrong baud rate are counted, but are not as many as were sent.
_NOT_IN_BYTES = "baud_detection"
_SEARCH_BYTES = 1 << 20  # how far ahead a stretch is looked for that is too short to name itself


@dataclass(frozen=True, slots=True)
class Lost:
    """A gap as hostd tells of it: 0 bytes when it does not know how many; `at_ms` is unix time."""

    count: int
    reason: str
    at_ms: int


@dataclass(slots=True)
class Account:
    """Where the bytes of one boot are.

    Attributes:
        sent: by the node.
        stored: by hostd, the same bytes in the same order.
        told: bytes of gaps that tell how long they are, by reason.
        untold: bytes of gaps that do not, by reason, as the text behind them shows.
        gaps: how many there are, by reason.
        problem: what is wrong; "" when the account comes out even.
    """

    sent: int
    stored: int = 0
    told: Counter[str] = field(default_factory=Counter)
    untold: Counter[str] = field(default_factory=Counter)
    gaps: Counter[str] = field(default_factory=Counter)
    problem: str = ""


def settle(pieces: Sequence[bytes | Lost], start: int, sent: int) -> Account:
    """Hold a stored boot log against what the node sent after its `start`th start. No two stretches may touch."""
    account = Account(sent)
    place, open_gap = 0, ""
    for index, piece in enumerate(pieces, 1):
        if isinstance(piece, Lost):
            account.gaps[piece.reason] += 1
            count = 0 if piece.reason == _NOT_IN_BYTES else piece.count
            account.told[piece.reason] += count
            place += count
            open_gap = open_gap if count else piece.reason
            continue
        if open_gap:
            found = sent - len(piece) if index == len(pieces) else _find(piece, start, place)
            if found is None or found < place:
                account.problem = f"what follows the gap at {place} was not sent after it"
                return account
            account.untold[open_gap] += found - place
            place, open_gap = found, ""
        if piece != flood_text(start, place, len(piece)):
            account.problem = f"the {len(piece)} bytes stored at {place} are not what was sent there"
            return account
        account.stored += len(piece)
        place += len(piece)
    if open_gap and place < sent:
        account.untold[open_gap] += sent - place
    elif place != sent:
        account.problem = f"{sent} bytes were sent, and the log ends at {place}"
    return account


def _find(data: bytes, start: int, place: int) -> int | None:
    """Return where `data` was sent; None when not after this start, nor at `place` or later where that is unclear."""
    named = flood_place(data)
    if named is not None:
        return named[1] if named[0] == start else None
    found = flood_text(start, place, _SEARCH_BYTES).find(data)
    return None if found < 0 else place + found
