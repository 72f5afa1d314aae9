"""Frames on the wire, as hostd's end reads them: many at once, so that the work per byte is done by C libraries.

It finds the same frames and counts the same damage as `framing.FrameDecoder`, which MicroPython runs.
"""

from __future__ import annotations

import re
import zlib
from typing import Final

from cobs import cobs  # type: ignore[import-untyped]

from racklet.link.v1 import link_pb2
from racklet_link.limits import CRC_SIZE, MAX_FRAME

_CRC_OF_SEALED: Final = 0x2144DF1C  # of anything with its own CRC-32 behind it
_LOG_TAG: Final = re.escape(bytes([link_pb2.Frame.LOG_RECORD_FIELD_NUMBER << 3 | 2]))
_OTHER_FRAME: Final = re.compile(rb"\0(?!.?\Z|.%b)" % _LOG_TAG, re.DOTALL)  # behind COBS's first code, the first tag


def is_log_alone(data: bytes) -> bool:
    """Tell whether all frames that begin behind another in `data` are log records, as far as their first bytes tell.

    Of the last frame two bytes must be there; else give its beginning again, with what follows.
    """
    return _OTHER_FRAME.search(data) is None


class FrameReader:
    """Finds frames in whatever a line carries. Holds at most one frame; a damaged one is counted and dropped."""

    def __init__(self) -> None:
        self._held = b""  # of a frame that has not ended: at most one byte more than a frame may have
        self.frames = 0
        self.bad_cobs = 0
        self.bad_crc = 0
        self.oversize = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes from the line; return the payloads of the good frames that end in them."""
        *ended, rest = data.split(b"\0")
        if not ended:
            self._held = (self._held + rest)[: MAX_FRAME + 1]
            return []
        ended[0] = self._held + ended[0]
        self._held = rest[: MAX_FRAME + 1]
        return [payload for frame in ended if frame and (payload := self._payload(frame)) is not None]

    def _payload(self, frame: bytes) -> bytes | None:
        if len(frame) > MAX_FRAME:
            self.oversize += 1
            return None
        try:
            sealed: bytes = cobs.decode(frame)
        except cobs.DecodeError:
            self.bad_cobs += 1
            return None
        if len(sealed) < CRC_SIZE:
            self.bad_cobs += 1
            return None
        if zlib.crc32(sealed) != _CRC_OF_SEALED:
            self.bad_crc += 1
            return None
        self.frames += 1
        return sealed[:-CRC_SIZE]
