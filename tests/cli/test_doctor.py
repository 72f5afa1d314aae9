"""The command `racklet doctor`, as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

RACKLET = Path(sys.executable).with_name("racklet")


def _doctor(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
    command = [RACKLET, "--address", f"unix:{folder}/none.sock", "doctor", *arguments]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False, timeout=30)


def test_what_is_wrong_is_said_with_what_to_do_and_ends_with_1(tmp_path: Path) -> None:
    (tmp_path / "racklet.toml").write_text('[[node]]\nname = "node-1"\nport = "/dev/none"\n')
    done = _doctor(tmp_path)
    assert done.returncode == 1
    assert "node-1: there is no /dev/none" in done.stdout
    assert "→ plug the HAT in, or name its port" in done.stdout


def test_each_mistake_in_the_config_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "racklet.toml").write_text("[racks]\n[grpcs]\n")
    found = [json.loads(line) for line in _doctor(tmp_path, "--json").stdout.splitlines()]
    assert [finding["what"].split(":")[1] for finding in found if finding["area"] == "config"] == ["1", "2"]


def test_a_hostd_that_does_not_answer_is_a_problem(tmp_path: Path) -> None:
    found = [json.loads(line) for line in _doctor(tmp_path, "--json").stdout.splitlines()]
    (hostd,) = [finding for finding in found if finding["area"] == "hostd"]
    assert hostd["verdict"] == "problem"
    assert "there is no such socket" in hostd["what"]
