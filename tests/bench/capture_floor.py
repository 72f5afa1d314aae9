"""The least that a correct program does to store a console: `python -m tests.bench.capture_floor PORT FILE`.

It reads the port as seldom as hostd does. When what came is worth a flush, it undoes COBS, checksum and seal with the C
libraries, reads the records with protobuf, appends their bytes to one file whose blocks are there already, flushes
that, and acknowledges. There are no gaps, no readers, no boots, no other node, and no second thread: it stands still
while the disk works. What hostd takes more than this is for all that; what this takes, no rewriting of hostd can save.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tty
from pathlib import Path

from cobs import cobs

from racklet.link.v1 import link_pb2
from racklet_hostd.serial_port import LOOK_MS, LOOKED_FOR_BYTES, SOON_MS
from racklet_hostd.urgent import urgent_bytes
from racklet_link.frame_reader import FrameReader
from racklet_link.kernels_host import crc32_append
from racklet_link.seal import Seal, talk_seals
from tests.bench.wire import KEY, RING_BYTES

READ_BYTES = 4096
URGENT_BYTES = urgent_bytes(RING_BYTES)
FAST_BYTES = 8192  # between two looks: more comes soon
PERIOD_S = 1.0  # until what is less than that is acknowledged
ROOM_BYTES = 64 << 20  # whatever is stored in a whole run
NONCE = b"h" * 16
SEAL_SIZE = 14


class Floor:
    """One port and one file."""

    def __init__(self, port: Path, file: Path) -> None:
        self._port = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self._port)
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT, 0o600)
        os.write(self._file, bytes(ROOM_BYTES))
        os.fsync(self._file)
        self._end = 0
        self._reader = FrameReader()
        self._kept = b""
        self._loop = asyncio.get_running_loop()
        self._looked_s = self._acknowledged_s = self._loop.time()
        self._acknowledged = 0
        self._host_seal = self._hat_seal = Seal(KEY)
        self._say(link_pb2.Frame(knock=link_pb2.Knock(protocol_min=2, protocol_max=2, nonce=NONCE)), None)
        self._loop.call_later(LOOK_MS / 1000, self._look)

    def _look(self) -> None:
        now_s = self._loop.time()
        data = self._read()
        self._kept += data
        is_late = now_s - self._acknowledged_s >= PERIOD_S
        parts: list[bytes] = []
        if len(self._kept) >= URGENT_BYTES or len(data) < FAST_BYTES or is_late:
            for payload in self._reader.feed(self._kept):
                self._take(payload, parts)
            self._kept = b""
        if parts:
            blob = b"".join(parts)
            os.pwrite(self._file, blob, self._end)
            self._end += len(blob)
        unstored = self._end - self._acknowledged
        if unstored >= URGENT_BYTES or (unstored and is_late):
            os.fdatasync(self._file)
            self._acknowledged, self._acknowledged_s = self._end, now_s
            acknowledge = link_pb2.Acknowledge(log_boot=1, log_offset=self._end, event_sequence=1)
            self._say(link_pb2.Frame(acknowledge=acknowledge), self._host_seal)
        passed_ms, self._looked_s = (now_s - self._looked_s) * 1000, now_s
        delay_ms = min(SOON_MS, max(LOOK_MS, passed_ms * LOOKED_FOR_BYTES / max(1, len(data))))
        self._loop.call_at(now_s + delay_ms / 1000, self._look)

    def _read(self) -> bytes:
        parts: list[bytes] = []
        try:
            while not parts or len(parts[-1]) >= READ_BYTES - 1:
                parts.append(os.read(self._port, READ_BYTES))
        except BlockingIOError:
            pass
        return b"".join(parts)

    def _take(self, payload: bytes, parts: list[bytes]) -> None:
        is_sealed = self._hat_seal.opens(payload, len(payload))
        frame = link_pb2.Frame.FromString(payload)
        body = frame.WhichOneof("body")
        if body == "hello":
            hello = frame.hello
            self._host_seal, self._hat_seal = talk_seals(KEY, NONCE, hello.nonce, hello.hat_id)
            self._say(link_pb2.Frame(welcome=link_pb2.Welcome(version=2, session=hello.session)), self._host_seal)
        elif body == "log_record" and is_sealed:
            record = frame.log_record
            if record.boot == 1 and record.offset == self._end + sum(map(len, parts)):
                parts.append(record.data)

    def _say(self, frame: link_pb2.Frame, seal: Seal | None) -> None:
        payload = bytearray(frame.SerializeToString())
        size = len(payload)
        if seal is not None:
            payload += bytes(SEAL_SIZE)
            seal.put(payload, 0, size)
            size += SEAL_SIZE
        crc32_append(payload, 0, size, size)
        os.write(self._port, cobs.encode(payload) + b"\0")


async def main() -> None:
    """Store until killed."""
    _floor = Floor(Path(sys.argv[1]), Path(sys.argv[2]))
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
