"""The console on a terminal and on pipes."""

import json
import signal
import subprocess
from pathlib import Path

import grpc
import pytest

from racklet.v1 import rack_pb2
from tests.cli.conftest import COMMAND, OnTerminal, Start
from tests.cli.memory_rack import MemoryRack
from tests.cli.rack_server import RackServer


@pytest.fixture(autouse=True)
def node(rack: MemoryRack) -> None:
    rack.add_node("node-1")


def test_keys_go_to_the_node_as_they_are_and_its_bytes_to_the_screen(rack: MemoryRack, on_terminal: OnTerminal) -> None:
    terminal = on_terminal("console", "node-1")
    terminal.expect(rb"console of node-1\. Ctrl-\] q leaves")
    rack.say(data=b"login: \x1b[2J\xff")
    terminal.expect(rb"login: \x1b\[2J\xff")
    terminal.type(b"a\x03\x1a\x04\r")
    rack.wait_until(lambda: bytes(rack.typed) == b"a\x03\x1a\x04\r")
    terminal.type(b"\x1d?")
    terminal.expect(rb"Ctrl-\] then q leaves")
    terminal.type(b"\x1dq")
    assert terminal.wait() == 0
    assert terminal.output.endswith(b"racklet: left the console of node-1\r\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_terminal_comes_back_when_a_signal_ends_it(on_terminal: OnTerminal, number: signal.Signals) -> None:
    terminal = on_terminal("console", "node-1")
    before = terminal.settings()
    terminal.expect(rb"console of node-1")
    assert terminal.settings() != before
    terminal.process.send_signal(number)
    assert terminal.wait() == 128 + number
    assert terminal.settings() == before


def test_the_terminal_comes_back_when_hostd_goes(server: RackServer, rack: MemoryRack, on_terminal: OnTerminal) -> None:
    terminal = on_terminal("console", "node-1")
    before = terminal.settings()
    terminal.expect(rb"console of node-1")
    rack.wait_until(lambda: bool(rack.requests))
    server.stop()
    assert terminal.wait() == 3
    assert terminal.output.endswith(f"racklet: hostd at {server.address} does not answer any more\r\n".encode())
    assert terminal.settings() == before


def test_a_refusal_is_a_sentence_on_a_sane_terminal(rack: MemoryRack, on_terminal: OnTerminal) -> None:
    rack.refusals["node-1"] = (grpc.StatusCode.FAILED_PRECONDITION, "somebody else is writing on the console of node-1")
    terminal = on_terminal("console", "node-1")
    assert terminal.wait() == 1
    assert terminal.output.endswith(
        b"racklet: somebody else is writing on the console of node-1 (--take-over, --read-only)\r\n"
    )


def test_read_only_types_nothing_but_the_escape_key_works(rack: MemoryRack, on_terminal: OnTerminal) -> None:
    terminal = on_terminal("console", "node-1", "--read-only")
    terminal.expect(rb"console of node-1, read only")
    terminal.type(b"rm -rf /\r\x1dq")
    assert terminal.wait() == 0
    assert rack.requests == [rack_pb2.AttachConsoleRequest(name="nodes/node-1", read_only=True)]
    assert not rack.typed


def test_losses_and_notices_are_told(rack: MemoryRack, on_terminal: OnTerminal) -> None:
    terminal = on_terminal("console", "node-1", "--take-over")
    rack.say(data=b"on", lost_bytes=7)
    terminal.expect(rb"racklet: 7 bytes lost\r\non")
    rack.say(notice="ada took over\x1b[2J")
    terminal.expect(rb"racklet: ada took over\\x1b\[2J\r\n")
    assert rack.requests[0].take_over  # type: ignore[attr-defined]


def test_what_a_pipe_holds_is_typed(rack: MemoryRack, start: Start) -> None:
    process = start("console", "node-1")
    assert process.stdin
    assert process.stdout
    process.stdin.write(b"echo \x1dq\n")
    process.stdin.close()
    rack.wait_until(lambda: bytes(rack.typed) == b"echo \x1dq\n")
    assert process.stdout.read(8) == b"echo \x1dq\n"
    rack.say(data=b"more")
    assert process.stdout.read(4) == b"more"
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130


def test_a_file_is_typed_too(rack: MemoryRack, server: RackServer, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_bytes(b"uname -a\n" * 1_000)
    with script.open("rb") as stdin, subprocess.Popen([*COMMAND, "console", "node-1"], stdin=stdin) as process:
        rack.wait_until(lambda: bytes(rack.typed) == script.read_bytes())
        server.stop()
        assert process.wait(20) == 3


def test_json_lines_hold_bytes_text_losses_and_notices(rack: MemoryRack, start: Start) -> None:
    process = start("console", "node-1", "--json", "--read-only")
    assert process.stdout
    rack.say(data="é".encode()[:1], lost_bytes=3)
    rack.say(data="é".encode()[1:], notice="hello")
    lines = [json.loads(process.stdout.readline()) for _ in range(2)]
    assert lines == [
        {"text": "", "data": "ww==", "lost_bytes": "3", "notice": ""},
        {"text": "é", "data": "qQ==", "lost_bytes": "0", "notice": "hello"},
    ]
