"""Boot logs to terminals, pipes and JSON, and followed over a restart."""

import base64
import json
import subprocess
from pathlib import Path

import pytest

from racklet.v1 import rack_pb2
from tests.cli.conftest import COMMAND, OnTerminal, Run, Start
from tests.cli.memory_rack import MemoryRack
from tests.cli.rack_server import RackServer

WILD = bytes(range(256)) + b"\x1b]0;title\x07\x1b[2J" + "grüße".encode() * 40


@pytest.fixture(autouse=True)
def node(rack: MemoryRack) -> None:
    rack.add_node("node-1")
    rack.add_boot("node-1", 1)
    rack.add_log("node-1", 1, b"the first boot\r\n")
    rack.add_boot("node-1", 2)


def test_a_pipe_gets_every_byte_and_stderr_the_gaps(rack: MemoryRack, run: Run) -> None:
    rack.add_log("node-1", 2, WILD)
    rack.add_gap("node-1", 2, 512, "ring_full")
    rack.add_log("node-1", 2, b"after")
    result = run("logs", "node-1")
    assert result.stdout_bytes == WILD + b"after"
    assert result.stderr == "--- 512 bytes lost: ring_full ---\n"


def test_a_pipe_is_a_pipe_whatever_the_environment_says_of_colours(
    rack: MemoryRack, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    rack.add_log("node-1", 2, WILD)
    assert run("logs", "node-1").stdout_bytes == WILD


def test_a_boot_and_an_offset_may_be_chosen(rack: MemoryRack, run: Run) -> None:
    rack.add_log("node-1", 2, b"the second boot")
    assert run("logs", "node-1", "--boot", "1", "--from", "4").stdout_bytes == b"first boot\r\n"


def test_an_offset_beyond_the_end_is_refused(run: Run) -> None:
    assert run("logs", "node-1", "--from", "1", code=1).stderr == "racklet: node-1: the log ends at 0\n"


def test_a_boot_that_is_not_kept_is_not_found(run: Run) -> None:
    assert run("logs", "node-1", "--boot", "9", code=4).stderr == "racklet: node-1: there is no boot 9\n"


def test_json_pieces_hold_the_exact_bytes_and_their_text(rack: MemoryRack, run: Run) -> None:
    rack.add_log("node-1", 2, WILD)
    rack.add_gap("node-1", 2, 512, "ring_full")
    *pieces, gap = [json.loads(line) for line in run("logs", "node-1", "--json").stdout.splitlines()]
    assert b"".join(base64.b64decode(piece["data"]) for piece in pieces) == WILD
    assert "".join(piece["text"] for piece in pieces) == WILD.decode("utf-8", "replace")
    assert [int(piece["offset"]) for piece in pieces] == list(range(0, len(WILD), 64))
    assert gap["gap"] == {"lost_bytes": "512", "reason": "ring_full"}
    assert gap["boot"] == "nodes/node-1/boots/2"


def test_a_terminal_gets_text_that_does_no_harm_and_gaps_in_their_place(
    rack: MemoryRack, on_terminal: OnTerminal
) -> None:
    rack.add_log("node-1", 2, b"\x1b]0;title\x07half a li")
    rack.add_gap("node-1", 2, 512, "ring_full")
    rack.add_log("node-1", 2, b"after")
    terminal = on_terminal("logs", "node-1")
    assert terminal.wait() == 0
    assert terminal.output == b"\\x1b]0;title\\x07half a li\r\n--- 512 bytes lost: ring_full ---\r\nafter\r\n"


def test_raw_is_raw_also_on_a_terminal(rack: MemoryRack, on_terminal: OnTerminal) -> None:
    rack.add_log("node-1", 2, b"\x1b]0;title\x07")
    terminal = on_terminal("logs", "node-1", "--raw")
    assert terminal.wait() == 0
    assert terminal.output == b"\x1b]0;title\x07"


def test_following_goes_on_into_the_next_boots(rack: MemoryRack, start: Start) -> None:
    process = start("logs", "node-1", "--follow")
    assert process.stdout
    rack.add_log("node-1", 2, b"two")
    assert process.stdout.read(3) == b"two"
    rack.add_boot("node-1", 3)
    rack.add_log("node-1", 3, b"three")
    assert process.stdout.read(5) == b"three"
    process.terminate()
    assert process.wait(20) == 128 + 15
    assert process.stderr
    assert process.stderr.read() == b"--- boot 3 ---\n"


def test_following_a_chosen_boot_ends_with_it(rack: MemoryRack, run: Run) -> None:
    assert run("logs", "node-1", "--boot", "1", "--follow").stdout_bytes == b"the first boot\r\n"
    assert not rack.requests[-1].following_boots  # type: ignore[attr-defined]


def test_following_resumes_from_its_offset_after_hostd_restarted(
    server: RackServer, rack: MemoryRack, start: Start
) -> None:
    process = start("logs", "node-1", "--follow")
    assert process.stdout
    assert process.stderr
    rack.add_log("node-1", 2, b"before ")
    assert process.stdout.read(7) == b"before "
    server.stop()
    assert process.stderr.readline() == b"racklet: hostd went away; waiting for it\n"
    rack.add_log("node-1", 2, b"meanwhile ")
    rack.add_gap("node-1", 2, 7, "ring_full")
    server.start()
    rack.add_log("node-1", 2, b"after")
    assert process.stdout.read(15) == b"meanwhile after"
    assert process.stderr.readline() == b"racklet: hostd is back\n"
    last = rack.requests[-1]
    assert isinstance(last, rack_pb2.ReadBootLogRequest)
    assert (last.name, last.offset) == ("nodes/node-1/boots/2", 7)


def test_following_outlasts_a_hostd_that_says_itself_that_it_is_going(rack: MemoryRack, start: Start) -> None:
    process = start("logs", "node-1", "--follow")
    assert process.stdout
    assert process.stderr
    rack.add_log("node-1", 2, b"before ")
    assert process.stdout.read(7) == b"before "
    rack.leave(is_leaving=True)
    requests = len(rack.requests)
    rack.wait_until(lambda: len(rack.requests) > requests)
    rack.leave(is_leaving=False)
    rack.add_log("node-1", 2, b"after")
    assert process.stdout.read(5) == b"after"


def test_without_follow_a_log_that_breaks_off_is_a_failure(server: RackServer, rack: MemoryRack, start: Start) -> None:
    rack.add_log("node-1", 2, b"x" * 4_000_000)
    process = start("logs", "node-1")
    assert process.stdout
    assert process.stderr
    process.stdout.read(1)
    server.stop()
    process.stdout.read()
    assert process.wait(20) == 3
    assert process.stderr.read() == f"racklet: hostd at {server.address} does not answer any more\n".encode()


@pytest.mark.parametrize("arguments", [("logs", "node-1"), ("logs", "node-1", "-f"), ("logs", "node-1", "--json")])
def test_a_reader_that_leaves_early_is_no_error(rack: MemoryRack, start: Start, arguments: tuple[str, ...]) -> None:
    rack.add_log("node-1", 2, b"line\n" * 100_000)
    process = start(*arguments)
    assert process.stdout
    assert process.stderr
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(20) == 0


def test_a_full_disk_is_told(server: RackServer, rack: MemoryRack) -> None:
    rack.add_log("node-1", 2, b"line\n")
    with Path("/dev/full").open("wb") as full:
        command = [*COMMAND, "--address", server.address, "logs", "node-1"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert done.stderr == b"racklet: cannot write the output: No space left on device\n"


def test_ctrl_c_leaves_a_tidy_terminal(rack: MemoryRack, on_terminal: OnTerminal) -> None:
    rack.add_log("node-1", 2, b"\x1b[31mraspberrypi login: ")
    terminal = on_terminal("logs", "node-1", "-f")
    terminal.expect(rb"login: ")
    terminal.type(b"\x03")
    assert terminal.wait() == 130
    assert terminal.output == b"^C\x1b[0m\r\n"


def test_what_came_since_a_time_goes_on_into_later_boots(rack: MemoryRack, run: Run) -> None:
    rack.add_log("node-1", 2, b"the second")
    done = run("logs", "node-1", "--since", "1970-01-01T00:00:01Z")
    assert done.stdout_bytes == b"the first boot\r\nthe second"
    assert done.stderr_bytes == b"--- boot 2 ---\n"
    request = rack.requests[-1]
    assert isinstance(request, rack_pb2.ReadBootLogRequest)
    assert (request.name, request.start_time.seconds) == ("nodes/node-1/boots/-", 1)
    assert (request.following_boots, request.follow) == (True, False)


def test_what_came_since_a_time_in_a_chosen_boot_ends_with_it(rack: MemoryRack, run: Run) -> None:
    assert run("logs", "node-1", "--boot", "1", "--since", "20000d").stdout_bytes == b"the first boot\r\n"
    request = rack.requests[-1]
    assert isinstance(request, rack_pb2.ReadBootLogRequest)
    assert not request.following_boots


def test_following_since_a_time_resumes_from_its_offset(server: RackServer, rack: MemoryRack, start: Start) -> None:
    process = start("logs", "node-1", "--follow", "--since", "20000d")
    assert process.stdout
    assert process.stdout.read(16) == b"the first boot\r\n"
    rack.add_log("node-1", 2, b"before ")
    assert process.stdout.read(7) == b"before "
    server.stop()
    server.start()
    rack.add_log("node-1", 2, b"after")
    assert process.stdout.read(5) == b"after"
    request = rack.requests[-1]
    assert isinstance(request, rack_pb2.ReadBootLogRequest)
    assert (request.name, request.offset, request.HasField("start_time")) == ("nodes/node-1/boots/2", 7, False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--since", "yesterday"), "is no time: give 90s, 10m, 2h, 3d"),
        (("--since", "1960-01-01"), "is before 1970"),
        (("--since", "10m", "--from", "5"), "leave out one"),
        (("--since", "10m", "--grep", "x", "--all-boots"), "leave out --boot, --from and --since"),
        (("--since", "10m", "--export", "file"), "leave out --since"),
    ],
)
def test_a_time_that_makes_no_sense_is_wrong_usage(run: Run, arguments: tuple[str, ...], said: str) -> None:
    assert said in " ".join(run("logs", "node-1", *arguments, code=2).stderr.split())
