"""What is wrong from outside: configs, ports, callers, a second hostd, a full disk."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration

from racklet.v1 import rack_pb2
from racklet_virtual.rack import VirtualRack
from tests.system.rig import BIN, FORCE_OFF, OFFLINE, ON, Hostd, follows, run, until_async, virtual_rack

pytestmark = pytest.mark.asyncio(loop_scope="module")
NODE = '[[node]]\nname = "node-1"\nport = "/dev/ttyACM0"\n'


# A broken config.


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('[rack]\nname = "a', 2, "not TOML"),
        ('[http]\n\naddresses = "127.0.0.1:1"\n', 3, "http.addresses: unknown key; did you mean address?"),
        (
            '[telemetry]\nperiod_ms = "fast"\n',
            2,
            'telemetry.period_ms: expected a whole number from 50 to 60000, found "fast"',
        ),
        (
            '[grpc]\nplain_tcp = "0.0.0.0:50551"\n',
            2,
            'grpc.plain_tcp: expected a loopback address such as "127.0.0.1:50551"',
        ),
        (
            NODE + '[[node]]\nname = "node-1"\nport = "/dev/ttyACM1"\n',
            5,
            'node[1].name: expected a name of its own, found "node-1"',
        ),
    ],
)
async def test_a_broken_config_is_told_by_file_line_key_and_expectation(
    tmp_path: Path, text: str, line: int, said: str
) -> None:
    config = tmp_path / "racklet.toml"
    config.write_text(text)
    code, output, errors = await run(BIN / "racklet-hostd", "--config", config)
    assert (code, output) == (2, "")
    assert errors.startswith(f"{config}:{line}: {said}")
    assert errors.count("\n") == 1


async def test_a_config_that_is_not_there_is_told(tmp_path: Path) -> None:
    code, _, errors = await run(BIN / "racklet-hostd", "--config", tmp_path / "none.toml")
    assert (code, errors) == (2, f"{tmp_path}/none.toml: cannot be read: No such file or directory\n")


# Ports and callers.


@dataclass
class Rig:
    """node-1 is online. The port of node-2 is not there: its HAT hangs in another slot."""

    rack: VirtualRack
    hostd: Hostd


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with virtual_rack(tmp_path_factory.mktemp("rack"), 2) as rack:
        config = rack.config_toml()
        rack.hat("node-2").replug("elsewhere")
        async with Hostd(tmp_path_factory.mktemp("hostd"), config) as hostd:
            await hostd.until_online("node-1")
            yield Rig(rack, hostd)


async def refusal(call: grpc.aio.UnaryUnaryCall) -> tuple[grpc.StatusCode, str]:
    """Return the status and the sentence of a call that hostd refuses."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value.code(), refused.value.details() or ""


async def test_an_unknown_node_is_not_found(rig: Rig) -> None:
    said = "there is no node node-9; the nodes are node-1, node-2"
    for call in (
        rig.hostd.rack.GetNode(rack_pb2.GetNodeRequest(name="nodes/node-9")),
        rig.hostd.rack.SetPower(rack_pb2.SetPowerRequest(name="nodes/node-9", action=ON)),
        rig.hostd.rack.ListBoots(rack_pb2.ListBootsRequest(parent="nodes/node-9")),
    ):
        assert await refusal(call) == (grpc.StatusCode.NOT_FOUND, said)
    assert await rig.hostd.cli("power", "on", "node-9") == (4, "", f"racklet: {said}\n")
    assert (await rig.hostd.cli("logs", "node-9"))[0] == 4


