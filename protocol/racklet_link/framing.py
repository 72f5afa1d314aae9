"""Frames on the wire: COBS( payload ‖ CRC-32 ) ‖ 0x00."""

from racklet_link.kernels import cobs_decode, const, copy, crc32_matches, find_zero, frame_message
from racklet_link.message import Message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from racklet_link.seal import Seal

_CRC_SIZE = const(4)
_MAX_FRAME = const(519)
_WIRE = const(520)  # MAX_FRAME and the closing 0x00


class FrameDecoder:
    """Finds frames in whatever a line carries. Holds at most one frame; a damaged one is counted and dropped.

    `feed` gives it bytes, `next_frame` finds the good frames in them one after the other, and `payload` holds the
    newest. They are asked for, not called back with: what is done with one needs the stack of a chip for itself.
    """

    def __init__(self) -> None:
        self.payload = bytearray(_MAX_FRAME + _CRC_SIZE)  # until `next_frame` is asked again
        self._fill = 0
        self._too_long = False
        self._data: "bytes | bytearray" = b""
        self._at = 0
        self._size = 0
        self.frames = 0
        self.bad_cobs = 0
        self.bad_crc = 0
        self.oversize = 0

    @property
    def bad_frames(self) -> int:
        """All frames that were dropped as damaged."""
        return self.bad_cobs + self.bad_crc + self.oversize

    def feed(self, data: "bytes | bytearray", size: int) -> None:
        """Take the first `size` bytes of `data`, which stay as they are until `next_frame` has returned -1."""
        self._data = data
        self._at = 0
        self._size = size

    def next_frame(self) -> int:
        """Return how many bytes of `payload` the next good frame has; -1 when what was fed holds no more."""
        while self._at < self._size:
            start = self._at
            stop = find_zero(self._data, start, self._size)
            self._at = stop + 1
            self._take(self._data, start, stop)
            if stop < self._size:
                end = self._end_frame()
                if end >= 0:
                    return end
        return -1

    def _take(self, data: "bytes | bytearray", start: int, stop: int) -> None:
        count = stop - start
        if count > _MAX_FRAME - self._fill:
            self._too_long = True
            count = _MAX_FRAME - self._fill
        copy(self.payload, self._fill, data, start, count)
        self._fill += count

    def _end_frame(self) -> int:
        """Return the payload's size, or -1 when there is none or it is damaged."""
        end, self._fill = self._fill, 0
        if self._too_long:
            self._too_long = False
            self.oversize += 1
            return -1
        if end == 0:
            return -1  # a sender may open with 0x00 to end whatever lies in the line
        end = cobs_decode(self.payload, end) - _CRC_SIZE
        if end < 0:
            self.bad_cobs += 1
            return -1
        if not crc32_matches(self.payload, 0, end):
            self.bad_crc += 1
            return -1
        self.frames += 1
        return end

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
        return self._fill == 2 and self.payload[0] == 13 and self.payload[1] == 3


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
