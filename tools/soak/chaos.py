"""What can go wrong between a node and the disk, done again and again, and when it was done."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from racklet.v1 import rack_pb2
from racklet_virtual.faults import FaultRates
from racklet_virtual.microcontroller import ResetCause

if TYPE_CHECKING:
    from collections.abc import Callable

    from racklet_virtual.board import VirtualHat
    from tools.rig import Rig

NOISE = FaultRates(bit_errors=2e-5, drops=0.02, duplicates=0.02)
_NOISE_S = (1.0, 4.0)
_UNPLUGGED_S = (0.3, 5.0)
_HOSTD_DEAD_S = (0.0, 2.0)
_PAUSE_S = (0.5, 2.0)
_CALM_S = 4.0  # after a power cycle nothing happens to its HAT until hostd knows of the new boot
_RESETS = (ResetCause.WATCHDOG, ResetCause.SOFT)


@dataclass(slots=True)
class Outage:
    """From when until when, in unix ms, a node's link or hostd was disturbed."""

    start_ms: int
    end_ms: int


@dataclass(slots=True)
class Diary:
    """What was done: how often, and to whom when."""

    counts: Counter[str] = field(default_factory=Counter)
    outages: dict[str, list[Outage]] = field(default_factory=dict)
    resets: Counter[str] = field(default_factory=Counter)

    def disturb(self, *nodes: str) -> Callable[[], None]:
        """Begin an outage of these nodes; the result ends it."""
        outages = [Outage(_unix_ms(), 0) for _ in nodes]
        for node, outage in zip(nodes, outages, strict=True):
            self.outages.setdefault(node, []).append(outage)

        def end() -> None:
            for outage in outages:
                outage.end_ms = _unix_ms()

        return end


class Chaos:
    """Disturbs a rig until its time is over. The same seed makes the same choices."""

    def __init__(self, rig: Rig, seed: int) -> None:
        self.diary = Diary()
        self._rig = rig
        self._random = random.Random(seed)  # noqa: S311  repeatable choices
        self._calm_until_s: dict[str, float] = {}

    async def run(self, duration_s: float) -> None:
        """Do one thing after another; at the end all is as it should be."""
        end_s = time.monotonic() + duration_s
        deeds = (self._make_noise, self._pull_cable, self._reset_hat, self._kill_hostd, self._cycle_power)
        order: list[int] = []
        while time.monotonic() < end_s:
            if not order:  # each of them once before any of them again
                order = self._random.sample(range(len(deeds)), len(deeds))
            await deeds[order.pop()]()
            await asyncio.sleep(self._random.uniform(*_PAUSE_S))

    async def _make_noise(self) -> None:
        hat = self._choose()
        end = self.diary.disturb(hat.node.name)
        hat.damage_line(NOISE)
        await self._last(_NOISE_S)
        hat.damage_line(FaultRates())
        end()
        self.diary.counts["a link dropped, duplicated and corrupted frames"] += 1

    async def _pull_cable(self) -> None:
        hat = self._choose()
        end = self.diary.disturb(hat.node.name)
        hat.unplug()
        await self._last(_UNPLUGGED_S)
        hat.replug()
        end()
        self.diary.counts["a cable was pulled"] += 1

    async def _reset_hat(self) -> None:
        hat = self._choose()
        end = self.diary.disturb(hat.node.name)
        self.diary.resets[hat.node.name] += 1
        hat.reset_microcontroller(self._random.choice(_RESETS))
        end()
        self.diary.counts["an MCU was reset"] += 1

    async def _kill_hostd(self) -> None:
        end = self.diary.disturb(*(hat.node.name for hat in self._rig.rack.hats))
        await self._rig.kill_hostd()
        await self._last(_HOSTD_DEAD_S)
        await self._rig.start_hostd()
        end()
        self.diary.counts["hostd was killed with -9"] += 1

    async def _cycle_power(self) -> None:
        hat = self._choose()
        self._calm_until_s[hat.node.name] = time.monotonic() + _CALM_S
        await self._rig.until_online(hat.node.name)
        await self._rig.set_power(hat.node.name, rack_pb2.POWER_ACTION_CYCLE)
        self.diary.counts["a node's power was cycled"] += 1

    def _choose(self) -> VirtualHat:
        now_s = time.monotonic()
        return self._random.choice(
            [hat for hat in self._rig.rack.hats if self._calm_until_s.get(hat.node.name, 0) <= now_s]
        )

    async def _last(self, span_s: tuple[float, float]) -> None:
        await asyncio.sleep(self._random.uniform(*span_s))


def _unix_ms() -> int:
    return time.time_ns() // 1_000_000
