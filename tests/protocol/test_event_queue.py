"""The event queue against a simple model, read by hostd's real receiver."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from racklet.link.v1 import link_pb2
from racklet_link.event_queue import EventQueue
from racklet_link.receiver import EventReceiver
from tests.protocol.hat_messages import empty, read

TRIP = link_pb2.EVENT_KIND_OVER_CURRENT


def next_event(queue: EventQueue) -> link_pb2.Event | None:
    event = empty()
    return read(event, link_pb2.Event) if queue.next_event(event) else None


def events(queue: EventQueue) -> list[tuple[int, int]]:
    """Return (sequence, lost_before) of all that is to be sent."""
    told = []
    while (event := next_event(queue)) is not None:
        told.append((event.sequence, event.lost_before))
    return told


def queue_of(count: int, capacity: int = 4) -> EventQueue:
    queue = EventQueue(capacity)
    for value in range(count):
        queue.put(TRIP, 0, 0, 1, value)
    return queue


def test_a_waveform_carries_its_half_of_the_samples() -> None:
    queue = EventQueue(4)
    queue.waveform = bytearray(bytes(range(256)) + bytes(reversed(range(256))))
    queue.put(link_pb2.EVENT_KIND_WAVEFORM, 0, 0, 1, -64, 5, 3)
    queue.put(link_pb2.EVENT_KIND_WAVEFORM, 0, 0, 1, 0, 0, 3)
    queue.put(link_pb2.EVENT_KIND_WAVEFORM, 0, 0, 1, -2, 0, 3)
    queue.put(TRIP, 0, 0, 1)
    told = [next_event(queue) for _ in range(4)]
    assert [event.samples for event in told if event] == [
        queue.waveform[:256],
        queue.waveform[256:],
        bytes(range(8)),
        b"",
    ]


def test_an_event_is_told_as_it_was_put() -> None:
    queue = EventQueue(4)
    queue.put(TRIP, 2**30 - 1, 5, 3, -7, -8, 9)
    assert next_event(queue) == link_pb2.Event(
        sequence=1, at_ms=6 * 2**30 - 1, kind=TRIP, value=-7, limit=-8, detail=9, boot=3
    )


def test_an_empty_queue_tells_nothing() -> None:
    assert next_event(EventQueue(4)) is None


def test_events_are_told_once_and_in_order() -> None:
    queue = queue_of(3)
    assert events(queue) == [(1, 0), (2, 0), (3, 0)]
    assert events(queue) == []


def test_a_full_queue_drops_the_oldest_and_the_next_tells_how_many() -> None:
    assert events(queue_of(7)) == [(4, 3), (5, 0), (6, 0), (7, 0)]


def test_events_that_were_sent_may_be_dropped_without_sending_the_rest_again() -> None:
    queue = queue_of(3)
    events(queue)
    queue.put(TRIP, 0, 0, 1)
    queue.put(TRIP, 0, 0, 1)
    assert events(queue) == [(4, 0), (5, 0)]


def test_rewind_tells_again_from_a_number_on() -> None:
    queue = queue_of(4)
    events(queue)
    queue.rewind(3)
    assert events(queue) == [(3, 0), (4, 0)]


@pytest.mark.parametrize(("sequence", "first"), [(-5, 3), (0, 3), (2, 3), (7, None), (99, None)])
def test_rewind_goes_no_further_than_what_is_held(sequence: int, first: int | None) -> None:
    queue = queue_of(6)
    events(queue)
    queue.rewind(sequence)
    told = events(queue)
    assert (told[0][0] if told else None) == first


def test_what_is_acknowledged_is_freed() -> None:
    queue = queue_of(4)
    queue.acknowledge(3)
    assert queue.acked_sequence == 3
    queue.rewind(1)
    assert events(queue) == [(3, 0), (4, 0)]
    queue.put(TRIP, 0, 0, 1)
    queue.put(TRIP, 0, 0, 1)
    queue.rewind(1)
    assert events(queue) == [(3, 0), (4, 0), (5, 0), (6, 0)]


@pytest.mark.parametrize("sequence", [-1, 0, 1, 2, 6, 2**31 - 1])
def test_a_number_that_was_never_given_or_was_passed_changes_nothing(sequence: int) -> None:
    queue = queue_of(4)
    queue.acknowledge(2)
    queue.acknowledge(sequence)
    assert queue.acked_sequence == 2
    assert events(queue) == [(2, 0), (3, 0), (4, 0)]


def test_an_acknowledgement_within_what_was_dropped_shortens_the_loss() -> None:
    queue = queue_of(9)
    queue.acknowledge(3)
    assert events(queue)[0] == (6, 3)


class AnyHistory(RuleBasedStateMachine):
    """Whatever happens: each event arrives once and in order with its value, or is counted as lost."""

    @initialize(capacity=st.integers(1, 6))
    def begin(self, capacity: int) -> None:
        self.queue = EventQueue(capacity)
        self.receiver = EventReceiver(1)
        self.received: list[int] = []
        self.lost = 0
        self.stored = 1

    @rule(count=st.integers(1, 4))
    def put(self, count: int) -> None:
        for _ in range(count):
            self.queue.put(TRIP, 0, 0, 1, self.queue.next_sequence * 3)

    @rule(count=st.integers(1, 5), arrives=st.booleans())
    def send(self, count: int, *, arrives: bool) -> None:
        for _ in range(count):
            event = next_event(self.queue)
            if event is not None and arrives:
                self.receive(event)

    def receive(self, event: link_pb2.Event) -> None:
        news = self.receiver.take(event)
        if news is None:
            self.queue.rewind(self.receiver.sequence)
            return
        for item in news:
            assert item.event.value == item.event.sequence * 3
            self.received.append(item.event.sequence)
            self.lost += item.lost_before

    @rule(arrives=st.booleans(), back=st.integers(0, 3))
    def store(self, back: int, *, arrives: bool) -> None:
        self.stored = max(self.stored, self.receiver.sequence - back)
        if arrives:
            self.queue.acknowledge(self.stored)

    @rule()
    def resend_unheard(self) -> None:
        self.queue.rewind(self.queue.acked_sequence)

    @invariant()
    def every_event_up_to_the_receivers_place_is_told(self) -> None:
        assert self.received == sorted(set(self.received))
        assert len(self.received) + self.lost == self.receiver.sequence - 1

    def teardown(self) -> None:
        self.queue.rewind(self.receiver.sequence)
        while (event := next_event(self.queue)) is not None:
            self.receive(event)
        assert self.receiver.sequence == self.queue.next_sequence


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
