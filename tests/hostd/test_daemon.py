"""hostd as a whole: starting, stopping, dying."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from racklet.v1 import rack_pb2, rack_pb2_grpc
from racklet_hostd import daemon
from racklet_hostd.__main__ import main
from racklet_hostd.config import StoreConfig
from racklet_hostd.listening import ListenError
from racklet_hostd.urgent import urgent_bytes
from tests.hostd.pty_hat import PtyHat
from tests.hostd.rig import config_for, running_daemon, running_rack, until

LINES = [b"[%6d] a line of a boot that is long enough to matter\n" % number for number in range(3000)]


def write_config(folder: Path, *more: str) -> Path:
    """Write a racklet.toml with one node, everything in `folder`."""
    path = folder / "racklet.toml"
    lines = (
        *more,
        "rack.adopt = 'first-use'",
        "rack.ports = []",
        f"grpc.socket = '{folder}/run/hostd.sock'",
        "http.address = '127.0.0.1:0'",
        f"state.folder = '{folder}/state'",
        "store.sync_period_ms = 20",
        "[[node]]",
        "name = 'node-1'",
        f"port = '{folder}/ports/node-1'",
    )
    path.write_text("\n".join(lines))
    return path


@asynccontextmanager
async def process(folder: Path) -> AsyncIterator[Process]:
    """Run racklet-hostd as a process; kill it if it is still there at the end."""
    command = (sys.executable, "-m", "racklet_hostd", "--config", str(write_config(folder)))
    running = await asyncio.create_subprocess_exec(*command, stderr=PIPE)
    try:
        yield running
    finally:
        if running.returncode is None:
            running.kill()
        await running.communicate()


@asynccontextmanager
async def client(folder: Path) -> AsyncIterator[rack_pb2_grpc.RackAsyncStub]:
    async with grpc.aio.insecure_channel(f"unix:{folder}/run/hostd.sock") as channel:
        yield rack_pb2_grpc.RackStub(channel)


async def read_log(folder: Path) -> bytes:
    async with client(folder) as rack:
        call = rack.ReadBootLog(
            rack_pb2.ReadBootLogRequest(name="nodes/node-1/boots/1"), wait_for_ready=True, timeout=20
        )
        return b"".join([response.data async for response in call])


async def drain(call: grpc.aio.UnaryStreamCall[Any, Any]) -> None:
    while await call.read() is not grpc.aio.EOF:
        pass


async def test_a_kill_loses_no_byte_and_stores_none_twice(tmp_path: Path) -> None:
    with PtyHat(tmp_path / "ports" / "node-1") as hat:
        hat.boot()
        said = 0
        for _ in range(4):
            async with process(tmp_path) as hostd:
                for line in LINES[said : said + 500]:
                    hat.say(line)
                    said += 1
                    if said % 50 == 0:
                        await until(lambda: hat._log.held_bytes < 10_000)
                hostd.send_signal(signal.SIGKILL)
        async with process(tmp_path):
            await until(lambda: hat.all_acknowledged)
            assert await read_log(tmp_path) == b"".join(LINES[:said])


@pytest.mark.parametrize(("ring_kib", "kib"), [(0, 8), (16, 4), (32, 8), (64, 28), (128, 92)])
def test_what_a_hat_has_brought_is_urgent_while_its_ring_still_has_room(ring_kib: int, kib: int) -> None:
    assert urgent_bytes(ring_kib << 10) == kib << 10


@pytest.mark.parametrize("ring_bytes", [32 << 10, 64 << 10])
async def test_a_hat_that_fills_its_ring_is_acknowledged_before_the_period_ends(
    tmp_path: Path, ring_bytes: int
) -> None:
    config = config_for(tmp_path).model_copy(update={"store": StoreConfig.model_construct(sync_period_ms=3_600_000)})
    urgent = urgent_bytes(ring_bytes)
    with PtyHat(tmp_path / "ports" / "node-1", ring_bytes=ring_bytes) as hat:
        async with running_daemon(config) as (hostd, _):
            hat.boot()
            for _ in range(10):
                hat.say(bytes(urgent))
                await until(lambda: hat._log.held_bytes < urgent)
            assert hostd.rack.node("node-1").store.totals.log_lost_bytes == 0


async def test_sigterm_ends_it_in_order(tmp_path: Path) -> None:
    with PtyHat(tmp_path / "ports" / "node-1") as hat:
        async with process(tmp_path) as hostd:
            hat.boot()
            hat.say(b"x")
            await until(lambda: hat.all_acknowledged)
            async with client(tmp_path) as rack:
                call = rack.WatchNodes(rack_pb2.WatchNodesRequest())
                await call.read()
                async with asyncio.timeout(3):
                    hostd.send_signal(signal.SIGTERM)
                    with pytest.raises(grpc.aio.AioRpcError, match="hostd is shutting down"):
                        await drain(call)
                    _, log = await hostd.communicate()
        assert hostd.returncode == 0
        assert not (tmp_path / "run" / "hostd.sock").exists()
        assert b"hostd is shutting down" in log
        assert b"Traceback" not in log


async def test_a_second_hostd_is_refused_with_a_sentence(tmp_path: Path) -> None:
    async with process(tmp_path):
        await until((tmp_path / "run" / "hostd.sock").exists)
        async with process(tmp_path) as second:
            _, log = await second.communicate()
        assert second.returncode == 1
        assert b"is in use by another racklet-hostd" in log
        assert b"Traceback" not in log


async def test_the_socket_of_a_dead_hostd_is_replaced_and_of_a_live_one_not(tmp_path: Path) -> None:
    path = tmp_path / "run" / "hostd.sock"
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with running_daemon(config_for(tmp_path)):
        other = config_for(tmp_path, state={"folder": str(tmp_path / "other")})
        with pytest.raises(ListenError, match="another racklet-hostd is listening there"):
            await daemon.run(other, asyncio.Event())
        async with client(tmp_path) as rack:
            assert (await rack.GetRack(rack_pb2.GetRackRequest())).rack.node_count == 1


async def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "run" / "hostd.sock"
    path.parent.mkdir()
    path.write_text("precious")
    with pytest.raises(ListenError, match="something that is no socket"):
        await daemon.run(config_for(tmp_path), asyncio.Event())
    assert path.read_text() == "precious"


@pytest.mark.parametrize("kind", ["grpc", "http"])
async def test_an_address_in_use_is_named(tmp_path: Path, kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        sections = {"grpc": {"socket": "", "plain_tcp": address}} if kind == "grpc" else {"http": {"address": address}}
        with pytest.raises(ListenError, match=f"cannot listen on {address}: .*in use"):
            await daemon.run(config_for(tmp_path, **sections), asyncio.Event())


async def test_plain_tcp_works_and_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = config_for(tmp_path, grpc={"socket": "", "plain_tcp": "127.0.0.1:0"})
    async with (
        running_daemon(config) as (running, _),
        grpc.aio.insecure_channel(f"127.0.0.1:{running.api.plain_port}") as channel,
    ):
        rack: rack_pb2_grpc.RackAsyncStub = rack_pb2_grpc.RackStub(channel)
        assert (await rack.GetRack(rack_pb2.GetRackRequest())).rack.node_count == 1
    assert "gRPC without authentication" in caplog.text


async def test_a_power_call_ends_when_hostd_goes(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        hat = rig.hats["node-1"]
        hat.power_result = 2  # pending
        request = rack_pb2.SetPowerRequest(name="nodes/node-1", action=rack_pb2.POWER_ACTION_OFF)
        call = rig.rack.SetPower(request)
        await until(lambda: hat.power_requests)
        rig.stop.set()
        with pytest.raises(grpc.aio.AioRpcError, match="hostd is shutting down") as caught:
            await call
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_good_config_is_said_to_be_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_config(tmp_path)
    assert main(["--config", str(path), "--check"]) == 0
    assert capsys.readouterr().out == f"{path}: good, 1 node\n"


def test_a_bad_config_is_refused_with_file_line_and_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_config(tmp_path, "telemetry.period_ms = 1")
    assert main(["--config", str(path)]) == 2
    assert capsys.readouterr().err.startswith(f"{path}:1: telemetry.period_ms: expected ")


async def test_a_socket_path_that_is_too_long_is_refused(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 108)
    with pytest.raises(ListenError, match="has at most 107 bytes"):
        await daemon.run(config_for(tmp_path, grpc={"socket": str(path)}), asyncio.Event())
