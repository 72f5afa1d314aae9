"""The rack and the ways to run the command that these tests share."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest
from typer.testing import CliRunner, Result

from racklet_hostd.cli.main import app
from tests.cli.memory_rack import MemoryRack
from tests.cli.pty_process import PtyProcess
from tests.cli.rack_server import RackServer

COMMAND = (sys.executable, "-c", "from racklet_hostd.cli.main import main; main()")


Start = Callable[..., subprocess.Popen[bytes]]
OnTerminal = Callable[..., PtyProcess]


class Run(Protocol):
    def __call__(self, *arguments: str, code: int = 0, input: str | None = None) -> Result: ...  # noqa: A002


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RackServer]:
    """A served rack without nodes, which every command finds by itself."""
    server = RackServer(MemoryRack(), tmp_path / "r.sock")
    monkeypatch.setenv("RACKLET_ADDRESS", server.address)
    monkeypatch.setenv("TERM", "xterm-256color")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def rack(server: RackServer) -> MemoryRack:
    return server.rack


@pytest.fixture
def run() -> Run:
    """Run the command in this process and check its exit code."""

    def run(*arguments: str, code: int = 0, input: str | None = None) -> Result:  # noqa: A002
        result = CliRunner().invoke(app, arguments, input=input)
        assert result.exit_code == code, (result.output, result.exception)
        return result

    return run


@pytest.fixture
def start(server: RackServer) -> Iterator[Start]:
    """Start the command as a process of its own, with pipes."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [*COMMAND, "--address", server.address, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        with process:  # closes its pipes
            pass


@pytest.fixture
def on_terminal(server: RackServer) -> Iterator[OnTerminal]:
    """Start the command on a terminal of its own."""
    started: list[PtyProcess] = []

    def start(*arguments: str) -> PtyProcess:
        started.append(PtyProcess([*COMMAND, "--address", server.address, *arguments], os.environ))
        return started[-1]

    yield start
    for process in started:
        process.close()
