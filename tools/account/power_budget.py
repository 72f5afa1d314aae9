"""Seven nodes asked on at once under a budget of 60 W, with 15 W of inrush each.

hostd goes by what the config says and its HATs measure. What each node draws is known here, every few milliseconds,
from the virtual rack itself.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.table import Table

from racklet.v1 import rack_pb2
from racklet_virtual.node import Inrush
from racklet_virtual.rack import VirtualRack
from tools.account.verdict import print_verdict
from tools.rig import Rig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from rich.console import Console

    from racklet_virtual.board import VirtualHat

NODES = 7
LIMIT_W = 60
_SEED = 1
# With what a node draws while it boots, 13 W at 5 V; so that a noisy reading of it stays below the 15 W it is granted.
_INRUSH = Inrush(amperes=1.8, duration_us=1_500_000)
_SAMPLE_S = 0.005
_STEP_S = 0.25  # of the drawing
_PATIENCE_S = 60
_AFTER_S = 3.0  # the last to start settles
_BAR = 50  # columns for the limit
_NODE_TOML = "peak_w = 7\ninrush_w = 15\nstart_s = 2\n"
_TOML = f"[telemetry]\nperiod_ms = 200\n\n[power]\ncapacity_w = {LIMIT_W}\n"


@dataclass(slots=True)
class Truth:
    """What the nodes drew: the sum over time, and the most that each one took."""

    sums: list[tuple[float, float]] = field(default_factory=list)
    peaks_w: dict[str, float] = field(default_factory=dict)

    def sample(self, hats: Sequence[VirtualHat], at_s: float) -> None:
        """Look at every node at the same moment."""
        watts = {hat.node.name: hat.node.volts * hat.node.amperes for hat in hats}
        self.sums.append((at_s, sum(watts.values())))
        for name, node_w in watts.items():
            self.peaks_w[name] = max(self.peaks_w.get(name, 0.0), node_w)

    @property
    def most(self) -> tuple[float, float]:
        """When the sum was greatest, and how great."""
        return max(self.sums, key=lambda sample: sample[1])


class BudgetRig(Rig):
    """A rig whose nodes have an inrush, and whose hostd has a budget."""

    def _make_rack(self) -> VirtualRack:
        return VirtualRack(self.folder / "rack", NODES, _SEED, inrush=_INRUSH)

    def _config(self) -> str:
        return super()._config().replace("\n[[node]]\n", f"\n[[node]]\n{_NODE_TOML}") + _TOML


async def account(console: Console) -> bool:
    """Run it, print it, and tell whether it held."""
    async with BudgetRig(NODES, _SEED) as rig:
        names = [hat.node.name for hat in rig.rack.hats]
        for name in names:
            await rig.until_online(name)
        console.print(f"{NODES} nodes are asked on at once. The supply gives {LIMIT_W} W; a start may take 15 W.")
        async with _sampled(rig) as truth, asyncio.timeout(_PATIENCE_S):
            async with asyncio.TaskGroup() as tasks:
                for name in names:
                    tasks.create_task(rig.set_power(name, rack_pb2.POWER_ACTION_ON))
            await asyncio.sleep(_AFTER_S)
        _print_admission(console, await _events(rig))
        _print_truth(console, truth)
        return _print_verdict(console, truth, rig.rack.hats)


@asynccontextmanager
async def _sampled(rig: Rig) -> AsyncIterator[Truth]:
    """Watch what the nodes draw, from the first to the last moment of the block."""
    truth = Truth()
    loop = asyncio.get_running_loop()
    start_s = loop.time()

    async def watch() -> None:
        while True:
            truth.sample(rig.rack.hats, loop.time() - start_s)
            await asyncio.sleep(_SAMPLE_S)

    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(watch(), name="truth")
        yield truth
        watching.cancel()


async def _events(rig: Rig) -> list[rack_pb2.Event]:
    """Return what the budget decided, oldest first."""
    found = [event async for event in rig.client.events() if event.kind.startswith("power_")]
    return found[::-1]


def _print_admission(console: Console, events: Sequence[rack_pb2.Event]) -> None:
    table = Table("after", "node", "kind", "what hostd decided", title="The log of the admission", box=None)
    first_ms = events[0].event_time.ToMilliseconds() if events else 0
    for event in events:
        after_s = (event.event_time.ToMilliseconds() - first_ms) / 1000
        table.add_row(f"{after_s:.3f} s", event.node.removeprefix("nodes/"), event.kind, event.message)
    console.print(table)


def _print_truth(console: Console, truth: Truth) -> None:
    """Draw the greatest sum of each quarter of a second."""
    most_w: dict[int, float] = {}
    for at_s, sum_w in truth.sums:
        step = math.floor(at_s / _STEP_S)
        most_w[step] = max(most_w.get(step, 0.0), sum_w)
    console.print("\nThe sum as it was, the greatest of each quarter second; the bar ends at the limit:")
    for step, sum_w in sorted(most_w.items()):
        bar = "#" * min(_BAR, round(_BAR * sum_w / LIMIT_W))
        console.print(f"{step * _STEP_S:6.2f} s  {sum_w:5.1f} W  |{bar:<{_BAR}}|", markup=False)


def _print_verdict(console: Console, truth: Truth, hats: Sequence[VirtualHat]) -> bool:
    at_s, most_w = truth.most
    together_w = sum(truth.peaks_w.values())
    rows = (
        (f"the sum never passes {LIMIT_W} W", f"at most {most_w:.1f} W, after {at_s:.2f} s", most_w <= LIMIT_W),
        ("without a budget it would", f"the inrushes add up to {together_w:.1f} W", together_w > LIMIT_W),
        (
            "every node is on, started once",
            f"{sum(hat.node.supply_on for hat in hats)} of {NODES} are on",
            all(hat.node.supply_on and hat.node.starts == 1 for hat in hats),
        ),
    )
    return print_verdict(console, rows, f"{len(truth.sums)} looks at the rack")
