"""Those who come to the door: with the wrong certificate, the wrong protocol, too many, or nothing to say."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path

import grpc
import pytest

from racklet.v1 import rack_pb2, rack_pb2_grpc
from racklet_hostd.daemon import CERTIFICATES_S, Daemon
from racklet_hostd.door import door as door_module
from racklet_hostd.door import relay as relay_module
from racklet_hostd.pki.folder import PkiFolder
from racklet_hostd.pki.making import utc_now
from racklet_hostd.role import Role
from tests.hostd.access_calls import ALLOWED, allowed
from tests.hostd.rig import JumpingClock, config_for, running_daemon, until

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


@pytest.fixture
def pki(tmp_path: Path) -> PkiFolder:
    """A CA with a caller of each role."""
    folder = PkiFolder(tmp_path / "pki")
    folder.begin("Racklet CA", ("localhost", "127.0.0.1"), utc_now())
    for role in Role:
        folder.issue(role.word, role, utc_now())
    return folder


@asynccontextmanager
async def tls_daemon(
    tmp_path: Path, pki: PkiFolder, clock: JumpingClock | None = None, **access: object
) -> AsyncIterator[Daemon]:
    """A hostd without nodes, on TLS, plain TCP and a unix socket."""
    ways = {"socket": str(tmp_path / "h.sock"), "tcp": "127.0.0.1:0", "plain_tcp": "127.0.0.1:0"}
    config = config_for(tmp_path, (), grpc=ways, tls={"folder": str(pki.path)}, access=access)
    async with running_daemon(config, clock) as (daemon, _):
        yield daemon


def channel_of(daemon: Daemon, bundle: Path | None, ca: Path | None = None) -> grpc.aio.Channel:
    """Return a channel with the certificate in `bundle`."""
    parts = [(bundle / name).read_bytes() if bundle else None for name in ("client.key", "client.crt")]
    root = (ca or (bundle / "ca.crt" if bundle else Path())).read_bytes()
    credentials = grpc.ssl_channel_credentials(root, *parts)
    options = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0))
    return grpc.aio.secure_channel(f"localhost:{daemon.api.tcp_port}", credentials, options=options)


async def refusal(channel: grpc.aio.Channel) -> tuple[grpc.StatusCode, str]:
    """Call GetRack; return how it is refused."""
    async with channel:
        stub: rack_pb2_grpc.RackAsyncStub = rack_pb2_grpc.RackStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetRack(rack_pb2.GetRackRequest(), timeout=10)
    return caught.value.code(), caught.value.details() or ""


async def is_served(channel: grpc.aio.Channel) -> bool:
    async with channel:
        stub: rack_pb2_grpc.RackAsyncStub = rack_pb2_grpc.RackStub(channel)
        return (await stub.GetRack(rack_pb2.GetRackRequest(), timeout=10)).HasField("rack")


def whys(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the reasons of all refusals in the log."""
    return [record.why for record in caplog.records if record.getMessage() == "refused"]


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
async def test_over_tls_everybody_has_the_role_of_their_certificate(tmp_path: Path, pki: PkiFolder, role: str) -> None:
    async with tls_daemon(tmp_path, pki) as daemon, channel_of(daemon, pki.path / "clients" / role) as channel:
        assert await allowed(channel) == ALLOWED[role]


async def test_the_audit_log_names_the_subject_and_the_address(tmp_path: Path, pki: PkiFolder) -> None:
    async with tls_daemon(tmp_path, pki) as daemon, channel_of(daemon, pki.path / "clients" / "operator") as channel:
        stub: rack_pb2_grpc.RackAsyncStub = rack_pb2_grpc.RackStub(channel)
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.IdentifyNode(rack_pb2.IdentifyNodeRequest(name="nodes/node-1"))
        page = await stub.ListAuditEntries(rack_pb2.ListAuditEntriesRequest())
    assert {entry.who for entry in page.entries} == {"CN=operator,OU=operator,O=Racklet"}
    assert all(entry.peer.startswith("ipv4:127.0.0.1:") for entry in page.entries)


