"""Lists in pages, and the part of their entries that is wanted."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from hypothesis import given, settings
from hypothesis import strategies as st

from racklet.v1 import rack_pb2
from racklet_hostd.api import events, nodes
from tests.hostd.rig import Rig, running_rack, until

SIZES = st.lists(st.integers(1, 7), min_size=1, max_size=5)
LOOKED_AT = 25  # of the events, which grow in number from example to example
NAMES = tuple(f"node-{number}" for number in range(1, 13))


def record(rig: Rig, count: int, node: str = "") -> None:
    for _ in range(count):
        rig.daemon.rack.events.record(node, 1_790_000_000_000, "test", "it happened")


async def test_all_pages_of_events_together_are_the_list_also_while_it_grows(tmp_path: Path) -> None:
    async with running_rack(tmp_path, hats={}) as rig:
        record(rig, 20)
        rack = rig.daemon.rack

        @settings(max_examples=25, deadline=None)
        @given(sizes=SIZES, grows=st.integers(0, 3), node=st.sampled_from(["", "nodes/node-1"]))
        def check(sizes: list[int], grows: int, node: str) -> None:
            record(rig, 1, "node-1")
            whole = list(events.list_events(rack, rack_pb2.ListEventsRequest(node=node, page_size=LOOKED_AT)).events)
            found: list[rack_pb2.Event] = []
            token, turn = "", 0
            while turn == 0 or (token and len(found) < LOOKED_AT):
                size = sizes[turn % len(sizes)]
                page = events.list_events(rack, rack_pb2.ListEventsRequest(node=node, page_size=size, page_token=token))
                assert len(page.events) <= size
                found += page.events
                token, turn = page.next_page_token, turn + 1
                record(rig, grows, "node-1" if turn % 2 else "")
            assert found[:LOOKED_AT] == whole

        check()


async def test_all_pages_of_nodes_together_are_the_nodes(tmp_path: Path) -> None:
    async with running_rack(tmp_path, NAMES, hats={}) as rig:
        rack = rig.daemon.rack

        @settings(max_examples=25, deadline=None)
        @given(sizes=SIZES)
        def check(sizes: list[int]) -> None:
            found: list[str] = []
            token, turn = "", 0
            while turn == 0 or token:
                size = sizes[turn % len(sizes)]
                page = nodes.list_nodes(rack, rack_pb2.ListNodesRequest(page_size=size, page_token=token))
                found += [node.name for node in page.nodes]
                token, turn = page.next_page_token, turn + 1
            assert found == [f"nodes/{name}" for name in NAMES]

        check()


async def test_a_token_of_another_list_is_refused(tmp_path: Path) -> None:
    async with running_rack(tmp_path, ("node-1", "node-2"), hats={}) as rig:
        record(rig, 3, "node-1")
        page = await rig.rack.ListEvents(rack_pb2.ListEventsRequest(node="nodes/node-1", page_size=1))
        other = rack_pb2.ListEventsRequest(node="nodes/node-2", page_token=page.next_page_token)
        with pytest.raises(grpc.aio.AioRpcError, match="page_token"):
            await rig.rack.ListEvents(other)


async def test_a_mask_leaves_what_it_names_and_the_name(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        await rig.until_node(lambda node: node.HasField("measurement"))
        mask = FieldMask(paths=["measurement.supply_uv", "hat.state", "name"])
        listed = await rig.rack.ListNodes(rack_pb2.ListNodesRequest(read_mask=mask))
        got = await rig.rack.GetNode(rack_pb2.GetNodeRequest(name="nodes/node-1", read_mask=mask))
        whole = await rig.rack.GetNode(rack_pb2.GetNodeRequest(name="nodes/node-1", read_mask=FieldMask(paths=["*"])))
    expected = rack_pb2.Node(name="nodes/node-1")
    expected.measurement.supply_uv = 5_098_000
    expected.hat.state = rack_pb2.HAT_STATE_ONLINE
    assert list(listed.nodes) == [expected]
    assert got.node == expected
    assert whole.node.hat.board


async def test_an_event_can_be_had_without_its_waveform(tmp_path: Path) -> None:
    async with running_rack(tmp_path, hats={}) as rig:
        record(rig, 1)
        mask = FieldMask(paths=["kind"])
        [event] = (await rig.rack.ListEvents(rack_pb2.ListEventsRequest(page_size=1, read_mask=mask))).events
        assert (event.kind, event.message) == ("test", "")
        assert event.sequence
        watch = rig.rack.WatchEvents(rack_pb2.WatchEventsRequest(from_sequence=event.sequence, read_mask=mask))
        assert (await watch.read()).event == event  # type: ignore[union-attr]
        watch.cancel()


@pytest.mark.parametrize("path", ["colour", "measurement.colour", "findings.x", "", "Measurement", "hat.*"])
async def test_what_is_no_field_is_refused(tmp_path: Path, path: str) -> None:
    async with running_rack(tmp_path, hats={}) as rig:
        request = rack_pb2.ListNodesRequest(read_mask=FieldMask(paths=[path]))
        with pytest.raises(grpc.aio.AioRpcError, match="read_mask: expected fields of Node"):
            await rig.rack.ListNodes(request)


async def test_who_watches_one_field_hears_of_no_other(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        request = rack_pb2.WatchNodesRequest(read_mask=FieldMask(paths=["supply_state"]))
        request.min_interval.FromMilliseconds(10)
        watch = rig.rack.WatchNodes(request)
        first = await watch.read()
        before = await rig.node()
        await rig.until_node(lambda node: node.measurement.measure_time != before.measurement.measure_time)
        await rig.rack.SetPower(rack_pb2.SetPowerRequest(name="nodes/node-1", action=rack_pb2.POWER_ACTION_OFF))
        rig.hats["node-1"].now.supply_state = 1
        second = await watch.read()
        watch.cancel()
    states = [[node.supply_state for node in response.nodes] for response in (first, second)]  # type: ignore[union-attr]
    assert states == [[rack_pb2.SUPPLY_STATE_ON], [rack_pb2.SUPPLY_STATE_OFF]]


async def test_whoever_leaves_leaves_nothing_behind(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        rack = rig.daemon.rack
        node = rack.node("node-1")
        before = len(asyncio.all_tasks())
        calls = [
            rig.rack.WatchNodes(rack_pb2.WatchNodesRequest(min_interval={"seconds": 3600})),  # type: ignore[arg-type]
            rig.rack.WatchNodes(rack_pb2.WatchNodesRequest()),
            rig.rack.WatchEvents(rack_pb2.WatchEventsRequest()),
            rig.rack.ReadBootLog(
                rack_pb2.ReadBootLogRequest(name="nodes/node-1/boots/-", follow=True, following_boots=True)
            ),
        ]
        reads = [asyncio.ensure_future(call.read()) for call in calls]  # noqa: TID251  cancelled below
        console = rig.rack.AttachConsole()
        await console.write(rack_pb2.AttachConsoleRequest(name="nodes/node-1"))
        await console.read()
        await until(lambda: rack.events.grown.waiters and node.console.bell.waiters and node.console.seats)
        for call in (*calls, console):
            call.cancel()
        await asyncio.gather(*reads, return_exceptions=True)
        await until(
            lambda: (
                not (
                    rack.changes.bell.waiters
                    or rack.events.grown.waiters
                    or rack.moments.waiters
                    or node.console.bell.waiters
                    or node.console.seats
                )
            )
        )
        await until(lambda: len(asyncio.all_tasks()) <= before)