async def test_bad_arguments_are_refused_with_what_was_expected(rig: Rig) -> None:
    name = "nodes/node-1"
    calls = {
        "name: expected nodes/NAME": rig.hostd.rack.GetNode(rack_pb2.GetNodeRequest(name="node-1")),
        "action: expected ON": rig.hostd.rack.SetPower(rack_pb2.SetPowerRequest(name=name)),
        "off_time: expected 0 to 60 seconds": rig.hostd.rack.SetPower(
            rack_pb2.SetPowerRequest(name=name, action=rack_pb2.POWER_ACTION_CYCLE, off_time=Duration(seconds=61))
        ),
        "grace: is for OFF only": rig.hostd.rack.SetPower(
            rack_pb2.SetPowerRequest(name=name, action=ON, grace=Duration(seconds=1))
        ),
        "page_size: expected 0 or more": rig.hostd.rack.ListNodes(rack_pb2.ListNodesRequest(page_size=-1)),
    }
    for said, call in calls.items():
        code, sentence = await refusal(call)
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert sentence.startswith(said)


@pytest.mark.parametrize(
    "arguments",
    [("power", "sideways", "node-1"), ("power", "on"), ("logs",), ("logs", "node-1", "--boot", "x"), ("nod",)],
)
async def test_wrong_usage_of_the_command_is_exit_2(rig: Rig, arguments: tuple[str, ...]) -> None:
    code, output, errors = await rig.hostd.cli(*arguments)
    assert (code, output) == (2, "")
    assert "Usage:" in errors


async def test_an_offline_hat_is_unavailable_with_a_sentence(rig: Rig) -> None:
    port = rig.rack.ports / "usb-1.2"
    said = f"the HAT of node-2 is offline: {port} does not open: there is no such port; is the HAT plugged in?"
    call = rig.hostd.rack.SetPower(rack_pb2.SetPowerRequest(name="nodes/node-2", action=ON))
    assert await refusal(call) == (grpc.StatusCode.UNAVAILABLE, said)
    assert await rig.hostd.cli("power", "on", "node-2") == (1, "", f"racklet: {said}\n")
    code, _, errors = await rig.hostd.cli("identify", "node-2")
    assert (code, errors) == (1, f"racklet: {said}\n")


async def test_a_port_that_does_not_open_is_named_and_served_once_it_is_there(rig: Rig) -> None:
    port = rig.rack.ports / "usb-1.2"
    code, output, _ = await rig.hostd.cli("nodes")
    assert code == 0
    assert f"node-2: HAT is offline: {port} does not open: there is no such port" in " ".join(output.split())
    rig.rack.replug(rig.rack.hat("node-2"), "usb-1.2")
    await rig.hostd.until_online("node-2", patience_s=3)
    code, output, _ = await rig.hostd.cli("nodes")
    assert (code, "HAT is offline" in output) == (0, False)
    rig.rack.hat("node-2").unplug()
    await rig.hostd.until_node(lambda node: node.hat.state == OFFLINE, "node-2")
    warnings = [entry for entry in rig.hostd.log() if entry["event"] == "port does not open"]
    assert len(warnings) <= 2, "only the first failure in a row is worth a line"


async def test_a_port_that_another_program_holds_is_named(rig: Rig, tmp_path: Path) -> None:
    other = Hostd(tmp_path, rig.rack.config_toml())
    async with other:
        node = await other.node("node-1")
        assert node.hat.problem.endswith("usb-1.1 does not open: another program is using it")
    await rig.hostd.until_online("node-1")


# A second hostd.


async def test_a_second_hostd_on_the_same_state_folder_is_refused(rig: Rig, tmp_path: Path) -> None:
    second = Hostd(tmp_path)
    second.state = rig.hostd.state
    second.configure("")
    code, _, errors = await run(BIN / "racklet-hostd", "--config", second.config)
    said = f"the state folder {rig.hostd.state} is in use by another racklet-hostd (process {rig.hostd.pid})"
    assert (code, errors) == (1, f"racklet-hostd: {said}\n")


async def test_a_second_hostd_on_the_same_socket_is_refused(rig: Rig, tmp_path: Path) -> None:
    second = Hostd(tmp_path)
    second.socket = rig.hostd.socket
    second.configure("")
    code, _, errors = await run(BIN / "racklet-hostd", "--config", second.config)
    assert code == 1
    said = f"cannot listen on {rig.hostd.socket}: another racklet-hostd is listening there"
    assert errors.splitlines()[-1] == f"racklet-hostd: {said}"
    assert (await rig.hostd.cli("info"))[0] == 0, "the first one must not notice"