async def test_the_wrong_certificates_are_refused_at_once_and_others_are_served(
    tmp_path: Path, pki: PkiFolder, caplog: pytest.LogCaptureFixture
) -> None:
    other = PkiFolder(tmp_path / "other")
    other.begin("Another CA", ("localhost",), utc_now())
    stranger = other.issue("stranger", Role.ADMIN, utc_now())
    ended = pki.issue("ended", Role.ADMIN, utc_now() - timedelta(days=91))
    revoked = pki.issue("revoked", Role.ADMIN, utc_now())
    pki.revoke("revoked", utc_now())
    bundles = {"server key": pki.path / "as-server", "none": None}
    bundles["server key"].mkdir()
    for name in ("client.key", "client.crt"):
        (bundles["server key"] / name).write_bytes(pki.server.read_bytes())  # one file holds both
    async with tls_daemon(tmp_path, pki) as daemon:
        ca = pki.ca_certificate
        for bundle in (stranger, ended, bundles["server key"], None):
            code, _ = await refusal(channel_of(daemon, bundle, ca))
            assert code is grpc.StatusCode.UNAVAILABLE  # TLS has no words for it
            assert await is_served(channel_of(daemon, pki.path / "clients" / "viewer"))
        code, sentence = await refusal(channel_of(daemon, revoked))
        assert code is grpc.StatusCode.UNAUTHENTICATED
        assert sentence.startswith("the certificate of CN=revoked,OU=admin,O=Racklet (serial ")
        code, _ = await refusal(channel_of(daemon, pki.path / "clients" / "viewer", other.ca_certificate))
        assert code is grpc.StatusCode.UNAVAILABLE
        assert await is_served(channel_of(daemon, pki.path / "clients" / "viewer"))
    found = whys(caplog)
    refused = "UNAUTHENTICATED: its certificate is refused: "
    for expected in (
        f"{refused}unable to get local issuer certificate",
        f"{refused}certificate has expired",
        f"{refused}unsuitable certificate purpose",
        "UNAUTHENTICATED: it shows no certificate",
        f"UNAUTHENTICATED: {sentence}",
        "UNAUTHENTICATED: it broke its handshake off, as who does not trust the certificate of this hostd",
    ):
        assert expected in found, (expected, found)


async def test_a_certificate_without_a_role_is_told_so(tmp_path: Path, pki: PkiFolder) -> None:
    async with tls_daemon(tmp_path, pki, viewer=["cn:somebody-else"]) as daemon:
        code, sentence = await refusal(channel_of(daemon, pki.path / "clients" / "admin"))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert sentence == "the certificate of CN=admin,OU=admin,O=Racklet has no role here; see [access] of the config"


async def test_revoking_ends_an_open_stream(tmp_path: Path, pki: PkiFolder) -> None:
    async with tls_daemon(tmp_path, pki) as daemon, channel_of(daemon, pki.path / "clients" / "viewer") as channel:
        stub: rack_pb2_grpc.RackAsyncStub = rack_pb2_grpc.RackStub(channel)
        watching = stub.WatchNodes(rack_pb2.WatchNodesRequest())
        await watching.read()
        pki.revoke("viewer", utc_now())
        async with asyncio.timeout(CERTIFICATES_S + 5):
            assert await watching.code() is grpc.StatusCode.UNAVAILABLE
        assert await is_served(channel_of(daemon, pki.path / "clients" / "operator"))
        code, _ = await refusal(channel_of(daemon, pki.path / "clients" / "viewer"))
        assert code is grpc.StatusCode.UNAUTHENTICATED


async def test_a_certificate_that_ends_ends_its_connection(tmp_path: Path, pki: PkiFolder) -> None:
    clock = JumpingClock()
    async with (
        tls_daemon(tmp_path, pki, clock) as daemon,
        channel_of(daemon, pki.path / "clients" / "viewer") as channel,
    ):
        stub: rack_pb2_grpc.RackAsyncStub = rack_pb2_grpc.RackStub(channel)
        watching = stub.WatchNodes(rack_pb2.WatchNodesRequest())
        await watching.read()
        clock.unix_ahead_ms = 91 * 86_400_000
        daemon.api.cut_the_unwanted()
        assert await watching.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_renewed_certificate_of_hostd_is_shown_to_who_comes_next(tmp_path: Path, pki: PkiFolder) -> None:
    def serial(port: int | None) -> str:
        context = ssl.create_default_context(cafile=pki.ca_certificate)
        context.load_cert_chain(pki.path / "clients/viewer/client.crt", pki.path / "clients/viewer/client.key")
        with context.wrap_socket(
            socket.create_connection(("localhost", port or 0)), server_hostname="localhost"
        ) as tls:
            return str((tls.getpeercert() or {})["serialNumber"])

    async with tls_daemon(tmp_path, pki) as daemon:
        before = await asyncio.to_thread(serial, daemon.api.tcp_port)
        pki.renew_server(("localhost",), utc_now())
        assert daemon._tls is not None
        daemon._tls.tend(0)
        assert await asyncio.to_thread(serial, daemon.api.tcp_port) != before


