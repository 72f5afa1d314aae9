"""The updater and the selector in a folder: what they take, what they refuse, and that a refusal changes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from racklet.link.v1 import link_pb2
from racklet_boot import selector, slots
from racklet_bundle.bundle import Bundle
from racklet_hat.update import Updater
from tests.firmware.updates import (
    NEW,
    OLD,
    OTHER_TREE,
    PIECE,
    TREE,
    begin,
    bundle_of,
    confirmed,
    finish,
    idle,
    send,
    start_of,
    update,
)

READY, REFUSED, FILES = 6, 7, 4
CURRENT = link_pb2.UPDATE_REFUSAL_CURRENT


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A HAT with the old firmware confirmed in slot a."""
    return confirmed(tmp_path, OLD)


def content_of(root: Path) -> dict[str, bytes]:
    """Return all that decides what runs: the slot that runs, and the state."""
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file() and "/slots/b/" not in str(path)}


def versions(start: selector.Start) -> tuple[str, str, bool]:
    return start.slot, start.manifest["version"], start.on_probation


def test_an_update_is_tried_confirmed_and_kept(root: Path) -> None:
    assert versions(start_of(root)) == ("a", "1", False)
    assert update(start_of(root), NEW) == 0
    tried = start_of(root)
    assert versions(tried) == ("b", "2", True)
    tried.slots.confirm(tried.slot, tried.manifest)
    assert versions(start_of(root)) == ("b", "2", False)
    assert not start_of(root).fell_back


def test_an_update_that_is_not_confirmed_is_tried_once(root: Path) -> None:
    update(start_of(root), NEW)
    assert versions(start_of(root)) == ("b", "2", True)
    again = start_of(root)
    assert versions(again) == ("a", "1", False)
    assert again.fell_back


def test_after_a_fall_back_the_same_update_can_be_tried_again(root: Path) -> None:
    update(start_of(root), NEW)
    start_of(root)
    assert update(start_of(root), NEW) == 0
    assert versions(start_of(root)) == ("b", "2", True)


@pytest.mark.parametrize(
    ("bundle", "reason"),
    [
        (bundle_of("9", tree=OTHER_TREE), slots.KEY),
        (replace(NEW, signature=OLD.signature), slots.SIGNATURE),
        (replace(NEW, signature=NEW.signature[:-1] + bytes([NEW.signature[-1] ^ 1])), slots.SIGNATURE),
        (replace(NEW, signature=NEW.signature[:100]), slots.SIGNATURE),
        (bundle_of("0", 0), slots.OLDER),
        (bundle_of("9", boards=("hat-b",)), slots.BOARD),
        (bundle_of("9", protocol=(2, 3)), slots.PROTOCOL),
        (bundle_of("9", mpy=4870), slots.MPY),
        (bundle_of("9", keys=(OTHER_TREE.public_key,)), slots.KEY),
    ],
    ids=["key", "signature of another", "flipped", "truncated", "older", "board", "protocol", "mpy", "lost key"],
)
def test_what_is_wrong_is_refused_with_its_reason_and_changes_nothing(root: Path, bundle: Bundle, reason: int) -> None:
    before = content_of(root)
    assert update(start_of(root), bundle) == reason
    assert content_of(root) == before
    assert versions(start_of(root)) == ("a", "1", False)
    assert not (root / "slots" / "b" / "manifest.json").exists()


def test_a_flipped_bit_in_a_file_is_refused_and_the_next_update_succeeds(root: Path) -> None:
    before = content_of(root)
    damaged = bytearray(NEW.stream)
    damaged[-5] ^= 4
    updater = Updater(start_of(root), 1)
    begin(updater, NEW)
    send(updater, bytes(damaged))
    assert finish(updater) == slots.CONTENT
    assert content_of(root) == before
    assert update(start_of(root), NEW) == 0


