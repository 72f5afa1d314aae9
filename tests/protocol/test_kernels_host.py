"""The kernels for CPython, case by case. `test_kernels.py` compares all forms on random input."""

from __future__ import annotations

import hmac
import os
import zlib
from array import array

import pytest
from cobs import cobs

from racklet.link.v1 import link_pb2
from racklet_link import kernels_host as kernels
from racklet_link import messages

HELLO, TELEMETRY, EVENT = messages.HELLO, messages.TELEMETRY, messages.EVENT


def slots_of(form: tuple[bytes, int, int], **values: int) -> array[int]:
    """Return slots with the numbered ones set, as `slot_3=7`."""
    slots = array("i", bytes(4 * form[1]))
    for name, value in values.items():
        slots[int(name.removeprefix("slot_"))] = value
    return slots


def packed(form: tuple[bytes, int, int], slots: array[int], *blobs: bytes) -> bytes:
    buf = bytearray(300)
    start = kernels.pack_fields(form[0], len(form[0]), slots, blobs, buf, 300)
    return bytes(buf[start:])


def unpacked(form: tuple[bytes, int, int], wire: bytes) -> array[int] | None:
    """Return the slots of a message in the middle of a buffer, or None when it is none."""
    slots = slots_of(form)
    buf = bytearray(b"\x01\x01" + wire + b"\x01\x01")
    return slots if kernels.unpack_fields(form[0], len(form[0]), slots, buf, 2, 2 + len(wire)) else None


def test_a_constant_is_its_value() -> None:
    assert kernels.const(7) == 7


def test_the_crc_is_that_of_the_standard_and_stands_low_byte_first() -> None:
    buf = bytearray(b".123456789....")
    kernels.crc32_append(buf, 1, 10, 10)
    assert buf[10:14] == bytes.fromhex("2639f4cb")
    assert kernels.crc32_matches(buf, 1, 10)


def test_a_wrong_crc_does_not_match() -> None:
    buf = bytearray(b"123456789\x26\x39\xf4\xca")
    assert not kernels.crc32_matches(buf, 0, 9)


def test_cobs_is_written_to_the_start_with_its_closing_zero() -> None:
    buf = bytearray(b"..ab\0c")
    size = kernels.cobs_encode(buf, 2, 6, buf)
    assert buf[:size] == b"\x03ab\x02c\0"


def test_cobs_is_decoded_in_place() -> None:
    buf = bytearray(b"\x03ab\x02c-rest")
    assert kernels.cobs_decode(buf, 5) == 4
    assert buf[:4] == b"ab\0c"


def test_what_is_no_cobs_is_refused() -> None:
    assert kernels.cobs_decode(bytearray(b"\x09abc"), 4) == -1


def test_copy_leaves_what_lies_around() -> None:
    buf = bytearray(b"......")
    kernels.copy(buf, 2, b"abcdef", 1, 3)
    assert buf == b"..bcd."


@pytest.mark.parametrize(("pos", "end", "found"), [(0, 7, 2), (2, 7, 2), (3, 7, 5), (3, 5, 5), (6, 7, 7), (4, 4, 4)])
def test_find_zero_finds_the_first_or_the_end(pos: int, end: int, found: int) -> None:
    assert kernels.find_zero(b"ab\0cd\0e", pos, end) == found


def test_clear_leaves_the_slots_behind() -> None:
    slots = array("i", [1, 2, 3, 4])
    kernels.clear(slots, 3)
    assert list(slots) == [0, 0, 0, 4]


@pytest.mark.parametrize(("turns", "now_ms"), [(0, 0), (0, 2**30 - 1), (1, 0), (3, 5), (4, 2**30 - 1), (2**20, 7)])
def test_a_time_is_stored_low_word_first(turns: int, now_ms: int) -> None:
    slots = array("i", [9, 9, 9, 9])
    kernels.put_time(slots, 1, turns, now_ms)
    at_ms = (slots[1] & 0xFFFFFFFF) + (slots[2] << 32)
    assert at_ms == turns * 2**30 + now_ms
    assert (slots[0], slots[3]) == (9, 9)


def test_fields_that_are_zero_or_empty_are_left_out() -> None:
    assert packed(HELLO, slots_of(HELLO), b"unused", b"", b"") == b""


