"""Updates over the link: real firmware in slots of a littlefs, a real hostd, the command as a person types it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from racklet.v1 import rack_pb2
from racklet_bundle.bundle import Bundle
from racklet_bundle.lms_tree import LmsTree
from racklet_bundle.manifest import BundledFile
from racklet_emulator.firmware_files import compile_module
from racklet_emulator.image import file_system
from racklet_virtual.node import Habit
from tests.system.rig import BIN, ON, Hostd, run, until_async, virtual_rack
from tools.firmware_build import COMPUTER, build
from tools.hat_files import hat_files

TREE = LmsTree(5, 3, bytes(range(16)), bytes(32))
OTHER_TREE = LmsTree(5, 3, b"o" * 16, bytes(32))


def signed(version: str, security_version: int = 1, tree: LmsTree = TREE, **changes: object) -> Bundle:
    """Return this checkout's firmware as a signed bundle of any version. The leaf is used again, as only a test may."""
    bundle = build(COMPUTER, version=version, security_version=security_version)
    manifest = replace(bundle.manifest, **changes)  # type: ignore[arg-type]
    return Bundle(manifest, bundle.files, tree.identity + tree.sign(1, bytes(32), manifest.encode()))


def written(folder: Path, bundle: Bundle | bytes) -> str:
    file = folder / "firmware.bundle"
    file.write_bytes(bundle if isinstance(bundle, bytes) else bundle.encode())
    return str(file)


def flash_with(bundle: Bundle) -> bytes:
    return file_system(hat_files(bundle, [TREE.public_key], "hat-a", COMPUTER))


@pytest.fixture(scope="module")
def old_flash() -> bytes:
    return flash_with(signed("1.0.0"))


async def told_more_starts_than(hostd: Hostd, starts: int) -> bool:
    return await hostd.starts_told() > starts


async def hat_of(hostd: Hostd, name: str) -> rack_pb2.Hat:
    return (await hostd.rack.GetNode(rack_pb2.GetNodeRequest(name=f"nodes/{name}"))).node.hat


