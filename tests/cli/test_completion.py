"""Node names for the shell's Tab key."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import COMMAND
from tests.cli.memory_rack import MemoryRack
from tests.cli.rack_server import RackServer

Complete = Callable[[str], list[str]]


@pytest.fixture
def complete() -> Complete:
    """Ask as bash does; the last word is the one to complete."""

    def complete(line: str) -> list[str]:
        words = line.split(" ")
        environment = {
            **os.environ,
            "_RACKLET_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
        }
        script = "import sys; sys.argv[0] = 'racklet'; from racklet_hostd.cli.main import main; main()"
        done = subprocess.run([COMMAND[0], "-c", script], env=environment, capture_output=True, text=True, check=False)
        assert done.stderr == ""
        return done.stdout.split()

    return complete


@pytest.fixture(autouse=True)
def nodes(rack: MemoryRack) -> None:
    for name in ("node-10", "node-2", "pi"):
        rack.add_node(name)


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("racklet logs ", ["node-2", "node-10", "pi"]),
        ("racklet logs no", ["node-2", "node-10"]),
        ("racklet console nodes/p", ["nodes/pi"]),
        ("racklet events x", []),
        ("racklet watch node-2 no", ["node-10"]),
        ("racklet power cycle node-1", ["node-10"]),
    ],
)
def test_nodes_are_completed(complete: Complete, line: str, names: list[str]) -> None:
    assert complete(line) == names


def test_commands_are_completed(complete: Complete) -> None:
    assert complete("racklet power f") == ["force-off"]


def test_the_address_on_the_line_is_asked(
    complete: Complete, server: RackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RACKLET_ADDRESS")
    assert complete(f"racklet --address {server.address} boots p") == ["pi"]
    assert complete(f"racklet boots --address {server.address} p") == ["pi"]


@pytest.mark.parametrize("address", ["unix:/nowhere", "127.0.0.1:1", "nonsense"])
def test_without_hostd_there_is_silence(complete: Complete, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("RACKLET_ADDRESS", address)
    assert complete("racklet logs ") == []


def test_completion_installs_itself(tmp_path: Path) -> None:
    racklet = Path(COMMAND[0]).with_name("racklet")
    done = subprocess.run(
        ["bash", "-c", f'"{racklet}" --install-completion; exit $?'],
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "racklet" in (tmp_path / ".bashrc").read_text()