def test_every_kind_of_field_is_written_as_protobuf_does() -> None:
    slots = slots_of(HELLO, slot_0=1, slot_2=-1, slot_5=-1, slot_6=1, slot_8=1, slot_13=2, slot_14=3)
    message = link_pb2.Hello(protocol_min=1, session=2**32 - 1, at_ms=2**33 - 1, boot_continues=True, hat_id=b"cde")
    assert packed(HELLO, slots, b"abcdefg", b"", b"") == message.SerializeToString()


@pytest.mark.parametrize("value", [1, -1, 63, -64, 64, -65, 2**31 - 1, -(2**31)])
def test_a_signed_field_is_written_and_read_as_protobuf_does(value: int) -> None:
    wire = link_pb2.Event(value=value).SerializeToString()
    assert packed(EVENT, slots_of(EVENT, slot_4=value)) == wire
    assert unpacked(EVENT, wire)[4] == value


def test_tags_of_two_bytes_are_written_and_read_as_protobuf_does() -> None:
    wire = link_pb2.Telemetry(energy_uj=5, uart_lost_bytes=300, boot=7).SerializeToString()
    slots = slots_of(TELEMETRY, slot_13=5, slot_17=300, slot_21=7)
    assert packed(TELEMETRY, slots) == wire
    assert unpacked(TELEMETRY, wire) == slots


def test_a_message_field_is_not_packed_but_found() -> None:
    wire = link_pb2.Request(id=3, identify=link_pb2.Identify(duration_ms=9)).SerializeToString()
    slots = unpacked(messages.REQUEST, wire)
    assert list(slots[:9]) == [3, 0, 0, 6, 2, 0, 0, 0, 0]
    assert packed(messages.REQUEST, slots) == b"\x08\x03"


def test_a_64_bit_field_takes_two_slots() -> None:
    slots = unpacked(EVENT, link_pb2.Event(sequence=2**32 - 1, at_ms=2**64 - 2).SerializeToString())
    assert list(slots[:3]) == [-1, -2, -1]


@pytest.mark.parametrize(("wire", "value"), [(b"\x40\x00", 0), (b"\x40\x01", 1), (b"\x40\x80\x80\x01", 1)])
def test_a_bool_is_0_or_1(wire: bytes, value: int) -> None:
    slots = unpacked(HELLO, wire)
    assert slots[8] == value


@pytest.mark.parametrize(
    "unknown",
    [b"\xf0\x3f\x05", b"\xfa\x3f\x03abc", b"\xf5\x3f\x01\x02\x03\x04", b"\xf1\x3f\x01\x02\x03\x04\x05\x06\x07\x08"],
    ids=["varint", "bytes", "32 bits", "64 bits"],
)
def test_unknown_fields_are_passed_over(unknown: bytes) -> None:
    assert unpacked(EVENT, unknown + b"\x08\x07")[0] == 7


def test_of_a_repeated_field_the_last_counts() -> None:
    assert unpacked(EVENT, b"\x08\x07\x08\x09")[0] == 9


@pytest.mark.parametrize(
    "wire",
    [
        b"\x08",
        b"\x08\x80",
        b"\x80",
        b"\x80\x80\x80\x80\x80\x01",
        b"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
        b"\x42\x05abcd",
        b"\x42\x80",
        b"\x0d\x01\x02\x03",
        b"\x09\x01\x02\x03\x04\x05\x06\x07",
        b"\x0b",
        b"\x0c",
        b"\x0f",
        b"\x00\x01",
        b"\x02\x01a",
    ],
)
def test_what_is_cut_off_or_no_field_is_refused(wire: bytes) -> None:
    assert unpacked(messages.LOG_RECORD, wire) is None


def test_a_payload_goes_through_all_of_them() -> None:
    slots = slots_of(messages.LOG_RECORD, slot_0=1, slot_10=0, slot_11=3)
    buf = bytearray(64)
    start = kernels.pack_fields(messages.LOG_RECORD[0], len(messages.LOG_RECORD[0]), slots, [b"a\0b"], buf, 60)
    kernels.crc32_append(buf, start, 60, 60)
    size = kernels.cobs_encode(buf, start, 64, buf)
    body = cobs.decode(bytes(buf[: size - 1]))[:-4]
    assert link_pb2.LogRecord.FromString(body) == link_pb2.LogRecord(boot=1, data=b"a\0b")


