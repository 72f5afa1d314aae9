"""A storm: power requests over a line that damages, drops, doubles and delays half of its frames, in virtual time."""

from __future__ import annotations

import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from racklet.link.v1 import link_pb2
from racklet_link.events import (
    BootStarted,
    EventReceived,
    HelloReceived,
    LinkEvent,
    LinkLost,
    RequestEnded,
    RequestTimedOut,
    StoredPositions,
)
from racklet_link.host import HostLink
from racklet_link.limits import REQUESTS_OUTSTANDING_MAX
from tools.account.bad_line import BadLine
from tools.account.profile_node import Load
from tools.account.request_ledger import IDENTIFY, RequestLedger
from tools.account.virtual_hat import HAT_ID, KEY, TURN_MS, HatRun, electronics

if TYPE_CHECKING:
    from racklet_link.requester import Operation
    from racklet_virtual.hardware import HatHardware

SEED = 7
BAD_FRAMES = 10_000
_BADNESS = 0.5
_TICK_MS = 100  # as in racklet_hostd.hat_session
_SYNC_MS = 1_000
_TELEMETRY_PERIOD_MS = 5_000  # seldom, so that most frames are about requests
_HOST_SESSION = 1
_HAT_SESSION = 2
_ASK_EVERY_MS = (20, 600)
_TIMEOUTS_MS = (700, 4_000, 20_000)  # the first is too short for an OFF
_PATIENCE_MS = 1_000  # for each bad frame; it takes 140
_CALM_MS = 60_000  # after the storm: longer than the longest time-out and the longest delay of a frame
_UNIX_MS = 1_760_000_000_000
# Three seconds to boot, in which the node ignores a soft power-off; then it follows one.
_LOADS = (Load("boot", 3_000_000, 0.9), Load("idle", 20_000_000, 0.5, 0.7, 40_000))
_ACTIONS = (
    link_pb2.POWER_ACTION_ON,
    link_pb2.POWER_ACTION_OFF,
    link_pb2.POWER_ACTION_FORCE_OFF,
    link_pb2.POWER_ACTION_CYCLE,
)
_IDENTIFY_SHARE = 0.2

_DAMAGE = ("cobs", "crc", "malformed", "oversize")


@dataclass(frozen=True, slots=True)
class Storm:
    """What came of it. `rejected` counts the bad frames that the two ends noticed."""

    ledger: RequestLedger
    to_hat: BadLine
    to_host: BadLine
    rejected_by_hat: int
    rejected_by_host: int
    links_lost: int
    seconds: float
    switch_ons: int
    state: int
    latch_on: bool


