"""The selector's table: which slot runs, by what the state says and what verifies, and what is done when none does."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from racklet_boot import selector, slots
from tests.firmware.updates import NEW, OLD, bundle_of, confirmed, start_of, update


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A HAT with the old firmware confirmed in slot a."""
    return confirmed(tmp_path, OLD)


def runs(root: Path) -> tuple[str, bool] | None:
    """Return the slot that runs, and whether on probation; None when none does."""
    start = selector.choose(str(root))
    return None if start is None else (start.slot, start.on_probation)


def damage(root: Path, slot: str) -> None:
    file = root / "slots" / slot / "racklet_hat" / "app.mpy"
    file.write_bytes(file.read_bytes()[:-1] + b"?")


def keep(root: Path) -> None:
    """Confirm what is tried."""
    start = start_of(root)
    start.slots.confirm(start.slot, start.manifest)


def test_a_trial_runs_once_and_is_left_unless_it_is_confirmed(root: Path) -> None:
    update(start_of(root), NEW)
    assert runs(root) == ("b", True)
    assert runs(root) == ("a", False)
    assert start_of(root).fell_back


def test_a_trial_that_does_not_verify_is_left_at_once(root: Path) -> None:
    update(start_of(root), NEW)
    damage(root, "b")
    assert runs(root) == ("a", False)


def test_a_trial_that_cannot_be_marked_is_none(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    update(start_of(root), NEW)

    def full(_path: str, _content: bytes) -> None:
        raise OSError(28)

    monkeypatch.setattr(slots, "replace_file", full)
    assert runs(root) == ("a", False)


def test_when_the_active_slot_is_damaged_the_other_runs(root: Path) -> None:
    update(start_of(root), bundle_of("2", 1))
    keep(root)
    assert runs(root) == ("b", False)
    damage(root, "b")
    assert runs(root) == ("a", False)


def test_a_slot_below_the_floor_does_not_run_instead(root: Path) -> None:
    update(start_of(root), NEW)
    keep(root)
    damage(root, "b")
    assert runs(root) is None


@pytest.mark.parametrize(("damaged", "slot"), [("", "b"), ("b", "a"), ("a", "b")])
def test_without_a_state_what_verifies_runs_and_the_higher_security_version_first(
    root: Path, damaged: str, slot: str
) -> None:
    update(start_of(root), NEW)
    (root / "slots" / "state").unlink()
    if damaged:
        damage(root, damaged)
    assert runs(root) == (slot, False)


def test_of_two_as_new_the_first_runs(root: Path) -> None:
    update(start_of(root), bundle_of("2", 1))
    (root / "slots" / "state").unlink()
    assert runs(root) == ("a", False)


class Watchdog:
    """`machine`, as far as the selector wants it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.timeouts: list[int] = []
        self.resets = 0
        module = ModuleType("machine")
        module.WDT = self._start  # type: ignore[attr-defined]
        module.reset = self._reset  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "machine", module)

    def _start(self, timeout: int) -> None:
        self.timeouts.append(timeout)

    def _reset(self) -> None:
        self.resets += 1


class Firmware:
    """`racklet_hat.app`, of which the selector wants `main`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.starts: list[selector.Start] = []
        self.path: list[str] = []
        self.fails = False
        app = ModuleType("racklet_hat.app")
        app.main = self._main  # type: ignore[attr-defined]
        package = ModuleType("racklet_hat")
        package.app = app  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "racklet_hat", package)
        monkeypatch.setitem(sys.modules, "racklet_hat.app", app)
        monkeypatch.setattr(sys, "path", list(sys.path))

    def _main(self, start: selector.Start) -> None:
        self.starts.append(start)
        self.path = list(sys.path)
        if self.fails:
            raise RuntimeError("it does not come up")


@pytest.fixture
def watchdog(monkeypatch: pytest.MonkeyPatch) -> Watchdog:
    return Watchdog(monkeypatch)


@pytest.fixture
def firmware(monkeypatch: pytest.MonkeyPatch) -> Firmware:
    return Firmware(monkeypatch)


def test_what_is_confirmed_is_run_from_its_slot_and_nothing_else_can_be_imported(
    root: Path, watchdog: Watchdog, firmware: Firmware
) -> None:
    selector.main(str(root))
    assert firmware.path == [f"{root}/slots/a", ".frozen"]
    assert (firmware.starts[0].slot, watchdog.timeouts) == ("a", [])


def test_a_trial_runs_under_the_watchdog(root: Path, watchdog: Watchdog, firmware: Firmware) -> None:
    update(start_of(root), NEW)
    selector.main(str(root))
    assert firmware.path == [f"{root}/slots/b", ".frozen"]
    assert (firmware.starts[0].on_probation, watchdog.timeouts, watchdog.resets) == (True, [8_000], 0)


def test_a_trial_that_fails_resets_the_hat(
    root: Path, watchdog: Watchdog, firmware: Firmware, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Exception] = []
    monkeypatch.setattr(sys, "print_exception", told.append, raising=False)
    update(start_of(root), NEW)
    firmware.fails = True
    selector.main(str(root))
    assert (watchdog.resets, str(told[0])) == (1, "it does not come up")


def test_without_firmware_that_verifies_a_person_is_told_and_nothing_runs(
    root: Path, firmware: Firmware, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(root, "a")
    selector.main(str(root))
    assert firmware.starts == []
    assert "just flash" in capsys.readouterr().out
