"""What the supply did around a trip, sample by sample."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racklet_hat.waveform import Waveform


def traced(waveform: Waveform) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return the samples before and after the trip, in millivolts and milliamperes, as hostd reads them."""
    samples = list(struct.iter_unpack("<hh", waveform.samples))
    before = samples[: waveform.before]
    return before[waveform.oldest :] + before[: waveform.oldest], samples[64:]


@pytest.mark.parametrize("count", [1, 5, 64, 65, 100, 128, 200])
def test_it_holds_the_64_samples_before_a_trip_and_the_64_after_it(count: int) -> None:
    waveform = Waveform()
    for number in range(count):
        assert not waveform.add(number * 1000, -number * 1000)
    waveform.trip(9)
    ends = [waveform.add((count + number) * 1000, 0) for number in range(70)]
    assert ends == [number == 63 for number in range(70)]
    before, after = traced(waveform)
    assert before == [(number, -number) for number in range(max(0, count - 64), count)]
    assert after == [(count + number, 0) for number in range(64)]
    assert (waveform.about, waveform.after) == (9, 64)


def test_a_second_trip_belongs_to_the_first() -> None:
    waveform = Waveform()
    waveform.trip(9)
    waveform.add(0, 0)
    waveform.trip(12)
    assert waveform.about == 9


def test_it_begins_again_once_it_is_cleared() -> None:
    waveform = Waveform()
    waveform.trip(9)
    for _ in range(64):
        waveform.add(5_000_000, 0)
    waveform.clear()
    assert (waveform.about, waveform.before, waveform.after) == (0, 0, 0)
    waveform.add(1_000, 2_000)
    assert traced(waveform)[0] == [(1, 2)]


@given(uv=st.integers(-(2**30), 2**30 - 1), ua=st.integers(-(2**30), 2**30 - 1))
def test_what_16_bits_do_not_hold_is_told_as_the_nearest_they_do(uv: int, ua: int) -> None:
    waveform = Waveform()
    waveform.add(uv, ua)
    assert traced(waveform)[0] == [tuple(min(max(number // 1000, -32768), 32767) for number in (uv, ua))]
