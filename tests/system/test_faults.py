"""Faults on purpose on a virtual rack: whoever is killed in the middle, the node has its power again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest_asyncio

from racklet_virtual.board import VirtualHat
from tests.system.rig import BIN, ON, Hostd, until, until_async, virtual_rack

CUT_AT_KERNEL = """
limit_s = 120
[[fault]]
node = "node-1"
what = "cut"
after_s = 0
for_s = 1
[[fault]]
node = "node-1"
what = "cut"
console = 'Linux version \\d'
for_s = 100
"""


@pytest_asyncio.fixture
async def hostd(tmp_path: Path) -> AsyncIterator[tuple[Hostd, VirtualHat]]:
    """A hostd and a HAT whose node is on. It takes its time to the kernel: a cut has ended before the next begins."""
    for folder in ("rack", "hostd"):
        (tmp_path / folder).mkdir()
    async with virtual_rack(tmp_path / "rack", speed=4) as rack, Hostd(tmp_path / "hostd", rack.config_toml()) as hostd:
        await hostd.until_online()
        await hostd.power(rack.hats[0], ON)
        yield hostd, rack.hats[0]


@asynccontextmanager
async def running(hostd: Hostd, script: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a script with `racklet`."""
    path = hostd.folder / "lesson.toml"
    path.write_text(script)
    process = await asyncio.create_subprocess_exec(
        *(BIN / "racklet", "faults", "run", path),
        env={**os.environ, "RACKLET_ADDRESS": f"unix:{hostd.socket}"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def until_cut_at_kernel(hat: VirtualHat) -> None:
    """Wait until the console match has cut the node in the boot that the first cut made."""
    await until(lambda: len(hat.node.boots) == 2 and not hat.node.supply_on)
    assert b"Linux version" in hat.node.sent(hat.node.boots[-1])


async def fault_events(hostd: Hostd) -> list[str]:
    return [event.kind for event in await hostd.events("node-1") if event.kind.startswith("fault")]


async def has_told(hostd: Hostd, kinds: list[str]) -> bool:
    """Tell whether these are its newest fault events."""
    return (await fault_events(hostd))[-len(kinds) :] == kinds


async def test_the_command_is_killed_in_the_middle(hostd: tuple[Hostd, VirtualHat]) -> None:
    daemon, hat = hostd
    async with running(daemon, CUT_AT_KERNEL) as command:
        await until_cut_at_kernel(hat)
        command.kill()
        await until(lambda: hat.node.supply_on)
        await daemon.until_node(lambda node: not node.taken_by)
    assert len(hat.node.boots) == 3
    await until_async(lambda: has_told(daemon, ["fault_taken", "fault_restored"] * 2))


async def test_hostd_is_killed_in_the_middle(hostd: tuple[Hostd, VirtualHat]) -> None:
    daemon, hat = hostd
    async with running(daemon, CUT_AT_KERNEL) as command:
        await until_cut_at_kernel(hat)
        await daemon.kill()
        _, errors = await command.communicate()
        assert command.returncode == 3
        assert errors.decode().endswith("does not answer any more\n")
    assert not hat.node.supply_on
    assert [debt["node"] for debt in json.loads((daemon.state / "faults.json").read_text())] == ["node-1"]
    await daemon.start()
    await until(lambda: hat.node.supply_on)
    await daemon.until_node(lambda node: not node.taken_by)
    assert len(hat.node.boots) == 3
    await until_async(lambda: has_told(daemon, ["fault_restored"]))  # perhaps not at the first try
    assert "fault_owed" in await fault_events(daemon)
    await until(lambda: not (daemon.state / "faults.json").exists())


async def test_hostd_is_asked_to_stop_in_the_middle(hostd: tuple[Hostd, VirtualHat]) -> None:
    daemon, hat = hostd
    async with running(daemon, CUT_AT_KERNEL) as command:
        await until_cut_at_kernel(hat)
        assert await daemon.stop() == 0
        assert hat.node.supply_on
        output, errors = await command.communicate()
    assert command.returncode == 1
    assert "The run is over: hostd is shutting down. Nothing is owed to any node." in output.decode()
    assert errors.decode() == "racklet: fault 2 was broken off: hostd is shutting down\n"


async def test_ctrl_c_gives_back_and_says_so(hostd: tuple[Hostd, VirtualHat]) -> None:
    daemon, hat = hostd
    async with running(daemon, CUT_AT_KERNEL) as command:
        await until_cut_at_kernel(hat)
        command.send_signal(signal.SIGINT)
        _, errors = await command.communicate()
    assert command.returncode == 130
    assert hat.node.supply_on
    assert errors.decode().splitlines() == [
        "racklet: stopped; hostd gives back what the run took",
        "racklet: node-1 is free, its supply is on",
    ]


async def test_the_command_shows_the_plan_the_steps_and_the_end(hostd: tuple[Hostd, VirtualHat]) -> None:
    daemon, hat = hostd
    script = CUT_AT_KERNEL.replace("100", "1").replace("limit_s", "seed = 7\nlimit_s")
    path = daemon.folder / "lesson.toml"
    path.write_text(script)
    code, output, errors = await daemon.cli("faults", "run", str(path), "--dry-run")
    assert (code, errors) == (0, "")
    plan = [line.rstrip() for line in output.splitlines()]
    assert plan[0] == "The plan with seed 7, for 2:00 at most:"
    assert plan[-1] == r"    2  node-1  cut for 1 s  as soon as its console shows /Linux version \d/"
    assert len(hat.node.boots) == 1
    code, output, errors = await daemon.cli("faults", "run", str(path), "--seed", "8")
    assert (code, errors) == (0, "")
    lines = output.splitlines()
    assert lines[0].startswith("The plan with seed 8")
    assert [line.split()[1] for line in lines[4:-1]] == ["off", "restored", "triggered", "off", "restored"]
    assert lines[-1] == "The run is over: every fault has had its turn. Nothing is owed to any node."
    assert len(hat.node.boots) == 3
    code, output, _ = await daemon.cli("faults", "run", str(path), "--json")
    assert code == 0
    assert [next(iter(json.loads(line))) for line in output.splitlines()] == ["plan", *["step"] * 5, "end"]


async def test_the_command_says_what_is_wrong_with_a_script(hostd: tuple[Hostd, VirtualHat]) -> None:
    daemon, _ = hostd
    path = daemon.folder / "lesson.toml"
    for script, code, words in (
        (CUT_AT_KERNEL.replace("'Linux", "'(Linux"), 2, f"racklet: {path}:11: fault[1].console: expected a regular"),
        (CUT_AT_KERNEL.replace("node-1", "node-9"), 1, f"racklet: {path}:4: fault[0].node: expected the name of a no"),
        (
            "limit_s = 1\n[[fault]]\nnode = 'node-1'\nwhat = 'cut'\nfor_s = 1\nphase = 'tf-a'\n",
            1,
            "racklet: fault 1 ne",
        ),
    ):
        path.write_text(script)
        found, _, errors = await daemon.cli("faults", "run", str(path))
        assert (found, errors[: len(words)]) == (code, words)
    for text, words in ((b"\xff", "is not UTF-8 text"), (b"#" * 70_000, "has more than 65536 bytes")):
        path.write_bytes(text)
        found, _, errors = await daemon.cli("faults", "run", str(path))
        assert found == 2
        assert words in " ".join(errors.split())
