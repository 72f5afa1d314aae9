"""A HAT, hostd's end and a bad line between them, in time that is passed in."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from random import Random

from racklet.link.v1 import link_pb2
from racklet_link.event_queue import EventQueue
from racklet_link.events import (
    BootStarted,
    ConsoleTaken,
    EventReceived,
    HelloReceived,
    LinkEvent,
    LogData,
    LogGap,
    RequestEnded,
    RequestTimedOut,
    StoredPositions,
    TelemetryReceived,
)
from racklet_link.hat import HatLink
from racklet_link.host import HostLink
from racklet_link.limits import CONSOLE_DATA_MAX, TICK_MASK
from racklet_link.log_ring import LogRing
from racklet_link.message import Message
from tests.protocol.seals import HAT_ID, KEY


class Duties:
    """A HAT's duties: notes what it was told. A power request takes 500 ms and counts as executed at once."""

    hat_id = HAT_ID

    def __init__(self, key: bytes = KEY) -> None:
        self.key = key
        self.randoms = 0
        self.executed: list[tuple[int, int]] = []
        self.typed = bytearray()
        self.room = CONSOLE_DATA_MAX
        self.running: tuple[int, int] | None = None
        self.now_ms = 0

    def load_key(self) -> bytes:
        return self.key

    def keep_key(self, key: bytes) -> None:
        self.key = key

    def random(self, size: int) -> bytes:
        self.randoms += 1
        return bytes([self.randoms & 255]) * size

    def set_power(self, request_id: int, action: int, _grace_ms: int, _force: int, _off_ms: int) -> int:
        self.executed.append((request_id, action))
        if self.running:
            return link_pb2.RESULT_BUSY
        self.running = (request_id, self.now_ms + 500)
        return link_pb2.RESULT_PENDING

    def identify(self, _duration_ms: int) -> int:
        return link_pb2.RESULT_DONE

    def set_limits(self, _slots: array[int]) -> int:
        return link_pb2.RESULT_INVALID

    def set_restore(self, _policy: int, _delay_ms: int) -> int:
        return link_pb2.RESULT_DONE

    def self_test(self, _step: int) -> int:
        return link_pb2.RESULT_DONE

    def begin_update(self, _slots: object, _buf: bytearray) -> int:
        return link_pb2.RESULT_DONE

    def take_update(self, _offset: int, _buf: bytearray, _start: int, _size: int) -> None:
        pass

    def finish_update(self, _request_id: int) -> int:
        return link_pb2.RESULT_DONE

    def confirm_update(self) -> int:
        return link_pb2.RESULT_DONE

    def abort_update(self) -> int:
        return link_pb2.RESULT_DONE

    def fill_update(self, _progress: Message) -> None:
        pass

    def fill_hello(self, hello: Message) -> None:
        hello.put_bytes(15, 1, b"hat-a")
        hello.put_bytes(17, 2, b"0.1.0")

    def fill_reply(self, reply: Message) -> None:
        reply.slots[2] = link_pb2.SUPPLY_STATE_ON

    def fill_telemetry(self, telemetry: Message) -> None:
        telemetry.slots[4] = 50

    def set_clock(self, unix_ms: int) -> None:
        pass

    def type_console(self, buf: bytearray, start: int, size: int) -> int:
        taken = min(size, self.room)
        self.typed += buf[start : start + taken]
        return taken


class Hat:
    """One start of a microcontroller."""

    def __init__(self, session: int, ring_size: int = 2048) -> None:
        self.session = session
        self.log = LogRing(ring_size)
        self.events = EventQueue(8)
        self.duties = Duties()
        self.link = HatLink(session, self.log, self.events, self.duties)

    def step(self, now_ms: int, heard: bytes, room: int) -> bytes:
        """Hear, act, and say at most `room` bytes, a frame more."""
        self.duties.now_ms = now_ms
        ticks = now_ms & TICK_MASK
        self.link.receive(heard, len(heard), ticks)
        if self.duties.running and now_ms >= self.duties.running[1]:
            self.link.finish(self.duties.running[0], link_pb2.RESULT_DONE, 500)
            self.duties.running = None
        said = bytearray()
        while len(said) < room:
            size = self.link.poll(ticks, now_ms >> 30)
            if size == 0:
                break
            said += self.link.wire[:size]
        return bytes(said)


