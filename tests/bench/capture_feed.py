"""Says what a node's console says on a pty: `python -m tests.bench.capture_feed KIND PORT WRITE_BYTES`.

KIND `raw` puts the console's bytes on the line, as an adapter does, whenever WRITE_BYTES are together; `link` speaks as
a HAT, with a frame that is ready for each RECORD_BYTES. Neither hands more than WRITE_BYTES to the line at once. Each
line of its input, `RATE BYTES`, makes it say so many bytes of console at RATE bytes a second, 0 for as fast as the line
takes them, and answer with a line when they are said.
"""

from __future__ import annotations

import os
import select
import sys
import time
import tty
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from racklet.link.v1 import link_pb2
from tests.bench.wire import RING_BYTES, HatSeal, measured, unseal

RECORD_BYTES = 448  # what a HAT puts into one record
HELD_BYTES = RING_BYTES  # what a HAT's ring holds, and no less than what an adapter and its driver do
TELEMETRY_EVERY_S = 1.0
LOOK_S = 0.1  # as often as a HAT looks whether something is due, when nothing comes
STDIN = 0

_LINE = b"[%5d.%06d] usb 1-1.%d: new high-speed USB device number %03d\r\n"
_LINES = RECORD_BYTES // len(_LINE % (0, 0, 0, 0))


