"""Which boot `racklet logs` shows, with which times, and with or without escape sequences."""

import pytest

from racklet_hostd.cli.log_lines import stamp
from tests.cli.conftest import OnTerminal, Run, Start
from tests.cli.memory_rack import START_S, MemoryRack

RED = b"\x1b[31mred\x1b[0m"


def at(offset: int) -> bytes:
    """Return what stands before a line whose first byte is in the piece at `offset`."""
    return stamp((START_S + offset) * 1_000).encode()


@pytest.fixture(autouse=True)
def node(rack: MemoryRack) -> None:
    rack.add_node("node-1")
    for number in (3, 4, 7):
        rack.add_boot("node-1", number)
        rack.add_log("node-1", number, b"boot %d\r\n" % number)


@pytest.mark.parametrize(("boot", "number"), [("0", 7), ("-1", 4), ("-2", 3), ("4", 4)])
def test_boots_are_counted_back_from_the_newest(run: Run, boot: str, number: int) -> None:
    assert run("logs", "node-1", "--boot", boot).stdout_bytes == b"boot %d\r\n" % number


def test_a_boot_before_the_oldest_is_not_found(run: Run) -> None:
    result = run("logs", "node-1", "--boot", "-3", code=4)
    assert result.stderr == "racklet: node-1: 3 boots are kept, so there is none 3 before the newest\n"


def test_a_boot_far_before_the_oldest_is_not_found(run: Run) -> None:
    run("logs", "node-1", "--boot", "-99999999999999", code=4)


def test_a_node_that_is_not_there_is_not_found_when_counting_back_either(run: Run) -> None:
    run("logs", "node-9", "--boot", "-1", code=4)


def test_following_boot_0_goes_on_into_the_next_boots(rack: MemoryRack, start: Start) -> None:
    process = start("logs", "node-1", "--boot", "0", "--follow")
    assert process.stdout
    assert process.stdout.read(8) == b"boot 7\r\n"
    rack.add_boot("node-1", 8)
    rack.add_log("node-1", 8, b"next")
    assert process.stdout.read(4) == b"next"


def test_following_a_boot_that_is_over_ends(run: Run) -> None:
    assert run("logs", "node-1", "--boot", "-1", "--follow").stdout_bytes == b"boot 4\r\n"


def test_each_line_in_a_pipe_has_the_time_of_its_first_byte(rack: MemoryRack, run: Run) -> None:
    rack.add_log("node-1", 7, b"half ")
    rack.add_log("node-1", 7, b"a line\n\xffnext")
    expected = at(0) + b"boot 7\r\n" + at(8) + b"half a line\n" + at(13) + b"\xffnext"
    assert run("logs", "node-1", "--timestamps").stdout_bytes == expected


def test_a_gap_breaks_a_line_with_a_time_and_has_one(rack: MemoryRack, run: Run) -> None:
    rack.add_log("node-1", 7, b"half")
    rack.add_gap("node-1", 7, 512, "ring_full")
    rack.add_log("node-1", 7, b"after")
    result = run("logs", "node-1", "-t", "--from", "8")
    assert result.stdout_bytes == at(8) + b"half\n" + at(524) + b"after"
    assert result.stderr_bytes == at(12) + b"--- 512 bytes lost: ring_full ---\n"


def test_a_line_that_is_followed_gets_its_time_at_once(rack: MemoryRack, start: Start) -> None:
    process = start("logs", "node-1", "--follow", "--timestamps", "--from", "8")
    assert process.stdout
    rack.add_log("node-1", 7, b"login: ")
    assert process.stdout.read(len(at(8)) + 7) == at(8) + b"login: "
    rack.add_boot("node-1", 8)
    rack.add_log("node-1", 8, b"next")
    assert process.stdout.read(len(at(0)) + 5) == b"\n" + at(0) + b"next"


def test_times_on_a_terminal_stand_before_text_that_does_no_harm(rack: MemoryRack, on_terminal: OnTerminal) -> None:
    rack.add_log("node-1", 7, b"\n\r\x1b]0;title\x07half")
    rack.add_gap("node-1", 7, 5, "ring_full")
    rack.add_log("node-1", 7, b"after")
    terminal = on_terminal("logs", "node-1", "--timestamps", "--from", "8")
    assert terminal.wait() == 0
    assert terminal.output.split(b"\r\n") == [
        at(8),
        at(8) + b"\\x1b]0;title\\x07half",
        at(24) + b"--- 5 bytes lost: ring_full ---",
        at(29) + b"after",
        b"",
    ]


