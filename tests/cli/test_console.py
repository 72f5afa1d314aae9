"""The console on a terminal and on pipes."""

import json
import signal
import subprocess
from pathlib import Path

import grpc
import pytest

from racklet.v1 import rack_pb2
from tests.cli.conftest import COMMAND, OnTerminal, Start
from tests.cli.memory_rack import MemoryRack, stamp
from tests.cli.rack_server import RackServer


@pytest.fixture(autouse=True)
def node(rack: MemoryRack) -> None:
    rack.add_node("node-1")


def test_keys_go_to_the_node_as_they_are_and_its_bytes_to_the_screen(rack: MemoryRack, on_terminal: OnTerminal) -> None:
    terminal = on_terminal("console", "node-1")
    terminal.expect(rb"console of node-1\. Ctrl-\] q leaves")
    rack.say(data=b"login: \x1b[2J\xff\x1b[6n\x1b]0;x\x07.")
    terminal.expect(rb"login: \x1b\[2J\\xff\.")
    terminal.type(b"a\x03\x1a\x04\r")
    rack.wait_until(lambda: bytes(rack.typed) == b"a\x03\x1a\x04\r")
    terminal.type(b"\x1d?")
    terminal.expect(rb"after Ctrl-\]:\r\n  q leaves")
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


def test_with_raw_the_bytes_come_as_they_are(rack: MemoryRack, on_terminal: OnTerminal) -> None:
    terminal = on_terminal("console", "node-1", "--raw")
    terminal.expect(rb"console of node-1")
    rack.say(data=b"\xff\x1b[6n.")
    terminal.expect(rb"\xff\x1b\[6n\.")


def test_the_console_goes_on_where_it_was_when_hostd_is_back(
    server: RackServer, rack: MemoryRack, on_terminal: OnTerminal
) -> None:
    terminal = on_terminal("console", "node-1")
    before = terminal.settings()
    rack.say(data=b"login: ", boot="nodes/node-1/boots/7", offset=40)
    terminal.expect(rb"login: ")
    server.stop()
    terminal.expect(rb"racklet: hostd went away; waiting for it\r\n")
    terminal.type(b"lost")
    terminal.expect(rb"racklet: hostd is away; what you type is not sent\r\n")
    rack.console_output.clear()
    server.start()
    terminal.expect(rb"racklet: hostd is back\r\n")
    terminal.type(b"uname\r")
    rack.wait_until(lambda: bytes(rack.typed) == b"uname\r")
    first, second = rack.requests
    assert isinstance(first, rack_pb2.AttachConsoleRequest)
    assert isinstance(second, rack_pb2.AttachConsoleRequest)
    assert (second.from_boot, second.from_offset, second.input_offset) == ("nodes/node-1/boots/7", 47, 0)
    assert second.caller_id == first.caller_id != ""
    terminal.type(b"\x1dq")
    assert terminal.wait() == 0
    assert terminal.settings() == before


def test_what_may_not_have_arrived_before_hostd_went_is_told_and_not_typed_again(
    server: RackServer, rack: MemoryRack, on_terminal: OnTerminal
) -> None:
    rack.tells_typed = False
    terminal = on_terminal("console", "node-1")
    terminal.expect(rb"console of node-1")
    rack.wait_until(lambda: bool(rack.requests))
    terminal.type(b"abc")
    rack.wait_until(lambda: bytes(rack.typed) == b"abc")
    server.stop()
    terminal.expect(rb"went away")
    server.start()
    terminal.expect(rb"racklet: the last 3 keys you typed may not have arrived\r\n")
    terminal.type(b"d")
    rack.wait_until(lambda: bytes(rack.typed) == b"abcd")


