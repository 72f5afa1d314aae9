"""A virtual hour of one node, its HAT and hostd, with resets, kills and pulled cables in it. Only time is not real."""

from __future__ import annotations

import tempfile
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from racklet.link.v1 import link_pb2
from tools.account.energy_ledger import Ledger, Outcome
from tools.account.profile_node import load_profile
from tools.account.virtual_hat import TURN_MS, HatRun, electronics
from tools.account.virtual_hostd import HostdLife, VirtualClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from racklet_link.message import Message
    from racklet_virtual.hardware import HatHardware

SEED = 4
_QUIET_MS = 13_000  # at the beginning, for the node to be on, and at the end, for it to be off and that to be published
_ON_MS = 1_000
_STATED_MS = 100  # the stated error is summed up so often
_TELEMETRY_SEQUENCE = 0  # slot
_SHARE = 0.6  # of the time between two of a kind, in which one may begin; the rest is for it to end
_CAUSES = (link_pb2.RESET_CAUSE_WATCHDOG, link_pb2.RESET_CAUSE_SOFT)


class Kind(StrEnum):
    """What can go away."""

    RESET = "reset"
    KILL = "kill"
    PULL = "pull"


_SPANS_MS = {Kind.RESET: (150, 2_500), Kind.KILL: (200, 8_000), Kind.PULL: (500, 45_000)}


@dataclass(frozen=True, slots=True)
class Plan:
    """How long a run lasts and what happens meanwhile."""

    duration_s: int = 3600
    resets: int = 20
    kills: int = 20
    pulls: int = 5
    seed: int = SEED


@dataclass(frozen=True, slots=True)
class Mishap:
    """Something goes away at a time and is back at another."""

    kind: Kind
    begin_ms: int
    end_ms: int


class EnergyRun:
    """The world of one run. `run` may be called once."""

    def __init__(self, plan: Plan, folder: Path, hardware: HatHardware) -> None:
        self._plan = plan
        self._folder = folder
        self._random = Random(plan.seed)  # noqa: S311  no secret
        self._hardware = hardware
        self._ledger = Ledger(self._hardware)
        self._clock = VirtualClock()
        self._sessions = count(1)
        self._lives = count(1)
        self._state = folder / "state"
        self._to_hat = b""
        self._cable_in = True
        self._hat: HatRun | None = self._start_hat(link_pb2.RESET_CAUSE_POWER_ON)
        self._hostd: HostdLife | None = self._start_hostd()
        self._follow_port()

    def run(self) -> Outcome:
        """Let it all happen."""
        end_ms = self._plan.duration_s * 1000
        asked = {_ON_MS: link_pb2.POWER_ACTION_ON, end_ms - _QUIET_MS: link_pb2.POWER_ACTION_FORCE_OFF}
        mishaps = _planned(self._plan, self._random)
        begins = {mishap.begin_ms: mishap.kind for mishap in mishaps}
        ends = {mishap.end_ms: mishap.kind for mishap in mishaps}
        for now_ms in range(0, end_ms, TURN_MS):
            self._clock.now_ms = now_ms
            if now_ms in ends:
                self._end(ends[now_ms])
            if now_ms in begins:
                self._begin(begins[now_ms])
            if now_ms in asked and self._hostd is not None:
                self._hostd.ask(asked[now_ms])
            self._turn()
            if now_ms and now_ms % _STATED_MS == 0:
                self._ledger.flow(now_ms)
        if self._hostd is None:
            raise RuntimeError("the plan ends with hostd away")
        self._hostd.close()
        return self._ledger.close(self._hostd.published_uj, self._hostd.published_uc, end_ms)

    def _turn(self) -> None:
        heard, self._to_hat = self._to_hat, b""
        said = b"" if self._hat is None else self._hat.turn(self._clock.now_ms, heard)
        if self._hostd is None:
            return
        answer = self._hostd.turn(said if self._cable_in else b"")
        self._to_hat = answer if self._cable_in else b""
        self._ledger.publish(self._hostd.published_uj)

    def _begin(self, kind: Kind) -> None:
        outcome = self._ledger.outcome
        match kind:
            case Kind.RESET:
                outcome.resets += 1
                self._hat = None
                self._hardware.release_pins(self._clock.now_ms * 1000)
                self._ledger.reset()
            case Kind.KILL:
                outcome.kills += 1
                self._kill_hostd()
            case Kind.PULL:
                outcome.pulls += 1
                self._cable_in = False
        self._follow_port()

    def _kill_hostd(self) -> None:
        if self._hostd is not None:
            self._state = self._folder / f"state-{next(self._lives)}"
            self._hostd.kill(self._state)
            self._hostd = None

    def _end(self, kind: Kind) -> None:
        match kind:
            case Kind.RESET:
                self._hat = self._start_hat(self._random.choice(_CAUSES))
            case Kind.KILL:
                self._hostd = self._start_hostd()
                self._ledger.publish(self._hostd.published_uj)
            case Kind.PULL:
                self._cable_in = True
        self._follow_port()

    def _follow_port(self) -> None:
        """A port is there while its HAT runs and its cable is in. What is on the way when anything goes is lost."""
        self._to_hat = b""
        if self._hostd is None:
            return
        if self._hat is None or not self._cable_in:
            self._hostd.unplug()
        elif not self._hostd.is_plugged:
            self._hostd.plug()

    def _start_hat(self, cause: int) -> HatRun:
        session, clock, ledger = next(self._sessions), self._clock, self._ledger
        return _TellingHat(
            self._hardware,
            session,
            cause,
            clock.now_ms,
            lambda number, sequence: ledger.tell(number, sequence, clock.now_ms),
        )

    def _start_hostd(self) -> HostdLife:
        clock, ledger = self._clock, self._ledger
        return HostdLife(
            self._state, clock, self._random, lambda telemetry, uj: ledger.hear(telemetry, uj, clock.now_ms)
        )


