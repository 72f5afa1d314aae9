"""ListEvents and WatchEvents."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest

from racklet.v1 import rack_pb2
from tests.hostd.rig import Rig, running_rack, until

WatchCall = grpc.aio.UnaryStreamCall[rack_pb2.WatchEventsRequest, rack_pb2.WatchEventsResponse]


def record(rig: Rig, node: str, *messages: str) -> None:
    for message in messages:
        rig.daemon.rack.events.record(node, 1_790_000_000_123, "test", message)


async def next_of(call: WatchCall) -> rack_pb2.Event:
    async with asyncio.timeout(20):
        response = await call.read()
    assert isinstance(response, rack_pb2.WatchEventsResponse)
    return response.event


async def test_events_are_listed_newest_first_in_pages(tmp_path: Path) -> None:
    async with running_rack(tmp_path, ("node-1", "node-2"), hats={}) as rig:
        record(rig, "node-1", "a", "b", "c")
        record(rig, "node-2", "d")
        record(rig, "", "e")
        of_one = await rig.rack.ListEvents(rack_pb2.ListEventsRequest(node="nodes/node-1", page_size=2))
        request = rack_pb2.ListEventsRequest(node="nodes/node-1", page_token=of_one.next_page_token)
        rest = await rig.rack.ListEvents(request)
        of_all = await rig.rack.ListEvents(rack_pb2.ListEventsRequest())
    assert [event.message for event in of_one.events] == ["c", "b"]
    assert [event.message for event in rest.events] == ["a"]
    assert [(event.node, event.message) for event in of_all.events[:2]] == [("", "e"), ("nodes/node-2", "d")]
    assert of_all.events[0].event_time.ToMilliseconds() == 1_790_000_000_123


async def test_a_watcher_gets_what_was_from_a_number_on_and_then_what_comes(tmp_path: Path) -> None:
    async with running_rack(tmp_path, hats={}) as rig:
        record(rig, "node-1", *(str(number) for number in range(250)))
        first = rig.daemon.rack.events.store.newest_sequence - 249
        call = rig.rack.WatchEvents(rack_pb2.WatchEventsRequest(from_sequence=first + 10))
        assert [(await next_of(call)).message for _ in range(240)] == [str(number) for number in range(10, 250)]
        record(rig, "node-1", "live")
        assert (await next_of(call)).message == "live"
        call.cancel()


async def test_a_watcher_from_zero_gets_only_new_ones_of_its_node(tmp_path: Path) -> None:
    async with running_rack(tmp_path, ("node-1", "node-2"), hats={}) as rig:
        record(rig, "node-1", "old")
        call = rig.rack.WatchEvents(rack_pb2.WatchEventsRequest(node="nodes/node-1"))
        await until(lambda: rig.daemon.rack.events.grown.waiters)
        record(rig, "node-2", "of another")
        record(rig, "node-1", "new")
        assert (await next_of(call)).message == "new"
        call.cancel()


async def test_a_watcher_from_a_number_that_is_long_gone_waits_and_does_not_spin(tmp_path: Path) -> None:
    async with running_rack(tmp_path, hats={}) as rig:
        call = rig.rack.WatchEvents(rack_pb2.WatchEventsRequest(node="nodes/node-1", from_sequence=1))
        record(rig, "node-1", "new")
        assert (await next_of(call)).message == "new"
        call.cancel()


@pytest.mark.parametrize("sequence", [1 << 63, (1 << 64) - 1])
async def test_a_number_beyond_all_is_waited_for(tmp_path: Path, sequence: int) -> None:
    async with running_rack(tmp_path, hats={}) as rig:
        call = rig.rack.WatchEvents(rack_pb2.WatchEventsRequest(from_sequence=sequence), timeout=0.2)
        record(rig, "node-1", "new")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await next_of(call)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_events_of_a_node_that_is_not_there_are_refused(tmp_path: Path) -> None:
    async with running_rack(tmp_path, hats={}) as rig:
        with pytest.raises(grpc.aio.AioRpcError) as listed:
            await rig.rack.ListEvents(rack_pb2.ListEventsRequest(node="nodes/node-9"))
        with pytest.raises(grpc.aio.AioRpcError) as watched:
            await next_of(rig.rack.WatchEvents(rack_pb2.WatchEventsRequest(node="nodes/node-9")))
    assert {listed.value.code(), watched.value.code()} == {grpc.StatusCode.NOT_FOUND}
