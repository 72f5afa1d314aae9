"""The asking side of requests and console input."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from racklet.link.v1 import link_pb2
from racklet_link.events import ConsoleTaken, RequestEnded, RequestTimedOut
from racklet_link.limits import CONSOLE_DATA_MAX, REQUESTS_OUTSTANDING_MAX
from racklet_link.requester import (
    CONSOLE_BUFFER,
    POLL_EVERY_MS,
    REPEAT_EVERY_MS,
    ConsoleTyper,
    Operation,
    Requester,
    RequestsFullError,
)

DONE, PENDING = link_pb2.RESULT_DONE, link_pb2.RESULT_PENDING
IDENTIFY = link_pb2.Identify(duration_ms=5)


def due_ids(requester: Requester, now_ms: int) -> list[int]:
    return [request.id for request in requester.due(now_ms)]


@pytest.mark.parametrize(
    "operation",
    [link_pb2.SetPower(action=2, grace_ms=7), IDENTIFY, link_pb2.SetLimits(over_current_ma=3)],
    ids=lambda operation: operation.DESCRIPTOR.name,
)
def test_a_request_is_sent_with_its_operation(operation: Operation) -> None:
    requester = Requester()
    assert requester.add(operation, 1000, 0) == 1
    (request,) = requester.due(0)
    assert request.id == 1
    assert getattr(request, request.WhichOneof("op")) == operation


def test_ids_grow_even_when_requests_have_ended() -> None:
    requester = Requester()
    for request_id in (1, 2, 3):
        assert requester.add(IDENTIFY, 1000, 0) == request_id
        requester.take(link_pb2.Reply(id=request_id, result=DONE), 0)


def test_a_request_is_repeated_until_it_is_answered() -> None:
    requester = Requester()
    requester.add(IDENTIFY, 9000, 0)
    assert due_ids(requester, 0) == [1]
    assert due_ids(requester, REPEAT_EVERY_MS - 1) == []
    assert due_ids(requester, REPEAT_EVERY_MS) == [1]
    requester.take(link_pb2.Reply(id=1, result=DONE), REPEAT_EVERY_MS)
    assert due_ids(requester, 5000) == []


def test_a_pending_request_is_asked_after_at_times() -> None:
    requester = Requester()
    requester.add(IDENTIFY, 9000, 0)
    requester.due(0)
    assert requester.take(link_pb2.Reply(id=1, result=PENDING), 10) == []
    assert due_ids(requester, 10 + POLL_EVERY_MS - 1) == []
    assert due_ids(requester, 10 + POLL_EVERY_MS) == [1]
    assert due_ids(requester, 10 + 2 * POLL_EVERY_MS - 1) == []
    assert requester.is_busy


def test_a_final_reply_ends_a_request_once() -> None:
    requester = Requester()
    requester.add(IDENTIFY, 9000, 0)
    reply = link_pb2.Reply(id=1, result=link_pb2.RESULT_BUSY)
    assert requester.take(reply, 0) == [RequestEnded(1, reply)]
    assert requester.take(reply, 0) == []
    assert not requester.is_busy


def test_a_reply_that_nobody_waits_for_is_nothing() -> None:
    requester = Requester()
    requester.add(IDENTIFY, 9000, 0)
    assert requester.take(link_pb2.Reply(id=2, result=DONE), 0) == []
    assert requester.is_busy


def test_no_more_requests_are_taken_than_a_hat_keeps_replies_for() -> None:
    requester = Requester()
    for _ in range(REQUESTS_OUTSTANDING_MAX):
        requester.add(IDENTIFY, 9000, 0)
    with pytest.raises(RequestsFullError):
        requester.add(IDENTIFY, 9000, 0)
    requester.take(link_pb2.Reply(id=1, result=DONE), 0)
    assert requester.add(IDENTIFY, 9000, 0) == REQUESTS_OUTSTANDING_MAX + 1


def test_a_request_without_a_final_reply_in_its_time_is_given_up() -> None:
    requester = Requester()
    requester.add(IDENTIFY, 500, 0)
    requester.add(IDENTIFY, 900, 0)
    requester.take(link_pb2.Reply(id=1, result=PENDING), 0)
    assert requester.expire(499) == []
    assert requester.expire(500) == [RequestTimedOut(1, hat_restarted=False)]
    assert due_ids(requester, 500) == [2]


def test_all_requests_are_given_up_when_the_hat_restarts() -> None:
    requester = Requester()
    requester.add(IDENTIFY, 500, 0)
    requester.add(IDENTIFY, 900, 0)
    assert requester.abandon() == [RequestTimedOut(1, hat_restarted=True), RequestTimedOut(2, hat_restarted=True)]
    assert not requester.is_busy
    assert due_ids(requester, 100) == []


def acknowledge(typer: ConsoleTyper, offset: int, now_ms: int = 0) -> list[ConsoleTaken]:
    return typer.take(link_pb2.ConsoleAcknowledge(offset=offset), now_ms)


def test_what_is_typed_is_sent_in_pieces_that_a_hat_can_hold() -> None:
    typer = ConsoleTyper()
    typer.add(b"a" * CONSOLE_DATA_MAX + b"b")
    assert typer.due(0) == link_pb2.ConsoleInput(offset=0, data=b"a" * CONSOLE_DATA_MAX)
    assert acknowledge(typer, CONSOLE_DATA_MAX) == [ConsoleTaken(CONSOLE_DATA_MAX)]
    assert typer.due(0) == link_pb2.ConsoleInput(offset=CONSOLE_DATA_MAX, data=b"b")


def test_input_is_repeated_until_it_is_taken() -> None:
    typer = ConsoleTyper()
    typer.add(b"ls\n")
    assert typer.due(0) is not None
    assert typer.due(REPEAT_EVERY_MS - 1) is None
    assert typer.due(REPEAT_EVERY_MS).data == b"ls\n"
    acknowledge(typer, 3)
    assert typer.due(5000) is None
    assert not typer.is_busy


def test_input_that_was_taken_in_part_goes_on_there_at_once() -> None:
    typer = ConsoleTyper()
    typer.add(b"reboot\n")
    typer.due(0)
    assert acknowledge(typer, 3, 10) == [ConsoleTaken(3)]
    assert typer.due(10) == link_pb2.ConsoleInput(offset=3, data=b"oot\n")


@pytest.mark.parametrize("offset", [0, 3, 8, 2**64 - 1])
def test_an_acknowledgement_of_nothing_new_or_of_too_much_changes_nothing(offset: int) -> None:
    typer = ConsoleTyper()
    typer.add(b"ls\nroot")
    acknowledge(typer, 3)
    typer.due(0)
    assert acknowledge(typer, offset, 10) == []
    assert typer.due(10) is None
    assert typer.is_busy


def test_a_hat_that_restarted_counts_from_0_and_gets_nothing_that_it_may_have_typed() -> None:
    typer = ConsoleTyper()
    typer.add(b"abc")
    acknowledge(typer, 2)
    assert typer.restart() == [ConsoleTaken(3)]
    assert typer.restart() == []
    typer.add(b"de")
    assert typer.due(1000) == link_pb2.ConsoleInput(offset=0, data=b"de")
    assert acknowledge(typer, 2) == [ConsoleTaken(5)]


def test_more_than_the_buffer_holds_is_not_taken() -> None:
    typer = ConsoleTyper()
    assert typer.add(b"x" * (CONSOLE_BUFFER - 1)) == CONSOLE_BUFFER - 1
    assert typer.add(b"yz") == 1
    assert typer.add(b"z") == 0
    acknowledge(typer, 10)
    assert typer.add(b"z" * 20) == 10


@given(texts=st.lists(st.binary(max_size=700), max_size=10), taken=st.lists(st.integers(0, 70), min_size=1))
@settings(max_examples=100, deadline=None)
def test_each_byte_is_typed_once_and_in_order_whatever_the_hat_takes(texts: list[bytes], taken: list[int]) -> None:
    typer, typed, accepted, now_ms = ConsoleTyper(), bytearray(), bytearray(), 0
    for step in range(200):
        now_ms += REPEAT_EVERY_MS
        if step < len(texts):
            accepted += texts[step][: typer.add(texts[step])]
        sent = typer.due(now_ms)
        if sent is not None:
            assert sent.offset == len(typed)
            typed += sent.data[: taken[step % len(taken)] or 1]
            acknowledge(typer, len(typed), now_ms)
    assert typed == accepted[: len(typed)]
    assert typer.is_busy == (len(typed) < len(accepted))
