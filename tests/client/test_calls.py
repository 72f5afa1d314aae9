"""Calls against a real hostd: deadlines, request ids, what is freed, and what an error tells."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from uuid import uuid4

import pytest

import racklet_client
from racklet.link.v1 import link_pb2
from racklet.v1 import rack_pb2
from tests.hostd.rig import running_rack, until


async def test_a_deadline_that_passes_leaves_the_transaction_to_the_hat(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig, racklet_client.connect(rig.address) as rack:
        hat = rig.hats["node-1"]
        hat.power_result = link_pb2.RESULT_PENDING
        request_id = str(uuid4())
        with pytest.raises(racklet_client.DeadlineError):
            await rack.cycle("node-1", timeout_s=0.3, request_id=request_id)
        hat.finish_power(link_pb2.RESULT_DONE)
        again = await rack.cycle("node-1", request_id=request_id)
        assert again.supply_state == rack_pb2.SUPPLY_STATE_ON
        assert len(hat.power_requests) == 1
        kinds = [entry.kind async for entry in rack.audit_entries()]
        assert "late" in kinds


async def test_each_call_that_changes_something_has_an_id_of_its_own(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig, racklet_client.connect(rig.address) as rack:
        await rack.cycle("node-1")
        await rack.cycle("node-1")
        assert len(rig.hats["node-1"].power_requests) == 2
        arguments = [entry.arguments async for entry in rack.audit_entries() if entry.kind == "asked"]
    assert len({words.partition("request_id=")[2] for words in arguments}) == 2


async def test_iterators_that_are_closed_leave_nothing_at_hostd(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig, racklet_client.connect(rig.address) as rack:
        held = rig.daemon.rack
        console = held.node("node-1").console
        async with aclosing(rack.watch_nodes(min_interval_s=3600)) as changes:
            await anext(changes)
            await until(lambda: held.moments.waiters or held.changes.bell.waiters)
        async with rack.console("node-1"):
            assert console.seats
        async with asyncio.TaskGroup() as tasks:
            waits = [tasks.create_task(drained(rack.boot_log("node-1", follow=True)))]
            waits.append(tasks.create_task(drained(rack.watch_events())))
            await until(lambda: console.bell.waiters and held.events.grown.waiters)
            for wait in waits:
                wait.cancel()
        bells = (held.moments, held.changes.bell, held.events.grown, console.bell)
        await until(lambda: not any(bell.waiters for bell in bells) and not console.seats)


async def test_nobody_at_the_address_is_told_with_what_can_be_seen(tmp_path: Path) -> None:
    with pytest.raises(racklet_client.UnreachableError, match="there is no such socket") as caught:
        async with racklet_client.connect(f"unix:{tmp_path}/none.sock"):
            pass
    assert caught.value.address == f"unix:{tmp_path}/none.sock"


async def test_what_is_no_address_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="is no address"):
        async with racklet_client.connect("http://rack"):
            pass


async def test_a_certificate_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "ca.pem"
    credentials = racklet_client.Credentials(missing, missing, missing)
    with pytest.raises(racklet_client.CredentialsError, match=r"ca\.pem: No such file"):
        async with racklet_client.connect("127.0.0.1:1", credentials=credentials):
            pass


async def test_one_node_in_the_way_is_an_error_with_its_name(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig, racklet_client.connect(rig.address) as rack:
        hat = rig.hats["node-1"]
        hat.power_result = link_pb2.RESULT_PENDING
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(rack.off("node-1", grace_s=1))
            await until(lambda: hat.power_requests)
            with pytest.raises(racklet_client.TryAgainError) as caught:
                await rack.on("node-1")
            hat.finish_power(link_pb2.RESULT_DONE)
        assert first.done()
    assert (caught.value.reason, caught.value.node, caught.value.retry_after_s) == ("POWER_BUSY", "node-1", None)


async def drained(items: object) -> None:
    async for _ in items:  # type: ignore[attr-defined]
        pass
