"""The account of the soak: it comes out even only when every byte is where it should be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racklet_virtual.flood import flood_text
from tools.soak.ledger import Lost, settle

SENT = 5000


def stretch(begin: int, end: int, start: int = 1) -> bytes:
    return flood_text(start, begin, end - begin)


def gap(count: int, reason: str = "ring_full") -> Lost:
    return Lost(count, reason, 0)


def test_a_whole_log_is_even() -> None:
    account = settle([stretch(0, SENT)], 1, SENT)
    assert (account.stored, account.problem) == (SENT, "")


@given(st.lists(st.integers(0, SENT), min_size=2, max_size=2).map(sorted), st.booleans())
def test_a_gap_fills_what_is_missing_whether_it_knows_its_size_or_not(cut: list[int], sized: bool) -> None:
    first, last = cut
    lost = last - first
    pieces = [stretch(0, first), gap(lost if sized else 0), stretch(last, SENT)]
    account = settle([piece for piece in pieces if piece != b""], 1, SENT)
    assert account.problem == ""
    assert account.stored + account.told.total() + account.untold.total() == SENT


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [stretch(0, SENT - 1)],
        [stretch(0, SENT), stretch(0, 100)],
        [stretch(1, SENT)],
        [stretch(0, SENT, start=2)],
        [stretch(0, 1000), stretch(1001, SENT)],
        [stretch(0, 1000), gap(2), stretch(1001, SENT)],
        [stretch(0, 1000), gap(0), stretch(900, SENT)],
        [stretch(0, 1000), gap(0), stretch(1200, 1300) + b"?"],
        [stretch(0, SENT), gap(3)],
    ],
)
def test_what_is_missing_twice_damaged_or_elsewhere_does_not_come_out_even(pieces: list[bytes | Lost]) -> None:
    assert settle(pieces, 1, SENT).problem != ""


def test_a_gap_at_the_end_takes_the_rest() -> None:
    account = settle([stretch(0, 1000), gap(0, "hat_restart")], 1, SENT)
    assert account.problem == ""
    assert account.untold == {"hat_restart": SENT - 1000}
