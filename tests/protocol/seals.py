"""Seals of a talk, held by hand: the end that is not tested."""

from __future__ import annotations

from cobs import cobs
from google.protobuf.message import Message as ProtobufMessage

from racklet.link.v1 import link_pb2
from racklet_link.limits import NONCE_SIZE, SEAL_SIZE
from racklet_link.seal import Seal, talk_seals
from tests.protocol.hat_messages import frame_of, wired

KEY = bytes(range(32))
HAT_ID = b"\x01\x02\x03\x04\x05\x06\x07\x08"
HOST_NONCE = b"h" * NONCE_SIZE
HAT_NONCE = b"d" * NONCE_SIZE


def with_seal(payload: bytes, seal: Seal | None) -> bytes:
    """Return a payload with its seal."""
    if seal is None:
        return payload
    buf = bytearray(payload) + bytes(SEAL_SIZE)
    seal.put(buf, 0, len(payload))
    return bytes(buf)


def sealed_frame(body: ProtobufMessage, seal: Seal | None) -> bytes:
    """Return the frame on the wire of a message, sealed."""
    return wired(with_seal(frame_of(body).SerializeToString(), seal))


def opened_frames(wire: bytes, seal: Seal | None) -> list[link_pb2.Frame]:
    """Return the frames that a line carried, without their seals, which are right."""
    payloads = [cobs.decode(frame)[:-4] for frame in wire.split(b"\0") if frame]
    frames = []
    for payload in payloads:
        frame = link_pb2.Frame.FromString(payload)
        if frame.seal:
            assert seal is not None
            assert seal.opens(payload, len(payload))
            frame.ClearField("seal")
        frames.append(frame)
    return frames


class HostByHand:
    """hostd's seals: knows the HAT's Hello when it sees it."""

    def __init__(self, key: bytes = KEY, hat_id: bytes = HAT_ID) -> None:
        self.key = key
        self.hat_id = hat_id
        self.nonce = b""
        self._hat_nonce = b""
        self.host_seal: Seal | None = None
        self.hat_seal: Seal | None = None

    def wire(self, body: ProtobufMessage) -> bytes:
        """Return the frame of a message, sealed when it has to be."""
        if isinstance(body, link_pb2.Knock):
            self.nonce = body.nonce = body.nonce or HOST_NONCE
        is_bare = isinstance(body, link_pb2.Knock | link_pb2.Adopt)
        return sealed_frame(body, None if is_bare else self.host_seal)

    def frames(self, wire: bytes) -> list[link_pb2.Frame]:
        """Return what the HAT said, without seals, which are right."""
        found = []
        for framed in wire.split(b"\0"):
            if framed:
                hello = link_pb2.Frame.FromString(cobs.decode(framed)[:-4]).hello
                if hello.nonce and hello.nonce != self._hat_nonce and self.nonce and hello.has_key:
                    self._hat_nonce = hello.nonce
                    self.host_seal, self.hat_seal = talk_seals(self.key, self.nonce, hello.nonce, self.hat_id)
                found += opened_frames(framed, self.hat_seal)
        return found
