"""One direction of a line that damages, drops, doubles and delays whole frames; seeded, in time that is passed in."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING

from cobs import cobs  # type: ignore[import-untyped]

from racklet.link.v1 import link_pb2

if TYPE_CHECKING:
    from random import Random

_CRC_BYTES = 4
_LATEST_MS = 8_000  # far beyond what a request lives in the HAT's memory: it is repeated after 300 ms
_FLIPS_MAX = 6


class Fate(StrEnum):
    """What becomes of a frame."""

    GOOD = "good"
    DAMAGED = "damaged"
    DROPPED = "dropped"
    DOUBLED = "duplicated"
    LATE = "late"


BAD = (Fate.DAMAGED, Fate.DROPPED, Fate.DOUBLED, Fate.LATE)
ABOUT_REQUESTS = ("request", "reply")


class BadLine:
    """Gives each frame its fate. A late frame, or the double of one, is overtaken by others: worse than a serial line.

    Attributes:
        badness: the part of the frames that gets a bad fate, all of these alike.
        fates: how many frames got which, by what they are: "request", "reply", or "other".
        results: of the replies that were put in, good or bad.
    """

    def __init__(self, random: Random, badness: float) -> None:
        self.badness = badness
        self.fates: Counter[tuple[str, Fate]] = Counter()
        self.results: Counter[int] = Counter()
        self._random = random
        self._partial = b""
        self._waiting: list[tuple[int, bytes]] = []

    @property
    def is_empty(self) -> bool:
        """True when nothing is on its way."""
        return not self._waiting

    @property
    def bad_about_requests(self) -> int:
        """How many requests and replies got a bad fate."""
        return sum(self.fates[what, fate] for what in ABOUT_REQUESTS for fate in BAD)

    def put(self, data: bytes, now_ms: int) -> None:
        """Take what one end writes: frames, each with the 0x00 that ends it, or parts of them."""
        *frames, self._partial = (self._partial + data).split(b"\x00")
        for frame in frames:
            self._send(frame + b"\x00", now_ms)

    def take(self, now_ms: int) -> bytes:
        """Return what has arrived at the other end."""
        if not self._waiting:
            return b""
        due = [item for item in self._waiting if item[0] <= now_ms]
        self._waiting = [item for item in self._waiting if item[0] > now_ms]
        return b"".join(data for _, data in sorted(due, key=lambda item: item[0]))

    def _send(self, frame: bytes, now_ms: int) -> None:
        random = self._random
        fate = random.choice(BAD) if random.random() < self.badness else Fate.GOOD
        self.fates[self._kind(frame), fate] += 1
        if fate is Fate.DROPPED:
            return
        if fate in (Fate.LATE, Fate.DOUBLED):
            self._waiting.append((now_ms + random.randint(1, _LATEST_MS), frame))
        if fate is not Fate.LATE:
            self._waiting.append((now_ms, self._damaged(frame) if fate is Fate.DAMAGED else frame))

    def _kind(self, frame: bytes) -> str:
        """Return what a frame is before the line has spoiled it, and note a reply's result."""
        if len(frame) == 1:
            return "other"  # the 0x00 with which a talk begins
        body = link_pb2.Frame.FromString(cobs.decode(frame[:-1])[:-_CRC_BYTES])
        kind = str(body.WhichOneof("body"))
        if kind == "reply":
            self.results[body.reply.result] += 1
        return kind if kind in ABOUT_REQUESTS else "other"

    def _damaged(self, frame: bytes) -> bytes:
        """Flip some bits, lose the end, or lose a byte; its last 0x00 is not spared, so that two frames become one."""
        spoilt = bytearray(frame)
        match self._random.randrange(3):
            case 0:
                for _ in range(self._random.randint(1, _FLIPS_MAX)):
                    spoilt[self._random.randrange(len(spoilt))] ^= 1 << self._random.randrange(8)
            case 1:
                del spoilt[self._random.randrange(len(spoilt)) :]
            case _:
                del spoilt[self._random.randrange(len(spoilt))]
        return bytes(spoilt)
