"""Searching boot logs."""

import base64
import json

import pytest

from tests.cli.conftest import OnTerminal, Run, Start
from tests.cli.memory_rack import MemoryRack
from tests.cli.test_log_dressing import at


@pytest.fixture(autouse=True)
def node(rack: MemoryRack) -> None:
    rack.add_node("node-1")
    rack.add_boot("node-1", 1)
    rack.add_log("node-1", 1, b"U-Boot\r\nKernel panic: old\r\n")
    rack.add_boot("node-1", 2)
    rack.add_log("node-1", 2, b"U-Boot\r\nkernel PANIC: new\r\nthe end")


def test_matching_lines_come_with_boot_and_offset(run: Run) -> None:
    assert run("logs", "node-1", "--grep", "PAN.C|end$").stdout_bytes == b"2:8:kernel PANIC: new\n2:27:the end\n"


def test_nothing_that_matches_is_exit_code_1(run: Run) -> None:
    result = run("logs", "node-1", "--grep", "panic", code=1)
    assert result.output == ""


def test_case_may_be_ignored(run: Run) -> None:
    assert run("logs", "node-1", "--boot", "-1", "--grep", "^k.*PANIC", "-i").stdout == "1:8:Kernel panic: old\n"


def test_all_boots_are_searched_newest_first(run: Run) -> None:
    result = run("logs", "node-1", "--grep", "panic|Boot$", "--ignore-case", "--all-boots")
    assert result.stdout == "2:0:U-Boot\n2:8:kernel PANIC: new\n1:0:U-Boot\n1:8:Kernel panic: old\n"


def test_more_boots_than_a_page_are_searched(rack: MemoryRack, run: Run) -> None:
    rack.page_limit = 1
    assert run("logs", "node-1", "--grep", "U-Boot", "--all-boots").stdout == "2:0:U-Boot\n1:0:U-Boot\n"


def test_a_node_that_never_booted_matches_nothing(rack: MemoryRack, run: Run) -> None:
    rack.add_node("node-2")
    run("logs", "node-2", "--grep", "", "--all-boots", code=1)


def test_a_match_may_lie_across_pieces_and_beside_bytes_that_are_no_utf_8(rack: MemoryRack, run: Run) -> None:
    rack.add_log("node-1", 2, b"\n\xff\xfe gr")
    rack.add_log("node-1", 2, "üße \0 world\n".encode() + b"\x80")
    expected = b"2:35:\xff\xfe " + "grüße \0 world\n".encode()
    assert run("logs", "node-1", "--grep", "^.. GRÜSSE|grü.e . w", "-i").stdout_bytes == expected


def test_colours_do_not_hide_a_match_and_stay(rack: MemoryRack, run: Run) -> None:
    rack.add_log("node-1", 2, b"\n[\x1b[32m OK \x1b[0m] Started\n")
    arguments = ("logs", "node-1", "--grep", r"^\[ OK \] S")
    assert run(*arguments).stdout_bytes == b"2:35:[\x1b[32m OK \x1b[0m] Started\n"
    assert run(*arguments, "--ansi", "strip").stdout_bytes == b"2:35:[ OK ] Started\n"


def test_a_terminal_gets_matches_that_do_no_harm(rack: MemoryRack, on_terminal: OnTerminal) -> None:
    rack.add_log("node-1", 2, b"\n\x1b]0;title\x07\x1b[31mPANIC\n")
    terminal = on_terminal("logs", "node-1", "--grep", "^PANIC")
    assert terminal.wait() == 0
    assert terminal.output == b"2:35:\\x1b]0;title\\x07\x1b[31mPANIC\x1b[0m\r\n"


def test_a_gap_ends_a_line_and_is_told(rack: MemoryRack, run: Run) -> None:
    rack.add_gap("node-1", 2, 512, "ring_full")
    rack.add_log("node-1", 2, b"less")
    result = run("logs", "node-1", "--grep", "end$|^less")
    assert result.stdout == "2:27:the end\n2:546:less\n"
    assert result.stderr == "2:34:--- 512 bytes lost: ring_full ---\n"


def test_matches_have_times_when_asked(run: Run) -> None:
    assert run("logs", "node-1", "--grep", "^the", "-t").stdout_bytes == b"2:27:" + at(0) + b"the end\n"


def test_json_matches_hold_the_exact_line(rack: MemoryRack, run: Run) -> None:
    rack.add_log("node-1", 2, b"\n\x1b[1m\xffx\r\n")
    [match] = [json.loads(line) for line in run("logs", "node-1", "--grep", "x$", "--json").stdout.splitlines()]
    assert base64.b64decode(match["data"]) == b"\x1b[1m\xffx\r\n"
    assert (match["boot"], match["offset"], match["text"]) == ("nodes/node-1/boots/2", "35", "\ufffdx")


def test_megabytes_without_a_line_end_are_searched_in_parts(rack: MemoryRack, run: Run) -> None:
    rack.add_log("node-1", 1, b"x" * 1_000_000 + b"needle\n")
    [line] = run("logs", "node-1", "--boot", "1", "--grep", "needle").stdout_bytes.splitlines()
    assert line.startswith(b"1:983067:x")
    assert len(line) < 70_000


def test_following_shows_matches_as_they_come_also_in_the_next_boots(rack: MemoryRack, start: Start) -> None:
    process = start("logs", "node-1", "--grep", "end|panic", "--follow")
    assert process.stdout
    rack.add_log("node-1", 2, b"ing\n")
    assert process.stdout.readline() == b"2:27:the ending\n"
    rack.add_boot("node-1", 3)
    rack.add_log("node-1", 3, b"panic\n")
    assert process.stdout.readline() == b"3:0:panic\n"
    process.terminate()
    assert process.wait(20) == 128 + 15
