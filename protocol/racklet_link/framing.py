"""Frames on the wire: COBS( payload ‖ CRC-32 ) ‖ 0x00."""

from racklet_link.kernels import cobs_decode, const, copy, crc32_matches, find_zero, frame_message
from racklet_link.message import Message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from racklet_link.ports import TakePayload
    from racklet_link.seal import Seal

_CRC_SIZE = const(4)
_MAX_FRAME = const(519)
_WIRE = const(520)  # MAX_FRAME and the closing 0x00


class FrameDecoder:
    """Finds frames in whatever a line carries. Holds at most one frame; a damaged one is counted and dropped.

    `on_payload` is called for every good frame.
    """

    def __init__(self, on_payload: "TakePayload") -> None:
        self._on_payload = on_payload
        self._buf = bytearray(_MAX_FRAME + _CRC_SIZE)
        self._fill = 0
        self._too_long = False
        self.frames = 0
        self.bad_cobs = 0
        self.bad_crc = 0
        self.oversize = 0

    @property
    def bad_frames(self) -> int:
        """All frames that were dropped as damaged."""
        return self.bad_cobs + self.bad_crc + self.oversize

    def feed(self, data: "bytes | bytearray", size: int) -> None:
        """Take the first `size` bytes of `data`."""
        start = 0
        while start < size:
            stop = find_zero(data, start, size)
            self._take(data, start, stop)
            if stop < size:
                self._end_frame()
            start = stop + 1

    def _take(self, data: "bytes | bytearray", start: int, stop: int) -> None:
        count = stop - start
        if count > _MAX_FRAME - self._fill:
            self._too_long = True
            count = _MAX_FRAME - self._fill
        copy(self._buf, self._fill, data, start, count)
        self._fill += count

    def _end_frame(self) -> None:
        end, self._fill = self._fill, 0
        if self._too_long:
            self._too_long = False
            self.oversize += 1
            return
        if end == 0:
            return  # a sender may open with 0x00 to end whatever lies in the line
        end = cobs_decode(self._buf, end) - _CRC_SIZE
        if end < 0:
            self.bad_cobs += 1
        elif not crc32_matches(self._buf, 0, end):
            self.bad_crc += 1
        else:
            self.frames += 1
            self._on_payload(self._buf, end)

    def drop_partial(self) -> None:
        """Forget a frame that was begun and not ended: its sender is gone."""
        if self._fill:
            self._fill = 0
            self._too_long = False
            self.bad_cobs += 1

    @property
    def wants_repl(self) -> bool:
        """True when what came since the last frame is CR, Ctrl-C: a person wants the REPL.

        No frame begins so: the second byte would be the tag of field 0, which does not exist.
        """
        return self._fill == 2 and self._buf[0] == 13 and self._buf[1] == 3


class FrameEncoder:
    """Makes one frame at a time, in one buffer."""

    def __init__(self) -> None:
        self.wire = bytearray(_WIRE)

    def frame(self, body: Message, tag: int, seal: "Seal | None") -> int:
        """Frame `body` as the Frame field of `tag`, sealed if need be; return how many bytes of `wire` that takes."""
        if seal is None:
            return frame_message(body.table, body.slots, body.blobs, tag, None, 0, self.wire)
        seal.number += 1
        return frame_message(body.table, body.slots, body.blobs, tag, seal.key, seal.number, self.wire)
