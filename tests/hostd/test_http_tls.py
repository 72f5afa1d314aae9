"""/metrics over TLS: with a certificate, with a token, with neither."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest

from racklet_hostd.daemon import Daemon
from racklet_hostd.pki.folder import PkiFolder
from racklet_hostd.pki.making import utc_now
from racklet_hostd.role import Role
from tests.hostd.rig import config_for, running_daemon, until

OURS = "# HELP racklet_"


@pytest.fixture
def pki(tmp_path: Path) -> PkiFolder:
    folder = PkiFolder(tmp_path / "pki")
    folder.begin("Racklet CA", ("localhost",), utc_now())
    folder.issue("prometheus", Role.VIEWER, utc_now())
    return folder


@asynccontextmanager
async def served(tmp_path: Path, pki: PkiFolder) -> AsyncIterator[Daemon]:
    """A hostd whose pages are over TLS alone."""
    http = {"address": "", "tls_address": "127.0.0.1:0"}
    async with running_daemon(config_for(tmp_path, (), http=http, tls={"folder": str(pki.path)})) as (daemon, _):
        yield daemon


async def get(daemon: Daemon, pki: PkiFolder, path: str, *, token: str = "", name: str = "") -> tuple[int, str]:
    """Return the status and the page."""
    context = ssl.create_default_context(cafile=pki.ca_certificate)
    if name:
        bundle = pki.path / "clients" / name
        context.load_cert_chain(bundle / "client.crt", bundle / "client.key")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = f"https://localhost:{daemon.http.tls_port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url, ssl=context, headers=headers) as response:
        return response.status, await response.text()


async def test_a_certificate_or_a_token_opens_the_page(tmp_path: Path, pki: PkiFolder) -> None:
    token = pki.add_token()
    async with served(tmp_path, pki) as daemon:
        assert daemon.http.port is None
        for status, page in (
            await get(daemon, pki, "/metrics", token=token),
            await get(daemon, pki, "/metrics", name="prometheus"),
        ):
            assert (status, page[: len(OURS)]) == (200, OURS)


async def test_without_either_only_life_is_told(
    tmp_path: Path, pki: PkiFolder, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(tmp_path, pki) as daemon:
        assert await get(daemon, pki, "/healthz") == (200, "ok\n")
        for path in ("/metrics", "/readyz", "/elsewhere"):
            assert await get(daemon, pki, path) == (401, "it shows neither a certificate nor a token\n")
        assert await get(daemon, pki, "/metrics", token=pki.path.name) == (401, "its token is not known\n")
        pki.tokens.write_bytes(b"\n")
        assert (await get(daemon, pki, "/metrics", token=pki.ca_key.name))[0] == 401
    whys = [record.why for record in caplog.records if record.getMessage() == "refused"]
    assert whys[0] == "UNAUTHENTICATED: /metrics: it shows neither a certificate nor a token"


async def test_a_token_that_is_taken_away_and_a_certificate_that_is_revoked_open_nothing(
    tmp_path: Path, pki: PkiFolder
) -> None:
    token = pki.add_token()
    async with served(tmp_path, pki) as daemon:
        pki.tokens.unlink()
        assert (await get(daemon, pki, "/metrics", token=token))[0] == 401
        pki.revoke("prometheus", utc_now())
        assert daemon._tls is not None
        daemon._tls.tend(0)
        status, page = await get(daemon, pki, "/metrics", name="prometheus")
        assert (status, page[:49]) == (401, "the certificate of CN=prometheus,OU=viewer,O=Rack")


async def test_plain_http_to_the_tls_port_is_no_answer(tmp_path: Path, pki: PkiFolder) -> None:
    async with served(tmp_path, pki) as daemon, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get(f"http://localhost:{daemon.http.tls_port}/metrics")
        assert (await get(daemon, pki, "/healthz"))[0] == 200


async def test_a_handshake_that_fails_or_is_broken_off_leaves_no_connection_behind(
    tmp_path: Path, pki: PkiFolder
) -> None:
    async with served(tmp_path, pki) as daemon:
        connections = daemon.http.connections
        for said in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b""):
            with socket.create_connection(("127.0.0.1", daemon.http.tls_port or 0), 5) as caller:
                await until(lambda: connections.count == 1)
                caller.sendall(said)
            await until(lambda: connections.count == 0)
        assert (await get(daemon, pki, "/healthz"))[0] == 200


async def test_other_cas_count_at_once_also_in_a_connection_that_was_open(tmp_path: Path, pki: PkiFolder) -> None:
    other = PkiFolder(tmp_path / "other")
    other.begin("other", ("localhost",), utc_now())
    trusted = tmp_path / "trusted.crt"
    trusted.write_bytes(pki.ca_certificate.read_bytes())
    files = {"certificate": str(pki.server), "key": str(pki.server), "client_ca": str(trusted)}
    config = config_for(tmp_path, (), http={"address": "", "tls_address": "127.0.0.1:0"}, tls=files)
    bundle = pki.path / "clients" / "prometheus"
    context = ssl.create_default_context(cafile=pki.ca_certificate)
    context.load_cert_chain(bundle / "client.crt", bundle / "client.key")
    async with running_daemon(config) as (daemon, _), aiohttp.ClientSession() as session:
        url = f"https://localhost:{daemon.http.tls_port}/metrics"

        async def status() -> int:
            async with session.get(url, ssl=context) as response:
                await response.read()
                return response.status

        assert daemon._tls is not None
        assert await status() == 200
        trusted.write_bytes(pki.ca_certificate.read_bytes() + other.ca_certificate.read_bytes())
        daemon._tls.tend(0)
        assert [await status(), await status()] == [401, 200]  # in the open connection, and in a new one
        trusted.write_bytes(other.ca_certificate.read_bytes())
        daemon._tls.tend(0)
        assert await status() == 401
        with pytest.raises(aiohttp.ClientError):
            await status()


async def test_a_session_from_before_other_cas_is_not_resumed(tmp_path: Path, pki: PkiFolder) -> None:
    other = PkiFolder(tmp_path / "other")
    other.begin("other", ("localhost",), utc_now())
    trusted = tmp_path / "trusted.crt"
    trusted.write_bytes(pki.ca_certificate.read_bytes())
    files = {"certificate": str(pki.server), "key": str(pki.server), "client_ca": str(trusted)}
    config = config_for(tmp_path, (), http={"address": "", "tls_address": "127.0.0.1:0"}, tls=files)
    bundle = pki.path / "clients" / "prometheus"
    context = ssl.create_default_context(cafile=pki.ca_certificate)
    context.load_cert_chain(bundle / "client.crt", bundle / "client.key")
    async with running_daemon(config) as (daemon, _):
        address = ("127.0.0.1", daemon.http.tls_port or 0)

        def page(session: ssl.SSLSession | None) -> tuple[bytes, ssl.SSLSession | None]:
            with (
                socket.create_connection(address, 5) as plain,
                context.wrap_socket(plain, server_hostname="localhost", session=session) as caller,
            ):
                caller.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                said = b"".join(iter(lambda: caller.recv(4096), b""))
                return said, caller.session

        said, session = await asyncio.to_thread(page, None)
        assert said.startswith(b"HTTP/1.1 200")
        trusted.write_bytes(other.ca_certificate.read_bytes())
        assert daemon._tls is not None
        daemon._tls.tend(0)
        with suppress(OSError):  # whether it is told why, or just nothing, is a matter of time
            said, _ = await asyncio.to_thread(page, session)
            assert said == b""
