"""ReadBootLog from a time on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from racklet.v1 import rack_pb2
from racklet_hostd.store import MAX_UNIX_MS
from tests.hostd.rig import Rig, running_rack, until
from tests.hostd.store_rig import begun_log, opened

T0 = 1_700_000_000_000
HOUR_MS = 3_600_000


@asynccontextmanager
async def rack_with_times(folder: Path) -> AsyncIterator[Rig]:
    """Run a rack whose node-1 had three boots at T0, an hour apart, each of ten lines, a second apart."""
    with opened(folder / "state") as store:
        node = store.node("node-1")
        for boot in range(1, 4):
            begun_log(node, boot)
            log = begun_log(node, boot)
            for line in range(10):
                log.append(8 * line, T0 + boot * HOUR_MS + line * 1000, b"boot%d-%d\n" % (boot, line))
            log.start_ms = T0 + boot * HOUR_MS
            store.sync()
    async with running_rack(folder) as rig:
        yield rig


def at(unix_ms: int) -> Timestamp:
    return Timestamp(seconds=unix_ms // 1000, nanos=unix_ms % 1000 * 1_000_000)


async def read(rig: Rig, boot: str, time: Timestamp, **fields: object) -> bytes:
    request = rack_pb2.ReadBootLogRequest(name=f"nodes/node-1/boots/{boot}", start_time=time, **fields)  # type: ignore[arg-type]
    return b"".join([response.data async for response in rig.rack.ReadBootLog(request)])


async def test_a_boot_is_read_from_the_first_byte_at_or_after_a_time(tmp_path: Path) -> None:
    async with rack_with_times(tmp_path) as rig:
        begin_ms = T0 + 2 * HOUR_MS
        assert (await read(rig, "2", at(begin_ms + 7000))).split() == [b"boot2-7", b"boot2-8", b"boot2-9"]
        assert (await read(rig, "2", at(begin_ms + 7001))).split() == [b"boot2-8", b"boot2-9"]
        assert len((await read(rig, "2", at(0))).split()) == 10
        assert await read(rig, "2", at(begin_ms + 9001)) == b""
        assert await read(rig, "2", at(MAX_UNIX_MS)) == b""


async def test_a_fraction_of_a_millisecond_counts_as_after_it(tmp_path: Path) -> None:
    async with rack_with_times(tmp_path) as rig:
        time = at(T0 + HOUR_MS + 9000)
        time.nanos = 1
        assert await read(rig, "1", time) == b""


async def test_the_newest_boot_is_the_one_that_ran_then(tmp_path: Path) -> None:
    async with rack_with_times(tmp_path) as rig:
        assert (await read(rig, "-", at(T0 + HOUR_MS + 9000))).split() == [b"boot1-9"]
        assert (await read(rig, "-", at(T0 + 3 * HOUR_MS + 8000))).split() == [b"boot3-8", b"boot3-9"]
        assert len((await read(rig, "-", at(5))).split()) == 10


async def test_following_boots_go_on_from_the_boot_that_ran_then(tmp_path: Path) -> None:
    async with rack_with_times(tmp_path) as rig:
        time = at(T0 + 2 * HOUR_MS + 9000)
        lines = [b"boot2-9", *(b"boot3-%d" % line for line in range(10))]
        for boot in ("-", "1", "2"):
            assert (await read(rig, boot, time, following_boots=True)).split() == lines
        assert (await read(rig, "3", time, following_boots=True)).split() == lines[1:]


async def test_a_follower_from_a_time_gets_what_comes(tmp_path: Path) -> None:
    async with rack_with_times(tmp_path) as rig:
        name = "nodes/node-1/boots/-"
        request = rack_pb2.ReadBootLogRequest(name=name, follow=True, following_boots=True, start_time=at(MAX_UNIX_MS))
        call = rig.rack.ReadBootLog(request)
        bell = rig.daemon.rack.node("node-1").console.bell
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(call.read())
            await until(lambda: bell.waiters)
            rig.hats["node-1"].boot()
            rig.hats["node-1"].say(b"new")
        call.cancel()
        response = reading.result()
        assert isinstance(response, rack_pb2.ReadBootLogResponse)
        assert (response.boot, response.data) == ("nodes/node-1/boots/4", b"new")


async def test_a_node_without_boots_has_none_at_any_time(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        with pytest.raises(grpc.aio.AioRpcError, match="node-1 has no boot yet"):
            await read(rig, "-", at(T0))


@pytest.mark.parametrize(
    ("time", "offset", "said"),
    [
        (Timestamp(seconds=5), 1, "start_time: it and offset both say where to begin: leave out one"),
        (Timestamp(seconds=-1), 0, "start_time: expected a time from 1970 to 9999, found -1 s and 0 ns since 1970"),
        (Timestamp(nanos=-1), 0, "start_time: expected a time"),
        (Timestamp(nanos=1_000_000_000), 0, "start_time: expected a time"),
        (Timestamp(seconds=1 << 62), 0, "start_time: expected a time"),
    ],
)
async def test_a_time_that_makes_no_sense_is_refused(tmp_path: Path, time: Timestamp, offset: int, said: str) -> None:
    async with rack_with_times(tmp_path) as rig:
        with pytest.raises(grpc.aio.AioRpcError, match=said) as caught:
            await read(rig, "-", time, offset=offset)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
