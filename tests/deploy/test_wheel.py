"""The wheel: what is in it is enough for both commands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

UV = ROOT / ".cache/uv/bin/uv"


def _run(command: Sequence[object], **environment: str) -> str:
    words = [str(word) for word in command]
    return subprocess.run(words, cwd="/", env=environment, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel installs, and nothing of this checkout."""
    if not UV.exists():
        pytest.skip("there is no uv: the project was not set up by tools/setup")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    target = folder / "target"
    options = ("--quiet", "--no-deps", "--offline", "--python", sys.executable, "--target", target)
    _run([UV, "pip", "install", *options, *folder.glob("*.whl")], HOME=str(folder))
    return target


@pytest.mark.parametrize("command", ["racklet", "racklet-hostd"])
def test_both_commands_start(installed: Path, command: str) -> None:
    said = _run([installed / "bin" / command, "--version"], PYTHONPATH=str(installed))
    assert said.startswith(f"{command} ")


def test_the_daemon_runs_from_the_wheel_alone(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "racklet.toml").touch()
    program = "import racklet_hostd.daemon as daemon; print(daemon.__file__)"
    said = _run([sys.executable, "-c", program], PYTHONPATH=str(installed))
    assert said.strip() == str(installed / "racklet_hostd" / "daemon.py")


def test_data_files_come_along(installed: Path) -> None:
    assert (installed / "racklet_hostd/doctor/signatures.toml").is_file()
    assert (installed / "racklet_client/py.typed").is_file()
