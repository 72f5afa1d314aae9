"""What goes wrong is one sentence and an exit code."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from racklet.v1 import rack_pb2
from racklet_client.address import Address
from racklet_client.default_socket import default_socket
from tests.cli.conftest import Run, Start
from tests.cli.memory_rack import MemoryRack
from tests.cli.rack_server import RackServer


def test_no_hostd_says_what_was_tried_and_what_to_do(run: Run, tmp_path: Path) -> None:
    result = run("--address", f"unix:{tmp_path}/none.sock", "nodes", code=3)
    assert result.stdout == ""
    assert result.stderr == (
        f"racklet: cannot reach hostd at unix:{tmp_path}/none.sock: there is no such socket. "
        "Start it with `racklet-hostd`, or name its address with --address or RACKLET_ADDRESS\n"
    )


@pytest.mark.parametrize(
    "command",
    [
        ("nodes",),
        ("watch",),
        ("info",),
        ("power", "on", "node-1"),
        ("logs", "node-1"),
        ("logs", "node-1", "--follow"),
        ("boots", "node-1"),
        ("console", "node-1"),
        ("events", "--follow"),
        ("identify", "node-1"),
    ],
)
def test_every_command_ends_with_3_without_hostd(run: Run, command: tuple[str, ...], tmp_path: Path) -> None:
    run(*command, "--address", f"unix:{tmp_path}/none.sock", code=3)


def test_the_default_tells_of_both_places(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("RACKLET_ADDRESS", raising=False)
    assert str(tmp_path / "racklet" / "racklet.sock") in Address.default().explain()
    monkeypatch.setattr("racklet_client.address._LOOPBACK", "127.0.0.1:1")
    assert f"there is no socket {tmp_path}/racklet/racklet.sock" in run("nodes", code=3).stderr


def test_the_default_is_the_socket_when_there_is_one(
    server: RackServer, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("RACKLET_ADDRESS")
    default_socket().parent.mkdir()
    default_socket().symlink_to(server.address.removeprefix("unix:"))
    run("info")


def test_the_address_of_the_command_wins_over_the_general_one_and_that_over_the_variable(
    server: RackServer, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = f"unix:{tmp_path}/none.sock"
    run("--address", none, "info", "--address", server.address)
    monkeypatch.setenv("RACKLET_ADDRESS", none)
    run("info", code=3)
    run("--address", server.address, "info")


@pytest.mark.parametrize("address", ["", "unix:", "rack", "rack:0", "rack:65536", "http://rack:80", "a b:1"])
def test_what_is_no_address_is_wrong_usage(run: Run, address: str) -> None:
    assert "unix:PATH or HOST:PORT" in run("info", "--address", address or " ", code=2).stderr


@pytest.mark.parametrize("address", ["unix:/run/x", "unix:///run/x", "rack.local:1", "127.0.0.1:50551", "[::1]:50551"])
def test_addresses(address: str) -> None:
    assert Address.parse(address).target == address


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (grpc.StatusCode.NOT_FOUND, 4),
        (grpc.StatusCode.UNAVAILABLE, 1),
        (grpc.StatusCode.ABORTED, 1),
        (grpc.StatusCode.FAILED_PRECONDITION, 1),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 1),
        (grpc.StatusCode.INVALID_ARGUMENT, 1),
        (grpc.StatusCode.CANCELLED, 1),
        (grpc.StatusCode.INTERNAL, 1),
    ],
)
@pytest.mark.parametrize("command", [("identify",), ("power", "on"), ("logs",), ("logs", "-f"), ("watch",)])
def test_a_refusal_is_one_sentence(
    rack: MemoryRack, run: Run, command: tuple[str, ...], status: grpc.StatusCode, code: int
) -> None:
    rack.add_node("node-3")
    rack.refusals["node-3"] = (status, "HAT is offline: the port is not there")
    result = run(*command, "node-3", code=code)
    assert result.stderr == "racklet: node-3: HAT is offline: the port is not there\n"


def test_another_service_at_the_address_is_no_hostd(run: Run, tmp_path: Path) -> None:
    server = grpc.server(ThreadPoolExecutor(max_workers=1))
    server.add_insecure_port(f"unix:{tmp_path}/other.sock")
    server.start()
    result = run("nodes", "--address", f"unix:{tmp_path}/other.sock", code=1)
    server.stop(None).wait()
    assert result.stderr == f"racklet: what answers at unix:{tmp_path}/other.sock does not know this call\n"


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        ("node-3: busy", "node-3: busy"),
        ("the HAT of node-3 is offline", "the HAT of node-3 is offline"),
        ("the HAT of node-30 is offline", "node-3: the HAT of node-30 is offline"),
    ],
)
def test_a_node_is_named_once(rack: MemoryRack, run: Run, reason: str, sentence: str) -> None:
    rack.refusals["node-3"] = (grpc.StatusCode.ABORTED, reason)
    assert run("identify", "node-3", code=1).stderr == f"racklet: {sentence}\n"


def test_a_refusal_cannot_reach_the_terminal_with_escapes(rack: MemoryRack, run: Run) -> None:
    rack.refusals["node-3"] = (grpc.StatusCode.ABORTED, "\x1b]0;x\x07\n")
    assert run("identify", "node-3", code=1).stderr == "racklet: node-3: \\x1b]0;x\\x07\\x0a\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("shelves",),
        ("nodes", "--nonsense"),
        ("logs",),
        ("logs", "a/b"),
        ("logs", "n", "--boot", "x"),
        ("logs", "n", "--from", "-1"),
    ],
)
def test_wrong_usage_ends_with_2(run: Run, arguments: tuple[str, ...]) -> None:
    run(*arguments, code=2)


@pytest.mark.parametrize(
    "options",
    [("--all-boots",), ("--force",), ("--grep", "("), ("--raw", "--ansi", "strip"), ("--export", "f", "--json")],
)
def test_options_of_logs_that_do_not_fit_are_told_before_hostd_is_asked(run: Run, options: tuple[str, ...]) -> None:
    assert options[0] in run("logs", "n", *options, "--address", "unix:/nowhere", code=2).stderr


def test_a_node_that_never_booted_is_told_in_a_sentence(rack: MemoryRack, run: Run) -> None:
    rack.add_node("node-1")
    assert run("logs", "node-1", "--boot", "-1", code=4).stderr == "racklet: node-1: it has no boot yet\n"
    searched = run("logs", "node-1", "--all-boots", "--grep", "x", code=1)
    assert searched.stderr == "racklet: node-1 has no boot yet\n"
    assert run("boots", "node-1").stdout == "node-1 has not booted yet.\n"
    assert run("events", "node-1").stdout == "Nothing is recorded of node-1.\n"
    assert run("events").stdout == "Nothing is recorded.\n"


def test_who_follows_an_offline_hat_is_told_why_nothing_comes(rack: MemoryRack, start: Start) -> None:
    node = rack.add_node("node-1")
    node.hat.state, node.hat.problem = rack_pb2.HAT_STATE_OFFLINE, "it was unplugged"
    rack.add_boot("node-1", 1)
    process = start("logs", "node-1", "--follow")
    assert process.stderr
    assert process.stderr.readline() == b"racklet: node-1: HAT is offline: it was unplugged\n"


def test_the_console_of_no_node_is_not_found(start: Start) -> None:
    process = start("console", "node-9")
    assert process.wait(20) == 4
    assert process.stderr
    assert b"there is no node node-9" in process.stderr.read()


def test_help_tells_the_exit_codes(run: Run) -> None:
    assert "3 hostd cannot be reached" in " ".join(run("--help").stdout.split())


def test_every_command_has_json_and_address(run: Run) -> None:
    commands = ("nodes", "watch", "info", "logs", "boots", "console", "events", "identify")
    for command in [(name,) for name in commands] + [("power", name) for name in ("on", "off", "force-off", "cycle")]:
        output = run(*command, "--help").stdout
        assert "--json" in output
        assert "--address" in output


def test_the_version_is_that_of_the_distribution(run: Run) -> None:
    assert re.fullmatch(r"racklet \d+\.\d+\.\d+\S*\n", run("--version").stdout)
