"""What is kept about the slots, and what keeps one from running: each reason, and each file that is not as signed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from racklet_boot import slots
from racklet_boot.slots import HeadCheck, RefusedError, SlotCheck, Slots
from tests.firmware.updates import NEW, OLD, OTHER_TREE, TREE, bundle_of, confirmed


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A HAT with the old firmware confirmed in slot a."""
    return confirmed(tmp_path, OLD)


def reason_of(check: Callable[[], object]) -> int:
    with pytest.raises(RefusedError) as refused:
        check()
    return refused.value.reason


def checked(root: Path, manifest: bytes, signature: bytes) -> dict[str, Any]:
    """Return a manifest that verifies on this HAT."""
    check = HeadCheck(Slots(str(root)), manifest, signature)
    while not check.step():
        pass
    return check.manifest


def signed(manifest: bytes) -> bytes:
    return TREE.identity + TREE.sign(5, bytes(32), manifest)


def changed(**changes: object) -> bytes:
    """Return the old manifest with some of it changed."""
    return json.dumps(json.loads(OLD.manifest.encode()) | changes).encode()


def test_a_state_is_kept_and_read_again(root: Path) -> None:
    Slots(str(root)).save("b", "a", "b", 7)
    found = Slots(str(root))
    assert (found.active, found.trial, found.tried, found.floor) == ("b", "a", "b", 7)
    assert (found.board, found.keys) == ("hat-a", [TREE.public_key])


@pytest.mark.parametrize(
    "state", ["", "{", "[]", '{"active": 5}', '{"active":"c","trial":"","tried":"","floor":0}', " " * 600]
)
def test_a_state_that_makes_no_sense_is_as_none(root: Path, state: str) -> None:
    (root / "slots" / "state").write_text(state)
    found = Slots(str(root))
    assert (found.active, found.trial, found.tried, found.floor) == ("", "", "", 0)


@pytest.mark.parametrize("file", ["keys", "board"])
def test_without_keys_or_a_board_nothing_is_trusted(root: Path, file: str) -> None:
    (root / "slots" / file).unlink()
    assert Slots(str(root)).keys == []
    assert reason_of(lambda: slots.check(Slots(str(root)), "a")) == slots.NO_SLOTS


def test_a_confirmation_raises_the_floor_and_never_lowers_it(root: Path) -> None:
    found = Slots(str(root))
    found.confirm("a", {"security_version": 5})
    found.confirm("a", {"security_version": 3})
    assert Slots(str(root)).floor == 5


def test_a_confirmation_brings_the_keys_of_its_manifest(root: Path) -> None:
    Slots(str(root)).confirm("a", {"security_version": 1, "keys": [OTHER_TREE.public_key.hex()]})
    assert Slots(str(root)).keys == [OTHER_TREE.public_key]


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        (b"no JSON", slots.MANIFEST),
        (b"{}", slots.MANIFEST),
        (b"[]", slots.MANIFEST),
        (changed(format=2), slots.MANIFEST),
        (changed(boot=slots.API + 1), slots.BOOT),
        (changed(boards=["hat-b"]), slots.BOARD),
        (changed(mpy=4870), slots.MPY),
        (changed(security_version=0), slots.OLDER),
        (changed(files=[["racklet_hat/app.mpy", slots.SIZE_MAX + 1, "00"]]), slots.SIZE),
        (changed(keys=[OTHER_TREE.public_key.hex()]), slots.KEY),
    ],
)
def test_what_is_signed_is_refused_by_its_reason(root: Path, manifest: bytes, reason: int) -> None:
    assert reason_of(lambda: checked(root, manifest, signed(manifest))) == reason


@pytest.mark.parametrize(
    ("signature", "reason"),
    [
        (b"", slots.KEY),
        (OTHER_TREE.identity + OTHER_TREE.sign(5, bytes(32), OLD.manifest.encode()), slots.KEY),
        (OLD.signature[:100], slots.SIGNATURE),
        (NEW.signature, slots.SIGNATURE),
    ],
)
def test_what_is_not_signed_is_refused(root: Path, signature: bytes, reason: int) -> None:
    assert reason_of(lambda: checked(root, OLD.manifest.encode(), signature)) == reason


def test_a_manifest_may_bring_the_keys_that_hold_its_own(root: Path) -> None:
    both = bundle_of("2", 2, keys=(TREE.public_key, OTHER_TREE.public_key))
    assert len(checked(root, both.manifest.encode(), both.signature)["keys"]) == 2


def test_a_slot_that_is_as_it_was_signed_verifies(root: Path) -> None:
    assert slots.check(Slots(str(root)), "a")["version"] == "1"
    assert SlotCheck(Slots(str(root)), "a").digest == OLD.digest


@pytest.mark.parametrize("file", ["manifest.json", "manifest.sig", "racklet_hat/app.mpy", "racklet_hat/a.mpy"])
def test_a_slot_that_lacks_a_file_is_refused(root: Path, file: str) -> None:
    (root / "slots" / "a" / file).unlink()
    assert reason_of(lambda: slots.check(Slots(str(root)), "a")) == slots.CONTENT


def test_a_slot_with_a_manifest_of_no_sensible_length_is_refused(root: Path) -> None:
    (root / "slots" / "a" / "manifest.json").write_bytes(bytes(slots.MANIFEST_MAX + 1))
    assert reason_of(lambda: slots.check(Slots(str(root)), "a")) == slots.CONTENT


@pytest.mark.parametrize("file", ["json.py", "racklet_hat/more.mpy"])
def test_a_slot_that_holds_what_is_not_signed_is_refused(root: Path, file: str) -> None:
    (root / "slots" / "a" / file).write_text("evil = True")
    assert reason_of(lambda: slots.check(Slots(str(root)), "a")) == slots.CONTENT


def test_a_file_with_another_byte_is_refused(root: Path) -> None:
    file = root / "slots" / "a" / "racklet_hat" / "app.mpy"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    assert reason_of(lambda: slots.check(Slots(str(root)), "a")) == slots.CONTENT


def test_a_file_that_goes_while_it_is_checked_is_refused(root: Path) -> None:
    check = SlotCheck(Slots(str(root)), "a")
    while not check.manifest:
        check.step()
    for file in (root / "slots" / "a" / "racklet_hat").iterdir():
        file.unlink()

    def go_on() -> None:
        while not check.step():
            pass

    assert reason_of(go_on) == slots.CONTENT
    check.close()


def test_numbers_of_mpy_files_are_those_of_micropython() -> None:
    assert slots.mpy_number() == 0
