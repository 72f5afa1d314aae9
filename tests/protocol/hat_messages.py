"""Messages between the HAT's form and protobuf's."""

from __future__ import annotations

from typing import TypeVar

from cobs import cobs
from google.protobuf.message import Message as ProtobufMessage

from racklet.link.v1 import link_pb2
from racklet_link import messages
from racklet_link.framing import FrameDecoder
from racklet_link.kernels_host import crc32_append
from racklet_link.message import Message
from tests.protocol.conftest import constant

AnyMessage = TypeVar("AnyMessage", bound=ProtobufMessage)


def empty() -> Message:
    """Return a message with room for any that a HAT says."""
    return Message(messages.HELLO[1], messages.HELLO[2])


def read(message: Message, kind: type[AnyMessage]) -> AnyMessage:
    """Return what hostd reads when a HAT sends `message`."""
    buf = bytearray(600)
    return kind.FromString(bytes(buf[message.pack(buf, len(buf)) :]))


def held(message: ProtobufMessage) -> Message:
    """Return what a HAT holds when hostd sends `message`."""
    wire = bytearray(message.SerializeToString())
    form = getattr(messages, constant(message.DESCRIPTOR.name))
    result = empty()
    assert result.unpack(form, wire, 0, len(wire))
    return result


def wired(payload: bytes) -> bytes:
    """Return the frame on the wire."""
    body = bytearray(payload)
    crc32_append(body, 0, len(body), len(body))
    return cobs.encode(bytes(body)) + b"\0"


def payloads_in(decoder: FrameDecoder, wire: bytes) -> list[bytes]:
    """Feed a decoder; return the payloads of the good frames that it found."""
    found = []
    decoder.feed(wire, len(wire))
    while (end := decoder.next_frame()) >= 0:
        found.append(bytes(decoder.payload[:end]))
    return found


def frame_of(body: ProtobufMessage) -> link_pb2.Frame:
    """Return the Frame that carries a message."""
    frame = link_pb2.Frame()
    fields = link_pb2.Frame.DESCRIPTOR.fields
    name = next(field.name for field in fields if field.message_type == body.DESCRIPTOR)
    getattr(frame, name).CopyFrom(body)
    getattr(frame, name).SetInParent()
    return frame


def framed(body: ProtobufMessage) -> bytes:
    """Return the frame on the wire of a message that a Frame carries."""
    return wired(frame_of(body).SerializeToString())


def frames_in(wire: bytes) -> list[link_pb2.Frame]:
    """Return the frames that a line carried, all of them good."""
    assert not wire or wire.endswith(b"\0")
    payloads = [cobs.decode(frame) for frame in wire.split(b"\0") if frame]
    for payload in payloads:
        assert wired(payload[:-4]) == cobs.encode(payload) + b"\0"
    return [link_pb2.Frame.FromString(payload[:-4]) for payload in payloads]