BANNERS = b"\x03a\x01c\x02ab\x00"


@pytest.mark.parametrize(
    ("entries", "begins_line", "why", "taken"),
    [
        ([*b"xyz"], 1, 0, 3),
        ([*b"xy", 0x161, *b"z"], 0, 1, 2),
        ([*b"x\n", *b"abc"], 0, 3, 2),
        ([*b"abx"], 1, 4, 0),
        ([*b"x\n", *b"a"], 0, 2, 2),
        ([*b"aax"], 1, 0, 3),
        ([*b"x" * 20], 0, 0, 8),
    ],
)
def test_entries_are_taken_up_to_what_needs_a_decision(
    entries: list[int], begins_line: int, why: int, taken: int
) -> None:
    ring = array("H", [*entries, *[0x141] * 64][:32])
    job = array("i", [32, 32 + len(entries), 1, 9, begins_line])
    dst = bytearray(10)
    assert kernels.take_entries(job, ring, 32, dst, BANNERS) == why
    assert list(job) == [
        32 + taken,
        32 + len(entries),
        1 + taken,
        9,
        int(bytes(entries[:taken]).endswith(b"\n") or (begins_line and not taken)),
    ]
    assert dst == b"\0" + bytes(entries[:taken]) + bytes(9 - taken)


# RFC 4231, test case 2.
MAC_KEY, MAC_DATA = b"Jefe", b"what do ya want for nothing?"
MAC = bytes.fromhex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")


def test_an_hmac_is_that_of_the_rfc() -> None:
    assert kernels.hmac_sha256(kernels.hmac_key(MAC_KEY), b"<" + MAC_DATA + b">", 1, 1 + len(MAC_DATA)) == MAC


@pytest.mark.parametrize(("mac", "matches"), [(MAC[:8], True), (MAC[:7] + b"?", False)])
def test_the_first_eight_bytes_of_an_hmac_are_compared(mac: bytes, *, matches: bool) -> None:
    assert kernels.hmac_matches(kernels.hmac_key(MAC_KEY), MAC_DATA + mac, len(MAC_DATA)) is matches


@pytest.mark.parametrize("key", [None, bytes(32)])
def test_a_frame_is_the_tag_the_message_the_seal_if_any_and_the_crc(key: bytes | None) -> None:
    form = messages.CONSOLE_ACKNOWLEDGE
    slots, wire = array("i", (300, 0)), bytearray(40)
    made = None if key is None else kernels.hmac_key(key)
    size = kernels.frame_message(form[0], slots, [], 0x5A, made, 7, wire)
    payload = b"\x5a\x03\x08\xac\x02"
    if key is not None:
        payload += b"\x62\x0c\x07\0\0\0"
        payload += hmac.digest(key, payload, "sha256")[:8]
    assert wire[:size] == cobs.encode(payload + zlib.crc32(payload).to_bytes(4, "little")) + b"\0"


@pytest.mark.parametrize(
    ("waits", "last", "taken"),
    [
        (b"", 0, b""),
        (b"abc", 0, b"abc"),
        (b"a\r\x03b", 0, b"a\r\x03"),
        (b"\x03b", 13, b"\x03"),
        (b"\x03b", 0, b"\x03b"),
        (b"123456", 0, b"1234"),
    ],
)
def test_what_waits_is_read_as_far_as_there_is_room_or_a_person_wants_the_repl(
    waits: bytes, last: int, taken: bytes
) -> None:
    end, other = os.pipe()
    with os.fdopen(end, "rb", buffering=0) as stream, os.fdopen(other, "wb", buffering=0) as far:
        far.write(waits)
        buf = bytearray(4)
        assert buf[: kernels.read_waiting(stream, buf, last)] == taken


def test_a_port_is_written_as_long_as_it_takes_something() -> None:
    end, other = os.pipe()
    os.set_blocking(other, False)
    with os.fdopen(end, "rb", buffering=0) as far, os.fdopen(other, "wb", buffering=0) as stream:
        buf = bytearray(range(256)) * 1024
        at = kernels.write_ready(stream, buf, 3, 100)
        assert (at, far.read(1000)) == (100, buf[3:100])
        at = kernels.write_ready(stream, buf, 0, len(buf))
        assert 0 < at < len(buf)
        assert far.read(at) == buf[:at]
