"""The rack and its nodes: told, listed, watched; reflection and health."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from racklet.v1 import rack_pb2
from tests.hostd.rig import running_rack, until

NAMES = ("node-1", "node-2", "node-10")


async def next_of(
    call: grpc.aio.UnaryStreamCall[rack_pb2.WatchNodesRequest, rack_pb2.WatchNodesResponse],
) -> list[rack_pb2.Node]:
    async with asyncio.timeout(20):
        response = await call.read()
    assert isinstance(response, rack_pb2.WatchNodesResponse)
    return list(response.nodes)


async def drain(call: grpc.aio.UnaryStreamCall[Any, Any]) -> None:
    while await call.read() is not grpc.aio.EOF:
        pass


async def test_the_rack_counts_its_nodes_and_adds_up_their_power(tmp_path: Path) -> None:
    async with running_rack(tmp_path, NAMES, rack={"name": "shelf"}) as rig:
        for name in NAMES:
            await rig.until_node(lambda node: node.HasField("measurement"), name)
        rack = (await rig.rack.GetRack(rack_pb2.GetRackRequest())).rack
    assert (rack.display_name, rack.node_count, rack.online_count) == ("shelf", 3, 3)
    assert rack.supply_uw == 3 * 3_120_000
    assert rack.version
    assert rack.start_time.seconds > 0


async def test_nodes_are_listed_by_name_in_pages(tmp_path: Path) -> None:
    async with running_rack(tmp_path, NAMES) as rig:
        first = await rig.rack.ListNodes(rack_pb2.ListNodesRequest(page_size=2))
        second = await rig.rack.ListNodes(rack_pb2.ListNodesRequest(page_size=2, page_token=first.next_page_token))
    assert [node.name for node in first.nodes] == ["nodes/node-1", "nodes/node-2"]
    assert [node.name for node in second.nodes] == ["nodes/node-10"]
    assert not second.next_page_token


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (rack_pb2.ListNodesRequest(page_size=-1), "page_size: expected 0 or more, found -1"),
        (rack_pb2.ListNodesRequest(page_token="?"), "page_token: expected the next_page_token"),  # noqa: S106 - no secret
        (rack_pb2.ListNodesRequest(page_token="bm9uc2Vuc2U="), "page_token: expected the next"),  # noqa: S106 - likewise
    ],
)
async def test_a_page_that_cannot_be_is_refused(
    tmp_path: Path, request_: rack_pb2.ListNodesRequest, words: str
) -> None:
    async with running_rack(tmp_path) as rig:
        with pytest.raises(grpc.aio.AioRpcError, match=words) as caught:
            await rig.rack.ListNodes(request_)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("", grpc.StatusCode.INVALID_ARGUMENT, "expected nodes/NAME"),
        ("nodes/", grpc.StatusCode.INVALID_ARGUMENT, "expected nodes/NAME"),
        ("nodes/a/b", grpc.StatusCode.INVALID_ARGUMENT, "expected nodes/NAME"),
        ("nodes/" + "x" * 5000, grpc.StatusCode.INVALID_ARGUMENT, "x…"),
        ("nodes/node-0", grpc.StatusCode.NOT_FOUND, "the nodes are node-1, node-2, node-3, node-4, node-5 and 2 more"),
        ("x" * 5000, grpc.StatusCode.INVALID_ARGUMENT, "x…"),
    ],
)
async def test_a_name_of_no_node_is_refused(tmp_path: Path, name: str, code: grpc.StatusCode, words: str) -> None:
    async with running_rack(tmp_path, tuple(f"node-{number}" for number in range(1, 8)), hats={}) as rig:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await rig.rack.GetNode(rack_pb2.GetNodeRequest(name=name))
    assert caught.value.code() is code
    assert words in (caught.value.details() or "")
    assert len(caught.value.details() or "") < 300


async def test_a_watcher_gets_all_nodes_and_then_those_that_change(tmp_path: Path) -> None:
    async with running_rack(tmp_path, NAMES, telemetry={"period_ms": 60_000}) as rig:
        for name in NAMES:
            await rig.until_node(lambda node: node.HasField("measurement"), name)
        call = rig.rack.WatchNodes(rack_pb2.WatchNodesRequest())
        assert [node.name for node in await next_of(call)] == [f"nodes/{name}" for name in NAMES]
        rig.hats["node-2"].unplug()
        changed = await next_of(call)
        assert [node.name for node in changed] == ["nodes/node-2"]
        assert changed[0].hat.state == rack_pb2.HAT_STATE_OFFLINE
        call.cancel()


async def test_a_watcher_of_one_node_hears_of_no_other(tmp_path: Path) -> None:
    async with running_rack(tmp_path, NAMES) as rig:
        call = rig.rack.WatchNodes(rack_pb2.WatchNodesRequest(names=["nodes/node-2"]))
        for _ in range(3):
            assert [node.name for node in await next_of(call)] == ["nodes/node-2"]
        call.cancel()


async def test_a_slow_watcher_misses_steps_but_never_the_last(tmp_path: Path) -> None:
    async with running_rack(tmp_path, telemetry={"period_ms": 60_000}) as rig:
        hat = rig.hats["node-1"]
        hat.boot()
        await rig.until_node(lambda node: node.boot != "")
        request = rack_pb2.WatchNodesRequest(min_interval=Duration(nanos=10_000_000))
        call = rig.rack.WatchNodes(request)
        await next_of(call)
        for number in range(2000):  # more changes than messages that gRPC holds for who does not read
            hat.say(b"%d\n" % number)
            if number % 100 == 0:
                await until(lambda: hat.all_acknowledged)
        await until(lambda: hat.all_acknowledged)
        seen = 0
        async with asyncio.timeout(20):
            while (await next_of(call))[0].last_line != "1999":
                seen += 1
        assert seen < 500
        call.cancel()


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (rack_pb2.WatchNodesRequest(names=["nodes/node-9"]), grpc.StatusCode.NOT_FOUND),
        (rack_pb2.WatchNodesRequest(names=["nodes/node-1"] * 1001), grpc.StatusCode.INVALID_ARGUMENT),
        (rack_pb2.WatchNodesRequest(min_interval=Duration(seconds=3601)), grpc.StatusCode.INVALID_ARGUMENT),
        (rack_pb2.WatchNodesRequest(min_interval=Duration(seconds=1, nanos=-1)), grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_a_watch_that_cannot_be_is_refused(
    tmp_path: Path, request_: rack_pb2.WatchNodesRequest, code: grpc.StatusCode
) -> None:
    async with running_rack(tmp_path) as rig:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await next_of(rig.rack.WatchNodes(request_))
    assert caught.value.code() is code


async def test_streams_end_with_unavailable_when_hostd_goes(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        rig.hats["node-1"].boot()
        await rig.until_node(lambda node: node.boot != "")
        log = rack_pb2.ReadBootLogRequest(name="nodes/node-1/boots/-", follow=True)
        slow = rack_pb2.WatchNodesRequest(min_interval=Duration(seconds=3600))
        calls = [
            rig.rack.WatchNodes(slow),
            rig.rack.WatchEvents(rack_pb2.WatchEventsRequest()),
            rig.rack.ReadBootLog(log),
        ]
        await calls[0].read()
        await until(
            lambda: rig.daemon.rack.events.grown.waiters and rig.daemon.rack.node("node-1").console.bell.waiters
        )
        rig.stop.set()
        for call in calls:
            with pytest.raises(grpc.aio.AioRpcError, match="hostd is shutting down") as caught:
                await drain(call)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_the_service_is_found_by_reflection(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        stub = reflection_pb2_grpc.ServerReflectionStub(rig.channel)
        call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        response = await call.read()
        call.cancel()
    names = {service.name for service in response.list_services_response.service}
    assert {"racklet.v1.Rack", "grpc.health.v1.Health"} <= names


async def test_the_service_says_that_it_is_healthy(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        stub = health_pb2_grpc.HealthStub(rig.channel)
        for service in ("", "racklet.v1.Rack"):
            response = await stub.Check(health_pb2.HealthCheckRequest(service=service))
            assert response.status == health_pb2.HealthCheckResponse.SERVING


async def test_the_socket_is_for_its_owner_only(tmp_path: Path) -> None:
    async with running_rack(tmp_path):
        socket = tmp_path / "run" / "hostd.sock"
        assert stat.S_IMODE(socket.stat().st_mode) == 0o600
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
    assert not socket.exists()
