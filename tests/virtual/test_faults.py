"""Damage on a line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from racklet_virtual.faults import FaultRates, LineFaults

seeds = st.integers(0, 1 << 32)
chunks = st.lists(st.binary(min_size=1, max_size=200), max_size=30)


@given(seeds, chunks)
def test_without_rates_nothing_happens(seed: int, sent: list[bytes]) -> None:
    faults = LineFaults(seed)
    assert [faults.apply(chunk) for chunk in sent] == sent
    assert faults.damaged_chunks == 0


@given(seeds, chunks, st.floats(0, 0.1), st.floats(0, 1), st.floats(0, 1))
def test_a_seed_repeats_the_damage(seed: int, sent: list[bytes], bits: float, drops: float, duplicates: float) -> None:
    def received() -> list[bytes]:
        faults = LineFaults(seed)
        faults.rates = FaultRates(bits, drops, duplicates)
        return [faults.apply(chunk) for chunk in sent]

    assert received() == received()


@given(seeds)
def test_bit_errors_come_as_often_as_asked(seed: int) -> None:
    faults = LineFaults(seed)
    faults.rates = FaultRates(bit_errors=0.01)
    wrong = sum(byte.bit_count() for byte in faults.apply(bytes(12_500)))
    assert 800 < wrong < 1200


@given(seeds, st.binary(min_size=1))
def test_certain_drops_and_duplicates_are_certain(seed: int, chunk: bytes) -> None:
    faults = LineFaults(seed)
    faults.rates = FaultRates(drops=1.0)
    assert faults.apply(chunk) == b""
    faults.rates = FaultRates(duplicates=1.0)
    assert faults.apply(chunk) == chunk + chunk
    assert faults.damaged_chunks == 2
