"""Waits for the Hello of a HAT that has just started."""

from __future__ import annotations

import contextlib
import secrets
import time
from typing import TYPE_CHECKING

import serial  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError

from racklet.link.v1 import link_pb2
from racklet_link.frame_reader import FrameReader
from racklet_link.host import HostLink
from tools.flash.errors import NoHelloError

if TYPE_CHECKING:
    from pathlib import Path

_PERIOD_MS = 1000
_READ_S = 0.1


def wait_for_hello(port: Path, patience_s: float) -> link_pb2.Hello:
    """Return what the firmware says of itself. Raises NoHelloError."""
    end_s = time.monotonic() + patience_s
    while time.monotonic() < end_s:
        with contextlib.suppress(OSError, serial.SerialException):  # the port is away while the HAT starts
            hello = _listen(port, end_s)
            if hello is not None:
                return hello
        time.sleep(_READ_S)  # noqa: TID251 - nothing tells that a port is back
    raise NoHelloError(
        f"everything is written, but the HAT at {port} has not said Hello in {patience_s:.0f} s;"
        " `mpremote` shows what it says instead"
    )


def _listen(port: Path, end_s: float) -> link_pb2.Hello | None:
    """Knock, and return the Hello. It is taken for what it says: whoever holds the port has the HAT anyway."""
    with serial.Serial(str(port), timeout=_READ_S, exclusive=True) as opened:
        knocking = HostLink(1, _PERIOD_MS, _now_ms(), lambda _: None, secrets.token_bytes)
        reader = FrameReader()
        while time.monotonic() < end_s:
            knocking.tick(_now_ms())
            opened.write(knocking.take_output())
            for payload in reader.feed(opened.read(1) + opened.read(opened.in_waiting)):
                with contextlib.suppress(DecodeError):
                    frame = link_pb2.Frame.FromString(payload)
                    if frame.HasField("hello"):
                        return frame.hello
    return None


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