class _TellingHat(HatRun):
    """Tells its session and a sequence number whenever it fills a telemetry in."""

    def __init__(
        self, hardware: HatHardware, session: int, cause: int, now_ms: int, tell: Callable[[int, int], None]
    ) -> None:
        super().__init__(hardware, session, cause, now_ms)
        self._tell = tell

    def fill_telemetry(self, telemetry: Message) -> None:
        self._tell(self.session, telemetry.slots[_TELEMETRY_SEQUENCE])
        super().fill_telemetry(telemetry)


def _planned(plan: Plan, random: Random) -> list[Mishap]:
    """Return what happens, each kind spread over the whole time; of different kinds several may go together."""
    taken: set[int] = set()
    mishaps = []
    for kind, number in ((Kind.RESET, plan.resets), (Kind.KILL, plan.kills), (Kind.PULL, plan.pulls)):
        room_ms = (plan.duration_s * 1000 - 2 * _QUIET_MS) // max(number, 1)
        low_ms, high_ms = _SPANS_MS[kind]
        for index in range(number):
            begin_ms = _QUIET_MS + index * room_ms + random.randrange(int(room_ms * _SHARE))
            span_ms = random.randint(low_ms, min(high_ms, int(room_ms * (1 - _SHARE))))
            mishaps.append(Mishap(kind, _free_turn(begin_ms, taken), _free_turn(begin_ms + span_ms, taken)))
    return mishaps


def _free_turn(at_ms: int, taken: set[int]) -> int:
    """Return the first turn from then on in which nothing else happens."""
    turn_ms = -(-at_ms // TURN_MS) * TURN_MS
    while turn_ms in taken:
        turn_ms += TURN_MS
    taken.add(turn_ms)
    return turn_ms


def measured(plan: Plan) -> Outcome:
    """Run the plan in a temporary folder and return what came of it."""
    with tempfile.TemporaryDirectory(prefix="racklet-account-") as folder:
        hardware = electronics(Path(folder, "sent"), load_profile(), plan.seed)
        with closing(hardware.record):
            return EnergyRun(plan, Path(folder), hardware).run()