async def update(hostd: Hostd, *words: str) -> tuple[int, list[dict[str, str]], str]:
    """Run `racklet firmware update`; return its exit code, what it told, and what it said on stderr."""
    process = await asyncio.create_subprocess_exec(
        *(str(BIN / "racklet"), "--address", f"unix:{hostd.socket}", "firmware", "update", "--json", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, [json.loads(line) for line in output.splitlines()], errors.decode()


def stages(told: list[dict[str, str]]) -> list[tuple[str, str]]:
    """Return the stages of each node, in their order, without repeats."""
    return list(dict.fromkeys((line["name"][6:], line["stage"].removeprefix("UPDATE_STAGE_")) for line in told))


MIDDLE_BYTES = 8_000
WAITING, DONE = rack_pb2.UPDATE_STAGE_WAITING, rack_pb2.UPDATE_STAGE_DONE
GRACE_S = 10  # longer than it takes to bring an update
STEPS = ["SENDING", "CHECKING", "STARTING", "PROBATION", "DONE"]


@pytest.mark.timeout(120)
async def test_a_hat_is_updated_while_its_node_runs(tmp_path: Path, old_flash: bytes) -> None:
    async with virtual_rack(tmp_path / "rack", flash=old_flash) as rack, Hostd(tmp_path, rack.config_toml()) as hostd:
        await hostd.until_online()
        [hat] = rack.hats
        await hostd.rack.SetPower(rack_pb2.SetPowerRequest(name="nodes/node-1", action=ON))
        assert (await hat_of(hostd, "node-1")).slot == "a"
        code, told, errors = await update(hostd, "node-1", written(tmp_path, signed("1.1.0", 2)))
        assert code == 0, errors
        assert [stage for _, stage in stages(told)] == STEPS
        after = await hat_of(hostd, "node-1")
        assert (after.firmware, after.slot, after.on_probation, after.security_version) == ("1.1.0", "b", False, 2)
        assert hat.node.supply_on
        assert (len(hat.node.boots), hat.node.starts) == (1, 1), "the supply moved"
        kinds = [event.kind for event in await hostd.events("node-1")]
        assert "firmware_updated" in kinds
        starts = await hostd.starts_told()
        hat.reset_microcontroller()
        await until_async(lambda: told_more_starts_than(hostd, starts))
        assert (await hat_of(hostd, "node-1")).firmware == "1.1.0"
        code, told, _ = await update(hostd, "node-1", written(tmp_path, signed("1.1.0", 2)))
        assert (code, stages(told)) == (0, [("node-1", "CURRENT")])
        rebuilt = signed("1.1.0", 2, boards=("hat-a", "hat-b"))
        code, told, errors = await update(hostd, "node-1", written(tmp_path, rebuilt))
        assert (code, stages(told)[-1]) == (0, ("node-1", "DONE")), errors


@pytest.mark.timeout(120)
async def test_a_hat_that_is_switching_ends_that_before_it_starts_with_its_update(
    tmp_path: Path, old_flash: bytes
) -> None:
    async with (
        virtual_rack(tmp_path / "rack", flash=old_flash, habits={1: Habit.STUBBORN}) as rack,
        Hostd(tmp_path, rack.config_toml()) as hostd,
    ):
        await hostd.until_online()
        [hat] = rack.hats
        await hostd.power(hat)
        asked = rack_pb2.SetPowerRequest(name="nodes/node-1", action=rack_pb2.POWER_ACTION_OFF)
        asked.grace.FromSeconds(GRACE_S)
        began_s = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as tasks:
            updating = tasks.create_task(update(hostd, "node-1", written(tmp_path, signed("1.1.0", 2))))
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await hostd.rack.SetPower(asked)
        assert asyncio.get_running_loop().time() - began_s > GRACE_S
        assert "did not shut down within its grace" in (refused.value.details() or "")
        code, told, errors = updating.result()
        assert (code, [stage for _, stage in stages(told)]) == (0, STEPS), errors
        assert (hat.node.supply_on, hat.node.starts) == (True, 1)


@pytest.mark.timeout(180)
async def test_five_hats_are_updated_canary_first_while_one_is_unplugged_in_the_middle(
    tmp_path: Path, old_flash: bytes
) -> None:
    names = [f"node-{number}" for number in range(1, 6)]
    async with (
        virtual_rack(tmp_path / "rack", 5, flash=old_flash) as rack,
        Hostd(tmp_path, rack.config_toml()) as hostd,
    ):
        await hostd.until_online(*names)
        for name in names:
            await hostd.rack.SetPower(rack_pb2.SetPowerRequest(name=f"nodes/{name}", action=ON))
        pulled = rack.hat("node-3")
        told: list[rack_pb2.UpdateFirmwareResponse] = []
        bundle = signed("1.1.0", 2).encode()
        async for response in hostd.rack.UpdateFirmware(rack_pb2.UpdateFirmwareRequest(bundle=bundle)):
            is_in_the_middle = response.name == "nodes/node-3" and response.done_bytes > MIDDLE_BYTES
            if is_in_the_middle and not any(each.stage == WAITING for each in told) and pulled.plugged:
                pulled.unplug()
            elif response.stage == WAITING:
                pulled.replug()
            told.append(response)
        assert [response.name[6:] for response in told if response.stage == DONE] == names
        assert [response.name[6:] for response in told if response.stage == WAITING] == ["node-3"]
        sent = [response.done_bytes for response in told if response.name == "nodes/node-3"]
        assert sent == sorted(sent), "it began anew"
        for name in names:
            hat = await hat_of(hostd, name)
            assert (hat.firmware, hat.slot, hat.on_probation) == ("1.1.0", "b", False)
            assert len(rack.hat(name).node.boots) == 1, "the supply moved"


REFUSED: dict[str, tuple[Callable[[], Bundle], str]] = {
    "a key that it does not know": (lambda: signed("9.0.0", 9, OTHER_TREE), "no key that it trusts"),
    "a wrong signature": (
        lambda: replace(signed("9.0.0", 9), signature=signed("9.0.1", 9).signature),
        "signature does not verify",
    ),
    "an older version": (lambda: signed("0.9.0", 0), "older than what the HAT still takes"),
    "another board": (lambda: signed("9.0.0", 9, boards=("hat-z",)), "for other boards"),
    "another processor": (lambda: signed("9.0.0", 9, mpy=4870), "another processor"),
}


@pytest.mark.timeout(180)
async def test_what_a_hat_refuses_changes_nothing_and_says_why(tmp_path: Path) -> None:
    flash = flash_with(signed("1.0.0", 1))
    async with virtual_rack(tmp_path / "rack", flash=flash) as rack, Hostd(tmp_path, rack.config_toml()) as hostd:
        await hostd.until_online()
        code, told, errors = await update(hostd, "--all", written(tmp_path, signed("1.0.1", 1)))
        assert code == 0, errors  # from here on nothing below 1
        for make, reason in REFUSED.values():
            code, told, errors = await update(hostd, "node-1", written(tmp_path, make()))
            assert code == 1
            assert reason in told[-1]["message"]
            hat = await hat_of(hostd, "node-1")
            assert (hat.firmware, hat.slot, hat.on_probation) == ("1.0.1", "b", False)
        assert rack.hats[0].chip.starts == 2, "a refusal restarted it"
        assert not rack.hats[0].chip.crash_log.exists(), rack.hats[0].chip.crash_log.read_text()
        audit = await hostd.cli("audit", "--json")
        assert "UpdateFirmware" in audit[1]
        truncated = signed("9.0.0", 9).encode()[:-2000]
        code, _, errors = await update(hostd, "node-1", written(tmp_path, truncated))
        assert (code, "firmware.bundle" in errors) == (1, True)


@pytest.mark.timeout(120)
async def test_firmware_that_does_not_come_up_is_left_again(tmp_path: Path, old_flash: bytes) -> None:
    bad = signed("1.1.0", 2)
    app = next(index for index, file in enumerate(bad.manifest.files) if file.name == "racklet_hat/app.mpy")
    contents = list(bad.files)
    contents[app] = broken_module(tmp_path)
    files = list(bad.manifest.files)
    files[app] = BundledFile.of(files[app].name, contents[app])
    manifest = replace(bad.manifest, files=tuple(files))
    bad = Bundle(manifest, tuple(contents), TREE.identity + TREE.sign(2, bytes(32), manifest.encode()))
    async with (
        virtual_rack(tmp_path / "rack", 2, flash=old_flash) as rack,
        Hostd(tmp_path, rack.config_toml()) as hostd,
    ):
        await hostd.until_online("node-1", "node-2")
        code, told, _ = await update(hostd, "--all", written(tmp_path, bad))
        assert code == 1
        assert stages(told)[-2:] == [("node-1", "FAILED"), ("node-2", "LEFT")]
        assert "did not come up" in told[-2]["message"]
        hat = await hat_of(hostd, "node-1")
        assert (hat.firmware, hat.slot) == ("1.0.0", "a")
        code, told, errors = await update(hostd, "--all", written(tmp_path, signed("1.1.0", 2)))
        assert code == 0, errors


def broken_module(folder: Path) -> bytes:
    source, target = folder / "app.py", folder / "app.mpy"
    source.write_text("def main(start):\n    raise RuntimeError('broken')\n")
    compile_module(source, target, COMPUTER)
    return target.read_bytes()


async def test_a_hat_that_runs_from_no_slot_says_what_to_do(tmp_path: Path) -> None:
    async with virtual_rack(tmp_path / "rack") as rack, Hostd(tmp_path, rack.config_toml()) as hostd:
        await hostd.until_online()
        code, told, _ = await update(hostd, "--all", written(tmp_path, signed("1.1.0", 2)))
        assert (code, "just flash" in told[-1]["message"]) == (1, True)


async def test_an_update_names_nodes_or_says_all(tmp_path: Path) -> None:
    for words in ((), ("--all", "node-1")):
        code, _, errors = await run(BIN / "racklet", "firmware", "update", *words, written(tmp_path, signed("1.1.0")))
        assert (code, "name the nodes, or say --all" in errors) == (2, True)
