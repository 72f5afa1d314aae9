"""Frames as they stand on the line, made and taken apart with the libraries alone."""

from __future__ import annotations

import zlib

from cobs import cobs

from racklet.link.v1 import link_pb2

CRC_SIZE = 4


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


def hello(number: int) -> bytes:
    """Return the frame with which HAT number `number` introduces itself."""
    body = link_pb2.Hello(
        protocol_min=1,
        protocol_max=1,
        session=1000 + number,
        supply_state=link_pb2.SUPPLY_STATE_ON,
        at_ms=1,
        event_sequence=1,
        hat_id=number.to_bytes(8, "big"),
        board="hat-a",
        firmware="0.1.0",
    )
    return seal(link_pb2.Frame(hello=body).SerializeToString())


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


def telemetry(sequence: int, at_ms: int) -> bytes:
    """Return the frame of a Telemetry."""
    return seal(link_pb2.Frame(telemetry=measured(sequence, at_ms)).SerializeToString())
