"""Frames as they stand on the line, made and taken apart with the libraries alone."""

from __future__ import annotations

import hmac
import zlib
from contextlib import closing
from typing import TYPE_CHECKING

from cobs import cobs

from racklet.link.v1 import link_pb2
from racklet_hostd.store import Adoption, Store, StoreLimits

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CRC_SIZE = 4
KEY = b"k" * 32  # of every HAT
NONCE = b"d" * 16
RING_BYTES = 64 << 10


def seal(payload: bytes) -> bytes:
    """Return COBS(payload ‖ CRC-32) ‖ 0x00."""
    return cobs.encode(payload + zlib.crc32(payload).to_bytes(CRC_SIZE, "little")) + b"\0"


def unseal(frame: bytes) -> bytes:
    """Return the payload of one frame that ends with 0x00. Raises ValueError when it is damaged."""
    sealed = cobs.decode(frame[:-1])
    payload = sealed[:-CRC_SIZE]
    if zlib.crc32(payload) != int.from_bytes(sealed[-CRC_SIZE:], "little"):
        raise ValueError("the checksum is wrong")
    return payload


def hat_id(number: int) -> bytes:
    """Return the id of HAT number `number`."""
    return number.to_bytes(8, "big")


def adopt(folder: Path, nodes: Mapping[int, str]) -> None:
    """Let the HATs of these numbers be those of the nodes, in the state folder of a hostd that is to start."""
    with closing(Store.open(folder, StoreLimits())) as store:
        for number, node in nodes.items():
            store.adoptions.adopt(Adoption(hat_id(number), node, KEY, 0, "bench"))


class HatSeal:
    """The seal of HAT number `number` in one talk after another. Until hostd has knocked it makes none."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._key = b""
        self._count = 0

    def hear(self, frame: link_pb2.Frame) -> bool:
        """Tell whether this is a Knock; if so a talk begins."""
        if not frame.HasField("knock"):
            return False
        secret = hmac.digest(frame.knock.nonce + NONCE, KEY, "sha256")
        self._key = hmac.digest(secret, b"racklet link 2 HAT" + hat_id(self._number) + b"\1", "sha256")
        self._count = 0
        return True

    def seal(self, frame: link_pb2.Frame) -> bytes:
        """Return the frame on the line, sealed."""
        payload = frame.SerializeToString()
        if self._key:
            self._count += 1
            payload += b"\x62\x0c" + self._count.to_bytes(4, "little")
            payload += hmac.digest(self._key, payload, "sha256")[:8]
        return seal(payload)

    def hello(self) -> bytes:
        """Return the frame with which the HAT introduces itself."""
        return self.seal(link_pb2.Frame(hello=introduction(self._number)))


def introduction(number: int) -> link_pb2.Hello:
    """Return the Hello of HAT number `number`."""
    return link_pb2.Hello(
        protocol_min=2,
        protocol_max=2,
        session=1000 + number,
        supply_state=link_pb2.SUPPLY_STATE_ON,
        at_ms=1,
        event_sequence=1,
        hat_id=hat_id(number),
        board="hat-a",
        firmware="0.1.0",
        has_key=True,
        nonce=NONCE,
        log_ring_bytes=RING_BYTES,
    )


def measured(sequence: int, at_ms: int) -> link_pb2.Telemetry:
    """Return a Telemetry as a HAT with a node at work sends it: every field is there."""
    return link_pb2.Telemetry(
        sequence=sequence,
        at_ms=at_ms,
        supply_state=link_pb2.SUPPLY_STATE_ON,
        samples=50,
        supply_uv=5_098_000,
        supply_min_uv=5_091_200,
        supply_max_uv=5_103_300,
        supply_ua=612_000,
        supply_min_ua=598_400,
        supply_max_ua=655_100,
        supply_uw=3_120_000,
        temperature_mc=31_500,
        energy_uj=30_000_000_000 + 3120 * at_ms,
        charge_uc=6_000_000_000 + 612 * at_ms,
        input_uv=5_210_000,
        log_held_bytes=412,
        uart_lost_bytes=1,
        frames_bad=1,
        loop_max_ms=9,
        heap_free_bytes=121_000,
        boot=3,
    )
