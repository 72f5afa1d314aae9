"""What `racklet doctor` finds on computers that are laid out for it."""

from __future__ import annotations

import os
import pty
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from racklet_hostd.checkup.clock import check_clock
from racklet_hostd.checkup.finding import Finding, Verdict
from racklet_hostd.checkup.folders import check_state
from racklet_hostd.checkup.ports import check_open_files, check_ports, check_udev
from racklet_hostd.checkup.service import check_service
from racklet_hostd.checkup.system import System
from racklet_hostd.config import NodeConfig, RackletConfig, StateConfig

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NOW_S = 1_795_000_000.0  # 2026-11-18


@dataclass(frozen=True)
class Computer(System):
    """A computer in a folder, whose commands answer as they are told to."""

    answers: dict[str, str] = field(default_factory=dict)
    now_s: float = NOW_S

    def ask(self, *command: str) -> str | None:
        return self.answers.get(command[0])

    def unix_s(self) -> float:
        return self.now_s


@pytest.fixture
def port() -> Iterator[Path]:
    ours, theirs = pty.openpty()
    yield Path(os.ttyname(theirs))
    os.close(ours)
    os.close(theirs)


def _config(*ports: Path, state: Path | None = None) -> RackletConfig:
    nodes = tuple(NodeConfig(name=f"node-{number}", port=path) for number, path in enumerate(ports, 1))
    folder = {"state": StateConfig(folder=state)} if state else {}
    return RackletConfig.model_validate({"node": nodes, **folder})


def _only(findings: Iterable[Finding], verdict: Verdict) -> str:
    (finding,) = [finding for finding in findings if finding.verdict is verdict]
    assert finding.advice
    return finding.what


def _process(computer: Computer, pid: int, name: str, *, holds: Path | None = None) -> None:
    folder = computer.path("/proc") / str(pid)
    (folder / "fd").mkdir(parents=True)
    (folder / "comm").write_text(f"{name}\n")
    if holds:
        (folder / "fd" / "3").symlink_to(holds)


def test_a_port_that_is_not_there_is_named_with_its_node() -> None:
    found = check_ports(_config(Path("/dev/serial/by-path/none")), System())
    assert _only(found, Verdict.PROBLEM) == "node-1: there is no /dev/serial/by-path/none"


