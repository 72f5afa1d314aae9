"""hostd's record of one node in virtual time: its end of the link, its recorder, its store. It can be killed."""

from __future__ import annotations

import shutil
from random import Random
from typing import TYPE_CHECKING

from racklet.link.v1 import link_pb2
from racklet_hostd.event_log import EventLog
from racklet_hostd.recorder import Recorder
from racklet_hostd.store import Store, StoreLimits
from racklet_hostd.syncing import IDLE_EVERY
from racklet_link.events import (
    BootStarted,
    EventReceived,
    HelloReceived,
    LinkEvent,
    LogData,
    LogGap,
    TelemetryReceived,
)
from racklet_link.host import HostLink
from tools.account.virtual_hat import HAT_ID, KEY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NODE = "node-1"
TICK_MS = 100  # as in racklet_hostd.hat_session
TELEMETRY_PERIOD_MS = 1000  # the default
SYNC_PERIOD_MS = 1000  # likewise
_REQUEST_TIMEOUT_MS = 5_000
_UNIX_MS = 1_760_000_000_000  # when the virtual world begins
_SESSIONS = (1 << 30) - 1


class VirtualClock:
    """Tells the time that was set last."""

    def __init__(self) -> None:
        self.now_ms = 0

    def monotonic_ms(self) -> int:
        """Return a time that never jumps, for spans."""
        return self.now_ms

    def unix_ms(self) -> int:
        """Return the wall time, for records."""
        return _UNIX_MS + self.now_ms


class HostdLife:
    """From one start of hostd to its kill. `take_reading` is told of each telemetry and of the counter it led to."""

    def __init__(
        self, folder: Path, clock: VirtualClock, random: Random, take_reading: Callable[[link_pb2.Telemetry, int], None]
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._random = random
        self._take_reading = take_reading
        self._store = Store.open(folder, StoreLimits(free_bytes_kept=0))
        self._node = self._store.node(NODE)
        self._recorder = Recorder(self._node, EventLog(self._store.events), clock)
        self._link: HostLink | None = None
        self._tick_ms = self._sync_ms = clock.now_ms
        self._syncs = 0

    @property
    def published_uj(self) -> int:
        """The node's energy counter as every reader of hostd sees it."""
        return self._node.energy_uj

    @property
    def published_uc(self) -> int:
        """The node's charge counter, likewise."""
        return self._node.totals.charge_uc

    @property
    def is_plugged(self) -> bool:
        """Whether it has the HAT's port open."""
        return self._link is not None

    def plug(self) -> None:
        """The HAT's port is there: open it."""
        nonces = Random(self._clock.now_ms)  # noqa: S311  no secret; those of the plan stay as they are
        self._link = HostLink(
            1 + self._random.randrange(_SESSIONS),
            TELEMETRY_PERIOD_MS,
            self._clock.now_ms,
            {HAT_ID: KEY}.get,
            nonces.randbytes,
        )

    def unplug(self) -> None:
        """The port is gone."""
        self._link = None

    def ask(self, action: link_pb2.PowerAction.ValueType) -> None:
        """Ask for the supply."""
        if self._link is not None:
            self._link.request(link_pb2.SetPower(action=action), _REQUEST_TIMEOUT_MS, self._clock.now_ms)

    def turn(self, heard: bytes) -> bytes:
        """Hear, record, store when it is time, and speak."""
        now_ms = self._clock.now_ms
        is_tick = now_ms - self._tick_ms >= TICK_MS
        if self._link is not None and heard:
            self._take_all(self._link.receive(heard, now_ms))
        if self._link is not None and is_tick:
            self._take_all(self._link.tick(now_ms))
        if is_tick:
            self._tick_ms = now_ms
        if now_ms - self._sync_ms >= SYNC_PERIOD_MS:
            self._sync_ms = now_ms
            self._sync()
        return b"" if self._link is None else self._link.take_output()

    def kill(self, next_folder: Path) -> None:
        """End without a last sync; what the disk holds now is in `next_folder` for the next life."""
        shutil.copytree(self._folder, next_folder)
        self._store.close()  # its last sync goes into a folder that nobody opens again
        shutil.rmtree(self._folder)

    def close(self) -> None:
        """End in good order."""
        self._store.close()

    def _sync(self) -> None:
        self._store.sync(idle_too=self._syncs % IDLE_EVERY == 0)
        self._store.tend(self._clock.unix_ms())
        self._syncs += 1
        if self._link is not None and self._link.is_up:
            self._link.acknowledge(self._recorder.positions(), self._clock.now_ms)

    def _take_all(self, events: list[LinkEvent]) -> None:
        for event in events:
            self._take(event)

    def _take(self, event: LinkEvent) -> None:
        match event:
            case HelloReceived(hello) if self._link is not None:
                stored = self._recorder.attach(hello)
                self._link.welcome(stored, self._clock.unix_ms(), self._clock.now_ms)
            case TelemetryReceived(telemetry):
                self._recorder.take_telemetry(telemetry)
                self._take_reading(telemetry, self._recorder.energy_uj)
            case BootStarted() | LogData() | LogGap() | EventReceived():
                self._recorder.take(event)
            case _:
                pass
