"""The byte kernels against independent libraries, on CPython and on MicroPython of 64 and 32 bits.

`tests/chip/test_kernels.py` asks a HAT's chip the same.
"""

from __future__ import annotations

import hmac
import zlib
from typing import TYPE_CHECKING

import pytest
from cobs import cobs
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st

from racklet.link.v1 import link_pb2
from racklet_link.kernels import elapsed_ms
from racklet_link.limits import LOG_DATA_MAX, MAX_PAYLOAD, SEAL_NUMBER_MAX
from tests.protocol.conftest import MESSAGES, constant
from tests.protocol.random_messages import filled

if TYPE_CHECKING:
    from collections.abc import Callable

SETTINGS = settings(max_examples=150, deadline=None)
PAYLOADS = st.binary(max_size=MAX_PAYLOAD) | st.lists(st.sampled_from(b"\0\0\x01\xff"), max_size=MAX_PAYLOAD).map(bytes)


def hexed(data: bytes) -> str:
    return data.hex() or "-"


@pytest.mark.parametrize(
    ("then_ms", "now_ms", "span_ms"),
    [(5, 5, 0), (5, 9, 4), (2**30 - 1, 0, 1), (2**30 - 2, 3, 5), (0, 2**30 - 1, 2**30 - 1), (-5, 5, 10)],
)
def test_a_span_of_time_may_run_over_the_turn_of_the_clock(then_ms: int, now_ms: int, span_ms: int) -> None:
    assert elapsed_ms(now_ms, then_ms) == span_ms


KEYS = st.binary(min_size=32, max_size=32)


def framed(frame: link_pb2.Frame, key: bytes, number: int) -> str:
    """Return a frame as libraries make it, sealed when there is a key."""
    payload = frame.SerializeToString(deterministic=True)
    if key:
        payload += b"\x62\x0c" + number.to_bytes(4, "little")
        payload += hmac.digest(key, payload, "sha256")[:8]
    return cobs.encode(payload + zlib.crc32(payload).to_bytes(4, "little")).hex() + "00"


@given(
    data=st.binary(max_size=LOG_DATA_MAX) | st.sampled_from([b"x" * size for size in range(86, 122)]),
    key=st.just(b"") | KEYS,
    number=st.integers(1, SEAL_NUMBER_MAX),
)
@SETTINGS
def test_a_frame_of_any_size_is_that_of_the_libraries(
    ask: Callable[..., str], data: bytes, key: bytes, number: int
) -> None:
    frame = link_pb2.Frame(log_record=link_pb2.LogRecord(boot=3, at_ms=2**40, data=data))
    answer = ask("frame", "LogRecord", 6, hexed(frame.SerializeToString()), *((hexed(key), number) if key else ()))
    assert answer == framed(frame, key, number)


@given(message=filled(link_pb2.Telemetry.DESCRIPTOR), key=st.just(b"") | KEYS, number=st.integers(1, SEAL_NUMBER_MAX))
@SETTINGS
def test_a_frame_of_telemetry_is_that_of_the_libraries(
    ask: Callable[..., str], message: link_pb2.Telemetry, key: bytes, number: int
) -> None:
    frame = link_pb2.Frame(telemetry=message)
    answer = ask("frame", "Telemetry", 8, hexed(frame.SerializeToString()), *((hexed(key), number) if key else ()))
    assert answer == framed(frame, key, number)


@given(key=st.binary(max_size=64), data=st.binary(max_size=200), start=st.integers(0, 200))
@SETTINGS
def test_a_mac_is_that_of_the_library(ask: Callable[..., str], key: bytes, data: bytes, start: int) -> None:
    start = min(start, len(data))
    expected = hmac.digest(key, data[start:], "sha256").hex()
    assert ask("hmac", hexed(key), hexed(data), start, len(data)) == expected


@given(data=PAYLOADS)
@SETTINGS
def test_crc32_is_that_of_zlib_and_a_flipped_bit_is_seen(ask: Callable[..., str], data: bytes) -> None:
    assert ask("crc32", hexed(data)) == f"{zlib.crc32(data).to_bytes(4, 'little').hex()} 1 0"


@given(data=PAYLOADS)
@SETTINGS
def test_cobs_is_that_of_the_library_and_comes_back(ask: Callable[..., str], data: bytes) -> None:
    encoded = cobs.encode(data)
    assert ask("cobs_encode", hexed(data)) == encoded.hex() + "00"
    assert ask("cobs_decode", encoded.hex()) == hexed(data)


@pytest.mark.parametrize("size", [253, 254, 255, 256, 507, 508, 509])
def test_cobs_holds_around_its_block_length(ask: Callable[..., str], size: int) -> None:
    data = b"\x07" * size
    assert ask("cobs_encode", data.hex()) == cobs.encode(data).hex() + "00"


@given(data=st.binary(min_size=1, max_size=600))
@SETTINGS
def test_any_bytes_are_decoded_as_the_library_does_or_refused(ask: Callable[..., str], data: bytes) -> None:
    try:
        expected = hexed(cobs.decode(data))
    except cobs.DecodeError:
        expected = "bad"
    assert ask("cobs_decode", data.hex()) == expected


