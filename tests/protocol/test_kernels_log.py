"""The log ring's kernels: what each does, and that every form does the same. `test_log_ring` tests them in use."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from racklet_link.kernels_host import put_time, take_entries
from racklet_link.kernels_log import (
    log_bytes,
    log_drop,
    log_free,
    log_grow,
    log_rest_after,
    log_room,
    log_taker,
    log_teller,
)
from tests.protocol.log_script import run

if TYPE_CHECKING:
    from collections.abc import Callable

LARGE = 64 * 1024
DAMAGED_HEAD = b"\x08\x40\0\0\0\0"
STEPS = st.tuples(st.sampled_from("tttnnfdc"), st.integers(0, 120)).map(lambda step: f"{step[0]}{step[1]}")


@given(size=st.integers(30, 700), head=st.integers(0, 699), steps=st.lists(STEPS, min_size=1, max_size=40))
@settings(max_examples=150, deadline=None)
def test_any_history_comes_to_the_same_in_every_form(
    ask: Callable[..., str], size: int, head: int, steps: list[str]
) -> None:
    script = ",".join(steps)
    assert ask("log", size, head % size, script) == run(size, head % size, script)


@given(before_end=st.integers(1, 1500), steps=st.lists(STEPS, min_size=1, max_size=40))
@settings(max_examples=20, deadline=None)
def test_it_does_so_in_a_ring_whose_size_takes_17_bits(
    ask: Callable[..., str], before_end: int, steps: list[str]
) -> None:
    head, script = LARGE - before_end, ",".join(steps)
    assert ask("log", LARGE, head, script) == run(LARGE, head, script)


@pytest.mark.parametrize(
    ("record", "count"),
    [
        (b"\x05\x10\0\0\0\0hello", 5),
        (b"\xc0\x11\0\0\0\0", 448),
        (b"\x01\x20\0\0\0\0\x03", 0),
        (b"\x05\x30\0\0\0\0\x01\x02\x03\x7f\x02", 0x7F030201),
        (b"\x05\x30\0\0\0\0\xff\xff\xff\xff\x02", 2**32 - 1),
        (b"\x08\x40\0\0\0\0\x01\0\x01\0\0\0??", 2),
    ],
    ids=["bytes", "a full record", "a boot", "lost", "as many as can be lost", "damaged"],
)
def test_a_record_stands_for_so_many_of_the_nodes_bytes(ask: Callable[..., str], record: bytes, count: int) -> None:
    assert log_bytes(bytearray(record), 0) == count
    assert ask("log_bytes", record.hex(), 3) == str(count)


class Ring:
    """A log ring of 600 bytes, and a UART that has received a text."""

    def __init__(self, size: int = 600) -> None:
        self.marks = array("i", (size, 0, 0, 0, -1, 0))
        self.log = bytearray(size)
        self.job = array("i", (0, 0, 0, 0, 0, 7, 0))
        self.slots = array("i", bytes(60))

    def take(self, text: bytes, total: int | None = None) -> int:
        ring = array("H", [*text, *[0] * (1024 - len(text))])
        self.job[0], self.job[1] = 0, len(text)
        came = len(text) if total is None else total
        return log_taker(take_entries)(self.marks, self.log, self.job, ring, 1024, b"\0", lambda: came, 1000)

    def next(self, now_ms: int = 1000, turns: int = 0) -> int:
        return log_teller(put_time)(self.marks, self.log, self.slots, now_ms, turns)

    def data(self) -> bytes:
        return bytes(self.log[self.slots[10] : self.slots[10] + self.slots[11]])


def test_bytes_are_taken_into_records_as_long_as_there_is_room() -> None:
    ring = Ring()
    assert ring.take(b"x" * 500) == 0
    assert (ring.next(), ring.data()) == (448, b"x" * 448)
    assert (ring.next(), ring.data()) == (52, b"x" * 52)
    assert ring.next() == 0
    assert ring.take(b"y" * 200) == -1
    assert ring.job[0] == 600 - 512 - 6


def test_what_was_overwritten_meanwhile_is_not_in_the_log() -> None:
    ring = Ring()
    assert ring.take(b"abc", total=1001) == -2
    assert (ring.job[0], ring.next()) == (0, 0)


@pytest.mark.parametrize("turns", range(4))
def test_a_record_has_the_time_of_its_first_byte(turns: int) -> None:
    ring = Ring()
    ring.job[6] = turns
    ring.take(b"abc")
    assert ring.next(7 + 40) == 0
    assert ring.next(7 + 41, turns + 1) == 3
    assert (ring.slots[3] & 0xFFFFFFFF) | ring.slots[4] << 32 == 7 + turns * 2**30


def test_records_are_freed_as_far_as_the_count_reaches() -> None:
    ring = Ring()
    for _ in range(3):
        ring.take(b"abcd")
        ring.next()
    assert log_free(ring.marks, ring.log, 9) == 8
    assert (ring.marks[1], ring.marks[2], ring.marks[3]) == (20, 10, 10)
    assert log_free(ring.marks, ring.log, 100) == 4
    assert ring.marks[4] == -1


def test_another_kind_of_record_is_not_told_and_not_freed() -> None:
    ring = Ring()
    ring.log[:6] = DAMAGED_HEAD
    ring.marks[2], ring.marks[4] = 14, 0
    assert log_room(ring.marks, ring.log, 0) == 446
    assert ring.next() == -1
    assert log_free(ring.marks, ring.log, 100) == 0
    log_grow(ring.marks, ring.log, 300)
    assert ring.log[:2] == bytes([308 & 255, 0x41])


def test_the_oldest_record_is_dropped_whatever_it_is() -> None:
    ring = Ring()
    ring.log[:6] = DAMAGED_HEAD
    ring.marks[2], ring.marks[3], ring.marks[4] = 14, 14, 0
    ring.job[5] = 100
    ring.take(b"abcd")
    log_drop(ring.marks, ring.log)
    assert list(ring.marks[1:5]) == [14, 10, 0, 14]
    log_drop(ring.marks, ring.log)
    assert list(ring.marks[1:5]) == [24, 0, 0, -1]


def test_a_record_that_ends_where_the_ring_does_has_no_room() -> None:
    ring = Ring(60)
    ring.take(b"x" * 54)
    assert log_room(ring.marks, ring.log, 7) == 0


def test_an_empty_record_is_no_place_for_another() -> None:
    ring = Ring()
    assert ring.take(b"") == 0
    assert ring.take(b"\n") == 0
    ring.marks[2], ring.marks[4], ring.log[0] = 6, 0, 0
    ring.job[5] = 500
    assert ring.take(b"a") == -1


def test_the_rest_of_the_ring_is_passed_over_with_what_was_told_and_freed() -> None:
    ring = Ring(60)
    ring.take(b"x" * 44)
    ring.marks[2] = 60 + 8  # the next record stands at the ring's start, and holds two bytes
    ring.log[50:60] = bytes(10)
    ring.marks[4] = -1
    assert log_rest_after(ring.marks, ring.log, 50) == 10
    assert ring.next() == 44
    assert ring.marks[3] == 60
    assert log_free(ring.marks, ring.log, 44) == 44
    assert (ring.marks[1], ring.marks[2], ring.marks[3]) == (0, 8, 0)
    assert log_rest_after(ring.marks, ring.log, 55) == 5
