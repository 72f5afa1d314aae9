"""Every call that changes something is on record, with who, what and outcome."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import grpc
import pytest

from racklet.link.v1 import link_pb2
from racklet.v1 import rack_pb2, rack_pb2_grpc
from racklet_hostd.api.roles import METHODS as ROWS
from racklet_hostd.api.roles import short_name
from racklet_hostd.console import Caller
from tests.hostd.rig import Rig, running_rack, until
from tests.hostd.switching_hat import CYCLE, OFF, ON, audit_of, refusal_of, set_power, until_audited

ME = f"uid {os.getuid()}"
METHODS = rack_pb2.DESCRIPTOR.services_by_name["Rack"].methods


async def verdict_of(rig: Rig) -> rack_pb2.VerifyAuditResponse:
    return await rig.rack.VerifyAudit(rack_pb2.VerifyAuditRequest())


def brief(entries: list[rack_pb2.AuditEntry]) -> list[tuple[str, str, str, str]]:
    return [(entry.kind, entry.method, entry.node, entry.outcome) for entry in entries]


async def force_off(rig: Rig) -> None:
    await rig.rack.SetPower(rack_pb2.SetPowerRequest(name="nodes/node-1", action=OFF, force=True))


@pytest.mark.parametrize("method", sorted(short_name(path) for path, row in ROWS.items() if row.changes))
def test_the_record_can_be_kept_of_every_method_that_changes_something(method: str) -> None:
    streams = METHODS[[each.name for each in METHODS].index(method)]
    assert streams.server_streaming or not streams.client_streaming


async def test_a_call_is_on_record_before_and_after(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        hat = rig.hats["node-1"]
        hat.power_result = link_pb2.RESULT_PENDING
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(force_off(rig))
            await until(lambda: hat.power_requests)
            [asked] = await audit_of(rig)
            hat.finish_power(link_pb2.RESULT_DONE)
        _, ended = await audit_of(rig)
        assert (await verdict_of(rig)).problem == ""
    assert (asked.sequence, asked.kind, asked.who, asked.method, asked.node) == (1, "asked", ME, "SetPower", "node-1")
    assert asked.peer.startswith("unix:")
    assert asked.arguments == "action=off force=true"
    assert (ended.kind, ended.asked, ended.outcome, ended.arguments) == ("ended", 1, "OK", asked.arguments)
    assert ended.duration.ToMilliseconds() > 0
    assert asked.entry_time.seconds > 1_700_000_000


async def test_a_refusal_is_on_record_with_its_sentence_and_reading_is_not(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        await refusal_of(set_power(rig, "node-9"))
        await rig.node()
        await rig.rack.IdentifyNode(rack_pb2.IdentifyNodeRequest(name="nodes/node-1"))
        await refusal_of(rig.rack.IdentifyNode(rack_pb2.IdentifyNodeRequest(name="x" * 10_000)))
        entries = await audit_of(rig)
    assert brief(entries[:4]) == [
        ("asked", "SetPower", "node-9", ""),
        ("ended", "SetPower", "node-9", "NOT_FOUND: there is no node node-9; the nodes are node-1"),
        ("asked", "IdentifyNode", "node-1", ""),
        ("ended", "IdentifyNode", "node-1", "OK"),
    ]
    assert len(entries[-1].node) == 501


async def test_a_transaction_whose_caller_left_is_on_record_with_its_result(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        hat = rig.hats["node-1"]
        hat.power_result = link_pb2.RESULT_PENDING
        await refusal_of(set_power(rig, action=CYCLE, timeout_s=0.3))
        await until_audited(rig, 2)
        hat.finish_power(link_pb2.RESULT_NOT_REACHED)
        entries = await until_audited(rig, 3)
    assert brief(entries) == [
        ("asked", "SetPower", "node-1", ""),
        ("ended", "SetPower", "node-1", "CANCELLED: the caller left, or hostd is shutting down"),
        ("late", "SetPower", "node-1", "not_reached"),
    ]
    assert (entries[2].who, entries[2].arguments) == (ME, "action=cycle")


async def test_a_console_is_on_record_for_who_writes_but_not_what(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:

        async def attach(**first: bool) -> None:
            call = rig.rack.AttachConsole()
            await call.write(rack_pb2.AttachConsoleRequest(name="nodes/node-1", data=b"secret", **first))  # type: ignore[arg-type]
            await until(lambda: len(rig.daemon.rack.node("node-1").console._seats) == 1)
            call.cancel()
            await until(lambda: not rig.daemon.rack.node("node-1").console._seats)

        await attach(read_only=True)
        await attach(take_over=True)
        entries = await until_audited(rig, 2)
    assert [(entry.kind, entry.method, entry.node, entry.arguments) for entry in entries] == [
        ("asked", "AttachConsole", "node-1", "take_over=true"),
        ("ended", "AttachConsole", "node-1", "take_over=true"),
    ]


async def test_who_takes_over_later_is_on_record_from_then_on(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        call = rig.rack.AttachConsole()
        await call.write(rack_pb2.AttachConsoleRequest(name="nodes/node-1", read_only=True, caller="ada@laptop"))
        await call.read()
        assert await audit_of(rig) == []
        await call.write(rack_pb2.AttachConsoleRequest(take_over=True))
        await until_audited(rig, 1)
        await call.write(rack_pb2.AttachConsoleRequest(take_over=True))
        entries = await until_audited(rig, 3)
        call.cancel()
    assert [(entry.kind, entry.node, entry.arguments) for entry in entries] == [
        ("asked", "node-1", "caller=ada@laptop take_over=true"),
        ("ended", "node-1", "caller=ada@laptop take_over=true"),
        ("asked", "node-1", "caller=ada@laptop take_over=true"),
    ]


async def test_a_console_that_is_refused_is_on_record(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        rig.daemon.rack.node("node-1").console.sit(Caller(), 0, writes=True)
        call = rig.rack.AttachConsole()
        await call.write(rack_pb2.AttachConsoleRequest(name="nodes/node-1"))
        assert await call.code() is grpc.StatusCode.FAILED_PRECONDITION
        entries = await audit_of(rig)
    assert entries[1].outcome.startswith("FAILED_PRECONDITION: somebody")


async def test_pages_end_and_begin_where_the_one_before_ended(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        for _ in range(3):
            await set_power(rig, action=ON)
        sequences: list[int] = []
        token = ""
        while True:
            request = rack_pb2.ListAuditEntriesRequest(page_size=4, page_token=token)
            page = await rig.rack.ListAuditEntries(request)
            sequences += [entry.sequence for entry in page.entries]
            token = page.next_page_token
            if not token:
                break
    assert sequences == [6, 5, 4, 3, 2, 1]


async def test_a_caller_on_loopback_is_told_from_the_owner_of_the_socket(tmp_path: Path) -> None:
    listening = {"socket": str(tmp_path / "h.sock"), "plain_tcp": "127.0.0.1:0", "plain_tcp_role": "operator"}
    async with running_rack(tmp_path, grpc=listening) as rig:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{rig.daemon.api.plain_port}") as channel:
            await rack_pb2_grpc.RackStub(channel).IdentifyNode(rack_pb2.IdentifyNodeRequest(name="nodes/node-1"))
        entry, _ = await audit_of(rig)
    assert entry.who == "loopback"
    assert entry.peer.startswith("ipv4:127.0.0.1:")


async def test_the_chain_goes_on_when_hostd_starts_again_and_a_change_meanwhile_shows(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        await set_power(rig)
        before = await verdict_of(rig)
    async with running_rack(tmp_path / "again", state={"folder": str(tmp_path / "state")}) as rig:
        await set_power(rig)
        after = await verdict_of(rig)
    assert (before.problem, before.last_sequence, after.problem, after.last_sequence) == ("", 2, "", 4)
    [path] = (tmp_path / "state" / "audit").iterdir()
    path.write_bytes(path.read_bytes().replace(b'"node":"node-1"', b'"node":"node-2"', 1))
    async with running_rack(tmp_path / "third", state={"folder": str(tmp_path / "state")}) as rig:
        assert "it was changed" in (await verdict_of(rig)).problem


async def test_a_disk_that_takes_no_entry_is_told_and_stops_nobody(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        files = rig.daemon.rack.audit._files
        descriptor, files._descriptor = files._descriptor, os.open("/dev/full", os.O_WRONLY)
        await set_power(rig)
        assert rig.daemon.not_ready() == "the audit log cannot be written: No space left on device"
        os.close(files._descriptor)
        files._descriptor = descriptor
        await set_power(rig)
        assert rig.daemon.not_ready() == ""
        assert (await verdict_of(rig)).last_sequence == 4
