"""Nodes that are shorted again and again: from the alert pin to the gate off, and what it were without that pin.

The times are those of the virtual electronics. Its firmware has no interrupts: it notices the pin when it next looks at
its UART, every 5 ms or so, and its processes share this computer. An RP2040 enters a hard interrupt within
microseconds, so of the figures here only those of the monitor's conversion are a HAT's; the others are upper bounds.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from statistics import quantiles
from typing import TYPE_CHECKING

from rich.table import Table

from racklet.v1 import rack_pb2
from tools.rig import Rig

if TYPE_CHECKING:
    from rich.console import Console

    from racklet_virtual.board import VirtualHat

_NODES = 3
_SEED = 1
_ROUNDS = 12
_SHORT_AMPERES = 14.0
_SHORT_MS = 2_000
_SETTLE_S = 0.3  # from the rail good to the short: the node has begun to boot
_PATIENCE_S = 15
_POLL_S = 0.01
_PULSE_MS = 1.0  # the latch takes a pulse of this length for one
_SLOWEST_MS = 60  # without the pin: a sample of 20 ms, a set of conversions, and a busy computer


@dataclass
class _Latencies:
    """In milliseconds: from the short to the alert, and from the short and the alert to the gate off."""

    alert: list[float] = field(default_factory=list)
    from_alert: list[float] = field(default_factory=list)
    from_short: list[float] = field(default_factory=list)


async def account(console: Console) -> bool:
    """Run it, print it, and tell whether it held."""
    found = {True: _Latencies(), False: _Latencies()}
    async with Rig(_NODES, _SEED) as rig:
        for hat in rig.rack.hats:
            await rig.until_online(hat.node.name)
        for number in range(2 * _ROUNDS):
            for hat in rig.rack.hats:
                await _short(rig, hat, found[number % 2 == 0], wired=number % 2 == 0)
    table = Table("from ... to", "least", "median", "9 of 10", "most", title=f"{_NODES * _ROUNDS} shorts each, in ms")
    _add(table, "short to alert", found[True].alert + found[False].alert)
    _add(table, "alert to gate off, with the pin", found[True].from_alert)
    _add(table, "alert to gate off, without it", found[False].from_alert)
    _add(table, "short to gate off, with the pin", found[True].from_short)
    _add(table, "short to gate off, without it", found[False].from_short)
    console.print(table)
    console.print(
        f"The latch takes {_PULSE_MS:.0f} ms of each;"
        " a virtual board looks at the pin every 5 to 10 ms, a HAT has an interrupt."
    )
    holds = all(latency < _SLOWEST_MS for latencies in found.values() for latency in latencies.from_short)
    console.print(
        "[green]ok[/] every short was cut" if holds else f"[bold red]FAILED[/] not all within {_SLOWEST_MS} ms"
    )
    return holds


async def _short(rig: Rig, hat: VirtualHat, latencies: _Latencies, *, wired: bool) -> None:
    hat.alert_wired = wired
    await rig.set_power(hat.node.name, rack_pb2.POWER_ACTION_ON)
    await asyncio.sleep(_SETTLE_S)
    shorted_us = hat.now_us()
    hat.node.overload(_SHORT_AMPERES, _SHORT_MS)
    async with asyncio.timeout(_PATIENCE_S):
        while hat.node.supply_on:  # noqa: ASYNC110  the electronics ring no bell
            await asyncio.sleep(_POLL_S)
    hat.node.overload(0.0, 1)
    off_us = hat.hardware.supply.cleared_us
    alert_us = next(at_us for at_us in hat.hardware.alerts_us if at_us >= shorted_us)  # it falls anew when it was read
    latencies.alert.append((alert_us - shorted_us) / 1000)
    latencies.from_alert.append((off_us - alert_us) / 1000)
    latencies.from_short.append((off_us - shorted_us) / 1000)


def _add(table: Table, name: str, latencies: list[float]) -> None:
    tenths = quantiles(latencies, n=10)
    table.add_row(name, *(f"{value:.2f}" for value in (min(latencies), tenths[4], tenths[8], max(latencies))))
