"""The time of any byte, from the node's UART to the API, is right within 50 ms."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from racklet.link.v1 import link_pb2
from racklet_hat.clock import Clock
from racklet_hostd.api import boots
from racklet_hostd.hat_clock import HatClock
from racklet_hostd.store import Chunk
from racklet_link.limits import TICK_MASK
from racklet_link.log_ring import LogRing
from tests.protocol.hat_messages import empty, read

EXACT_MS = 50
POLL_MS = 5  # how often the firmware empties the UART's buffer
T0 = 1_700_000_000_000


@dataclass
class World:
    """A node that talks, its HAT, a line that is late, and hostd's clocks; `now_ms` is the true time."""

    hat_start_ms: int
    drift_ppm: int
    hello_late_ms: int
    now_ms: int = 0
    wall_ahead_ms: int = T0
    came_ms: list[int] = field(default_factory=list)  # by offset, when the byte was on the UART
    chunks: list[Chunk] = field(default_factory=list)
    truth_ms: list[int] = field(default_factory=list)  # by offset, what the wall clock at delivery says of that

    def __post_init__(self) -> None:
        self.ring = LogRing(8192)
        self.clock = Clock()
        self.clock.turns = self.hat_start_ms >> 30
        self.clock.turn(self.hat_start_ms & TICK_MASK)
        self.hat_clock = HatClock(self.hat_ms, self.now_ms + self.hello_late_ms)
        self.now_ms += self.hello_late_ms

    @property
    def hat_ms(self) -> int:
        """The HAT's clock, wraps counted."""
        return self.hat_start_ms + self.now_ms + self.now_ms * self.drift_ppm // 1_000_000

    def hear_telemetry(self, late_ms: int) -> None:
        told_ms = self.hat_ms
        self.now_ms += late_ms
        self.hat_clock.hear(told_ms, self.now_ms)

    def be_quiet(self, seconds: int, late_ms: list[int]) -> None:
        """Let time pass, with telemetry every second."""
        for second in range(seconds):
            late = late_ms[second % len(late_ms)]
            self.hear_telemetry(late)
            self.now_ms += 1000 - late

    def talk(self, gaps_ms: list[int]) -> None:
        """Let the node send bytes, after so many milliseconds each."""
        due_ms = self.now_ms
        for gap_ms in gaps_ms:
            due_ms += gap_ms
            while self.now_ms < due_ms:
                self._poll()
            self.came_ms.append(due_ms)
        for _ in range(20):
            self._poll()

    def _poll(self) -> None:
        self.clock.turn(self.hat_ms & TICK_MASK)
        held = len(self.came_ms) - self.ring.offset
        if held:
            self.ring.append(bytes(held), held, self.clock.now_ms, self.clock.turns)
        record = empty()
        while self.ring.next_record(record, self.clock.now_ms):
            self._deliver(read(record, link_pb2.LogRecord))
        self.now_ms += POLL_MS

    def _deliver(self, record: link_pb2.LogRecord) -> None:
        unix_ms = self.now_ms + self.wall_ahead_ms
        at_ms = self.hat_clock.unix_ms(record.at_ms, self.now_ms, unix_ms)
        self.chunks.append(Chunk(record.offset, at_ms, record.data))
        end = record.offset + len(record.data)
        self.truth_ms += [came_ms + self.wall_ahead_ms for came_ms in self.came_ms[record.offset : end]]


LATE = st.lists(st.integers(0, 25), min_size=1, max_size=7)
TALK = st.lists(st.sampled_from([0, 0, 0, 0, 1, 1, 2, 7, 39, 40, 41, 45, 90, 300]), min_size=1, max_size=80)
STEP = st.sampled_from([0, 0, 1, -1, 60_000, -60_000, 10**9, -(10**9)])


@settings(deadline=None, max_examples=80)
@given(
    hat_start_ms=st.sampled_from([0, 5, TICK_MASK - 30_000, TICK_MASK - 500, 3 * TICK_MASK + 2]),
    drift_ppm=st.integers(-50, 50),
    hello_late_ms=st.integers(0, 2000),
    turns=st.lists(st.tuples(st.integers(1, 200), LATE, STEP, TALK), min_size=1, max_size=4),
)
def test_every_byte_has_its_time_within_50_ms(
    hat_start_ms: int, drift_ppm: int, hello_late_ms: int, turns: list[tuple[int, list[int], int, list[int]]]
) -> None:
    world = World(hat_start_ms, drift_ppm, hello_late_ms)
    for quiet_s, late_ms, step_ms, gaps_ms in turns:
        world.be_quiet(quiet_s, late_ms)
        world.clock.turn(world.hat_ms & TICK_MASK)
        world.wall_ahead_ms += step_ms
        world.talk(gaps_ms)
    assert len(world.truth_ms) == len(world.came_ms)
    for chunks in (world.chunks, list(boots._merged(list(world.chunks)))):
        for chunk in chunks:
            assert isinstance(chunk, Chunk)
            for truth_ms in world.truth_ms[chunk.offset : chunk.end]:
                assert abs(chunk.at_ms - truth_ms) <= EXACT_MS


def test_a_reading_that_is_less_late_counts_at_once() -> None:
    clock = HatClock(hat_ms=1000, monotonic_ms=9000)  # the Hello had waited for seconds
    clock.hear(2000, 7007)
    assert clock.unix_ms(2500, 8000, T0) == T0 - 493


def test_a_slower_hat_is_followed_after_a_minute_by_the_least_late_reading() -> None:
    clock = HatClock(hat_ms=0, monotonic_ms=0)
    for second in range(1, 62):
        clock.hear(second * 1000, second * 1000 + (7 if second % 2 else 90))
    assert clock.unix_ms(61_000, 70_000, T0) == T0 - 8993


@pytest.mark.parametrize("readings", [1, 2, 3])
def test_at_the_longest_telemetry_period_three_readings_make_a_window(readings: int) -> None:
    clock = HatClock(hat_ms=0, monotonic_ms=0)
    for minute in range(1, readings + 1):
        clock.hear(minute * 60_000, minute * 60_000 + 20)
    assert clock.unix_ms(0, 1000, T0) == T0 - (980 if readings == 3 else 1000)


@pytest.mark.parametrize("step_ms", [3_600_000, -3_600_000])
def test_a_wall_clock_that_is_set_is_followed_at_once(step_ms: int) -> None:
    clock = HatClock(hat_ms=0, monotonic_ms=0)
    assert clock.unix_ms(500, 1000, T0 + step_ms) == T0 + step_ms - 500


@given(st.integers(0, (1 << 64) - 1), st.integers(0, 1 << 42), st.integers(0, 1 << 42))
def test_no_time_is_in_the_future_or_before_1970(hat_ms: int, monotonic_ms: int, unix_ms: int) -> None:
    assert 0 <= HatClock(5, monotonic_ms).unix_ms(hat_ms, monotonic_ms, unix_ms) <= unix_ms


def test_that_clocks_are_cut_to_milliseconds_does_not_move_a_time() -> None:
    clock = HatClock(0, 1000)
    assert [clock.unix_ms(0, now_ms, 50_000 + now_ms + cut) for now_ms, cut in ((1000, 0), (1010, 1), (1020, -1))] == [
        51_000
    ] * 3