@dataclass
class Host:
    """What hostd keeps of one HAT session, and its end of the link. Syncs when told.

    Attributes:
        has_moved: whether the HAT was plugged in elsewhere, so that it may bring again what was not stored by then.
    """

    link: HostLink
    stored: StoredPositions = field(default_factory=StoredPositions)
    reached: StoredPositions = field(default_factory=StoredPositions)
    boots: dict[int, bytearray] = field(default_factory=dict)
    lost: dict[int, int] = field(default_factory=dict)
    lost_boots: int = 0
    lost_boots_bytes: int = 0
    events: list[int] = field(default_factory=list)
    events_lost: int = 0
    ended: dict[int, link_pb2.Reply | None] = field(default_factory=dict)
    telemetry: list[int] = field(default_factory=list)
    taken: int = 0
    session: int = 0
    has_moved: bool = False

    def step(self, now_ms: int, heard: bytes) -> bytes:
        for event in [*self.link.receive(heard, now_ms), *self.link.tick(now_ms)]:
            self.take(event, now_ms)
        return self.link.take_output()

    def sync(self, now_ms: int) -> bytes:
        self.stored = self.reached
        self.link.acknowledge(self.stored, now_ms)
        return self.link.take_output()

    def take(self, event: LinkEvent, now_ms: int) -> None:
        match event:
            case HelloReceived(hello):
                if hello.session != self.session:
                    self.session = hello.session
                    self.stored = self.reached = StoredPositions()
                self.link.welcome(self.stored, 1_700_000_000_000 + now_ms, now_ms)
            case BootStarted(boot, _, _, lost_boots, lost_bytes):
                if not self._knows(boot, 0):
                    self.boots[boot] = bytearray()
                    self.lost_boots += lost_boots
                    self.lost_boots_bytes += lost_bytes
                    self._reach(boot)
            case LogData(boot, offset, _, data):
                known = len(self.boots[boot]) - offset
                assert known == 0 or self._knows(boot, offset)
                self.boots[boot] += data[known:]
                self._reach(boot)
            case LogGap(boot, offset, _, lost_bytes, _):
                known = len(self.boots[boot]) - offset
                assert known == 0 or self._knows(boot, offset)
                lost = max(0, lost_bytes - known)
                self.boots[boot] += bytes(lost)
                self.lost[boot] = self.lost.get(boot, 0) + lost
                self._reach(boot)
            case EventReceived(news, lost_before):
                if not (self.has_moved and news.sequence in self.events):
                    self.events.append(news.sequence)
                    self.events_lost += lost_before
                    self.reached = StoredPositions(self.reached.log_boot, self.reached.log_offset, news.sequence + 1)
            case RequestEnded(request_id, reply):
                assert request_id not in self.ended
                self.ended[request_id] = reply
            case RequestTimedOut(request_id, _):
                assert request_id not in self.ended
                self.ended[request_id] = None
            case TelemetryReceived(telemetry):
                self.telemetry.append(telemetry.sequence)
            case ConsoleTaken(offset):
                self.taken = offset

    def _knows(self, boot: int, offset: int) -> bool:
        """Tell whether the position was reached before the HAT moved."""
        return self.has_moved and (boot, offset) <= (self.reached.log_boot, self.reached.log_offset)

    def _reach(self, boot: int) -> None:
        if boot >= self.reached.log_boot:
            self.reached = StoredPositions(boot, len(self.boots[boot]), self.reached.event_sequence)


class Line:
    """One direction of a line: late, lossy, doubling, flipping bits; seeded. `quality` 0 is perfect, 1 is hopeless."""

    def __init__(self, random: Random, badness: float) -> None:
        self._random = random
        self.badness = badness
        self._waiting: list[tuple[int, bytes]] = []

    def put(self, data: bytes, now_ms: int) -> None:
        while data:
            size = self._random.randint(1, 200)
            chunk, data = bytearray(data[:size]), data[size:]
            if self._random.random() < self.badness:
                fault = self._random.choice(("drop", "double", "flip"))
                if fault == "drop":
                    continue
                if fault == "double":
                    chunk *= 2
                else:
                    chunk[self._random.randrange(len(chunk))] ^= 1 << self._random.randrange(8)
            late = self._random.randint(0, 40) if self._random.random() < self.badness else 0
            latest = self._waiting[-1][0] if self._waiting else 0
            self._waiting.append((max(latest, now_ms + late), bytes(chunk)))

    def take(self, now_ms: int) -> bytes:
        due = b"".join(data for at_ms, data in self._waiting if at_ms <= now_ms)
        self._waiting = [item for item in self._waiting if item[0] > now_ms]
        return due
