"""Frames: found in any bytes, made in one buffer."""

from __future__ import annotations

import pytest
from cobs import cobs
from hypothesis import given, settings
from hypothesis import strategies as st

from racklet.link.v1 import link_pb2
from racklet_link.framing import FrameDecoder, FrameEncoder
from racklet_link.limits import MAX_FRAME, MAX_PAYLOAD
from racklet_link.seal import Seal
from tests.protocol.hat_messages import framed, held, payloads_in, wired
from tests.protocol.seals import KEY, sealed_frame

SETTINGS = settings(max_examples=100, deadline=None)
PAYLOADS = st.lists(st.binary(min_size=1, max_size=MAX_PAYLOAD), max_size=5)
INPUT_TAG = 82


class Ear:
    """A decoder and what it found."""

    def __init__(self) -> None:
        self.found: list[bytes] = []
        self.decoder = FrameDecoder()

    def hear(self, data: bytes) -> None:
        self.found += payloads_in(self.decoder, data)

    @property
    def counts(self) -> tuple[int, int, int, int]:
        decoder = self.decoder
        return decoder.frames, decoder.bad_cobs, decoder.bad_crc, decoder.oversize


@given(payloads=PAYLOADS, cuts=st.lists(st.integers(1, 600), min_size=1))
@SETTINGS
def test_frames_are_found_however_the_line_cuts_them(payloads: list[bytes], cuts: list[int]) -> None:
    ear = Ear()
    wire = b"".join(map(wired, payloads))
    while wire:
        cut = cuts[len(wire) % len(cuts)]
        ear.hear(wire[:cut])
        wire = wire[cut:]
    assert ear.found == payloads
    assert ear.counts == (len(payloads), 0, 0, 0)


def test_only_the_first_bytes_of_the_data_that_are_named_are_taken() -> None:
    ear = Ear()
    wire = wired(b"one")
    ear.decoder.feed(wire + wired(b"two"), len(wire))
    assert ear.decoder.next_frame() == len(b"one")
    assert ear.decoder.next_frame() == -1
    assert ear.decoder.frames == 1


def test_frames_are_found_one_at_a_time_and_each_is_there_until_the_next_is_asked_for() -> None:
    decoder = FrameDecoder()
    wire = wired(b"one") + wired(b"damaged")[:-2] + b"!\0" + wired(b"") + wired(b"three")
    decoder.feed(wire, len(wire))
    assert decoder.payload[: decoder.next_frame()] == b"one"
    assert (decoder.frames, decoder.bad_frames) == (1, 0)
    assert decoder.next_frame() == 0
    assert (decoder.frames, decoder.bad_frames) == (2, 1)
    assert decoder.payload[: decoder.next_frame()] == b"three"
    assert [decoder.next_frame(), decoder.next_frame()] == [-1, -1]


def test_the_largest_payload_fits() -> None:
    ear = Ear()
    payload = b"\x01" * MAX_PAYLOAD
    wire = wired(payload)
    assert len(wire) == MAX_FRAME + 1
    ear.hear(wire)
    assert ear.found == [payload]


@pytest.mark.parametrize(
    ("damaged", "counts"),
    [
        (wired(b"hello")[:-2] + b"!\0", (0, 0, 1, 0)),
        (b"\x09short\0", (0, 1, 0, 0)),
        (cobs.encode(b"crc") + b"\0", (0, 1, 0, 0)),
        (b"\x05" * (MAX_FRAME + 1) + b"\0", (0, 0, 0, 1)),
        (b"\x05" * 5000 + b"\0", (0, 0, 0, 1)),
    ],
    ids=["a wrong CRC", "no COBS", "no room for a CRC", "a byte too long", "far too long"],
)
def test_a_damaged_frame_is_counted_and_the_next_one_found(damaged: bytes, counts: tuple[int, ...]) -> None:
    ear = Ear()
    ear.hear(damaged)
    assert ear.counts == counts
    assert ear.decoder.bad_frames == 1
    ear.hear(wired(b"next"))
    assert ear.found == [b"next"]


def test_a_frame_that_grows_too_long_piece_by_piece_is_counted_once() -> None:
    ear = Ear()
    for _ in range(10):
        ear.hear(b"\x05" * 200)
    ear.hear(b"\0")
    assert ear.counts == (0, 0, 0, 1)