def test_stripped_bytes_are_the_others_exactly(rack: MemoryRack, run: Run) -> None:
    rack.add_log("node-1", 7, RED + b"\xff\r\x00\x1b[3")
    rack.add_log("node-1", 7, b"2mgreen\x1b]0;x")
    rack.add_gap("node-1", 7, 1, "ring_full")
    rack.add_log("node-1", 7, b"after")
    result = run("logs", "node-1", "--ansi", "strip", "--from", "8")
    assert result.stdout_bytes == b"red\xff\r\x00greenafter"


def test_kept_is_as_without_the_option(rack: MemoryRack, run: Run) -> None:
    rack.add_log("node-1", 7, RED)
    assert run("logs", "node-1", "--ansi", "keep", "--from", "8").stdout_bytes == RED


def test_a_terminal_may_be_spared_colours(rack: MemoryRack, on_terminal: OnTerminal) -> None:
    rack.add_log("node-1", 7, RED + b"\x1b]0;title\x07\x08\n")
    terminal = on_terminal("logs", "node-1", "--ansi", "strip", "--from", "8")
    assert terminal.wait() == 0
    assert terminal.output == b"red\\x08\r\n"


def test_times_and_stripping_go_together(rack: MemoryRack, run: Run) -> None:
    rack.add_log("node-1", 7, b"\x1b]0;not ended\n" + RED)
    expected = at(8) + b"\n" + at(8) + b"red"
    assert run("logs", "node-1", "-t", "--ansi", "strip", "--from", "8").stdout_bytes == expected


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--ignore-case",), "--ignore-case: it goes with --grep"),
        (("--all-boots",), "--all-boots: it goes with --grep"),
        (("--force",), "--force: it goes with --export"),
        (("--raw", "--ansi", "strip"), "--raw: raw bytes are not stripped"),
        (("--grep", "x", "--all-boots", "--boot", "-1"), "--all-boots: it reads every boot"),
        (("--grep", "x", "--all-boots", "--from", "5"), "--all-boots: it reads every boot"),
        (("--grep", "x", "--all-boots", "--follow"), "--all-boots: it ends with the oldest boot"),
        (("--grep", "("), "--grep: '(' is no regular expression: missing ), unterminated subpattern"),
        (("--export", "-", "--follow"), "--export: it writes what there is now"),
        (("--export", "-", "--grep", "x"), "--export: it writes a whole log"),
        (("--export", "-", "--timestamps"), "--export: it writes the bytes exactly as sent"),
        (("--export", "-", "--ansi", "strip"), "--export: it writes the bytes exactly as sent"),
        (("--export", "-", "--raw"), "--export: it writes the bytes exactly as sent"),
        (("--export", "-", "--json"), "--export: it writes bytes, not JSON"),
        (("--json", "--timestamps"), "--timestamps: with --json every object has its receive_time"),
        (("--json", "--ansi", "strip"), "--ansi: with --json the data are the exact bytes"),
        (("--ansi", "paint"), "'--ansi'"),
    ],
)
def test_options_that_make_no_sense_together_are_wrong_usage(
    rack: MemoryRack, run: Run, arguments: tuple[str, ...], sentence: str
) -> None:
    assert sentence in run("logs", "node-1", *arguments, code=2).stderr
    assert not rack.requests


def test_damage_is_marked_where_lines_have_times(rack: MemoryRack, run: Run) -> None:
    rack.add_log("node-1", 7, b"ha")
    rack.add_line_errors("node-1", 7, framing_errors=2, breaks=1)
    rack.add_log("node-1", 7, b"\xff\xfelf\r\n")
    result = run("logs", "node-1", "--timestamps", "--from", "8")
    assert result.stdout_bytes == at(8) + b"ha<2 framing errors, 1 break>\xff\xfelf\r\n"
    assert run("logs", "node-1", "--from", "8").stdout_bytes == b"ha\xff\xfelf\r\n"
    assert run("logs", "node-1", "--json", "--from", "8").stdout.count("line_errors") == 1
    assert run("logs", "node-1", "--grep", "ha", "--from", "8").stdout_bytes == b"7:8:ha\xff\xfelf\n"


def test_a_terminal_shows_the_mark_within_the_line(rack: MemoryRack, on_terminal: OnTerminal) -> None:
    rack.add_log("node-1", 7, b"\r\n")
    rack.add_line_errors("node-1", 7, parity_errors=1)
    rack.add_log("node-1", 7, b"x\n")
    terminal = on_terminal("logs", "node-1", "-t", "--from", "8")
    assert terminal.wait() == 0
    assert terminal.output.splitlines()[-1] == at(10) + b"<1 parity error>x"