def test_a_flipped_bit_in_the_manifest_is_refused(root: Path) -> None:
    damaged = bytearray(NEW.stream)
    damaged[40] ^= 1
    updater = Updater(start_of(root), 1)
    begin(updater, NEW)
    send(updater, bytes(damaged))
    assert updater.refusal == slots.SIGNATURE


def test_an_update_that_is_not_complete_is_not_finished(root: Path) -> None:
    updater = Updater(start_of(root), 1)
    assert updater.finish() == slots.ORDER
    begin(updater, NEW)
    send(updater, NEW.stream, until=len(NEW.head) + 100)
    assert updater.finish() == slots.ORDER
    updater.abort()


def test_an_update_goes_on_after_a_restart_behind_the_last_whole_file(root: Path) -> None:
    updater = Updater(start_of(root), 1)
    begin(updater, NEW)
    send(updater, NEW.stream, until=len(NEW.head) + 2 * PIECE)
    assert updater.done == len(NEW.head) + 2 * PIECE
    updater._close()
    again = Updater(start_of(root), 1)
    assert begin(again, NEW) == 0
    for _ in range(100):
        again.turn()
    assert (again.state, again.done) == (FILES, len(NEW.head))  # the first file was not whole
    send(again, NEW.stream, until=len(NEW.stream))
    again.abort()
    once_more = Updater(start_of(root), 1)
    begin(once_more, NEW)
    idle(once_more)
    assert (once_more.state, once_more.done) == (FILES, len(NEW.stream))
    again = once_more
    send(again, NEW.stream)
    assert finish(again) == 0
    assert versions(start_of(root)) == ("b", "2", True)


def test_the_same_update_begun_again_goes_on(root: Path) -> None:
    updater = Updater(start_of(root), 1)
    begin(updater, NEW)
    send(updater, NEW.stream, until=len(NEW.head) + PIECE)
    done = updater.done
    assert begin(updater, NEW) == 0
    assert updater.done == done > len(NEW.head)
    updater.abort()


def test_what_runs_already_is_not_taken_again_but_what_has_only_its_version_is(root: Path) -> None:
    updater = Updater(start_of(root), 1)
    assert begin(updater, OLD) == CURRENT
    assert updater.state == 0
    again = bundle_of("1", boards=("hat-a", "hat-b"))
    assert begin(updater, again) == 0
    send(updater, again.stream)
    assert finish(updater) == 0