def test_zeros_between_frames_are_no_frames() -> None:
    ear = Ear()
    ear.hear(b"\0\0" + wired(b"one") + b"\0" + wired(b"two") + b"\0")
    assert ear.found == [b"one", b"two"]
    assert ear.decoder.bad_frames == 0


@given(data=st.lists(st.binary(max_size=700), max_size=10))
@SETTINGS
def test_of_any_bytes_every_stretch_between_zeros_is_counted_once(data: list[bytes]) -> None:
    ear = Ear()
    for piece in data:
        ear.hear(piece)
    ear.hear(b"\0")
    stretches = [stretch for stretch in b"".join(data).split(b"\0") if stretch]
    assert ear.decoder.frames + ear.decoder.bad_frames == len(stretches)


def test_a_frame_whose_sender_is_gone_is_dropped_and_counted() -> None:
    ear = Ear()
    ear.hear(wired(b"begun, not ended")[:7])
    ear.decoder.drop_partial()
    ear.hear(wired(b"next"))
    assert ear.found == [b"next"]
    assert ear.counts == (1, 1, 0, 0)


def test_a_frame_that_was_too_long_already_is_dropped_with_all_that_came() -> None:
    ear = Ear()
    ear.hear(b"\x05" * 600)
    ear.decoder.drop_partial()
    ear.hear(wired(b"next"))
    assert ear.found == [b"next"]
    assert ear.decoder.bad_frames == 1


def test_nothing_is_dropped_between_frames() -> None:
    ear = Ear()
    ear.hear(wired(b"one"))
    ear.decoder.drop_partial()
    assert ear.decoder.bad_frames == 0


@pytest.mark.parametrize(
    ("typed", "wants"),
    [(b"\r\x03", True), (b"\r", False), (b"\x03\r", False), (b"\r\r", False), (b"x\r\x03", False), (b"\r\x03x", False)],
)
def test_a_person_who_types_return_and_ctrl_c_wants_the_repl(typed: bytes, *, wants: bool) -> None:
    ear = Ear()
    ear.hear(wired(b"a frame before"))
    ear.hear(typed)
    assert ear.decoder.wants_repl is wants


@given(data=st.binary(max_size=64), offset=st.integers(0, 2**64 - 1))
@SETTINGS
def test_what_is_sealed_is_found_as_protobuf_writes_it(data: bytes, offset: int) -> None:
    body = link_pb2.ConsoleInput(offset=offset, data=data)
    message = held(body)
    message.put_bytes(2, 0, data)
    encoder = FrameEncoder()
    size = encoder.frame(message, INPUT_TAG, None)
    assert bytes(encoder.wire[:size]) == framed(body)


def test_the_next_message_is_sealed_in_the_same_buffer() -> None:
    encoder = FrameEncoder()
    wire = encoder.wire
    for number in (2**60, 5, 0):
        body = link_pb2.ConsoleAcknowledge(offset=number)
        size = encoder.frame(held(body), 90, None)
        assert bytes(wire[:size]) == framed(body)


def test_the_longest_record_of_a_log_fits_a_frame() -> None:
    body = link_pb2.LogRecord(
        boot=2**32 - 1, offset=2**64 - 1, at_ms=2**64 - 1, lost_bytes=2**64 - 1, gap_reason=1, lost_boots=2**32 - 1
    )
    body.data = b"\xff" * 448
    message = held(body)
    message.put_bytes(10, 0, body.data)
    encoder = FrameEncoder()
    size = encoder.frame(message, 50, None)
    assert bytes(encoder.wire[:size]) == framed(body)


@given(data=st.binary(max_size=64), offset=st.integers(0, 2**40))
def test_a_sealed_frame_is_what_protobuf_writes_and_its_seal(data: bytes, offset: int) -> None:
    body = link_pb2.ConsoleInput(offset=offset, data=data)
    encoder = FrameEncoder()
    message = held(body)
    message.blobs[0] = body.SerializeToString()
    size = encoder.frame(message, INPUT_TAG, Seal(KEY))
    assert bytes(encoder.wire[:size]) == sealed_frame(body, Seal(KEY))


def test_a_sealed_frame_ends_with_its_seal() -> None:
    body = link_pb2.ConsoleAcknowledge(offset=5)
    encoder = FrameEncoder()
    size = encoder.frame(held(body), 90, Seal(KEY))
    assert bytes(encoder.wire[:size]) == sealed_frame(body, Seal(KEY))
