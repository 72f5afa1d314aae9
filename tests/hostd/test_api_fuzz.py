"""Whatever a caller sends to any method: an answer or a status that says why, never a crash, and nothing stays."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from racklet.v1 import rack_pb2
from tests.hostd.access_calls import ADMIN
from tests.hostd.rig import Rig, running_rack, until

RACK = rack_pb2.DESCRIPTOR.services_by_name["Rack"]
CORPUS = Path(__file__).parent / "fuzz"  # what was found, and what is near the edges: append only
STREAMS_S = 0.15  # for streams that say nothing
EXPECTED = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.CANCELLED,
}
NOT_A_MESSAGE = grpc.StatusCode.INTERNAL  # gRPC's own word for bytes that are none
MEMORY_KB = 60_000  # that all of it may add

_WORDS = st.sampled_from(
    [
        "nodes/node-1",
        "nodes/node-1/boots/-",
        "nodes/node-1/boots/1",
        "node-1",
        "nodes/../x",
        "nodes/" + "x" * 9000,
        "\0",
        "*",
    ]
)
_NUMBERS: dict[int, tuple[int, int]] = {
    FieldDescriptor.CPPTYPE_INT32: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(1 << 63), (1 << 63) - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, (1 << 32) - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, (1 << 64) - 1),
    FieldDescriptor.CPPTYPE_ENUM: (-3, 12),
}


def values(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    """Return what may stand in a field."""
    if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
        return messages(message_factory.GetMessageClass(field.message_type), depth + 1)
    if field.cpp_type in _NUMBERS:
        low, high = _NUMBERS[field.cpp_type]
        return st.integers(low, high) | st.sampled_from([0, 1, high, low])
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return st.booleans()
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return st.binary(max_size=64) if field.type == FieldDescriptor.TYPE_BYTES else st.text(max_size=64) | _WORDS
    return st.floats()


@st.composite
def messages(draw: st.DrawFn, kind: type[Message], depth: int = 0) -> Message:
    """A message with some of its fields set to anything that the type takes."""
    message = kind()
    for field in kind.DESCRIPTOR.fields:
        if depth > 3 or not draw(st.booleans()):
            continue
        drawn = draw(st.lists(values(field, depth), max_size=3) if field.is_repeated else values(field, depth))
        if field.is_repeated and field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
            for each in drawn:
                getattr(message, field.name).add().CopyFrom(each)
        elif field.is_repeated:
            getattr(message, field.name).extend(drawn)
        elif field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
            getattr(message, field.name).CopyFrom(drawn)
        else:
            setattr(message, field.name, drawn)
    return message


def requests(path: str) -> st.SearchStrategy[bytes]:
    """Return what may be sent to a method: bytes, or a message of its own."""
    noise = st.binary(max_size=300)
    method = RACK.methods_by_name.get(path.rpartition("/")[2])
    if method is None:
        return noise
    kind = message_factory.GetMessageClass(method.input_type)
    return noise | messages(kind).map(lambda message: message.SerializeToString())


async def status_of(channel: grpc.aio.Channel, path: str, sent: list[bytes]) -> grpc.StatusCode:
    """Call a method with those messages; return how it ends, or OK when it answers."""
    call = channel.stream_stream(path)(iter(sent), timeout=STREAMS_S)
    try:
        await call.read()
        return grpc.StatusCode.OK if not call.done() else await call.code()
    except grpc.aio.AioRpcError as error:
        return error.code()
    finally:
        call.cancel()


def is_message(path: str, sent: bytes) -> bool:
    """Tell whether bytes are a message of the method."""
    method = RACK.methods_by_name.get(path.rpartition("/")[2])
    if method is None:
        return False
    try:
        message_factory.GetMessageClass(method.input_type).FromString(sent)
    except DecodeError:
        return False
    return True


async def throw(rig: Rig, thrown: dict[str, list[bytes]]) -> None:
    """Send to each method what is for it, and see that hostd goes on."""
    codes = await asyncio.gather(*(status_of(rig.channel, path, sent) for path, sent in thrown.items()))
    for code, (path, sent) in zip(codes, thrown.items(), strict=True):
        is_noise = not path.startswith("/racklet") or not all(is_message(path, each) for each in sent)
        is_noise |= len(sent) > 1  # no client of a method with one request; gRPC may say so or reset the stream
        assert code in EXPECTED or (is_noise and code is NOT_A_MESSAGE), (code, path, sent)


def memory_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def test_any_bytes_and_any_messages_to_every_method_get_a_status(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    async with running_rack(tmp_path, access={"changes_per_second": 1000}) as rig:
        everything = st.fixed_dictionaries(
            {path: st.lists(requests(path), min_size=1, max_size=2) for path in sorted(ADMIN)}
        )

        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(everything)
        def fuzz(thrown: dict[str, list[bytes]]) -> None:
            asyncio.run_coroutine_threadsafe(throw(rig, thrown), loop).result(30)

        await throw(rig, {path: [b"", b"\xff" * 200_000] for path in ADMIN})
        before_kb = memory_kb()
        await asyncio.to_thread(fuzz)
        assert memory_kb() - before_kb < MEMORY_KB
        [visitor] = rig.daemon.api.door.visitors
        await until(lambda: visitor.client.calls == 0)
        node = rig.daemon.rack.node("node-1")
        await until(lambda: not node.console._seats)
        assert (await rig.node()).name == "nodes/node-1"


async def test_the_messages_that_were_kept_are_still_answered(tmp_path: Path) -> None:
    kept = [path.read_bytes() for path in sorted(CORPUS.glob("call-*"))]
    assert kept
    async with running_rack(tmp_path, access={"changes_per_second": 1000}) as rig:
        for data in kept:
            await throw(rig, {path: [data] for path in ADMIN})
        assert (await rig.node()).name == "nodes/node-1"


async def send_raw(path: Path, data: bytes, *, until_answered: bool = False) -> None:
    """Send bytes to a socket, with `until_answered` wait for an answer, then end and read until it is closed."""
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        async with asyncio.timeout(20):
            writer.write(data)
            if until_answered:
                await writer.drain()
                await reader.read(1)
            writer.write_eof()
            while await reader.read(65536):
                pass
    except ConnectionError:
        return
    finally:
        writer.close()


async def test_bytes_that_are_no_http2_end_the_connection_and_nothing_else(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

    async with running_rack(tmp_path) as rig:
        socket = tmp_path / "run" / "hostd.sock"

        @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(st.binary(max_size=400), st.sampled_from([b"", preface, preface + b"\0\0\0\4\0\0\0\0\0", preface[:11]]))
        def fuzz(data: bytes, begin: bytes) -> None:
            asyncio.run_coroutine_threadsafe(send_raw(socket, begin + data), loop).result(30)

        await asyncio.to_thread(fuzz)
        assert (await rig.node()).name == "nodes/node-1"
        await until(lambda: len(rig.daemon.api.door.visitors) == 1 and not rig.daemon.api.door._arrivals)


async def test_the_bytes_that_were_kept_still_end_their_connection_and_nothing_else(tmp_path: Path) -> None:
    kept = [path.read_bytes() for path in sorted(CORPUS.glob("http2-*"))]
    assert kept
    before_kb = memory_kb()
    async with running_rack(tmp_path) as rig:
        socket = tmp_path / "run" / "hostd.sock"
        await asyncio.gather(*(send_raw(socket, data, until_answered=True) for data in kept))
        assert (await rig.node()).name == "nodes/node-1"
        await until(lambda: len(rig.daemon.api.door.visitors) == 1 and not rig.daemon.api.door._arrivals)
    assert memory_kb() - before_kb < MEMORY_KB
