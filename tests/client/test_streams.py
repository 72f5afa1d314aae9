"""Streams outlast a restart of hostd: without loss, without repetition, and they tell of it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

import racklet_client
from racklet_client import LostError, NodesChange, Rack
from tests.cli.rack_server import RackServer


class Presence(list[bool]):
    """Notes whether hostd is there."""

    def __call__(self, is_there: bool) -> None:
        self.append(is_there)


async def restart(server: RackServer) -> None:
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start)


async def test_events_go_on_with_the_next_one(server: RackServer, rack: Rack) -> None:
    presence = Presence()
    server.rack.add_event("old", "before")
    async with aclosing(rack.watch_events(on_presence=presence)) as events:
        coming = asyncio.ensure_future(anext(events))  # noqa: TID251  awaited below
        await asyncio.to_thread(server.rack.wait_until, lambda: bool(server.rack.requests[1:]))
        server.rack.add_event("new", "first")
        assert (await coming).message == "first"
        await asyncio.to_thread(server.stop)
        server.rack.add_event("new", "while hostd was away")
        server.start()
        assert (await anext(events)).message == "while hostd was away"
        server.rack.add_event("new", "after")
        assert (await anext(events)).message == "after"
    assert presence == [False, True]


async def test_a_watcher_that_heard_nothing_yet_misses_nothing(server: RackServer, rack: Rack) -> None:
    async with aclosing(rack.watch_events("node-1")) as events:
        coming = asyncio.ensure_future(anext(events))  # noqa: TID251  awaited below
        await asyncio.to_thread(server.rack.wait_until, lambda: bool(server.rack.requests[1:]))
        await asyncio.to_thread(server.stop)
        server.rack.add_event("new", "while hostd was away", "node-1")
        server.start()
        assert (await coming).message == "while hostd was away"


async def test_nodes_are_whole_again_after_a_restart(server: RackServer, rack: Rack) -> None:
    async with aclosing(rack.watch_nodes()) as changes:
        assert named(await anext(changes)) == (["nodes/node-1"], True)
        server.rack.add_node("node-1", last_line="changed")
        assert named(await anext(changes)) == (["nodes/node-1"], False)
        await restart(server)
        assert named(await anext(changes)) == (["nodes/node-1"], True)


async def test_what_takes_no_bytes_is_told_once(server: RackServer, rack: Rack) -> None:
    server.rack.add_boot("node-1", 1)
    server.rack.add_log("node-1", 1, b"abc")
    server.rack.add_gap("node-1", 1, 0, "unknown")
    server.rack.add_line_errors("node-1", 1, breaks=1)
    async with aclosing(rack.boot_log("node-1", follow=True)) as pieces:
        first = [await anext(pieces) for _ in range(3)]
        await asyncio.to_thread(server.stop)
        server.rack.add_log("node-1", 1, b"def")
        server.start()
        rest = await anext(pieces)
    assert [piece.WhichOneof("piece") for piece in first] == ["data", "gap", "line_errors"]
    assert (rest.offset, rest.data) == (3, b"def")


async def test_a_log_that_is_not_followed_is_lost_with_hostd(server: RackServer, rack: Rack) -> None:
    server.rack.add_boot("node-1", 1)
    server.rack.add_log("node-1", 1, b"x" * 4_000_000)
    pieces = rack.boot_log("node-1")
    await anext(pieces)
    await asyncio.to_thread(server.stop)
    with pytest.raises(LostError):
        async for _ in pieces:
            pass


async def test_a_console_types_and_goes_on_after_a_restart(server: RackServer, rack: Rack) -> None:
    async with rack.console("node-1", caller="ada@laptop") as console:
        responses = aiter(console)
        assert [seat.caller for seat in (await anext(responses)).seats] == ["ada@laptop"]
        await console.type(b"one")
        assert (await anext(responses)).data == b"one"
        await restart(server)
        assert (await anext(responses)).seats
        await console.type(b"two")
        while b"two" not in (await anext(responses)).data:
            pass
    assert bytes(server.rack.typed) == b"onetwo"


async def test_a_console_in_use_is_refused_at_its_door(server: RackServer, rack: Rack) -> None:
    server.rack.console_writer = "bob"
    with pytest.raises(racklet_client.PreconditionError, match="bob is writing"):
        async with rack.console("node-1"):
            raise AssertionError
    async with rack.console("node-1", take_over=True) as console:
        assert console.writes


async def test_lists_take_as_many_pages_as_there_are(server: RackServer, rack: Rack) -> None:
    for number in range(2, 8):
        server.rack.add_node(f"node-{number}")
    server.rack.page_limit = 3
    assert len([node async for node in rack.nodes()]) == 7
    assert [node.name async for node in rack.nodes(limit=4)] == [f"nodes/node-{n}" for n in range(1, 5)]
    assert [node async for node in rack.nodes(limit=0)] == []


def named(change: NodesChange) -> tuple[list[str], bool]:
    return [node.name for node in change.nodes], change.is_whole


def test_names_are_taken_with_and_without_their_collection() -> None:
    assert racklet_client.node_resource("node-1") == racklet_client.node_resource("nodes/node-1") == "nodes/node-1"
    assert racklet_client.boot_resource("node-1") == "nodes/node-1/boots/-"
    assert racklet_client.boot_number(racklet_client.boot_resource("node-1", 17)) == "17"
