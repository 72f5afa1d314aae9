"""The demo without a person: everything is done, and what hostd tells is held against what the rack really did."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from rich.table import Table

from racklet.v1 import rack_pb2
from racklet_client.errors import RackError
from racklet_client.names import boot_number, short_name
from racklet_virtual.script import NodeState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from rich.console import Console

    from racklet_virtual.board import VirtualHat
    from tools.rig import Rig

NODES = 5
_BOOT_TIMEOUT_S = 60
_OFFLINE_WITHIN_S = 3
_ONLINE_WITHIN_S = 2
_STORED_WITHIN_S = 8
_MISSED_BYTES = 8_000  # what the node says while nobody listens; a HAT holds 64 KiB
_ENERGY_BAND = 0.02  # docs/metering.md
_ENERGY_WITHIN_S = 15
_SLACK_S = 1.0  # a busy machine; the measured time is printed


class CheckError(Exception):
    """Something was not as it should be; the message says what."""


@dataclass(slots=True)
class Report:
    """What was checked, with what was seen."""

    rows: list[tuple[str, str, bool]] = field(default_factory=list)

    async def run(self, name: str, job: Awaitable[str]) -> None:
        """Run one check; its result is what was seen."""
        try:
            self.rows.append((name, await job, True))
        except (CheckError, RackError) as error:
            self.rows.append((name, str(error), False))
        except TimeoutError:
            self.rows.append((name, "did not happen in time", False))

    @property
    def holds(self) -> bool:
        """True when all of it held."""
        return all(held for _, _, held in self.rows)


async def check(rig: Rig, console: Console) -> bool:
    """Run all checks, print the summary and tell whether everything held."""
    report = Report()
    start_s = time.monotonic()
    await report.run("five HATs online", _all_online(rig))
    await report.run("five nodes powered on", _power_on(rig))
    await report.run("five nodes booted", _all_booted(rig))
    await report.run("node-2 cycled", _cycle(rig))
    await report.run("node-3 unplugged while booting", _unplug(rig))
    await report.run("node-3 plugged in again", _replug(rig))
    await report.run("two more boots", _all_booted(rig))
    await report.run("every boot log, byte by byte", _compare_logs(rig))
    await report.run("energy against the truth", _compare_energy(rig))
    await report.run("/metrics", _read_metrics(rig))
    await report.run("hostd ends cleanly", _end(rig))
    _print(report, console, time.monotonic() - start_s)
    if not report.holds:
        console.print(rig.log.read_text(), markup=False, highlight=False, soft_wrap=True)
    return report.holds


def _print(report: Report, console: Console, duration_s: float) -> None:
    table = Table("check", "seen", "", title="Racklet, end to end")
    for name, seen, held in report.rows:
        table.add_row(name, seen, "[green]ok[/]" if held else "[bold red]FAILED[/]")
    console.print(table)
    failed = sum(not held for _, _, held in report.rows)
    console.print(f"{len(report.rows) - failed} of {len(report.rows)} checks held, in {duration_s:.0f} s")


async def _all_online(rig: Rig) -> str:
    return f"in {await _until(lambda: _online(rig, NODES), _ONLINE_WITHIN_S + _SLACK_S):.1f} s"


async def _online(rig: Rig, count: int) -> bool:
    return (await rig.client.info()).online_count == count


async def _power_on(rig: Rig) -> str:
    for hat in rig.rack.hats:
        answer = await rig.set_power(hat.node.name, rack_pb2.POWER_ACTION_ON)
        if answer.supply_state != rack_pb2.SUPPLY_STATE_ON or not hat.node.supply_on:
            raise CheckError(f"{hat.node.name} is not on")
    return "each measured on by its HAT"


async def _all_booted(rig: Rig) -> str:
    async def booted() -> bool:
        return all(hat.node.state in {NodeState.IDLE, NodeState.WORKING} for hat in rig.rack.hats)

    spent_s = await _until(booted, _BOOT_TIMEOUT_S)
    sent = sum(boot.sent_bytes for hat in rig.rack.hats for boot in hat.node.boots)
    return f"in {spent_s:.1f} s, {sent:,} bytes of console in all"


async def _cycle(rig: Rig) -> str:
    hat = rig.rack.hats[1]
    starts = hat.node.starts
    answer = await rig.set_power(hat.node.name, rack_pb2.POWER_ACTION_CYCLE)
    if answer.supply_state != rack_pb2.SUPPLY_STATE_ON or hat.node.starts != starts + 1:
        raise CheckError(f"{hat.node.name} was started {hat.node.starts - starts} times")
    return f"off and on again in {answer.duration.ToMilliseconds()} ms"


async def _unplug(rig: Rig) -> str:
    hat = rig.rack.hats[2]
    await rig.set_power(hat.node.name, rack_pb2.POWER_ACTION_CYCLE)
    boot = hat.node.boots[-1]

    async def has_begun() -> bool:
        return boot.sent_bytes > 0

    await _until(has_begun, _BOOT_TIMEOUT_S)
    hat.unplug()
    spent_s = await _until(lambda: _online(rig, NODES - 1), _OFFLINE_WITHIN_S + _SLACK_S)
    return f"{boot.sent_bytes} bytes into its boot; offline after {spent_s:.1f} s, its supply stayed on"


async def _replug(rig: Rig) -> str:
    hat = rig.rack.hats[2]
    if not hat.node.supply_on:
        raise CheckError("its supply went off")
    boot = hat.node.boots[-1]

    async def went_on() -> bool:
        return boot.sent_bytes > _MISSED_BYTES

    await _until(went_on, _BOOT_TIMEOUT_S)
    hat.replug()
    spent_s = await _until(lambda: _online(rig, NODES), _ONLINE_WITHIN_S + _SLACK_S)
    return f"{boot.sent_bytes:,} bytes into its boot; online after {spent_s:.1f} s"


async def _compare_logs(rig: Rig) -> str:
    """Hold what hostd stored against what the nodes sent, once they are quiet and hostd had the time."""
    boots = total = 0
    for hat in rig.rack.hats:

        async def same(hat: VirtualHat = hat) -> bool:
            return [await _stored(rig, name) for name in await _boot_names(rig, hat)] == [
                hat.node.sent(boot) for boot in hat.node.boots
            ]

        try:
            await _until(same, _STORED_WITHIN_S)
        except TimeoutError as error:
            raise CheckError(f"{hat.node.name}: what is stored is not what it sent") from error
        boots += len(hat.node.boots)
        total += sum(boot.sent_bytes for boot in hat.node.boots)
    return f"{boots} boots, {total:,} bytes, the same; no gap"


async def _boot_names(rig: Rig, hat: VirtualHat) -> list[str]:
    """Return the names of the node's boots, oldest first."""
    return [boot.name async for boot in rig.client.boots(hat.node.name)][::-1]


