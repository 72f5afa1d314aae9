"""A boot as a plain file."""

from pathlib import Path

import pytest

from tests.cli.conftest import OnTerminal, Run, Start
from tests.cli.memory_rack import MemoryRack
from tests.cli.rack_server import RackServer

WILD = bytes(range(256)) * 3


@pytest.fixture(autouse=True)
def node(rack: MemoryRack) -> None:
    rack.add_node("node-1")
    rack.add_boot("node-1", 1)
    rack.add_log("node-1", 1, WILD)
    rack.add_gap("node-1", 1, 512, "ring_full")
    rack.add_log("node-1", 1, b"after")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "exports"
    folder.mkdir()
    return folder


def test_a_file_holds_the_bytes_as_sent_and_stderr_the_gaps(run: Run, folder: Path) -> None:
    result = run("logs", "node-1", "--export", str(folder / "boot.log"))
    assert (folder / "boot.log").read_bytes() == WILD + b"after"
    assert result.stdout == ""
    assert result.stderr == "--- 512 bytes lost: ring_full ---\n"
    assert [path.name for path in folder.iterdir()] == ["boot.log"]


def test_a_new_file_has_the_permissions_of_any_new_file(run: Run, folder: Path) -> None:
    (folder / "other").touch()
    run("logs", "node-1", "--export", str(folder / "boot.log"))
    assert (folder / "boot.log").stat().st_mode == (folder / "other").stat().st_mode


def test_a_chosen_boot_is_exported(rack: MemoryRack, run: Run, folder: Path) -> None:
    rack.add_boot("node-1", 2)
    run("logs", "node-1", "--boot", "-1", "--export", str(folder / "boot.log"))
    assert (folder / "boot.log").read_bytes() == WILD + b"after"


def test_a_file_is_replaced_only_by_force(run: Run, folder: Path) -> None:
    path = folder / "boot.log"
    path.write_bytes(b"precious")
    assert run("logs", "node-1", "--export", str(path), code=1).stderr == (
        f"racklet: {path} is there already; --force replaces it\n"
    )
    assert path.read_bytes() == b"precious"
    run("logs", "node-1", "--export", str(path), "--force")
    assert path.read_bytes() == WILD + b"after"


def test_a_link_leads_to_the_file_that_is_replaced(run: Run, folder: Path) -> None:
    (folder / "real").write_bytes(b"old")
    (folder / "link").symlink_to("real")
    run("logs", "node-1", "--export", str(folder / "link"), "--force")
    assert (folder / "link").is_symlink()
    assert (folder / "real").read_bytes() == WILD + b"after"


@pytest.mark.parametrize("name", ["", "/dev/null", "{folder}"])
def test_what_is_no_plain_file_is_never_replaced(run: Run, folder: Path, name: str) -> None:
    result = run("logs", "node-1", "--export", name.format(folder=folder), "--force", code=1)
    assert "no plain file" in result.stderr
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize(
    ("name", "reason"), [("none/boot.log", "No such file or directory"), ("x" * 300, "File name too long")]
)
def test_a_file_that_cannot_be_made_is_told(run: Run, folder: Path, name: str, reason: str) -> None:
    path = folder / name
    assert run("logs", "node-1", "--export", str(path), code=1).stderr.endswith(
        f"racklet: cannot write {path}: {reason}\n"
    )
    assert not list(folder.iterdir())


def test_a_boot_that_is_not_there_leaves_no_file(run: Run, folder: Path) -> None:
    run("logs", "node-1", "--boot", "9", "--export", str(folder / "boot.log"), code=4)
    assert not list(folder.iterdir())


def test_a_log_that_breaks_off_leaves_no_file(server: RackServer, rack: MemoryRack, start: Start, folder: Path) -> None:
    rack.add_log("node-1", 1, b"x" * 6_000_000)
    process = start("logs", "node-1", "--export", str(folder / "boot.log"))
    assert process.stderr
    assert process.stderr.readline() == b"--- 512 bytes lost: ring_full ---\n"
    server.stop()
    assert process.wait(20) == 3
    assert not list(folder.iterdir())


def test_a_dash_is_stdout(run: Run) -> None:
    assert run("logs", "node-1", "--export", "-").stdout_bytes == WILD + b"after"


def test_a_dash_is_stdout_also_on_a_terminal(rack: MemoryRack, on_terminal: OnTerminal) -> None:
    rack.add_boot("node-1", 2)
    rack.add_log("node-1", 2, b"\x1b]0;title\x07")
    terminal = on_terminal("logs", "node-1", "--export", "-")
    assert terminal.wait() == 0
    assert terminal.output == b"\x1b]0;title\x07"
