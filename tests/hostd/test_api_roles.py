"""Every method, every role, every way in: allowed or refused as written in access_calls."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor_pool import Default
from grpc_health.v1 import health
from grpc_reflection.v1alpha import reflection

from racklet.v1 import rack_pb2, rack_pb2_grpc
from racklet_hostd.api.roles import METHODS, short_name
from racklet_hostd.api.server import SERVICE
from racklet_hostd.role import Role
from tests.conftest import ROOT
from tests.hostd.access_calls import ADMIN, ALLOWED, OPERATOR, VIEWER, allowed
from tests.hostd.rig import config_for, running_daemon, running_rack
from tests.hostd.switching_hat import refusal_of, until_audited


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may enter, as /run/racklet is."""
    with tempfile.TemporaryDirectory(prefix="racklet-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def test_every_method_that_is_served_has_a_row_and_every_row_a_method() -> None:
    services = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
    descriptors = [Default().FindServiceByName(service) for service in services]
    served = {f"/{each.full_name}/{method.name}" for each in descriptors for method in each.methods}
    assert served == set(METHODS)


def test_the_table_is_as_written_here() -> None:
    assert {path for path, row in METHODS.items() if row.role is Role.VIEWER} == VIEWER
    assert {path for path, row in METHODS.items() if row.role is Role.OPERATOR} == OPERATOR - VIEWER
    assert {path for path, row in METHODS.items() if row.role is Role.ADMIN} == ADMIN - OPERATOR


def test_the_documentation_shows_the_table() -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    for role, paths in (("viewer", VIEWER), ("operator", OPERATOR - VIEWER), ("admin", ADMIN - OPERATOR)):
        [line] = [line for line in page.splitlines() if line.startswith(f"| {role} |")]
        for path in paths:
            assert f"`{short_name(path).rpartition('/')[2]}`" in line, (role, path)


async def test_over_the_unix_socket_the_owner_is_admin(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        assert await allowed(rig.channel) == ADMIN
    assert (tmp_path / "run" / "hostd.sock").exists() is False


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
async def test_over_plain_tcp_everybody_has_the_role_of_the_config(tmp_path: Path, role: str) -> None:
    config = config_for(tmp_path, (), grpc={"socket": "", "plain_tcp": "127.0.0.1:0", "plain_tcp_role": role})
    async with (
        running_daemon(config) as (daemon, _),
        grpc.aio.insecure_channel(f"127.0.0.1:{daemon.api.plain_port}") as channel,
    ):
        assert await allowed(channel) == ALLOWED[role]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become others")
async def test_over_the_unix_socket_others_have_the_role_of_their_user_or_group(
    tmp_path: Path, open_folder: Path
) -> None:
    socket = open_folder / "hostd.sock"
    access = {"viewer": ["user:60001"], "operator": ["user:60002", "group:60010"], "admin": ["group:60011"]}
    expected = {
        "60001:": "viewer",
        "60002:": "operator",
        "60003:": "none",
        "60003:60010": "operator",
        "60001:60010,60011": "admin",
        "0:": "admin",
    }
    config = config_for(tmp_path, (), grpc={"socket": str(socket)}, access=access)
    async with running_daemon(config):
        assert socket.stat().st_mode & 0o777 == 0o666
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.hostd.other_users", socket, *expected), stdout=-1, cwd=ROOT
        )
        output, _ = await process.communicate()
    found: dict[str, list[str]] = {}
    for line in output.decode().splitlines():
        found |= json.loads(line)
    assert {user: set(paths) for user, paths in found.items()} == {
        user: ALLOWED[role] for user, role in expected.items()
    }


async def test_without_rules_for_others_the_socket_is_for_its_owner_only(tmp_path: Path) -> None:
    async with running_daemon(config_for(tmp_path, ())):
        assert (tmp_path / "run" / "hostd.sock").stat().st_mode & 0o777 == 0o600
        assert (tmp_path / "state" / "grpc").stat().st_mode & 0o777 == 0o700


async def test_a_viewer_may_watch_a_console_but_not_type(tmp_path: Path) -> None:
    ways = {"socket": str(tmp_path / "h.sock"), "plain_tcp": "127.0.0.1:0"}
    async with (
        running_rack(tmp_path, grpc=ways) as rig,
        grpc.aio.insecure_channel(f"127.0.0.1:{rig.daemon.api.plain_port}") as channel,
    ):
        stub: rack_pb2_grpc.RackAsyncStub = rack_pb2_grpc.RackStub(channel)
        first = rack_pb2.AttachConsoleRequest(name="nodes/node-1", data=b"reboot\n")
        code, sentence = await refusal_of(_first_answer(stub, first))
        assert code is grpc.StatusCode.PERMISSION_DENIED
        assert sentence == "typing on a console takes the role operator, and loopback has viewer"
        code, sentence = await refusal_of(
            _first_answer(stub, rack_pb2.AttachConsoleRequest(name="nodes/node-1", read_only=True, take_over=True))
        )
        assert code is grpc.StatusCode.PERMISSION_DENIED
        call = stub.AttachConsole()
        await call.write(rack_pb2.AttachConsoleRequest(name="nodes/node-1", read_only=True))
        assert isinstance(await call.read(), rack_pb2.AttachConsoleResponse)
        await call.write(rack_pb2.AttachConsoleRequest(take_over=True))
        assert await call.code() is grpc.StatusCode.PERMISSION_DENIED
        assert await call.details() == "taking a console over takes the role operator, and loopback has viewer"


async def _first_answer(
    stub: rack_pb2_grpc.RackAsyncStub, first: rack_pb2.AttachConsoleRequest
) -> rack_pb2.AttachConsoleResponse:
    call = stub.AttachConsole()
    await call.write(first)
    answer = await call.read()
    assert isinstance(answer, rack_pb2.AttachConsoleResponse)
    return answer


async def test_a_method_without_a_row_is_for_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(METHODS, "/racklet.v1.Rack/GetPowerPlan")
    async with running_rack(tmp_path) as rig:
        code, sentence = await refusal_of(rig.rack.GetPowerPlan(rack_pb2.GetPowerPlanRequest()))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert sentence == "GetPowerPlan is in no table of roles, so nobody may call it"


async def test_a_refused_call_is_on_record_and_a_flood_of_them_is_counted(tmp_path: Path) -> None:
    ways = {"socket": str(tmp_path / "h.sock"), "plain_tcp": "127.0.0.1:0"}
    async with (
        running_rack(tmp_path, grpc=ways) as rig,
        grpc.aio.insecure_channel(f"127.0.0.1:{rig.daemon.api.plain_port}") as channel,
    ):
        stub: rack_pb2_grpc.RackAsyncStub = rack_pb2_grpc.RackStub(channel)
        for _ in range(60):
            await refusal_of(stub.IdentifyNode(rack_pb2.IdentifyNodeRequest(name="nodes/node-1")))
        entries = await until_audited(rig, 20)
    assert 20 <= len(entries) <= 30
    entry = entries[0]
    assert (entry.kind, entry.who, entry.method) == ("refused", "loopback", "IdentifyNode")
    assert entry.peer.startswith("ipv4:127.0.0.1:")
    assert entry.outcome == "PERMISSION_DENIED: IdentifyNode takes the role operator, and loopback has viewer"
