"""Messages in slots, in this interpreter. `test_kernels.py` compares every message in every interpreter."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from racklet.link.v1 import link_pb2
from racklet_link import messages
from racklet_link.message import Message
from tests.protocol.hat_messages import empty, held, read

AT_MS = 1  # the slot of Telemetry.at_ms
EDGES = [0, 1, 2**30 - 1, 2**30, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**62, 2**63, 2**64 - 1]


def test_a_message_that_was_begun_is_empty_whatever_it_was_before() -> None:
    message = held(link_pb2.Reply(id=5, result=1, supply_uv=9))
    message.begin(messages.EVENT)
    assert read(message, link_pb2.Event) == link_pb2.Event()


def test_a_message_packs_what_was_put_into_its_slots() -> None:
    message = empty()
    message.begin(messages.REPLY)
    message.slots[0], message.slots[4] = 7, -3
    assert read(message, link_pb2.Reply) == link_pb2.Reply(id=7, supply_ua=-3)


def test_a_message_is_packed_right_before_the_end_that_is_named() -> None:
    message = held(link_pb2.Identify(duration_ms=300))
    buf = bytearray(b"." * 10)
    assert message.pack(buf, 8) == 5
    assert buf == b".....\x08\xac\x02.."


def test_bytes_are_packed_from_where_they_lie() -> None:
    message = empty()
    message.begin(messages.HELLO)
    for slot, blob, data in ((13, 0, b"\x01\x02"), (15, 1, b"hat-a"), (17, 2, b"0.1.0")):
        message.put_bytes(slot, blob, data)
    assert read(message, link_pb2.Hello) == link_pb2.Hello(hat_id=b"\x01\x02", board="hat-a", firmware="0.1.0")


def test_a_message_is_read_from_the_middle_of_a_buffer_and_its_bytes_stay_there() -> None:
    wire = link_pb2.ConsoleInput(offset=2**40, data=b"reboot\n").SerializeToString()
    buf = bytearray(b"???" + wire + b"???")
    message = empty()
    assert message.unpack(messages.CONSOLE_INPUT, buf, 3, 3 + len(wire))
    assert message.number(0) == 2**40
    start, size = message.slots[2], message.slots[3]
    assert buf[start : start + size] == b"reboot\n"


def test_what_a_message_held_is_gone_when_another_is_read() -> None:
    message = held(link_pb2.Reply(id=5, result=1))
    assert message.unpack(messages.REPLY, bytearray(), 0, 0)
    assert read(message, link_pb2.Reply) == link_pb2.Reply()


@pytest.mark.parametrize("wire", [b"\x08", b"\x08\x80", b"\x12\x05ab", b"\x00\x01", b"\x0b"])
def test_what_is_no_message_is_refused(wire: bytes) -> None:
    assert not empty().unpack(messages.CONSOLE_INPUT, bytearray(wire), 0, len(wire))


@pytest.mark.parametrize("value", EDGES)
def test_a_64_bit_number_comes_back_at_every_edge(value: int) -> None:
    message = Message(22, 0)
    message.put_number(AT_MS, value)
    assert message.number(AT_MS) == value


@given(value=st.integers(0, 2**64 - 1))
@settings(max_examples=100, deadline=None)
def test_a_64_bit_number_is_packed_as_protobuf_does(value: int) -> None:
    message = empty()
    message.begin(messages.TELEMETRY)
    message.put_number(AT_MS, value)
    assert read(message, link_pb2.Telemetry).at_ms == value


def test_a_small_number_clears_what_a_large_one_left() -> None:
    message = empty()
    message.put_number(AT_MS, 2**64 - 1)
    message.put_number(AT_MS, 5)
    assert message.number(AT_MS) == 5
