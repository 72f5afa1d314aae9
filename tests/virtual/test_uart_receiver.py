"""The receiving half of the UART, bit by bit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racklet_virtual.uart_receiver import BREAK, FRAMING_ERROR, UartReceiver

RATES = (115_200, 921_600, 1_500_000)


def listening(baud: int) -> UartReceiver:
    receiver = UartReceiver()
    receiver.set_baud(baud)
    return receiver


def numbers(entries: bytes) -> list[int]:
    return [int.from_bytes(entries[at : at + 2], "little") for at in range(0, len(entries), 2)]


def span_ns(count: int, baud: int) -> float:
    return count * 10 * 1e9 / baud


@given(st.binary(max_size=200), st.sampled_from(RATES))
def test_at_the_nodes_rate_its_bytes_come(data: bytes, baud: int) -> None:
    assert numbers(listening(baud).hear(data, 0, baud)) == list(data)


def test_a_uart_that_is_not_set_up_hears_nothing() -> None:
    receiver = UartReceiver()
    assert receiver.hear(b"abc", 0, RATES[0]) == receiver.hear_break() == b""


@given(data=st.binary(min_size=1, max_size=40), pauses_us=st.lists(st.integers(0, 300), min_size=40, max_size=40))
def test_a_rate_that_is_off_by_two_percent_still_reads_every_byte(data: bytes, pauses_us: list[int]) -> None:
    receiver = listening(115_200)
    heard, at_ns = b"", 0.0
    for byte, pause_us in zip(data, pauses_us, strict=False):
        heard += receiver.hear(bytes([byte]), at_ns, 117_500)
        at_ns += span_ns(1, 117_500) + pause_us * 1000
    heard += receiver.idle(at_ns + 1e9)
    assert numbers(heard) == list(data)


def test_a_slow_byte_at_a_fast_rate_is_a_break_for_every_long_low_stretch() -> None:
    heard = numbers(listening(1_500_000).hear(b"\x55\x00", 0, 115_200))
    assert set(heard) == {BREAK | FRAMING_ERROR}
    assert len(heard) == 6  # five times start or 0 in 0x55, and all of 0x00


def test_fast_bytes_at_a_slow_rate_melt_into_one() -> None:
    receiver = listening(115_200)
    data = b"U-Boot 2025.01\r\n" * 4
    heard = receiver.hear(data, 0, 921_600) + receiver.idle(1e9)
    assert len(data) / 8 - 2 <= len(numbers(heard)) <= len(data) / 8 + 1


@given(
    data=st.binary(min_size=1, max_size=64),
    cuts=st.lists(st.integers(1, 16), min_size=1, max_size=8),
    rates=st.permutations(RATES),
)
def test_how_the_bytes_are_handed_over_changes_nothing(data: bytes, cuts: list[int], rates: list[int]) -> None:
    node, hat = rates[:2]
    whole = listening(hat)
    expected = whole.hear(data, 0, node) + whole.idle(span_ns(len(data), node) + 1e9)
    pieces = listening(hat)
    heard, at = b"", 0
    while at < len(data):
        size = cuts[at % len(cuts)]
        heard += pieces.hear(data[at : at + size], span_ns(at, node), node)
        at += size
    heard += pieces.idle(span_ns(len(data), node) + 1e9)
    assert heard == expected


def test_a_break_is_one_entry() -> None:
    assert numbers(listening(115_200).hear_break()) == [BREAK | FRAMING_ERROR]


@pytest.mark.parametrize("noise", [0.05, 0.5, 1.0])
def test_noise_takes_stop_bits_and_leaves_the_bytes(noise: float) -> None:
    receiver = listening(115_200)
    receiver.noise = noise
    heard = numbers(receiver.hear(b"x" * 4000, 0, 115_200))
    assert {entry & 255 for entry in heard} == {ord("x")}
    assert sum(entry >> 8 for entry in heard) / 4000 == pytest.approx(noise, abs=0.03)