@given(data=PAYLOADS, pos=st.integers(0, MAX_PAYLOAD))
@SETTINGS
def test_find_zero_finds_the_first_or_the_end(ask: Callable[..., str], data: bytes, pos: int) -> None:
    pos = min(pos, len(data))
    found = data.find(0, pos)
    assert ask("find_zero", hexed(data), pos) == str(len(data) if found < 0 else found)


BANNERS = b"\x03abc\x02ab\x03\x01\x01c\x05abcde\x01\n"


def taken(entries: list[int], room: int, *, begins_line: bool) -> tuple[int, int, bool]:
    """Return how `take_entries` ends, how many entries it takes, and whether a line begins then: the long way."""
    banners = [b"abc", b"ab", b"\x01\x01c", b"abcde", b"\n"]
    for place, entry in enumerate(entries[:room]):
        if entry > 255:
            return 1, place, begins_line
        for number, banner in enumerate(banners) if begins_line else ():
            seen = entries[place : place + len(banner)]
            if all(want in (1, there) for want, there in zip(banner, seen, strict=False)):
                return number + 3 if len(seen) == len(banner) else 2, place, True
        begins_line = entry == 10
    return 0, min(room, len(entries)), begins_line


@given(
    entries=st.lists(st.sampled_from([*b"aabbccde\n", 0x161, 0x400, 0xFF]), max_size=16),
    pos=st.integers(0, 2**27 - 1),
    room=st.integers(0, 16),
    begins_line=st.booleans(),
)
@SETTINGS
def test_entries_are_taken_up_to_what_needs_a_decision(
    ask: Callable[..., str], entries: list[int], pos: int, room: int, *, begins_line: bool
) -> None:
    ring = [0x141] * 16
    for index, entry in enumerate(entries):
        ring[(pos + index) % 16] = entry
    words = b"".join(entry.to_bytes(2, "little") for entry in ring)
    why, count, then_begins = taken(entries, room, begins_line=begins_line)
    answer = ask("take_entries", words.hex(), pos, pos + len(entries), room, int(begins_line), hexed(BANNERS + b"\0"))
    moved = hexed(bytes(entries[:count]))
    assert answer == f"{why} {pos + count} {int(then_begins)} {moved} 1"


@given(turns=st.integers(0, 2**20), now_ms=st.integers(0, 2**30 - 1))
@SETTINGS
def test_times_are_put_together_from_turns_and_milliseconds(ask: Callable[..., str], turns: int, now_ms: int) -> None:
    assert ask("put_time", turns, now_ms) == str(turns * 2**30 + now_ms)


@given(value=st.integers(0, 2**64 - 1))
@SETTINGS
def test_a_64_bit_number_comes_back_from_its_two_slots(ask: Callable[..., str], value: int) -> None:
    assert ask("numbers", "TELEMETRY", 1, value) == str(value)


@pytest.mark.parametrize("descriptor", MESSAGES, ids=lambda descriptor: descriptor.name)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_every_message_is_read_and_written_as_protobuf_does(
    ask: Callable[..., str], descriptor: object, data: st.DataObject
) -> None:
    wire = data.draw(filled(descriptor)).SerializeToString(deterministic=True)
    assert ask("repack", constant(descriptor.name), hexed(wire)) == hexed(wire)


@given(message=filled(link_pb2.Telemetry.DESCRIPTOR))
@SETTINGS
def test_slots_hold_the_values_of_the_fields(ask: Callable[..., str], message: link_pb2.Telemetry) -> None:
    slots = [int(word) for word in ask("slots", "TELEMETRY", hexed(message.SerializeToString())).split()]
    expected = []
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        expected.append(value & 0xFFFFFFFF)
        if field.type == FieldDescriptor.TYPE_UINT64:
            expected.append(value >> 32)
    assert slots == expected


@given(message=filled(link_pb2.Event.DESCRIPTOR), data=st.data())
@SETTINGS
def test_unknown_fields_are_passed_over_and_a_repeated_one_counts_last(
    ask: Callable[..., str], message: link_pb2.Event, data: st.DataObject
) -> None:
    unknown = data.draw(
        st.sampled_from(["f03f05", "fa3f03616263", "f53f01020304", "f13f0102030405060708", "fd01aabbccdd"])
    )
    wire = bytes.fromhex("0863") + message.SerializeToString() + bytes.fromhex(unknown)
    expected = link_pb2.Event.FromString(wire)
    expected.DiscardUnknownFields()
    assert ask("repack", "EVENT", wire.hex()) == hexed(expected.SerializeToString(deterministic=True))


@pytest.mark.parametrize("descriptor", MESSAGES, ids=lambda descriptor: descriptor.name)
@given(data=st.binary(max_size=64))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_refused_or_read_as_some_message(
    ask: Callable[..., str], descriptor: object, data: bytes
) -> None:
    name = constant(descriptor.name)
    repacked = ask("repack", name, hexed(data))
    if repacked == "bad":
        return
    assert ask("repack", name, repacked) == repacked
    if not any(field.type == FieldDescriptor.TYPE_STRING for field in descriptor.fields):  # may hold invalid UTF-8
        GetMessageClass(descriptor).FromString(bytes.fromhex(repacked.strip("-")))
