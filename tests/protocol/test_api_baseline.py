"""The .proto files may grow, and never break who goes by protocol/baseline.binpb. `just check` holds them to it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROTOCOL = Path(__file__).parents[2] / "protocol"
BUF = Path(sys.executable).parent / "buf"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the .proto files, to be changed."""
    for path in ("buf.yaml", "baseline.binpb", "racklet/v1/rack.proto", "racklet/link/v1/link.proto"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROTOCOL / path, tmp_path / path)
    return tmp_path


def test_what_was_added_since_the_baseline_breaks_nobody(copy: Path) -> None:
    add(copy, "message GetRackRequest {}", "message GetRackRequest {\n  string added = 1;\n}")
    assert broken(copy) == ""


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("  string version = 2;\n", ""),
        ("  string version = 2;\n", "  string version = 22;\n"),
        ("  string version = 2;\n", "  int64 version = 2;\n"),
        ("  rpc GetRack(GetRackRequest)", "  rpc GetTheRack(GetRackRequest)"),
        ("  SUPPLY_STATE_STUCK_ON = 6;", "  SUPPLY_STATE_STUCK = 6;"),
    ],
)
def test_what_would_break_a_client_is_refused(copy: Path, was: str, becomes: str) -> None:
    add(copy, was, becomes)
    assert "rack.proto" in broken(copy)


def add(copy: Path, was: str, becomes: str) -> None:
    proto = copy / "racklet/v1/rack.proto"
    text = proto.read_text()
    assert text.count(was) == 1
    proto.write_text(text.replace(was, becomes))


def broken(copy: Path) -> str:
    """Return what buf says; nothing when nothing is broken."""
    command = [BUF, "breaking", "--against", "baseline.binpb"]
    return subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False).stdout
