"""Frames as hostd's end reads them: the same as those that MicroPython finds."""

from __future__ import annotations

import pytest
from cobs import cobs
from hypothesis import given, settings
from hypothesis import strategies as st

from racklet.link.v1 import link_pb2
from racklet_link.frame_reader import FrameReader, is_log_alone
from racklet_link.framing import FrameDecoder
from racklet_link.limits import MAX_FRAME, MAX_PAYLOAD
from tests.protocol.hat_messages import payloads_in, wired

SETTINGS = settings(max_examples=300, deadline=None)
GOOD = st.binary(min_size=1, max_size=MAX_PAYLOAD).map(wired)
DAMAGED = st.builds(lambda frame, at: frame[: at % len(frame)] + frame[at % len(frame) + 1 :], GOOD, st.integers(0))
ANYTHING = st.binary(max_size=30) | st.sampled_from([b"\0", b"\0\0", b"\x01\0", b"\x05" * 700])


def counts(reader: FrameReader | FrameDecoder) -> tuple[int, int, int, int]:
    return reader.frames, reader.bad_cobs, reader.bad_crc, reader.oversize


@given(parts=st.lists(GOOD | DAMAGED | ANYTHING, max_size=12), cuts=st.lists(st.integers(1, 900), min_size=1))
@SETTINGS
def test_it_finds_and_counts_what_the_decoder_of_both_ends_does(parts: list[bytes], cuts: list[int]) -> None:
    found: list[bytes] = []
    decoder = FrameDecoder()
    reader = FrameReader()
    read: list[bytes] = []
    wire = b"".join(parts)
    while wire:
        cut = cuts[len(wire) % len(cuts)]
        found += payloads_in(decoder, wire[:cut])
        read += reader.feed(wire[:cut])
        wire = wire[cut:]
    assert read == found
    assert counts(reader) == counts(decoder)


def test_many_frames_at_once_are_found_in_their_order() -> None:
    payloads = [b"one", b"two", b"\0" * MAX_PAYLOAD, b"three"]
    assert FrameReader().feed(b"\0".join([b"", *map(wired, payloads)])) == payloads


@pytest.mark.parametrize(
    ("damaged", "expected"),
    [
        (wired(b"hello")[:-2] + b"!\0", (0, 0, 1, 0)),
        (b"\x09short\0", (0, 1, 0, 0)),
        (cobs.encode(b"crc") + b"\0", (0, 1, 0, 0)),
        (b"\x05" * (MAX_FRAME + 1) + b"\0", (0, 0, 0, 1)),
        (b"\x05" * 5000 + b"\0", (0, 0, 0, 1)),
    ],
    ids=["a wrong CRC", "no COBS", "no room for a CRC", "a byte too long", "far too long"],
)
def test_a_damaged_frame_is_counted_and_the_next_one_found(damaged: bytes, expected: tuple[int, ...]) -> None:
    reader = FrameReader()
    assert reader.feed(damaged) == []
    assert counts(reader) == expected
    assert reader.feed(wired(b"next")) == [b"next"]


def test_bytes_without_an_end_take_no_more_memory_than_a_frame() -> None:
    reader = FrameReader()
    for _ in range(100):
        assert reader.feed(b"\x05" * 300) == []
        assert len(reader._held) <= MAX_FRAME + 1
    assert reader.feed(b"\0") == []
    assert counts(reader) == (0, 0, 0, 1)


LOG_RECORDS = st.builds(
    link_pb2.LogRecord, boot=st.integers(0, 300), offset=st.integers(0, 1 << 32), data=st.binary(max_size=448)
).map(lambda record: wired(link_pb2.Frame(log_record=record).SerializeToString()))
OTHERS = st.sampled_from(
    [
        wired(frame.SerializeToString())
        for frame in (
            link_pb2.Frame(telemetry=link_pb2.Telemetry(sequence=1)),
            link_pb2.Frame(event=link_pb2.Event(sequence=1)),
            link_pb2.Frame(reply=link_pb2.Reply(id=1)),
            link_pb2.Frame(hello=link_pb2.Hello(session=1)),
        )
    ]
)


@given(frames=st.lists(LOG_RECORDS | OTHERS, min_size=1, max_size=8), cuts=st.lists(st.integers(2, 900), min_size=1))
@SETTINGS
def test_what_is_no_log_record_shows_when_its_first_bytes_have_come(frames: list[bytes], cuts: list[int]) -> None:
    line = b"\0" + b"".join(frames)
    is_log = [frame[1] == frames_tag() for frame in frames]
    tail, seen, is_alone = b"", 0, True
    while seen < len(line):
        piece = line[seen : seen + cuts[seen % len(cuts)]]
        is_alone = is_log_alone(tail + piece) and is_alone
        tail, seen = piece[-2:], seen + len(piece)
    assert is_alone == all(is_log)


def frames_tag() -> int:
    """Return the first byte of a log record's payload."""
    return link_pb2.Frame(log_record=link_pb2.LogRecord(boot=1)).SerializeToString()[0]


def test_a_frame_among_log_records_that_is_none_shows() -> None:
    record = wired(link_pb2.Frame(log_record=link_pb2.LogRecord(boot=1, data=b"said")).SerializeToString())
    event = wired(link_pb2.Frame(event=link_pb2.Event(sequence=1)).SerializeToString())
    assert is_log_alone(record + record)
    assert not is_log_alone(record + event)
