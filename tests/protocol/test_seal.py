"""Seals: who has no key makes none, each counts once, and both interpreters make the same."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from racklet_link.limits import SEAL_NUMBER_MAX, SEAL_SIZE
from racklet_link.seal import Seal, agreed_key, talk_seals
from tests.protocol.seals import HAT_ID, KEY, with_seal

if TYPE_CHECKING:
    from collections.abc import Callable

PAYLOAD = b"\x5a\x03abc"
ANY_BYTES = st.binary(max_size=200)


def test_a_seal_is_a_number_and_the_begin_of_an_hmac_over_all_before_it() -> None:
    sealed = with_seal(PAYLOAD, Seal(KEY))
    assert sealed[:-8] == PAYLOAD + b"\x62\x0c\x01\0\0\0"
    assert sealed[-8:] == hmac.digest(KEY, sealed[:-8], "sha256")[:8]


@given(payload=ANY_BYTES, number=st.integers(0, SEAL_NUMBER_MAX - 1))
def test_what_is_sealed_opens_and_takes_the_number_along(payload: bytes, number: int) -> None:
    sealer, opener = Seal(KEY), Seal(KEY)
    sealer.number = number
    sealed = with_seal(payload, sealer)
    assert len(sealed) == len(payload) + SEAL_SIZE
    assert opener.opens(sealed, len(sealed))
    assert opener.number == number + 1


def test_a_seal_counts_once_and_none_before_it_does() -> None:
    sealer, opener = Seal(KEY), Seal(KEY)
    first, second = with_seal(PAYLOAD, sealer), with_seal(PAYLOAD, sealer)
    assert opener.opens(second, len(second))
    assert not opener.opens(second, len(second))
    assert not opener.opens(first, len(first))
    assert opener.number == 2


@given(data=st.data())
def test_a_changed_bit_or_a_lost_byte_closes_it(data: st.DataObject) -> None:
    sealed = bytearray(with_seal(PAYLOAD, Seal(KEY)))
    at = data.draw(st.integers(0, 8 * len(sealed) - 1))
    flipped = bytearray(sealed)
    flipped[at // 8] ^= 1 << at % 8
    opener = Seal(KEY)
    assert not opener.opens(flipped, len(flipped))
    cut = sealed[: data.draw(st.integers(0, len(sealed) - 1))]
    assert not opener.opens(cut, len(cut))
    assert opener.number == 0


@given(buf=ANY_BYTES)
def test_who_has_no_key_makes_no_seal(buf: bytes) -> None:
    assert not Seal(KEY).opens(buf, len(buf))


def test_a_number_beyond_the_last_opens_nothing() -> None:
    sealer = Seal(KEY)
    sealer.number = SEAL_NUMBER_MAX - 1
    last = with_seal(PAYLOAD, sealer)
    assert sealer.is_used_up
    beyond = with_seal(PAYLOAD, sealer)
    opener = Seal(KEY)
    assert opener.opens(last, len(last))
    assert not opener.opens(beyond, len(beyond))


@pytest.mark.parametrize("other", [0, 1, 2, 3])
def test_the_seals_of_a_talk_hang_on_everything_that_went_into_them(other: int) -> None:
    parts = [KEY, b"h" * 16, b"d" * 16, HAT_ID]
    changed = [*parts[:other], bytes(len(parts[other])), *parts[other + 1 :]]
    for index in (0, 1):
        sealed = with_seal(PAYLOAD, talk_seals(*parts)[index])
        assert talk_seals(*parts)[index].opens(sealed, len(sealed))
        assert not talk_seals(*changed)[index].opens(sealed, len(sealed))
        assert not talk_seals(*parts)[1 - index].opens(sealed, len(sealed))  # nothing is reflected


def test_a_key_hangs_on_both_parts_and_the_hat() -> None:
    keys = {
        agreed_key(secret, nonce, hat_id)
        for secret in (b"s" * 32, b"t" * 32)
        for nonce in (b"n" * 32, b"o" * 32)
        for hat_id in (b"1" * 8, b"2" * 8)
    }
    assert len(keys) == 8
    assert {len(key) for key in keys} == {32}


@given(key=st.binary(min_size=1, max_size=64), buf=ANY_BYTES, data=st.data())
@settings(max_examples=40, deadline=None)
def test_every_interpreter_makes_the_same_hmac(
    ask: Callable[..., str], key: bytes, buf: bytes, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(buf)))
    end = data.draw(st.integers(start, len(buf)))
    assert ask("hmac", key.hex(), buf.hex() or "-", start, end) == hmac.digest(key, buf[start:end], "sha256").hex()


@given(payload=ANY_BYTES, flipped=st.integers(0, 8 * 400), number=st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_every_interpreter_opens_the_same_seals(
    ask: Callable[..., str], payload: bytes, flipped: int, number: int
) -> None:
    sealer = Seal(KEY)
    sealer.number = 1
    sealed = bytearray(with_seal(payload, sealer))
    if flipped < 8 * len(sealed):
        sealed[flipped // 8] ^= 1 << flipped % 8
    opener = Seal(KEY)
    opener.number = number
    is_open = opener.opens(sealed, len(sealed))
    assert is_open == (flipped >= 8 * len(sealed) and number < 2)
    assert ask("opens", KEY.hex(), number, sealed.hex()) == f"{int(is_open)} {opener.number}"


@given(wire=ANY_BYTES)
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_refused_by_every_interpreter(ask: Callable[..., str], wire: bytes) -> None:
    assert ask("opens", KEY.hex(), 0, wire.hex() or "-") == "0 0"
