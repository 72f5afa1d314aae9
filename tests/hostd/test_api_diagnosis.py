"""DiagnoseNode, and findings as events."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest

from racklet.link.v1 import link_pb2
from racklet.v1 import rack_pb2
from racklet_hostd import hat_events
from racklet_hostd.boot_watch import CATCH_UP_BYTES, BootWatch, LogDiagnosis
from racklet_hostd.doctor.signatures import known_signatures
from racklet_hostd.event_log import EventLog
from racklet_hostd.phase_energy import PhaseEnergy
from racklet_hostd.store import Event, Store
from tests.hostd.pty_hat import PtyHat
from tests.hostd.rig import TIMEOUT_S, JumpingClock, Rig, running_rack, until
from tests.hostd.store_rig import begun_log, opened

LOADER = b"U-Boot 2025.01 (Jun 24 2026)\r\n"
KERNEL = b"Starting kernel ...\r\n[    0.000000] Booting Linux on physical CPU 0x0\r\n"
PANIC = b"[    2.300000] Kernel panic - not syncing: no root\r\n"
MANY = b"[    1.000000] a line of the kernel that tells nothing at all\r\n" * 20_000


async def diagnose(rig: Rig, boot: str = "") -> rack_pb2.DiagnoseNodeResponse:
    return await rig.rack.DiagnoseNode(rack_pb2.DiagnoseNodeRequest(name="nodes/node-1", boot=boot))


async def said(hat: PtyHat, data: bytes) -> None:
    hat.say(data)
    await until(lambda: hat.all_acknowledged)


async def findings(rig: Rig) -> list[str]:
    response = await rig.rack.ListEvents(rack_pb2.ListEventsRequest(node="nodes/node-1"))
    return [event.message for event in response.events if event.kind == "finding"]


async def until_findings(rig: Rig, count: int) -> list[str]:
    async with asyncio.timeout(TIMEOUT_S):
        while len(found := await findings(rig)) < count:  # noqa: ASYNC110 - hostd is outside of this test
            await asyncio.sleep(0.01)
    return found


def watching(store: Store, events: EventLog) -> BootWatch:
    return BootWatch("node-1", events, known_signatures(), PhaseEnergy("node-1", store.energy_marks))


def finding_events(events: EventLog) -> list[Event]:
    return [event for event in events.store.list(None, None, 100) if event.kind == "finding"]


async def test_a_boot_is_diagnosed_with_phases_findings_and_a_verdict(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        hat = rig.hats["node-1"]
        hat.boot()
        await said(hat, LOADER + KERNEL + PANIC)
        response = await diagnose(rig)
        told = await until_findings(rig, 1)
        hat.boot()
        await said(hat, LOADER)
        newest, older = await diagnose(rig, "nodes/node-1/boots/-"), await diagnose(rig, "nodes/node-1/boots/1")
    assert response.boot == older.boot == "nodes/node-1/boots/1"
    assert [(phase.phase, phase.offset) for phase in response.phases] == [("u-boot", 0), ("kernel", len(LOADER))]
    [finding] = response.findings
    assert (finding.signature, finding.phase, finding.count) == ("kernel-panic", "kernel", 1)
    assert finding.offset == len(LOADER + KERNEL)
    assert finding.line == PANIC.decode().strip()
    assert response.verdict == "It reached kernel; found: kernel-panic."
    assert told == [
        f"kernel-panic in boot 1, phase kernel, offset {finding.offset}: {finding.meaning} The line: {finding.line}"
    ]
    assert list(older.findings) == [finding]
    assert newest.verdict == "It reached u-boot, and nothing was found wrong."


async def test_a_finding_is_not_told_again_when_hostd_starts_again(tmp_path: Path) -> None:
    with PtyHat(tmp_path / "ports" / "node-1") as hat:
        async with running_rack(tmp_path, hats={"node-1": hat}) as rig:
            hat.boot()
            await said(hat, KERNEL + PANIC)
            await until_findings(rig, 1)
        async with running_rack(tmp_path, hats={"node-1": hat}) as rig:
            await said(hat, b"[    9.000000] Out of memory: Killed process 7\r\n" + PANIC)
            newest, oldest = await until_findings(rig, 2)
    assert newest.startswith("out-of-memory in boot 1, phase kernel")
    assert oldest.startswith("kernel-panic in boot 1")


async def test_a_kernel_that_falls_silent_is_found(tmp_path: Path) -> None:
    clock = JumpingClock()
    async with running_rack(tmp_path, clock=clock) as rig:
        hat = rig.hats["node-1"]
        hat.boot()
        hat.tell(link_pb2.EVENT_KIND_SUPPLY_STATE, link_pb2.SUPPLY_STATE_ON, 0, link_pb2.SUPPLY_STATE_STARTING)
        await said(hat, KERNEL)
        assert not (await diagnose(rig)).findings
        clock.unix_ahead_ms = 61_000
        [told] = await until_findings(rig, 1)
        response = await diagnose(rig)
    assert told.startswith("kernel-silent in boot 1")
    assert [finding.signature for finding in response.findings] == ["kernel-silent"]
    assert response.phases[-1].duration.seconds >= 61


async def test_a_boot_that_is_over_was_silent_until_its_supply_went_off(tmp_path: Path) -> None:
    clock = JumpingClock()
    async with running_rack(tmp_path, clock=clock) as rig:
        hat = rig.hats["node-1"]
        hat.boot()
        await said(hat, KERNEL)
        hat.now.supply_state = link_pb2.SUPPLY_STATE_OFF
        await rig.until_node(lambda node: node.supply_state == rack_pb2.SUPPLY_STATE_OFF)
        rack = rig.daemon.rack
        log = rack.node("node-1").store.boot_log(1)
        clock.unix_ahead_ms = 100_000
        kind, message = hat_events.describe(
            link_pb2.Event(
                kind=link_pb2.EVENT_KIND_SUPPLY_STATE,
                value=link_pb2.SUPPLY_STATE_OFF,
                detail=link_pb2.SUPPLY_STATE_ON,
            )
        )
        before = await diagnose(rig, "nodes/node-1/boots/1")
        rack.events.record("node-1", log.last_byte_ms + 70_000, kind, message)
        after = await diagnose(rig, "nodes/node-1/boots/1")
    assert not before.findings
    assert [finding.signature for finding in after.findings] == ["kernel-silent"]
    assert after.phases[-1].duration.ToMilliseconds() in range(70_000, 71_000)


async def test_what_is_wrong_in_a_request_is_said(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        for boot, code in (
            ("nodes/node-2/boots/1", grpc.StatusCode.INVALID_ARGUMENT),
            ("7", grpc.StatusCode.INVALID_ARGUMENT),
            ("nodes/node-1/boots/7", grpc.StatusCode.NOT_FOUND),
            ("", grpc.StatusCode.NOT_FOUND),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await diagnose(rig, boot)
            assert caught.value.code() is code


def test_a_log_that_streams_tells_the_same_as_one_that_is_read(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        log = begun_log(store.node("node-1"))
        events = EventLog(store.events)
        watch = watching(store, events)
        data = LOADER + KERNEL + PANIC
        for start in range(0, len(data), 7):
            log.append(start, 2000, data[start : start + 7])
            watch.follow(log, data[start : start + 7])
        log.append_gap(len(data), 2000, 100, "ring_full")
        watch.follow(log, b"")
        log.append(len(data) + 100, 3000, b"Out of memory: Killed process 7\n")
        watch.follow(log, b"Out of memory: Killed process 7\n")
        watch.look()
        read = LogDiagnosis(log, known_signatures())
        read.catch_up(1 << 20)
        again = watching(store, events)
        again.take_up(log)
        told = [event.message.split()[0] for event in reversed(finding_events(events))]
    assert told == [finding.signature for finding in read.diagnosis.findings] == ["kernel-panic", "out-of-memory"]


def test_of_a_long_log_the_beginning_and_the_end_are_read(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        log = begun_log(store.node("node-1"))
        data = LOADER + KERNEL + MANY + PANIC
        for start in range(0, len(data), 4096):
            log.append(start, 2000 + start, data[start : start + 4096])
            if start % (64 * 4096) == 0:
                store.sync()
        read = LogDiagnosis(log, known_signatures())
        read.catch_up(CATCH_UP_BYTES)
    assert read.skipped_bytes == len(data) - CATCH_UP_BYTES
    assert [phase.phase for phase in read.diagnosis.phases] == ["u-boot", "kernel"]
    assert [finding.signature for finding in read.diagnosis.findings] == ["kernel-panic"]