def test_who_types_already_is_told_and_one_looks_on_until_one_takes_over(
    rack: MemoryRack, on_terminal: OnTerminal
) -> None:
    rack.console_writer = "ada@lab"
    rack.company = [rack_pb2.ConsoleSeat(caller="ada@lab\x1b[2J", writes=True, sit_time=stamp(1))]
    terminal = on_terminal("console", "node-1")
    terminal.expect(rb"racklet: node-1: ada@lab is writing; Ctrl-\] t takes it over\r\n")
    terminal.expect(rb"at the console of node-1: .*\(you, looks on, since .*ada@lab\\x1b\[2J \(types, since")
    terminal.type(b"no")
    terminal.expect(rb"you are only looking; what you type is not sent")
    terminal.type(b"\x1dt")
    terminal.expect(rb"at the console of node-1: you \(you, types")
    terminal.type(b"yes")
    rack.wait_until(lambda: bytes(rack.typed) == b"yes")
    terminal.type(b"\x1dw")
    terminal.expect(rb"at the console of node-1: you \(you, types")


def test_without_a_terminal_somebody_elses_console_is_a_refusal(rack: MemoryRack, start: Start) -> None:
    rack.console_writer = "ada@lab"
    process = start("console", "node-1")
    assert process.wait(20) == 1
    assert process.stderr
    assert process.stderr.read() == b"racklet: node-1: ada@lab is writing (--take-over, --read-only)\n"


def test_the_supply_is_moved_after_a_second_key(rack: MemoryRack, on_terminal: OnTerminal) -> None:
    terminal = on_terminal("console", "node-1")
    terminal.expect(rb"console of node-1")
    rack.wait_until(lambda: bool(rack.requests))
    terminal.type(b"\x1dc")
    terminal.expect(rb"racklet: cut the supply of node-1 at once, and switch it on again\? y does it, any other key")
    terminal.type(b"n")
    terminal.expect(rb"racklet: nothing was done\r\n")
    terminal.type(b"\x1dcy")
    terminal.expect(rb"racklet: node-1 is on at 5\.098 V after 1\.2 s\r\n")
    terminal.type(b"\x1di")
    terminal.expect(rb"racklet: node-1 blinks for 10 s\r\n")
    _, cycle, identify = rack.requests
    assert cycle == rack_pb2.SetPowerRequest(name="nodes/node-1", action=rack_pb2.POWER_ACTION_CYCLE)
    assert isinstance(identify, rack_pb2.IdentifyNodeRequest)
    assert not rack.typed
    rack.refusals["node-1"] = (grpc.StatusCode.ABORTED, "node-1 is busy with another power transaction")
    terminal.type(b"\x1dsy")
    terminal.expect(rb"racklet: node-1 is busy with another power transaction\r\n")


def test_read_only_types_nothing_but_the_escape_key_works(rack: MemoryRack, on_terminal: OnTerminal) -> None:
    terminal = on_terminal("console", "node-1", "--read-only")
    terminal.expect(rb"console of node-1, read only")
    rack.wait_until(lambda: bool(rack.requests))
    terminal.type(b"rm -rf /\r\x1dt")
    terminal.expect(rb"--read-only types nothing; start without it to take over")
    terminal.type(b"\x1dq")
    assert terminal.wait() == 0
    [first] = rack.requests
    assert isinstance(first, rack_pb2.AttachConsoleRequest)
    assert (first.name, first.read_only) == ("nodes/node-1", True)
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
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 128 + signal.SIGTERM


def test_json_lines_hold_bytes_text_losses_and_notices(rack: MemoryRack, start: Start) -> None:
    process = start("console", "node-1", "--json", "--read-only")
    assert process.stdout
    rack.say(data="é".encode()[:1], lost_bytes=3)
    rack.say(data="é".encode()[1:], notice="hello")
    first, *lines = [json.loads(process.stdout.readline()) for _ in range(3)]
    assert first["seats"][0]["is_you"]
    assert [{key: line[key] for key in ("text", "data", "lost_bytes", "notice")} for line in lines] == [
        {"text": "", "data": "ww==", "lost_bytes": "3", "notice": ""},
        {"text": "é", "data": "qQ==", "lost_bytes": "0", "notice": "hello"},
    ]