async def _stored(rig: Rig, boot: str) -> bytes:
    stored = bytearray()
    async for piece in _read(rig, boot):
        if piece.WhichOneof("piece") == "gap":
            raise CheckError(f"{boot} has a gap of {piece.gap.lost_bytes} bytes: {piece.gap.reason}")
        stored += piece.data
    return bytes(stored)


def _read(rig: Rig, boot: str) -> AsyncIterator[rack_pb2.ReadBootLogResponse]:
    node = short_name(boot.partition("/boots/")[0])
    return rig.client.boot_log(node, int(boot_number(boot)))


async def _compare_energy(rig: Rig) -> str:
    """Hold hostd's joules against the world's: never more than was taken, and soon all that was taken until now.

    hostd tells what is on its disk, and energy alone goes there every ten seconds.
    """
    before_j = [hat.node.joules for hat in rig.rack.hats]
    shares: list[float] = []

    async def told() -> bool:
        told_j = [await _joules(rig, hat) for hat in rig.rack.hats]
        taken_j = [hat.node.joules for hat in rig.rack.hats]
        shares[:] = [told / taken for told, taken in zip(told_j, taken_j, strict=True)]
        return all(told >= (1 - _ENERGY_BAND) * then for told, then in zip(told_j, before_j, strict=True))

    spent_s = await _until(told, _ENERGY_WITHIN_S)
    if max(shares) > 1 + _ENERGY_BAND:
        raise CheckError(f"hostd tells of {100 * max(shares):.1f} % of what was taken")
    return f"all that was taken, {spent_s:.1f} s later; {100 * min(shares):.1f} to {100 * max(shares):.1f} % of now"


async def _joules(rig: Rig, hat: VirtualHat) -> float:
    return (await rig.client.node(hat.node.name)).energy_uj / 1e6


async def _read_metrics(rig: Rig) -> str:
    seen = []
    openmetrics = {"Accept": "application/openmetrics-text; version=1.0.0"}
    for parse, headers in ((parse_text, {}), (parse_openmetrics, openmetrics)):
        page = f"http://{rig.http}/metrics"
        async with aiohttp.ClientSession() as session, session.get(page, headers=headers) as response:
            text = await response.text()
        samples = [sample for family in parse(text) for sample in family.samples]
        online = sum(sample.value for sample in samples if sample.name == "racklet_hat_online")
        volts = [sample.value for sample in samples if sample.name == "racklet_supply_volts"]
        if online != NODES or len(volts) != NODES or not all(4.9 < value < 5.3 for value in volts):  # noqa: PLR2004
            raise CheckError(f"{online:.0f} HATs online, volts {volts}")
        seen.append(len(samples))
    return f"{seen[0]} samples as text, {seen[1]} as OpenMetrics; five rails near 5.1 V"


async def _end(rig: Rig) -> str:
    start_s = time.monotonic()
    code = await rig.stop_hostd()
    if code != 0:
        raise CheckError(f"exit code {code}")
    return f"exit code 0 after {time.monotonic() - start_s:.1f} s"


def _name(hat: VirtualHat) -> str:
    return f"nodes/{hat.node.name}"


async def _until(happened: Callable[[], Awaitable[bool]], within_s: float) -> float:
    """Wait until `happened`; return how long that took, in seconds. Raises TimeoutError."""
    start_s = time.monotonic()
    async with asyncio.timeout(within_s):
        while not await happened():  # noqa: ASYNC110 - what is waited for happens in other processes
            await asyncio.sleep(0.05)
    return time.monotonic() - start_s