async def raw(port: int | None, data: bytes) -> bytes:
    """Send bytes over TCP; return all that comes until hostd closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    try:
        async with asyncio.timeout(5):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_other_protocols_are_refused_at_once(
    tmp_path: Path, pki: PkiFolder, caplog: pytest.LogCaptureFixture
) -> None:
    hello = bytes.fromhex("160301002f0100002b0303") + bytes(40)
    async with tls_daemon(tmp_path, pki) as daemon:
        await raw(daemon.api.tcp_port, PREFACE)
        await raw(daemon.api.tcp_port, b"GET /metrics HTTP/1.1\r\n\r\n")
        answer = await raw(daemon.api.plain_port, b"GET /metrics HTTP/1.1\r\n\r\n")
        await raw(daemon.api.plain_port, hello)
        await raw(daemon.api.plain_port, b"PRI * HTTP/3.0\r\n\r\n")
        assert await is_served(channel_of(daemon, pki.path / "clients" / "viewer"))
    assert answer.startswith(b"HTTP/1.1 505 HTTP Version Not Supported\r\n")
    assert whys(caplog) == [
        "UNAUTHENTICATED: it speaks plain text, where TLS is spoken",
        "UNAUTHENTICATED: it speaks HTTP without TLS",
        "UNAUTHENTICATED: it speaks HTTP/1, where gRPC takes HTTP/2",
        "UNAUTHENTICATED: it speaks TLS, where plain text is spoken",
        "UNAUTHENTICATED: it speaks something that is not HTTP/2",
    ]


@contextmanager
def silent(port: int | None, count: int, source: str) -> Iterator[list[socket.socket]]:
    """Open connections that say nothing."""
    with ExitStack() as opened:
        yield [
            opened.enter_context(socket.create_connection(("127.0.0.1", port or 0), 5, (source, 0)))
            for _ in range(count)
        ]


async def test_a_flood_of_silent_connections_keeps_nobody_out(
    tmp_path: Path, pki: PkiFolder, caplog: pytest.LogCaptureFixture
) -> None:
    async with tls_daemon(tmp_path, pki, handshake_s=1) as daemon:
        door = daemon.api.door
        with silent(daemon.api.tcp_port, 160, "127.0.0.2"):
            await until(lambda: len(whys(caplog)) >= 20)
            assert len(door._arrivals) <= door_module.ARRIVALS_PER_ORIGIN
            assert await is_served(channel_of(daemon, pki.path / "clients" / "viewer"))
            await until(lambda: not door._arrivals)  # after a second, whether they left or not
        assert door._origins == {}
    assert "UNAUTHENTICATED: 128 connections from 127.0.0.2 have not said yet who they are" in whys(caplog)
    assert len(whys(caplog)) <= 25


async def test_a_connection_over_the_limit_is_closed(
    tmp_path: Path, pki: PkiFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(door_module, "CONNECTIONS_LIMIT", 2)
    async with tls_daemon(tmp_path, pki) as daemon:
        with silent(daemon.api.plain_port, 2, "127.0.0.2"):
            await until(lambda: len(daemon.api.door._arrivals) == 2)
            assert await raw(daemon.api.plain_port, PREFACE) == b""
    assert "UNAUTHENTICATED: there are 2 connections already" in whys(caplog)


async def test_too_many_connections_of_one_are_told_so(tmp_path: Path, pki: PkiFolder) -> None:
    bundle = pki.path / "clients" / "viewer"
    async with tls_daemon(tmp_path, pki, connections_per_client=1) as daemon, channel_of(daemon, bundle) as first:
        assert await (rack_pb2_grpc.RackStub(first)).GetRack(rack_pb2.GetRackRequest())
        code, sentence = await refusal(channel_of(daemon, bundle))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert sentence == "CN=viewer,OU=viewer,O=Racklet has more than 1 connections open; close some"
        assert await is_served(channel_of(daemon, pki.path / "clients" / "operator"))


async def test_too_many_calls_and_too_many_changes_of_one_are_told_so(tmp_path: Path, pki: PkiFolder) -> None:
    bundle = pki.path / "clients" / "operator"
    async with (
        tls_daemon(tmp_path, pki, calls_per_client=2, changes_per_second=1) as daemon,
        channel_of(daemon, bundle) as channel,
    ):
        stub: rack_pb2_grpc.RackAsyncStub = rack_pb2_grpc.RackStub(channel)
        codes = []
        for _ in range(12):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.IdentifyNode(rack_pb2.IdentifyNodeRequest(name="nodes/node-1"))
            codes.append(caught.value.code())
        assert codes[:10] == [grpc.StatusCode.NOT_FOUND] * 10
        assert codes[-1] is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "asks for more than 1 changes a second; wait " in (caught.value.details() or "")
        watching = [stub.WatchNodes(rack_pb2.WatchNodesRequest()) for _ in range(2)]
        for call in watching:
            await call.read()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetRack(rack_pb2.GetRackRequest())
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert caught.value.details() == "CN=operator,OU=operator,O=Racklet has 2 calls open; end some"
        watching[0].cancel()
        client = daemon.api.door._clients.client("CN=operator,OU=operator,O=Racklet")
        await until(lambda: client.calls == 1)
        assert await stub.GetRack(rack_pb2.GetRackRequest())


async def test_a_message_that_is_too_long_is_told_so(tmp_path: Path, pki: PkiFolder) -> None:
    async with tls_daemon(tmp_path, pki) as daemon, channel_of(daemon, pki.path / "clients" / "viewer") as channel:
        stub: rack_pb2_grpc.RackAsyncStub = rack_pb2_grpc.RackStub(channel)
        with pytest.raises(grpc.aio.AioRpcError, match="larger than max") as caught:
            await stub.GetNode(rack_pb2.GetNodeRequest(name="x" * (300 << 10)))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_reader_that_takes_nothing_is_let_go_and_holds_little(
    tmp_path: Path, pki: PkiFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "STALL_S", 0.3)
    async with tls_daemon(tmp_path, pki) as daemon:
        with silent(daemon.api.plain_port, 1, "127.0.0.1") as [slow]:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            slow.settimeout(0)
            ping = b"\x00\x00\x08\x06\x00\x00\x00\x00\x00" + bytes(8)
            slow.send(PREFACE + SETTINGS)
            await until(lambda: daemon.api.door.visitors)
            relay = daemon.api.door.visitors[0].relay
            assert relay is not None
            while not relay._outward._rest and daemon.api.door.visitors:
                try:  # every ping is answered, and no answer is read
                    slow.send(ping * 100)
                except BlockingIOError:
                    await asyncio.sleep(0)
                except OSError:
                    break
                await asyncio.sleep(0)
            assert len(relay._outward._rest) <= relay_module.CHUNK_BYTES
            await until(lambda: not daemon.api.door.visitors)
            assert await is_served(channel_of(daemon, pki.path / "clients" / "viewer"))


async def test_who_leaves_without_a_word_leaves_nothing_behind(tmp_path: Path, pki: PkiFolder) -> None:
    async with tls_daemon(tmp_path, pki) as daemon:
        with silent(daemon.api.plain_port, 4, "127.0.0.1") as connections:
            connections[1].send(PREFACE[:10])
            connections[2].send(PREFACE + SETTINGS)
            await until(lambda: len(daemon.api.door.visitors) == 1 and len(daemon.api.door._arrivals) == 3)
        await until(lambda: not daemon.api.door._arrivals and not daemon.api.door.visitors)
        assert await is_served(channel_of(daemon, pki.path / "clients" / "viewer"))


async def test_other_cas_count_at_once_and_end_the_connections_of_those_before(
    tmp_path: Path, pki: PkiFolder, caplog: pytest.LogCaptureFixture
) -> None:
    other = PkiFolder(tmp_path / "other")
    other.begin("other", ("localhost",), utc_now())
    other.issue("newcomer", Role.VIEWER, utc_now())
    ours, newcomer, both = pki.path / "clients" / "viewer", other.path / "clients" / "newcomer", tmp_path / "both.crt"
    files = {"certificate": str(pki.server), "key": str(pki.server), "client_ca": str(both)}
    both.write_bytes(pki.ca_certificate.read_bytes())
    config = config_for(tmp_path, (), grpc={"tcp": "127.0.0.1:0", "socket": ""}, tls=files)
    async with running_daemon(config, None) as (daemon, _), channel_of(daemon, ours) as channel:
        stub: rack_pb2_grpc.RackAsyncStub = rack_pb2_grpc.RackStub(channel)
        watching = stub.WatchNodes(rack_pb2.WatchNodesRequest())
        await watching.read()
        assert (await refusal(channel_of(daemon, newcomer, pki.ca_certificate)))[0] is grpc.StatusCode.UNAVAILABLE
        both.write_bytes(pki.ca_certificate.read_bytes() + other.ca_certificate.read_bytes())
        async with asyncio.timeout(CERTIFICATES_S + 5):
            assert await watching.code() is grpc.StatusCode.UNAVAILABLE
        assert await is_served(channel_of(daemon, newcomer, pki.ca_certificate))
        assert await is_served(channel_of(daemon, ours))
        both.write_bytes(other.ca_certificate.read_bytes())
        assert daemon._tls is not None
        daemon._tls.tend(0)
        assert (await refusal(channel_of(daemon, ours)))[0] is grpc.StatusCode.UNAVAILABLE
        assert await is_served(channel_of(daemon, newcomer, pki.ca_certificate))
    changed = "UNAUTHENTICATED: the CAs of callers have changed since CN=viewer,OU=viewer,O=Racklet connected; "
    assert f"{changed}connect again" in whys(caplog)
