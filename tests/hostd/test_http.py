"""The HTTP pages."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import aiohttp
import pytest

from racklet_hostd import http_listener
from racklet_hostd.config import HttpConfig
from racklet_hostd.config_values import Address
from racklet_hostd.http import HttpServer
from racklet_hostd.http_listener import CONNECTIONS_PER_HOST
from racklet_hostd.listening import ListenError
from tests.hostd.rig import Rig, running_rack, until

PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)


async def get(rig: Rig, path: str, method: str = "GET", **headers: str) -> tuple[int, str, aiohttp.ClientResponse]:
    url = f"http://127.0.0.1:{rig.daemon.http.port}{path}"
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    async with aiohttp.ClientSession() as session, session.request(method, url, headers=headers) as response:
        return response.status, await response.text(), response


async def test_metrics_come_in_the_format_that_is_asked_for(tmp_path: Path) -> None:
    async with running_rack(tmp_path, hats={}) as rig:
        _, plain, as_plain = await get(rig, "/metrics")
        status, text, as_open = await get(rig, "/metrics", Accept=PROMETHEUS)
    assert status == 200
    assert as_plain.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert as_open.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0; charset=utf-8")
    assert "# EOF" not in plain
    assert text.endswith("# EOF\n")


@pytest.mark.parametrize(
    ("accepts", "encoding"), [("gzip", "gzip"), ("deflate, gzip;q=0.8", "gzip"), ("identity", None)]
)
async def test_metrics_are_compressed_for_who_takes_that(tmp_path: Path, accepts: str, encoding: str | None) -> None:
    async with running_rack(tmp_path, hats={}) as rig:
        _, text, response = await get(rig, "/metrics", Accept_Encoding=accepts)
    assert response.headers.get("Content-Encoding") == encoding
    assert text.startswith("# HELP ")


async def test_healthz_says_that_hostd_lives(tmp_path: Path) -> None:
    async with running_rack(tmp_path, hats={}) as rig:
        assert (await get(rig, "/healthz"))[:2] == (200, "ok\n")


async def test_readyz_says_why_hostd_cannot_do_its_work(tmp_path: Path) -> None:
    async with running_rack(tmp_path, hats={}, store={"sync_period_ms": 2000}) as rig:
        assert (await get(rig, "/readyz"))[:2] == (200, "ready\n")
        rig.daemon.rack.sync_problem = "No space left on device"
        assert (await get(rig, "/readyz"))[:2] == (
            503,
            "the disk does not take everything: No space left on device\n",
        )
        rig.daemon.api.is_listening = False
        assert (await get(rig, "/readyz"))[:2] == (503, "the gRPC API is not listening\n")


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("GET", "/metrics/x"), ("POST", "/nothing")])
async def test_another_page_tells_which_there_are(tmp_path: Path, method: str, path: str) -> None:
    async with running_rack(tmp_path, hats={}) as rig:
        status, text, _ = await get(rig, path, method)
    assert status == 404
    assert all(page in text for page in ("/metrics", "/healthz", "/readyz"))


async def test_an_address_in_use_is_named(tmp_path: Path) -> None:
    async with running_rack(tmp_path, hats={}) as rig:
        second = HttpServer(
            rig.daemon.rack,
            HttpConfig(address=Address("127.0.0.1", rig.daemon.http.port)),
            lambda: "",
            lambda _peer, _why: None,
        )
        with pytest.raises(ListenError, match=rf"cannot listen on 127.0.0.1:{rig.daemon.http.port}: .*in use"):
            await second.start()


@contextmanager
def silent(port: int | None, count: int, source: str) -> Iterator[list[socket.socket]]:
    """Connections that say nothing."""
    with ExitStack() as opened:
        yield [
            opened.enter_context(socket.create_connection(("127.0.0.1", port or 0), 5, (source, 0)))
            for _ in range(count)
        ]


async def test_a_flood_of_connections_from_one_computer_keeps_no_other_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_rack(tmp_path, hats={}) as rig:
        http = rig.daemon.http
        with silent(http.port, CONNECTIONS_PER_HOST, "127.0.0.2"):
            await until(lambda: http.connections.count == CONNECTIONS_PER_HOST)
            with silent(http.port, 1, "127.0.0.2") as [late]:
                reader, writer = await asyncio.open_connection(sock=late)
                assert await reader.read() == b""
                writer.close()
            assert (await get(rig, "/healthz"))[0] == 200
        await until(lambda: http.connections.count == 0)
    why = "127.0.0.2 has 64 connections to the HTTP pages already"
    assert [record.why for record in caplog.records if record.message == "refused"] == [f"UNAUTHENTICATED: {why}"]  # type: ignore[attr-defined]


async def test_a_connection_over_the_limit_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_listener, "CONNECTIONS_LIMIT", 2)
    async with running_rack(tmp_path, hats={}) as rig:
        http = rig.daemon.http
        with silent(http.port, 1, "127.0.0.2"), silent(http.port, 1, "127.0.0.3"):
            await until(lambda: http.connections.count == 2)
            with pytest.raises(aiohttp.ClientError):
                await get(rig, "/healthz")
        await until(lambda: http.connections.count == 0)
        assert (await get(rig, "/healthz"))[0] == 200
