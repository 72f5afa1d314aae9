"""ListBoots and ReadBootLog."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import grpc
import pytest

from racklet.link.v1 import link_pb2
from racklet.v1 import rack_pb2
from racklet_hostd.api import boots
from racklet_hostd.store import Chunk, GapPiece
from tests.hostd.rig import Rig, running_rack, until

TEXT = bytes(range(256)) * 400


@asynccontextmanager
async def rack_with_boots(folder: Path, *texts: bytes) -> AsyncIterator[Rig]:
    """Run a rack whose node-1 has had a boot for each text."""
    async with running_rack(folder) as rig:
        hat = rig.hats["node-1"]
        for text in texts:
            hat.boot()
            for start in range(0, len(text), 10_000):
                hat.say(text[start : start + 10_000])
                await until(lambda: hat.all_acknowledged)
        await until(lambda: hat.all_acknowledged)
        yield rig


async def read(rig: Rig, boot: str = "1", **fields: object) -> list[rack_pb2.ReadBootLogResponse]:
    request = rack_pb2.ReadBootLogRequest(name=f"nodes/node-1/boots/{boot}", **fields)  # type: ignore[arg-type]
    return [response async for response in rig.rack.ReadBootLog(request)]


def data_of(responses: list[rack_pb2.ReadBootLogResponse]) -> bytes:
    return b"".join(response.data for response in responses)


async def test_boots_are_listed_newest_first_in_pages(tmp_path: Path) -> None:
    async with rack_with_boots(tmp_path, b"one", b"two", b"three") as rig:
        first = await rig.rack.ListBoots(rack_pb2.ListBootsRequest(parent="nodes/node-1", page_size=2))
        token = first.next_page_token
        second = await rig.rack.ListBoots(rack_pb2.ListBootsRequest(parent="nodes/node-1", page_token=token))
        foreign = await rig.rack.ListEvents(rack_pb2.ListEventsRequest(page_size=1))
        with pytest.raises(grpc.aio.AioRpcError, match="page_token: expected") as caught:
            await rig.rack.ListEvents(rack_pb2.ListEventsRequest(page_token=token))
    assert [boot.name for boot in first.boots] == ["nodes/node-1/boots/3", "nodes/node-1/boots/2"]
    assert [(boot.name, boot.log_end, boot.from_supply_on) for boot in second.boots] == [
        ("nodes/node-1/boots/1", 3, True)
    ]
    assert not second.next_page_token
    assert foreign.events
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_log_is_read_byte_by_byte_from_any_offset(tmp_path: Path) -> None:
    async with rack_with_boots(tmp_path, TEXT) as rig:
        for offset in (0, 1, 50_000, len(TEXT) - 1, len(TEXT)):
            responses = await read(rig, offset=offset)
            assert data_of(responses) == TEXT[offset:]
            assert not responses or responses[0].offset == offset
        assert data_of(await read(rig, "-")) == TEXT


async def test_an_offset_beyond_the_end_is_out_of_range(tmp_path: Path) -> None:
    async with rack_with_boots(tmp_path, b"abc") as rig:
        for offset in (4, (1 << 64) - 1):
            with pytest.raises(grpc.aio.AioRpcError, match="boot 1 of node-1 ends at 3") as caught:
                await read(rig, offset=offset)
            assert caught.value.code() is grpc.StatusCode.OUT_OF_RANGE


@pytest.mark.parametrize(
    ("boot", "code"),
    [
        ("7", grpc.StatusCode.NOT_FOUND),
        ("9999999999999999999", grpc.StatusCode.INVALID_ARGUMENT),
        ("-1", grpc.StatusCode.INVALID_ARGUMENT),
        ("", grpc.StatusCode.INVALID_ARGUMENT),
        ("one", grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_a_boot_that_is_not_there_is_refused(tmp_path: Path, boot: str, code: grpc.StatusCode) -> None:
    async with rack_with_boots(tmp_path, b"abc") as rig:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await read(rig, boot)
    assert caught.value.code() is code


async def test_a_node_without_boots_has_no_newest(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        with pytest.raises(grpc.aio.AioRpcError, match="node-1 has no boot yet") as caught:
            await read(rig, "-")
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        assert not (await rig.rack.ListBoots(rack_pb2.ListBootsRequest(parent="nodes/node-1"))).boots


async def test_a_gap_is_told_between_the_bytes(tmp_path: Path) -> None:
    async with rack_with_boots(tmp_path, b"before") as rig:
        hat = rig.hats["node-1"]
        hat.lose(5)
        hat.say(b"behind")
        await until(lambda: hat.all_acknowledged)
        responses = await read(rig, offset=3)
    assert [response.WhichOneof("piece") for response in responses] == ["data", "gap", "data"]
    assert (responses[1].offset, responses[1].gap.lost_bytes, responses[1].gap.reason) == (6, 5, "uart_overrun")
    assert (responses[2].offset, responses[2].data) == (11, b"behind")


async def test_a_follower_gets_what_comes_until_the_boot_ends(tmp_path: Path) -> None:
    async with rack_with_boots(tmp_path, b"old ") as rig:
        hat = rig.hats["node-1"]
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(read(rig, follow=True))
            beyond = tasks.create_task(read(rig, follow=True, offset=8))
            for part in (b"new ", b"more"):
                hat.say(part)
                await until(lambda: hat.all_acknowledged)
            hat.boot()
            hat.say(b"of the next boot")
    assert data_of(reading.result()) == b"old new more"
    assert data_of(beyond.result()) == b"more"


async def test_a_follower_goes_on_into_the_boots_after_it(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        hat = rig.hats["node-1"]
        request = rack_pb2.ReadBootLogRequest(name="nodes/node-1/boots/-", follow=True, following_boots=True)
        call = rig.rack.ReadBootLog(request)
        got: list[tuple[str, bytes]] = []
        for number in range(1, 4):
            hat.boot()
            hat.say(b"text %d" % number)
            while b"".join(data for boot, data in got if boot.endswith(str(number))) != b"text %d" % number:
                response = await call.read()
                assert isinstance(response, rack_pb2.ReadBootLogResponse)
                got.append((response.boot, response.data))
        call.cancel()
    assert [boot for boot, _ in got] == sorted(boot for boot, _ in got)


async def test_a_follower_of_boots_begins_with_any_that_is_kept(tmp_path: Path) -> None:
    async with rack_with_boots(tmp_path, b"a", b"b", b"c") as rig:
        request = rack_pb2.ReadBootLogRequest(name="nodes/node-1/boots/1", follow=True, following_boots=True)
        call = rig.rack.ReadBootLog(request)
        got = [await call.read() for _ in range(3)]
        call.cancel()
    assert [(each.boot[-1], each.data) for each in got if isinstance(each, rack_pb2.ReadBootLogResponse)] == [
        ("1", b"a"),
        ("2", b"b"),
        ("3", b"c"),
    ]


async def test_many_readers_follow_one_log(tmp_path: Path) -> None:
    async with rack_with_boots(tmp_path, TEXT[:1000]) as rig:
        async with asyncio.TaskGroup() as tasks:
            reading = [tasks.create_task(read(rig, follow=True)) for _ in range(50)]
            for start in range(1000, 20_000, 1000):
                rig.hats["node-1"].say(TEXT[start : start + 1000])
                await until(lambda: rig.hats["node-1"].all_acknowledged)
            rig.hats["node-1"].boot()
        assert {data_of(task.result()) for task in reading} == {TEXT[:20_000]}


def test_chunks_of_the_same_moment_are_one_message_of_bounded_size() -> None:
    chunks = [Chunk(offset, 1000 + offset // 10_000, b"x" * 1000) for offset in range(0, 100_000, 1000)]
    merged = list(boots._merged([*chunks, GapPiece(100_000, 1010, 5, "ring_full"), Chunk(100_005, 1010, b"y")]))
    assert [type(piece) for piece in merged[-3:]] == [Chunk, GapPiece, Chunk]
    assert all(before.end == after.offset for before, after in pairwise(merged))
    assert len(merged) == 6
    assert all(len(piece.data) <= boots.MESSAGE_BYTES for piece in merged if isinstance(piece, Chunk))


def test_chunks_of_different_moments_keep_their_times() -> None:
    chunks = [Chunk(0, 1000, b"a"), Chunk(1, 1049, b"b"), Chunk(2, 1050, b"c")]
    assert list(boots._merged(list(chunks))) == [Chunk(0, 1000, b"ab"), Chunk(2, 1050, b"c")]


async def test_line_errors_are_told_before_the_bytes_that_came_with_them(tmp_path: Path) -> None:
    async with rack_with_boots(tmp_path, b"before") as rig:
        hat = rig.hats["node-1"]
        hat.damage(0xFF, 0)
        hat.damage(0, 2)
        hat.say(b"behind")
        await until(lambda: hat.all_acknowledged)
        responses = await read(rig)
    assert [response.WhichOneof("piece") for response in responses] == ["data", "line_errors", "data"]
    assert responses[1].line_errors == rack_pb2.LineErrors(framing_errors=1, breaks=1)
    assert (responses[1].offset, responses[2].offset, responses[2].data) == (6, 6, b"\xff\0behind")


async def test_a_boot_tells_why_it_began(tmp_path: Path) -> None:
    async with rack_with_boots(tmp_path, b"on") as rig:
        hat = rig.hats["node-1"]
        for cause in (link_pb2.BOOT_CAUSE_BREAK, link_pb2.BOOT_CAUSE_BOOTLOADER, link_pb2.BOOT_CAUSE_HAT_START):
            hat.reset_node(cause)
            hat.say(b"again")
        await until(lambda: hat.all_acknowledged)
        boots = (await rig.rack.ListBoots(rack_pb2.ListBootsRequest(parent="nodes/node-1"))).boots
    assert [boot.cause for boot in reversed(boots)] == [
        rack_pb2.BOOT_CAUSE_SUPPLY_ON,
        rack_pb2.BOOT_CAUSE_BREAK,
        rack_pb2.BOOT_CAUSE_BOOTLOADER,
        rack_pb2.BOOT_CAUSE_FOUND_RUNNING,
    ]