def record_data(number: int) -> bytes:
    """Return RECORD_BYTES of a boot log: whole lines, each of them another."""
    lines = range(number * _LINES, (number + 1) * _LINES)
    return b"".join([_LINE % (line // 1000, line % 1000 * 1000, line % 4, line % 1000) for line in lines])


class Feed(ABC):
    """One side of a pty, and what is to be said there: pieces of `piece_bytes` of console."""

    def __init__(self, port: Path, piece_bytes: int, write_bytes: int) -> None:
        self.piece_bytes = piece_bytes
        self._write_bytes = write_bytes
        self.master, self._slave = os.openpty()  # the slave stays open, so that a reader may come and go
        tty.setraw(self._slave)
        os.set_blocking(self.master, False)
        port.symlink_to(os.ttyname(self._slave))
        self._pieces: list[bytes] = []
        self._rest = b""
        self._said = 0  # pieces that are on the line
        self._begin, self._begin_s, self._rate = 0, 0.0, 0  # of what is said now: its first piece, since when, how fast

    def say(self, rate: int, size: int) -> None:
        """Say `size` bytes more. What the other side leaves unread beyond HELD_BYTES is lost, unless `rate` is 0."""
        end = self._said + size // self.piece_bytes
        while len(self._pieces) < end:
            self._pieces.append(self.render(len(self._pieces)))
        begin, begin_s = self._said, time.monotonic()
        self._begin, self._begin_s, self._rate = begin, begin_s, rate
        while True:
            due = end
            if rate:
                due = min(end, begin + 1 + int((time.monotonic() - begin_s) * rate / self.piece_bytes))
            self._put(due)
            if rate:
                self._lose(due - HELD_BYTES // self.piece_bytes)
            is_on_the_line = self._said == due and not self._rest
            if is_on_the_line and due == end and self.is_stored:
                return
            next_s = begin_s + (due - begin) * self.piece_bytes / rate - time.monotonic() if due < end else LOOK_S
            if self._wait(next_s, writes=not is_on_the_line):
                sys.exit()  # whoever asked for this has gone: nobody asks for two things at once

    def idle(self) -> None:
        """Do what is due while nothing is to be said, until there is input."""
        self._put(0)
        while not self._wait(LOOK_S, writes=bool(self._rest)):
            self._put(0)

    @abstractmethod
    def render(self, number: int) -> bytes:
        """Return what is to be said for a piece, as far as it is known beforehand."""

    def on_the_line(self, rendered: bytes) -> bytes:
        """Return what is written of a piece now."""
        return rendered

    def due_s(self, number: int) -> float:
        """Return when the node has said a piece, on the monotonic clock."""
        if not self._rate:
            return time.monotonic()
        return self._begin_s + (number - self._begin) * self.piece_bytes / self._rate

    @abstractmethod
    def hear(self, data: bytes) -> None:
        """Take what the other side says."""

    @property
    def is_stored(self) -> bool:
        """Whether the other side has stored everything, as far as it tells."""
        return True

    def keep_alive(self) -> bytes:
        """Return what has to be said now, whatever else there is."""
        return b""

    def _put(self, due: int) -> None:
        self._rest += self.keep_alive()
        while self._rest or self._said < due:
            if not self._rest:
                self._rest = self.on_the_line(self._pieces[self._said])
                self._said += 1
            try:
                self._rest = self._rest[os.write(self.master, self._rest[: self._write_bytes]) :]
            except BlockingIOError:
                return

    def _lose(self, oldest: int) -> None:
        """Lose the pieces before `oldest` that are not yet said."""
        self._said = max(self._said, oldest)

    def _wait(self, timeout_s: float, *, writes: bool) -> bool:
        readable, _, _ = select.select([self.master, STDIN], [self.master] if writes else [], [], max(0.0, timeout_s))
        if self.master in readable:
            self.hear(os.read(self.master, 1 << 16))
        return STDIN in readable


class RawFeed(Feed):
    """Console bytes as they are."""

    def __init__(self, port: Path, write_bytes: int) -> None:
        super().__init__(port, write_bytes, write_bytes)

    def render(self, number: int) -> bytes:
        """Return the bytes."""
        begin, end = number * self.piece_bytes, (number + 1) * self.piece_bytes
        first = begin // RECORD_BYTES
        records = b"".join(map(record_data, range(first, -(-end // RECORD_BYTES))))
        return records[begin - first * RECORD_BYTES : end - first * RECORD_BYTES]

    def hear(self, data: bytes) -> None:
        """Throw away what somebody types."""


class LinkFeed(Feed):
    """A HAT of which the node is in its first boot."""

    def __init__(self, port: Path, write_bytes: int) -> None:
        super().__init__(port, RECORD_BYTES, write_bytes)
        self._start_s = time.monotonic()
        self._heard = b""
        self._seal = HatSeal(1)
        self._is_up = False
        self._acked_bytes = 0
        self._telemetry_s = 0.0
        self._telemetries = 0
        self._hearers: dict[str, Callable[[link_pb2.Frame], None]] = {
            "knock": self._on_knock,
            "welcome": self._on_welcome,
            "acknowledge": self._on_acknowledge,
        }

    def render(self, number: int) -> bytes:
        """Return a record, but for its time."""
        data = link_pb2.LogRecord(boot=1, offset=number * RECORD_BYTES, data=record_data(number))
        return link_pb2.Frame(log_record=data).SerializeToString()

    def on_the_line(self, rendered: bytes) -> bytes:
        """Return the frame of a record."""
        frame = link_pb2.Frame.FromString(rendered)
        frame.log_record.at_ms = self._ms(self.due_s(frame.log_record.offset // RECORD_BYTES))
        return self._seal.seal(frame)

    def hear(self, data: bytes) -> None:
        """Take frames."""
        *frames, self._heard = (self._heard + data).split(b"\0")
        for framed in filter(None, frames):
            frame = link_pb2.Frame.FromString(unseal(framed + b"\0"))
            self._hearers[str(frame.WhichOneof("body"))](frame)

    @property
    def is_stored(self) -> bool:
        """Whether all is acknowledged."""
        return self._is_up and self._acked_bytes == self._said * RECORD_BYTES

    def keep_alive(self) -> bytes:
        """Return the telemetry that is due."""
        now_s = time.monotonic()
        if not self._is_up or now_s - self._telemetry_s < TELEMETRY_EVERY_S:
            return b""
        self._telemetry_s = now_s
        self._telemetries += 1
        return self._seal.seal(link_pb2.Frame(telemetry=measured(self._telemetries, self._ms())))

    def _lose(self, oldest: int) -> None:
        lost = oldest - self._said
        if lost > 0:
            record = link_pb2.LogRecord(
                boot=1,
                offset=self._said * RECORD_BYTES,
                at_ms=self._ms(),
                lost_bytes=lost * RECORD_BYTES,
                gap_reason=link_pb2.GAP_REASON_RING_FULL,
            )
            self._rest += self._seal.seal(link_pb2.Frame(log_record=record))
            self._said = oldest

    def _ms(self, at_s: float | None = None) -> int:
        at_s = time.monotonic() if at_s is None else at_s
        return int((at_s - self._start_s) * 1000) + 1

    def _on_knock(self, frame: link_pb2.Frame) -> None:
        self._seal.hear(frame)
        self._rest += self._seal.hello()

    def _on_welcome(self, _frame: link_pb2.Frame) -> None:
        self._is_up = True
        if self._said == 0:
            start = link_pb2.LogRecord(boot=1, at_ms=self._ms(), boot_cause=link_pb2.BOOT_CAUSE_SUPPLY_ON)
            self._rest += self._seal.seal(link_pb2.Frame(log_record=start))

    def _on_acknowledge(self, frame: link_pb2.Frame) -> None:
        self._acked_bytes = frame.acknowledge.log_offset
        if frame.acknowledge.log_resend:
            self._said = frame.acknowledge.resend_offset // RECORD_BYTES


def main() -> None:
    """Say what the input asks for until it ends."""
    feed = {"raw": RawFeed, "link": LinkFeed}[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
    while True:
        feed.idle()
        line = os.read(STDIN, 100).split()
        if not line:
            return
        feed.say(int(line[0]), int(line[1]))
        sys.stdout.write("said\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
