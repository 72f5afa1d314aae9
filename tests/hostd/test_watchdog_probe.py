"""Probes against real servers and real commands."""

from __future__ import annotations

import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from aiohttp import web

from racklet_hostd.watchdog.probe import CommandProbe, HttpProbe, TcpProbe

TIMEOUT_S = 10.0
AT_ONCE_S = 0.2


@contextmanager
def silent_server() -> Iterator[int]:
    """Listen on a port: the system takes connections, and nobody says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@asynccontextmanager
async def page(status: int) -> AsyncIterator[str]:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(status=status)

    app = web.Application()
    app.router.add_get("/health", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/health"
    finally:
        await runner.cleanup()


def closed_port() -> int:
    with silent_server() as port:
        return port


def process_exists(pid_file: Path) -> bool:
    return Path("/proc", pid_file.read_text().strip()).exists()


async def test_a_port_that_takes_connections_is_alive() -> None:
    with silent_server() as port:
        assert await TcpProbe("127.0.0.1", port).ask(TIMEOUT_S) == ""


async def test_a_port_where_nobody_listens_is_not() -> None:
    port = closed_port()
    assert "refused" in (await TcpProbe("127.0.0.1", port).ask(TIMEOUT_S)).lower()


async def test_a_page_is_alive_by_its_status() -> None:
    async with page(204) as url:
        assert await HttpProbe(url).ask(TIMEOUT_S) == ""
    async with page(503) as url:
        assert await HttpProbe(url).ask(TIMEOUT_S) == f"{url} answered 503 Service Unavailable"


async def test_a_page_that_does_not_come_in_time_is_not_alive() -> None:
    with silent_server() as port:
        url = f"http://127.0.0.1:{port}/"
        assert await HttpProbe(url).ask(AT_ONCE_S) == f"{url} gave no answer within 0.2 s"


async def test_a_page_without_a_server_tells_why() -> None:
    url = f"http://127.0.0.1:{closed_port()}/"
    assert url in await HttpProbe(url).ask(TIMEOUT_S)


@pytest.mark.parametrize(
    ("program", "failure"),
    [
        ("pass", ""),
        ("import sys; sys.exit('no route to host')", "ended with 1: no route to host"),
        ("import sys; sys.exit(3)", "ended with 3"),
        ("import sys; sys.stderr.write('x' * 1000000); sys.exit(1)", "ended with 1: " + "x" * 200),
    ],
)
async def test_a_command_is_judged_by_its_exit_code(program: str, failure: str) -> None:
    told = await CommandProbe((sys.executable, "-c", program)).ask(TIMEOUT_S)
    assert told == (f"{sys.executable} {failure}" if failure else "")


async def test_a_command_that_hangs_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "hang"
    script.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 1000\n")
    script.chmod(0o700)
    assert await CommandProbe((str(script),)).ask(AT_ONCE_S) == f"{script} did not end within 0.2 s"
    assert not process_exists(tmp_path / "pid")


async def test_a_command_that_is_not_there_tells_so() -> None:
    assert await CommandProbe(("/nowhere/probe",)).ask(TIMEOUT_S) == (
        "/nowhere/probe does not start: No such file or directory"
    )
