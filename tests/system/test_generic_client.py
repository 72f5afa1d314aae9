"""A gRPC client that knows none of our .proto files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from racklet_virtual.rack import VirtualRack
from tests.system.rig import Hostd, virtual_rack

pytestmark = pytest.mark.asyncio(loop_scope="module")
SERVICE = "racklet.v1.Rack"


class GenericClient:
    """Calls methods by name, with messages made from what reflection tells. Everything in it blocks."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        self._database = ProtoReflectionDescriptorDatabase(channel)
        self._pool = DescriptorPool(self._database)

    def services(self) -> list[str]:
        """Return the names of what is served."""
        return list(self._database.get_services())

    def service(self) -> ServiceDescriptor:
        """Return what reflection tells of the rack's service."""
        return self._pool.FindServiceByName(SERVICE)

    def call(self, method_name: str, **fields: object) -> Message:
        """Call a method that answers once."""
        method = self.service().methods_by_name[method_name]
        call = self._channel.unary_unary(
            f"/{SERVICE}/{method_name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        return call(GetMessageClass(method.input_type)(**fields), timeout=20)

    def stream(self, method_name: str, **fields: object) -> Iterator[Message]:
        """Call a method that answers with a stream."""
        method = self.service().methods_by_name[method_name]
        call = self._channel.unary_stream(
            f"/{SERVICE}/{method_name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        return iter(call(GetMessageClass(method.input_type)(**fields), timeout=20))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[VirtualRack]:
    async with virtual_rack(tmp_path_factory.mktemp("rack"), 2) as rack:
        yield rack


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hostd(tmp_path_factory: pytest.TempPathFactory, rack: VirtualRack) -> AsyncIterator[Hostd]:
    folder: Path = tmp_path_factory.mktemp("hostd")
    async with Hostd(folder, rack.config_toml()) as hostd:
        await hostd.until_online("node-1", "node-2")
        yield hostd


@pytest.fixture(scope="module")
def client(hostd: Hostd) -> Iterator[GenericClient]:
    with grpc.insecure_channel(f"unix:{hostd.socket}") as channel:
        yield GenericClient(channel)


async def test_reflection_lists_the_services(client: GenericClient) -> None:
    assert {SERVICE, "grpc.health.v1.Health"} <= set(await asyncio.to_thread(client.services))


async def test_reflection_tells_every_method(client: GenericClient) -> None:
    service = await asyncio.to_thread(client.service)
    assert set(service.methods_by_name) >= {
        *("GetRack", "ListNodes", "GetNode", "WatchNodes", "SetPower", "IdentifyNode"),
        *("ListBoots", "ReadBootLog", "AttachConsole", "ListEvents", "WatchEvents"),
    }


async def test_nodes_are_listed(client: GenericClient) -> None:
    response = await asyncio.to_thread(client.call, "ListNodes")
    assert [node.name for node in response.nodes] == ["nodes/node-1", "nodes/node-2"]


async def test_a_node_is_powered_on_and_its_log_read(client: GenericClient, rack: VirtualRack, hostd: Hostd) -> None:
    hat = rack.hat("node-2")
    response = await asyncio.to_thread(client.call, "SetPower", name="nodes/node-2", action="POWER_ACTION_ON")
    assert 4_600_000 < response.supply_uv < 5_200_000
    assert hat.node.supply_on
    await hostd.until_node(lambda node: node.log_end > 2000, "node-2")

    def read() -> bytes:
        return b"".join(piece.data for piece in client.stream("ReadBootLog", name="nodes/node-2/boots/-"))

    log = await asyncio.to_thread(read)
    assert len(log) >= 2000
    assert hat.node.sent(hat.node.boots[-1]).startswith(log)


async def test_a_refusal_is_a_status_with_a_sentence(client: GenericClient) -> None:
    with pytest.raises(grpc.RpcError) as refusal:
        await asyncio.to_thread(client.call, "GetNode", name="nodes/node-9")
    assert refusal.value.code() is grpc.StatusCode.NOT_FOUND
    assert refusal.value.details() == "there is no node node-9; the nodes are node-1, node-2"


@pytest.mark.parametrize("service", ["", SERVICE])
async def test_the_health_service_says_serving(hostd: Hostd, service: str) -> None:
    async with grpc.aio.insecure_channel(f"unix:{hostd.socket}") as channel:
        health = health_pb2_grpc.HealthStub(channel)
        answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
