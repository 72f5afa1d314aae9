"""The computer at the other end of an emulated HAT's cable: hostd's end of the link, in emulated time."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from racklet.link.v1 import link_pb2
from racklet_link.events import (
    EventReceived,
    HelloReceived,
    KeyAgreed,
    LinkEvent,
    LogData,
    LogGap,
    RequestEnded,
    StoredPositions,
    Stranger,
    TelemetryReceived,
    UpdateProgressed,
)
from racklet_link.host import HostLink

if TYPE_CHECKING:
    from collections.abc import Callable

    from racklet_emulator.chip import Cut
    from racklet_emulator.hat import EmulatedHat
    from racklet_link.requester import Operation

_LOOK_MS = 2
_ACKNOWLEDGE_EVERY_MS = 20  # hostd does so when it has stored, and a disk takes as long
_PATIENCE_MS = 3_000


class PowerLostError(Exception):
    """The power was cut as planned: see `ChipHost.cut_power_at`."""


class ChipHost:
    """Talks to one HAT, welcomes it, acknowledges what comes, and keeps all of it."""

    def __init__(self, hat: EmulatedHat, *, telemetry_period_ms: int = 200) -> None:
        self.hat = hat
        self.wire_sizes: set[int] = set()  # of the frames that came, with their closing zeros
        self._tail = b""
        self._keys: dict[bytes, bytes] = {}  # of the HAT, by its id, once it is adopted
        random = Random(7).randbytes  # noqa: S311 - the same in every run
        self.link = HostLink(7, telemetry_period_ms, hat.now_ms, key_of=self._keys.get, random=random)
        self.hellos: list[link_pb2.Hello] = []
        self.replies: list[link_pb2.Reply] = []
        self.events: list[link_pb2.Event] = []
        self.telemetry: list[link_pb2.Telemetry] = []
        self.log: dict[int, bytearray] = {}  # by boot; what a gap lost is not in it
        self.gaps: list[LogGap] = []
        self.updates: list[tuple[int, link_pb2.UpdateProgress]] = []  # with the millisecond in which each came
        self._stored = StoredPositions()
        self._acknowledged_ms = 0
        self.awaits_cut = False  # a planned cut has not struck yet

    def run_ms(self, duration_ms: float) -> None:
        """Let emulated time pass."""
        end_ms = self.hat.now_ms + duration_ms
        while self.hat.now_ms < end_ms:
            self.hat.run_ms(min(_LOOK_MS, end_ms - self.hat.now_ms))
            self._pump()

    def run_until(self, condition: Callable[[], object], limit_ms: float = _PATIENCE_MS) -> None:
        """Let emulated time pass until the condition holds. Raises OutOfTimeError when it does not in time."""
        self.hat.run_until(lambda: self._pump() or condition(), limit_ms, look_every_ms=_LOOK_MS)

    def greet(self, limit_ms: int = _PATIENCE_MS) -> link_pb2.Hello:
        """Wait for a Hello that has not come yet, and for the talk that it opens; return it."""
        before = len(self.hellos)
        self.run_until(lambda: len(self.hellos) > before and self.link.is_up, limit_ms)
        return self.hellos[-1]

    def ask(self, operation: Operation, limit_ms: int = _PATIENCE_MS) -> link_pb2.Reply:
        """Send a request; return its reply."""
        before = len(self.replies)
        self.link.request(operation, limit_ms, self.hat.now_ms)
        self.run_until(lambda: len(self.replies) > before, limit_ms)
        return self.replies[-1]

    def switch(self, action: link_pb2.PowerAction.ValueType) -> link_pb2.Reply:
        """Ask for a power action; return its reply."""
        return self.ask(link_pb2.SetPower(action=action))

    def cut_power_at(self, operation: int, how: Cut) -> None:
        """Take the chip's power at an operation of its flash, 1 being the next: PowerLostError says when it is gone."""
        self.hat.cut_power_at(operation, how)
        self.awaits_cut = True

    def _pump(self) -> None:
        """Take what has come, send what is due."""
        if self.awaits_cut and not self.hat.chip.is_powered:
            self.awaits_cut = False
            raise PowerLostError
        now_ms = self.hat.now_ms
        came = self.hat.read()
        *whole, self._tail = (self._tail + came).split(b"\0")
        self.wire_sizes.update(len(frame) + 1 for frame in whole)
        for event in [*self.link.receive(came, now_ms), *self.link.tick(now_ms)]:
            self._take(event)
        if now_ms - self._acknowledged_ms >= _ACKNOWLEDGE_EVERY_MS:
            self._acknowledged_ms = now_ms
            self.link.acknowledge(self._stored, now_ms)
        if output := self.link.take_output():
            self.hat.write(output)

    def _take(self, event: LinkEvent) -> None:
        match event:
            case HelloReceived() | Stranger() | KeyAgreed():
                self._take_greeting(event)
            case RequestEnded(reply=reply):
                self.replies.append(reply)
            case EventReceived(event=news):
                self.events.append(news)
                self._stored = replace(self._stored, event_sequence=news.sequence + 1)
            case TelemetryReceived(telemetry=telemetry):
                self.telemetry.append(telemetry)
            case UpdateProgressed(progress=progress):
                self.updates.append((self.hat.now_ms, progress))
            case LogData() | LogGap():
                self._take_log(event)
            case _:
                pass

    def _take_greeting(self, event: HelloReceived | Stranger | KeyAgreed) -> None:
        match event:
            case HelloReceived(hello=hello):
                self.hellos.append(hello)
                self.link.welcome(self._stored, 0, self.hat.now_ms)
            case Stranger(hello=hello):
                self.link.adopt(hello.hat_id, self.hat.now_ms)
            case KeyAgreed(hat_id, key):
                self._keys[hat_id] = key
                self.link.knock(self.hat.now_ms)

    def _take_log(self, piece: LogData | LogGap) -> None:
        if isinstance(piece, LogGap):
            self.gaps.append(piece)
            size = piece.lost_bytes
        else:
            self.log.setdefault(piece.boot, bytearray()).extend(piece.data)
            size = len(piece.data)
        self._stored = replace(self._stored, log_boot=piece.boot, log_offset=piece.offset + size)
