"""What systemd is told, over a real datagram socket."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

import pytest

from racklet_hostd import daemon
from racklet_hostd.config import GrpcConfig, HttpConfig, RackletConfig, StateConfig
from racklet_hostd.config_values import Address
from racklet_hostd.service_manager import ServiceManager

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MESSAGE_BYTES = 4096


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.setblocking(False)
        yield end


def _environment(systemd: socket.socket, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": systemd.getsockname(), **more}


async def _heard(systemd: socket.socket) -> list[str]:
    return (await asyncio.get_running_loop().sock_recv(systemd, MESSAGE_BYTES)).decode().split("\n")


def test_without_a_service_manager_nothing_is_told_and_nothing_fails() -> None:
    manager = ServiceManager({})
    manager.ready("5 nodes")
    manager.stopping()
    assert manager.watchdog_s == 0


async def test_a_socket_in_the_abstract_namespace_is_found() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(f"\0racklet-test-{os.getpid()}")
        end.setblocking(False)
        ServiceManager({"NOTIFY_SOCKET": f"@racklet-test-{os.getpid()}"}).ready("5 nodes")
        assert await _heard(end) == ["READY=1", "STATUS=5 nodes"]


async def test_it_tells_that_it_lives_for_as_long_as_its_loop_turns(systemd: socket.socket) -> None:
    manager = ServiceManager(_environment(systemd, WATCHDOG_USEC="20000"))
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(manager.watch())
        for _ in range(3):
            assert await _heard(systemd) == ["WATCHDOG=1"]
        watching.cancel()


def test_the_watchdog_of_another_process_is_not_ours(systemd: socket.socket) -> None:
    assert ServiceManager(_environment(systemd, WATCHDOG_USEC="20000", WATCHDOG_PID="1")).watchdog_s == 0


def test_a_service_manager_that_went_away_is_told_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    manager = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    manager.ready("5 nodes")
    manager.stopping()
    assert [record.getMessage() for record in caplog.records] == ["the service manager does not hear"]


async def test_hostd_is_ready_when_it_listens_and_stops_when_asked(
    systemd: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", systemd.getsockname())
    api = tmp_path / "racklet.sock"
    config = RackletConfig(
        state=StateConfig(folder=tmp_path / "state"),
        grpc=GrpcConfig(socket=api, tcp=None),
        http=HttpConfig(address=Address("127.0.0.1", 0)),
    )
    stop = asyncio.Event()
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(daemon.run(config, stop))
        assert await _heard(systemd) == ["READY=1", "STATUS=0 nodes"]
        assert api.is_socket()
        stop.set()
        assert (await _heard(systemd))[0] == "STOPPING=1"