def test_a_file_is_no_port(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = check_ports(_config(tmp_path / "file"), System())
    assert _only(found, Verdict.PROBLEM) == f"node-1: {tmp_path}/file is not a serial port"


def test_a_port_that_can_be_used_is_good(port: Path) -> None:
    assert [finding.verdict for finding in check_ports(_config(port), System())] == [Verdict.GOOD]


def test_who_else_holds_a_port_is_named(port: Path, tmp_path: Path) -> None:
    computer = Computer(tmp_path)
    (tmp_path / "tty").symlink_to(port)
    _process(computer, 77, "minicom", holds=port)
    found = check_ports(_config(Path("/tty")), computer)
    assert _only(found, Verdict.PROBLEM) == "node-1: /tty is in use by minicom (77)"


def test_a_modem_manager_that_was_not_told_to_leave_the_ports_alone_is_warned_of(port: Path, tmp_path: Path) -> None:
    computer = Computer(tmp_path, {"udevadm": "ID_BUS=usb"})
    (tmp_path / "tty").symlink_to(port)
    _process(computer, 77, "ModemManager")
    assert "ModemManager" in _only(check_ports(_config(Path("/tty")), computer), Verdict.WARNING)


def test_a_modem_manager_that_ignores_the_ports_does_no_harm(port: Path, tmp_path: Path) -> None:
    computer = Computer(tmp_path, {"udevadm": "ID_BUS=usb\nID_MM_DEVICE_IGNORE=1"})
    (tmp_path / "tty").symlink_to(port)
    _process(computer, 77, "ModemManager")
    assert [finding.verdict for finding in check_ports(_config(Path("/tty")), computer)] == [Verdict.GOOD]


def test_ports_that_only_a_pattern_names_are_looked_at(port: Path, tmp_path: Path) -> None:
    computer = Computer(tmp_path)
    (tmp_path / "dev/racklet").mkdir(parents=True)
    (tmp_path / "dev/racklet/slot-1").symlink_to(port)
    (computer.path("/proc")).mkdir()
    assert [finding.what for finding in check_ports(RackletConfig(), computer)] == ["1 of 1 can be used"]


def test_a_rack_without_any_port_is_warned_of(tmp_path: Path) -> None:
    computer = Computer(tmp_path)
    (computer.path("/proc")).mkdir()
    assert "no node names one" in _only(check_ports(RackletConfig(), computer), Verdict.WARNING)


def test_udev_rules_that_are_missing_are_warned_of(tmp_path: Path) -> None:
    assert "60-racklet.rules" in _only(check_udev(RackletConfig(), Computer(tmp_path)), Verdict.WARNING)


def test_udev_rules_of_the_administrator_count(tmp_path: Path) -> None:
    rules = tmp_path / "etc/udev/rules.d"
    rules.mkdir(parents=True)
    (rules / "60-racklet.rules").touch()
    assert [finding.verdict for finding in check_udev(RackletConfig(), Computer(tmp_path))] == [Verdict.GOOD]


def test_too_few_open_files_are_a_problem() -> None:
    assert "600 files" in _only(check_open_files(_config(*map(Path, map(str, range(100)))), 600), Verdict.PROBLEM)


@pytest.mark.parametrize("limit", [-1, 4096])
def test_enough_open_files_are_not_worth_a_word(limit: int) -> None:
    assert not list(check_open_files(_config(Path("/dev/ttyACM0")), limit))


def test_a_state_folder_that_others_may_read_is_warned_of(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o755)
    mounts = tmp_path / "mounts"
    mounts.write_text("/dev/mmcblk0p2 / ext4 rw 0 0\n")
    found = [*check_state(_config(state=folder), mounts)]
    assert f"others may look into {folder}" in [finding.what for finding in found]


@pytest.mark.parametrize(("kind", "verdict"), [("tmpfs", Verdict.PROBLEM), ("nfs4", Verdict.WARNING)])
def test_a_state_folder_that_is_no_local_disk_is_told(tmp_path: Path, kind: str, verdict: Verdict) -> None:
    folder = tmp_path / "a state"
    folder.mkdir(mode=0o700)
    mounts = tmp_path / "mounts"
    place = str(tmp_path / "a\\040state")
    mounts.write_text(f"/dev/mmcblk0p2 / ext4 rw 0 0\nthere {place} {kind} rw 0 0\n")
    assert any(
        kind in finding.what for finding in check_state(_config(state=folder), mounts) if finding.verdict is verdict
    )


def test_a_clock_that_was_never_set_is_a_problem() -> None:
    assert "1970" in _only(check_clock(Computer(now_s=60.0)), Verdict.PROBLEM)


def test_a_clock_that_nothing_sets_is_warned_of() -> None:
    assert "nothing sets it" in _only(check_clock(Computer(answers={"timedatectl": "no"})), Verdict.WARNING)


@pytest.mark.parametrize(
    ("answer", "verdicts"),
    [
        ("LoadState=loaded\nActiveState=active\nUnitFileState=enabled\nResult=success", [Verdict.GOOD]),
        ("LoadState=loaded\nActiveState=failed\nUnitFileState=enabled\nResult=exit-code", [Verdict.PROBLEM]),
        (
            "LoadState=loaded\nActiveState=active\nUnitFileState=disabled\nResult=success",
            [Verdict.WARNING, Verdict.GOOD],
        ),
        ("LoadState=not-found\nActiveState=inactive\nUnitFileState=\nResult=success", [Verdict.UNKNOWN]),
    ],
)
def test_the_service_is_as_systemd_says(answer: str, verdicts: list[Verdict]) -> None:
    assert [finding.verdict for finding in check_service(Computer(answers={"systemctl": answer}))] == verdicts