# A full disk.

MIB = 1 << 20
DISK_BYTES = 24 * MIB


def in_small_disk(state: Path) -> tuple[str, ...]:
    """Return the command that runs a hostd whose state folder is a small file system of its own.

    It is in a mount namespace, so nothing of it is left when hostd ends, however it ends.
    """
    script = f'mount -t tmpfs -o size={DISK_BYTES} racklet "$0" && exec "$@"'
    unshare = ("unshare", "--user", "--map-root-user", "--mount")
    allowed = shutil.which("unshare") and subprocess.run([*unshare, "true"], capture_output=True, check=False)
    if not allowed or allowed.returncode:
        pytest.skip("no user namespaces here, which the small disk needs")
    state.mkdir()
    return (*unshare, "sh", "-c", script, str(state))


@dataclass
class SmallDisk:
    """The disk of a hostd that runs `in_small_disk`."""

    hostd: Hostd

    @property
    def _filler(self) -> Path:
        return Path(f"/proc/{self.hostd.pid}/root{self.hostd.state}/filler")

    def fill(self, left_bytes: int) -> None:
        """Leave so much free."""
        usage = shutil.disk_usage(self._filler.parent)
        with self._filler.open("ab", buffering=0) as filler:
            left = max(0, usage.free - left_bytes)
            while left > 0:
                try:
                    left -= filler.write(bytes(min(left, MIB)))
                except OSError:  # full to the last page
                    return

    def clear(self) -> None:
        """Give the space back."""
        self._filler.unlink()


@pytest.mark.parametrize("left_bytes", [8 * MIB, 0], ids=["within the reserve", "to the last byte"])
async def test_a_full_disk_costs_log_bytes_and_nothing_else(tmp_path: Path, left_bytes: int) -> None:
    folder = tmp_path / "hostd"
    folder.mkdir()
    async with virtual_rack(tmp_path / "rack") as rack:
        [hat] = rack.hats
        async with Hostd(folder, rack.config_toml(), in_small_disk(folder / "state")) as hostd:
            await hostd.until_online()
            disk = SmallDisk(hostd)
            await hostd.power(hat)
            await hostd.until_node(lambda node: node.log_end > 1000)
            disk.fill(left_bytes)

            async def stopped() -> bool:
                return (await hostd.metrics())["racklet_store_failures_total", "disk_full"] > 0

            await until_async(stopped)
            [event] = [event for event in await hostd.events("node-1") if event.kind == "disk_full"]
            assert "No space left on device" in event.message
            assert (await hostd.ready())[0] == 503
            measured = (await hostd.node()).measurement.measure_time
            await hostd.until_node(
                lambda node: node.measurement.measure_time.ToMilliseconds() > measured.ToMilliseconds()
            )
            await hostd.power(hat, FORCE_OFF)
            await hostd.power(hat)
            disk.clear()

            async def goes_on() -> bool:
                return (await hostd.ready())[0] == 200

            await until_async(goes_on)

            async def complete() -> bool:
                boots = await hostd.boots()
                logs = [await hostd.pieces(boot.name) for boot in boots]
                sent = [hat.node.sent(boot) for boot in hat.node.boots]
                return len(logs) == 2 and all(map(follows, logs, sent))

            await until_async(complete, 30)
            taken_uj = hat.node.joules * 1e6
            await hostd.until_node(lambda node: node.energy_uj > 0.99 * taken_uj)
            gaps = [
                piece
                for boot in await hostd.boots()
                for piece in await hostd.pieces(boot.name)
                if isinstance(piece, rack_pb2.Gap)
            ]
            assert gaps
            assert {gap.reason for gap in gaps} == {"disk_full"}
            metrics = await hostd.metrics()
            assert metrics["racklet_boot_log_lost_bytes_total", "node-1"] == sum(gap.lost_bytes for gap in gaps)
