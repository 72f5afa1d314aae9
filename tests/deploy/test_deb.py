"""The Debian package, installed in a fresh Debian 12 that systemd has booted, and used there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

BUILD_S = 300
BOOT_S = 240
UNIT = """\
[Unit]
SuccessAction=exit
FailureAction=exit
[Service]
Type=oneshot
ExecStart=/usr/bin/python3 /try/inside.py
StandardError=append:/try/log
TimeoutStartSec=200
[Install]
WantedBy=multi-user.target
"""
MICROPYTHON = """\
#!/usr/bin/python3
import sys
sys.path.insert(0, "/try")
from micropython_unix import main
main()
"""

pytestmark = pytest.mark.timeout(BUILD_S + BOOT_S + 60)


def _run(*command: object, timeout: float) -> str:
    done = subprocess.run(
        [str(word) for word in command], cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, f"{command} says:\n{done.stdout}{done.stderr}"
    return done.stdout.strip()


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What was seen in the container, by name."""
    made = subprocess.run([ROOT / "deploy/debian12"], cwd=ROOT, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(made.stderr.strip())
    folder = tmp_path_factory.mktemp("debian")
    root = folder / "root"
    root.mkdir()
    _run("tar", "--extract", "--file", ROOT / made.stdout.strip(), "--directory", root, timeout=60)
    place = root / "try"
    place.mkdir()
    shutil.copy(ROOT / _run(ROOT / "deploy/deb", timeout=BUILD_S), place)
    shutil.copy(Path(__file__).with_name("inside.py"), place)
    for source in ("firmware", "protocol"):
        shutil.copytree(ROOT / source, place / source)
    for pattern in ("micropython_unix.py", "micropython_run.*.so"):
        for library in Path(sysconfig.get_path("purelib")).glob(pattern):
            shutil.copy(library, place)
    (place / "micropython").write_text(MICROPYTHON)
    (place / "micropython").chmod(0o755)
    (root / "etc/systemd/system/try.service").write_text(UNIT)
    (root / "etc/systemd/system/multi-user.target.wants/try.service").symlink_to("/etc/systemd/system/try.service")
    command = ("systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--private-network")
    ended = subprocess.run(
        [*command, f"--directory={root}", "--console=pipe"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=BOOT_S,
        check=False,
    )
    log = (place / "log").read_text() if (place / "log").exists() else ended.stdout.decode(errors="replace")
    assert ended.returncode == 0, f"the last things it did:\n{log[-5000:]}"
    yield {record["saw"]: record["was"] for record in map(json.loads, (place / "seen").read_text().splitlines())}
    shutil.rmtree(root)


def test_the_service_runs_as_soon_as_it_is_installed(seen: dict[str, Any]) -> None:
    assert seen["state after installation"] == "active"
    assert "No nodes yet" in seen["empty rack"]


def test_systemd_finds_nothing_wrong_in_the_unit(seen: dict[str, Any]) -> None:
    assert not seen["unit"]


def test_the_udev_rules_that_name_the_slots_come_along(seen: dict[str, Any]) -> None:
    assert seen["udev rules"]


def test_the_service_reads_the_keys_that_root_made_for_it(seen: dict[str, Any]) -> None:
    code, said = seen["info over TLS"]
    assert code == 0
    assert "127.0.0.1:50551" in said


def test_a_node_is_served_and_its_supply_moves(seen: dict[str, Any]) -> None:
    assert "on" in seen["power"].split()


@pytest.mark.parametrize("what", ["killed", "hung"])
def test_systemd_starts_it_again(seen: dict[str, Any], what: str) -> None:
    assert seen[f"served again after it was {what}"]


def test_the_daemon_has_no_capability_and_a_filter_of_system_calls(seen: dict[str, Any]) -> None:
    assert seen["rights"] == {"CapEff": "0" * 16, "CapBnd": "0" * 16, "NoNewPrivs": "1", "Seccomp": "2"}


def test_members_of_the_group_may_use_the_rack(seen: dict[str, Any]) -> None:
    assert seen["group of the socket's folder"] == "racklet"
    assert seen["member"] == 0


def test_a_member_may_not_change_what_is_the_administrator_s(seen: dict[str, Any]) -> None:
    code, said = seen["member who verifies the audit log"]
    assert code == 1
    assert "admin" in said


def test_others_are_told_how_to_become_a_member(seen: dict[str, Any]) -> None:
    code, said = seen["stranger"]
    assert code == 3
    assert "sudo adduser USER racklet" in said


def test_a_wrong_config_is_told_and_not_tried_again(seen: dict[str, Any]) -> None:
    assert "grpcc" in seen["a wrong config"]


def test_removing_keeps_what_the_administrator_wrote_and_purging_does_not(seen: dict[str, Any]) -> None:
    assert seen["kept after removal"] == ["/etc/racklet/racklet.toml", "/var/lib/private/racklet"]
    assert seen["kept after purging"] == []