def test_an_update_that_was_begun_is_forgotten_when_what_runs_is_asked_for(root: Path) -> None:
    updater = Updater(start_of(root), 1)
    begin(updater, NEW)
    send(updater, NEW.stream, until=len(NEW.head) // 2)
    assert begin(updater, OLD) == CURRENT
    assert (updater.state, updater.done) == (0, 0)
    assert update(start_of(root), NEW) == 0


def test_another_update_takes_the_place_of_one_that_was_begun(root: Path) -> None:
    updater = Updater(start_of(root), 1)
    begin(updater, NEW)
    send(updater, NEW.stream, until=len(NEW.head) + PIECE)
    other = bundle_of("3", 3)
    assert begin(updater, other) == 0
    send(updater, other.stream)
    assert finish(updater) == 0
    assert versions(start_of(root)) == ("b", "3", True)


def test_pieces_that_come_twice_or_overlap_change_nothing(root: Path) -> None:
    updater = Updater(start_of(root), 1)
    begin(updater, NEW)
    while updater.offset < len(NEW.stream):
        for at in (0, updater.offset - 300, updater.offset, updater.offset + 5000):
            piece = bytearray(NEW.stream[max(0, at) : max(0, at) + PIECE])
            updater.take(max(0, at), piece, 0, len(piece))
            updater.turn()
    idle(updater)
    assert finish(updater) == 0


@pytest.mark.parametrize("sizes", [(0, 2524, 10), (9000, 2524, 10), (2000, 0, 10), (2000, 9999, 10), (2000, 2524, 0)])
def test_sizes_out_of_range_are_refused_at_once(root: Path, sizes: tuple[int, int, int]) -> None:
    updater = Updater(start_of(root), 1)
    assert updater.begin(*sizes, bytes(32)) == slots.SIZE
    assert updater.begin(2000, 2524, slots.SIZE_MAX + 1, bytes(32)) == slots.SIZE


def test_files_that_are_not_as_long_as_was_said_are_refused(root: Path) -> None:
    updater = Updater(start_of(root), 1)
    updater.begin(len(NEW.manifest.encode()), len(NEW.signature), NEW.manifest.size + 1, NEW.digest)
    send(updater, NEW.stream + b"x")
    assert updater.refusal == slots.SIZE


def test_a_hat_on_probation_takes_no_update(root: Path) -> None:
    update(start_of(root), NEW)
    assert update(start_of(root), bundle_of("3", 3)) == slots.PROBATION


def test_a_hat_without_keys_takes_no_update(root: Path) -> None:
    start = start_of(root)
    start.slots.keys = []
    assert update(start, NEW) == slots.NO_SLOTS


def test_an_update_that_was_forgotten_is_begun_anew(root: Path) -> None:
    updater = Updater(start_of(root), 1)
    begin(updater, NEW)
    send(updater, NEW.stream, until=len(NEW.head) + PIECE)
    updater.abort()
    assert (updater.state, updater.done) == (0, 0)
    assert begin(updater, NEW) == 0
    send(updater, NEW.stream)
    assert finish(updater) == 0


def test_an_older_security_version_does_not_come_back(root: Path) -> None:
    update(start_of(root), NEW)
    tried = start_of(root)
    tried.slots.confirm(tried.slot, tried.manifest)
    assert update(start_of(root), OLD) == slots.OLDER


def test_when_the_active_slot_is_damaged_the_other_runs(root: Path) -> None:
    update(start_of(root), bundle_of("2", 1))
    tried = start_of(root)
    tried.slots.confirm(tried.slot, tried.manifest)
    file = root / "slots" / "b" / "racklet_hat" / "app.mpy"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    start = start_of(root)
    assert versions(start) == ("a", "1", False)
    assert update(start, bundle_of("3", 1)) == 0  # and it can be mended
    assert versions(start_of(root)) == ("b", "3", True)


def test_a_bundle_may_bring_the_next_key(root: Path) -> None:
    both = bundle_of("2", 2, keys=(TREE.public_key, OTHER_TREE.public_key))
    assert update(start_of(root), both) == 0
    tried = start_of(root)
    tried.slots.confirm(tried.slot, tried.manifest)
    assert update(start_of(root), bundle_of("3", 3, tree=OTHER_TREE)) == 0


def test_a_full_flash_refuses_before_anything_goes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.statvfs", lambda _path: (4096, 4096, 100, 3, 3, 0, 0, 0, 0, 255))
    before = content_of(root)
    assert update(start_of(root), NEW) == slots.SPACE
    assert content_of(root) == before


def test_a_flash_that_fails_refuses(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_path: str) -> None:
        raise OSError(5)

    monkeypatch.setattr("os.mkdir", failing)
    assert update(start_of(root), NEW) == slots.FLASH


def test_what_is_asked_again_after_the_end_is_answered_as_before(root: Path) -> None:
    updater = Updater(start_of(root), 1)
    begin(updater, NEW)
    send(updater, NEW.stream)
    assert finish(updater) == 0
    assert updater.finish() == 0


def test_a_refused_update_stays_refused(root: Path) -> None:
    updater = Updater(start_of(root), 1)
    begin(updater, NEW)
    send(updater, b"\0" * len(NEW.stream))
    assert updater.finish() == updater.refusal != 0


def test_a_manifest_that_is_gone_when_a_check_refuses_changes_nothing(root: Path) -> None:
    damaged = bytearray(NEW.stream)
    damaged[-5] ^= 4
    updater = Updater(start_of(root), 1)
    begin(updater, NEW)
    send(updater, bytes(damaged))
    updater.finish()
    (root / "slots" / "b" / "manifest.json").unlink()
    idle(updater)
    assert updater.refusal != 0
