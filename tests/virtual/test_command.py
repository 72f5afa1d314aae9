"""The command racklet-virtual, and its control socket."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from racklet_virtual.control import ControlError, ask, control_server, socket_path
from racklet_virtual.fault_catalogue import FAULTS, inject
from racklet_virtual.rack import RackError, VirtualRack
from tests.system.flashing import flash
from tests.virtual.conftest import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.virtual.conftest import StartRack

COMMAND = (sys.executable, "-m", "racklet_virtual")
pytestmark = pytest.mark.usefixtures("start_rack")  # which skips where there is no MicroPython


def command(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments, "--folder", str(folder)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a rack until the context ends, or it is stopped."""
    with subprocess.Popen(
        [*COMMAND, *arguments, "--folder", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def assert_character_devices(ports: list[Path]) -> None:
    assert all(port.is_char_device() for port in ports)


def gone(pids: list[object]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def status(folder: Path) -> list[dict[str, object]]:
    reply = json.loads(command("status", folder=folder).stdout)
    assert isinstance(reply, list)
    return reply


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
async def test_it_prints_its_ports_and_leaves_nothing_behind(tmp_path: Path, stop: signal.Signals) -> None:
    folder = tmp_path / "v"
    with running(folder, "--nodes", "2") as process:
        await until(lambda: socket_path(folder).exists() and (folder / "racklet.toml").exists())
        config = tomllib.loads((folder / "racklet.toml").read_text())
        ports = [Path(node["port"]) for node in config["node"]]
        assert [port.name for port in ports] == ["usb-1.1", "usb-1.2"]
        assert_character_devices(ports)
        pids = [hat["pid"] for hat in status(folder)]
        process.send_signal(stop)
        printed, complaints = process.communicate(timeout=20)
    assert process.returncode == 0, complaints
    assert "usb-1.2" in printed
    assert "[[node]]" in printed
    assert not folder.exists()
    assert gone(pids)


async def test_faults_reach_a_running_rack(tmp_path: Path) -> None:
    folder = tmp_path / "v"
    with running(folder, "--nodes", "2", "--node", "2=hang"):
        await until(lambda: socket_path(folder).exists())
        assert command("fault", "node-2", "unplug", folder=folder).returncode == 0
        assert [hat["port"] is None for hat in status(folder)] == [False, True]
        assert command("fault", "node-2", "replug", "usb-1.7", folder=folder).returncode == 0
        assert status(folder)[1]["slot"] == "usb-1.7"
        wrong = command("fault", "node-2", "explode", folder=folder)
        assert wrong.returncode == 1
        assert "no fault 'explode'; there are unplug" in wrong.stderr


@pytest.mark.timeout(120)
async def test_a_bare_hat_is_flashed_and_keeps_its_firmware_for_the_next_rack(tmp_path: Path) -> None:
    folder = tmp_path / "v"
    for written in (r"\b(\d+) of \1 files written", r"\b0 of \d+ files written"):
        with running(folder, "--nodes", "1", "--bare", "--keep"):
            await until((folder / "racklet.toml").exists)
            code, output, errors = await flash(folder / "ports" / "usb-1.1")
            assert code == 0, errors
            assert re.search(written, output)
        await until(lambda: not (folder / "racklet.toml").exists())


def test_without_a_rack_it_says_how_to_start_one(tmp_path: Path) -> None:
    done = command("status", folder=tmp_path)
    assert done.returncode == 1
    assert "start one with `racklet-virtual`" in done.stderr


def test_a_wrong_habit_is_explained(tmp_path: Path) -> None:
    done = command("--node", "9=hang", folder=tmp_path)
    assert done.returncode == 2
    assert "N from 1 to 5" in done.stderr.replace("\n", " ")


def test_the_faults_are_listed() -> None:
    done = subprocess.run([*COMMAND, "faults"], capture_output=True, text=True, timeout=30, check=True)
    assert all(name in done.stdout for name in FAULTS)
    assert "[SLOT]" in done.stdout


def test_no_micropython_is_said_in_one_sentence(tmp_path: Path) -> None:
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    done = subprocess.run(
        [python, "-c", "from racklet_virtual.__main__ import main; main()", "--folder", str(tmp_path / "v")],
        env={"PATH": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert "no `micropython` found" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_no_qemu_is_said_in_one_sentence_that_names_the_package(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "--node", "3=qemu", "--folder", str(tmp_path / "v")],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert "`sudo apt install qemu-system-arm`" in done.stderr
    assert len(done.stderr.splitlines()) == 1


async def test_every_fault_can_be_injected_and_cleared(start_rack: StartRack) -> None:
    rack = await start_rack("import time\nwhile True: time.sleep_ms(50)\n")
    for name in FAULTS:
        arguments = ("0.01",) if name in ("bit-errors", "drop", "duplicate") else ()
        inject(rack, "node-1", name, arguments)
        inject(rack, "node-1", "clear", ())
        assert rack.hats[0].plugged


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"garbage\n", "JSON"),
        (b"[1]\n", "expected `node`"),
        (b'{"node": "node-1", "fault": "drop", "arguments": ["much"]}\n', "a number"),
        (b'{"node": "node-1", "fault": "drop", "arguments": ["2"]}\n', "0 to 1"),
        (b'{"node": "node-1", "fault": "stuck", "arguments": ["half"]}\n', "one of on, off, no"),
        (b'{"node": "node-1", "fault": "replug", "arguments": ["../x"]}\n', "no slot"),
        (b'{"node": "node-1", "fault": "replug", "arguments": "x"}\n', "a list"),
        (b'{"node": "node-5", "fault": "unplug"}\n', "no node node-5"),
    ],
)
async def test_a_wrong_request_gets_a_sentence(start_rack: StartRack, line: bytes, error: str) -> None:
    rack = await start_rack(None)
    async with control_server(rack):
        reader, writer = await asyncio.open_unix_connection(socket_path(rack.folder))
        writer.write(line)
        reply = json.loads(await reader.readline())
        writer.close()
        await writer.wait_closed()
    assert reply["ok"] is False
    assert error in reply["error"]


async def test_a_taken_slot_stays_with_who_has_it(start_rack: StartRack) -> None:
    rack = await start_rack(None, nodes=2)
    with pytest.raises(RackError, match=r"usb-1\.2 is taken"):
        inject(rack, "node-1", "replug", ("usb-1.2",))
    assert all(hat.plugged for hat in rack.hats)


async def test_a_line_without_end_ends_the_connection_only(start_rack: StartRack) -> None:
    rack = await start_rack(None)
    async with control_server(rack):
        reader, writer = await asyncio.open_unix_connection(socket_path(rack.folder))
        writer.write(b"x" * 100_000)
        assert await reader.read() == b""
        writer.close()
        reply = await asyncio.to_thread(ask, rack.folder, {"status": True})
    assert reply["nodes"][0]["node"] == "node-1"


async def test_a_long_path_is_refused(tmp_path: Path) -> None:
    rack = VirtualRack(tmp_path / ("x" * 100), 1)
    with pytest.raises(RackError, match="too long"):
        async with control_server(rack):
            pass


def test_a_client_that_finds_no_rack_says_so(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="no virtual rack answers"):
        ask(tmp_path, {"status": True})