class RequestRun:
    """The world of one storm. `run` may be called once."""

    def __init__(self, bad_frames: int, seed: int, hardware: HatHardware) -> None:
        self._bad_frames = bad_frames
        self._random = Random(seed)  # noqa: S311  no secret
        self._hardware = hardware
        self._ledger = RequestLedger(self._hardware.supply)
        self._hat = _BookedHat(self._hardware, self._ledger)
        self._host = HostLink(_HOST_SESSION, _TELEMETRY_PERIOD_MS, 0, {HAT_ID: KEY}.get, Random(seed + 1).randbytes)  # noqa: S311  likewise
        self._to_hat = BadLine(self._random, _BADNESS)
        self._to_host = BadLine(self._random, _BADNESS)
        self._outstanding: set[int] = set()
        self._next_ask_ms = 0
        self._links_lost = 0
        self._stored = StoredPositions()

    def run(self) -> Storm:
        """Let it rage until there were bad frames enough, then calm down."""
        now_ms, end_ms = 0, self._bad_frames * _PATIENCE_MS
        while now_ms < end_ms and self._bad_about_requests < self._bad_frames:
            self._ask(now_ms)
            self._turn(now_ms)
            now_ms += TURN_MS
        self._to_hat.badness = self._to_host.badness = 0.0
        calm_ms = now_ms + _CALM_MS
        while now_ms < calm_ms:
            self._turn(now_ms)
            now_ms += TURN_MS
        return Storm(
            ledger=self._ledger,
            to_hat=self._to_hat,
            to_host=self._to_host,
            rejected_by_hat=self._hat.link.decoder.bad_frames,
            rejected_by_host=sum(self._host.counters.errors[kind] for kind in _DAMAGE),
            links_lost=self._links_lost,
            seconds=now_ms / 1000,
            switch_ons=self._hardware.supply.switch_ons,
            state=self._hat.gate.state,
            latch_on=self._hardware.supply.latch_on,
        )

    @property
    def _bad_about_requests(self) -> int:
        return self._to_hat.bad_about_requests + self._to_host.bad_about_requests

    def _ask(self, now_ms: int) -> None:
        random = self._random
        if now_ms < self._next_ask_ms or len(self._outstanding) >= REQUESTS_OUTSTANDING_MAX or not self._host.is_up:
            return
        self._next_ask_ms = now_ms + random.randint(*_ASK_EVERY_MS)
        operation, action = self._drawn(len(self._ledger.asked) + 1)
        request_id = self._host.request(operation, random.choice(_TIMEOUTS_MS), now_ms)
        self._ledger.ask(request_id, action)
        self._outstanding.add(request_id)

    def _drawn(self, request_id: int) -> tuple[Operation, int]:
        """Return an operation and its action. An Identify lasts as many milliseconds as its id, which books it."""
        random = self._random
        if random.random() < _IDENTIFY_SHARE:
            return link_pb2.Identify(duration_ms=request_id), IDENTIFY
        action = random.choice(_ACTIONS)
        grace_ms, force = random.randint(500, 4_000), random.random() < 0.5  # noqa: PLR2004  half of them
        off_ms = random.randint(0, 2_000)
        return link_pb2.SetPower(action=action, grace_ms=grace_ms, force=force, off_ms=off_ms), action

    def _turn(self, now_ms: int) -> None:
        self._to_host.put(self._hat.turn(now_ms, self._to_hat.take(now_ms)), now_ms)
        self._hardware.advance(now_ms * 1000)
        heard = self._to_host.take(now_ms)
        events: list[LinkEvent] = self._host.receive(heard, now_ms) if heard else []
        if now_ms % _TICK_MS == 0:
            events += self._host.tick(now_ms)
        for event in events:
            self._take(event, now_ms)
        if now_ms % _SYNC_MS == 0:
            self._host.acknowledge(self._stored, now_ms)
        self._to_hat.put(self._host.take_output(), now_ms)

    def _take(self, event: LinkEvent, now_ms: int) -> None:
        match event:
            case HelloReceived():
                self._host.welcome(self._stored, _UNIX_MS + now_ms, now_ms)
            case BootStarted(boot):
                self._stored = StoredPositions(boot, 0, self._stored.event_sequence)
            case EventReceived(news):
                self._stored = StoredPositions(self._stored.log_boot, self._stored.log_offset, news.sequence + 1)
            case LinkLost():
                self._links_lost += 1
            case RequestEnded(request_id, reply):
                self._tell(request_id, reply.result)
            case RequestTimedOut(request_id):
                self._tell(request_id, None)
            case _:
                pass

    def _tell(self, request_id: int, result: int | None) -> None:
        self._outstanding.discard(request_id)
        self._ledger.tell(request_id, result)


class _BookedHat(HatRun):
    """Enters into the books what it does."""

    def __init__(self, hardware: HatHardware, ledger: RequestLedger) -> None:
        super().__init__(hardware, _HAT_SESSION, link_pb2.RESET_CAUSE_POWER_ON, 0)
        self._ledger = ledger

    def set_power(self, request_id: int, action: int, grace_ms: int, force: int, off_ms: int) -> int:
        result = super().set_power(request_id, action, grace_ms, force, off_ms)
        self._ledger.execute(request_id, action, result)
        return result

    def identify(self, duration_ms: int) -> int:
        result = super().identify(duration_ms)
        self._ledger.execute(duration_ms, IDENTIFY, result)
        return result

    def _finish(self, request_id: int, result: int, duration_ms: int) -> None:
        self._ledger.finish(request_id, result)
        super()._finish(request_id, result, duration_ms)


def raged(bad_frames: int, seed: int) -> Storm:
    """Let a storm rage in a temporary folder and return what came of it."""
    with tempfile.TemporaryDirectory(prefix="racklet-account-") as folder:
        hardware = electronics(Path(folder), _LOADS, seed)
        with closing(hardware.record):
            return RequestRun(bad_frames, seed, hardware).run()
