"""Many HATs that have little to say, on ptys: `python -m tests.bench.ports_hats FOLDER HATS`, until its input ends.

Each introduces itself when it is knocked for, and tells a Telemetry every second from when it was welcomed. The ports
are FOLDER/node-1 and so on; a line on the output tells that they are there.
"""

from __future__ import annotations

import heapq
import os
import select
import sys
import time
import tty
from contextlib import suppress
from pathlib import Path

from racklet.link.v1 import link_pb2
from tests.bench.process import allow_files
from tests.bench.wire import HatSeal, measured, unseal

TELEMETRY_EVERY_S = 1.0
STDIN = 0


class QuietHats:
    """The HATs' sides of the ptys."""

    def __init__(self, folder: Path, hats: int) -> None:
        self._poll = select.epoll()
        self._poll.register(STDIN, select.EPOLLIN | select.EPOLLHUP)
        self._seals: dict[int, HatSeal] = {}
        self._heard: dict[int, bytes] = {}
        self._said: dict[int, int] = {}  # telemetries of those that are welcome
        self._due: list[tuple[float, int]] = []
        for number in range(1, hats + 1):
            master, slave = os.openpty()
            tty.setraw(slave)
            os.set_blocking(master, False)
            (folder / f"node-{number}").symlink_to(os.ttyname(slave))
            self._seals[master] = HatSeal(number)
            self._poll.register(master, select.EPOLLIN)

    def run(self) -> None:
        """Talk until the input ends."""
        while True:
            wait_s = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
            for ready, _ in self._poll.poll(wait_s):
                if ready == STDIN:
                    return
                self._hear(ready)
            while self._due and self._due[0][0] <= time.monotonic():
                due_s, master = heapq.heappop(self._due)
                self._tell(master)
                heapq.heappush(self._due, (due_s + TELEMETRY_EVERY_S, master))

    def _hear(self, master: int) -> None:
        *frames, self._heard[master] = (self._heard.get(master, b"") + os.read(master, 4096)).split(b"\0")
        for framed in filter(None, frames):
            frame = link_pb2.Frame.FromString(unseal(framed + b"\0"))
            if self._seals[master].hear(frame):
                self._write(master, self._seals[master].hello())
            elif frame.HasField("welcome") and master not in self._said:
                self._said[master] = 0
                heapq.heappush(self._due, (time.monotonic(), master))

    def _tell(self, master: int) -> None:
        self._said[master] += 1
        telemetry = measured(self._said[master], self._said[master] * 1000)
        self._write(master, self._seals[master].seal(link_pb2.Frame(telemetry=telemetry)))

    def _write(self, master: int, frame: bytes) -> None:
        with suppress(BlockingIOError):  # nobody reads: then it is lost, as telemetry may be
            os.write(master, frame)


def main() -> None:
    """Be the HATs."""
    hats = int(sys.argv[2])
    allow_files(2 * hats)
    quiet = QuietHats(Path(sys.argv[1]), hats)
    sys.stdout.write("there\n")
    sys.stdout.flush()
    quiet.run()


if __name__ == "__main__":
    main()
