"""What a HAT does about updates, with the real updater in a folder: begin, end, restart, probation, what it tells."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest

from racklet.link.v1 import link_pb2
from racklet_boot import selector, slots
from racklet_bundle.bundle import Bundle
from racklet_hat.update_duty import UpdateDuty
from racklet_link.message import Message
from racklet_link.messages import HELLO, UPDATE_PROGRESS
from tests.firmware.updates import NEW, OLD, PIECE, confirmed, start_of

DONE, PENDING, REFUSED = link_pb2.RESULT_DONE, link_pb2.RESULT_PENDING, link_pb2.RESULT_UPDATE_REFUSED
REQUEST_ID = 7
PROBATION_MS = 60_000
FIRMWARE_SLOT = 17  # of the message's slots, where the firmware's version lies


def hello_message() -> Message:
    message = Message(HELLO[1], HELLO[2])
    message.begin(HELLO)
    return message


def progress_message() -> Message:
    message = Message(UPDATE_PROGRESS[1], UPDATE_PROGRESS[2])
    message.begin(UPDATE_PROGRESS)
    return message


class Link:
    """What the duty wants of the link: it notes what is told."""

    version = 1

    def __init__(self) -> None:
        self.update_due = False
        self.finished: list[tuple[int, int, int]] = []

    def finish(self, request_id: int, result: int, duration_ms: int) -> None:
        self.finished.append((request_id, result, duration_ms))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A HAT with the old firmware confirmed in slot a."""
    return confirmed(tmp_path, OLD)


def duty_of(start: selector.Start | None, now_ms: int = 0) -> tuple[UpdateDuty, Link]:
    duty, link = UpdateDuty(start, now_ms), Link()
    duty.link = link  # type: ignore[assignment]
    return duty, link


def begin(duty: UpdateDuty, bundle: Bundle) -> int:
    buf = bytearray(b"......" + bundle.digest)
    sizes = (len(bundle.manifest.encode()), len(bundle.signature), bundle.manifest.size)
    return duty.begin(array("I", (*sizes, 6, len(bundle.digest))), buf)


def bring(duty: UpdateDuty, stream: bytes, now_ms: int = 0) -> None:
    """Send all of it, and let the duty work."""
    progress = progress_message()
    for _ in range(2_000):
        duty.fill(progress)
        at = progress.slots[0]
        duty.take(at, bytearray(stream), at, min(PIECE, len(stream) - at))
        duty.turn(now_ms, False)


def tried(root: Path) -> selector.Start:
    """Return a start of the new firmware on probation."""
    duty, _ = duty_of(start_of(root))
    assert begin(duty, NEW) == DONE
    bring(duty, NEW.stream)
    duty.finish(REQUEST_ID)
    bring(duty, NEW.stream)
    start = start_of(root)
    assert start.on_probation
    return start


def test_an_update_is_answered_when_it_is_checked_and_the_hat_restarts_when_the_answer_is_gone(root: Path) -> None:
    duty, link = duty_of(start_of(root))
    assert begin(duty, NEW) == DONE
    bring(duty, NEW.stream)
    assert duty.finish(REQUEST_ID) == PENDING
    now_ms = 1_000
    while not link.finished:
        assert not duty.turn(now_ms, False)
        now_ms += 5
    assert link.finished == [(REQUEST_ID, DONE, 0)]
    assert not duty.turn(now_ms + 490, False)
    assert duty.turn(now_ms + 510, False)


def test_a_power_transaction_ends_and_is_answered_before_the_hat_restarts(root: Path) -> None:
    duty, link = duty_of(start_of(root))
    begin(duty, NEW)
    bring(duty, NEW.stream)
    duty.finish(REQUEST_ID)
    bring(duty, NEW.stream)
    assert link.finished == [(REQUEST_ID, DONE, 0)]
    assert not duty.turn(90_000, True)
    assert not duty.turn(90_490, False)
    assert duty.turn(90_510, False)


def test_what_changes_is_told(root: Path) -> None:
    duty, link = duty_of(start_of(root))
    duty.fill(progress_message())  # of nothing
    begin(duty, NEW)
    assert link.update_due
    link.update_due = False
    duty.take(0, bytearray(NEW.stream), 0, PIECE)
    duty.turn(0, False)
    assert link.update_due
    progress = progress_message()
    duty.fill(progress)
    assert list(progress.slots[:3]) == [PIECE, link_pb2.UPDATE_STATE_HEAD, 0]
    link.update_due = False
    duty.turn(0, False)
    assert not link.update_due


def test_an_update_that_does_not_verify_is_answered_with_its_reason_and_no_restart(root: Path) -> None:
    damaged = bytearray(NEW.stream)
    damaged[-5] ^= 4
    duty, link = duty_of(start_of(root))
    begin(duty, NEW)
    bring(duty, bytes(damaged))
    assert duty.finish(REQUEST_ID) == PENDING
    bring(duty, bytes(damaged))
    assert link.finished == [(REQUEST_ID, REFUSED, 0)]
    assert duty.refusal == slots.CONTENT
    assert not duty.turn(1_000_000, False)


def test_firmware_that_runs_from_no_slot_takes_no_update() -> None:
    duty, _ = duty_of(None)
    assert (begin(duty, NEW), duty.refusal) == (REFUSED, slots.NO_SLOTS)
    duty.take(0, bytearray(NEW.stream), 0, PIECE)
    assert (duty.finish(REQUEST_ID), duty.refusal) == (REFUSED, slots.ORDER)
    assert duty.abort() == DONE
    assert duty.confirm() == DONE
    assert not duty.turn(0, False)
    assert not duty.is_over(1 << 29)
    hello = hello_message()
    before = list(hello.slots)
    duty.fill_hello(hello, FIRMWARE_SLOT)
    assert list(hello.slots) == before


def test_before_the_link_is_there_nothing_is_begun(root: Path) -> None:
    duty = UpdateDuty(start_of(root), 0)
    assert (begin(duty, NEW), duty.refusal) == (REFUSED, slots.NO_SLOTS)


def test_the_end_of_an_update_that_is_not_complete_is_refused(root: Path) -> None:
    duty, _ = duty_of(start_of(root))
    begin(duty, NEW)
    assert (duty.finish(REQUEST_ID), duty.refusal) == (REFUSED, slots.ORDER)


def test_an_update_is_forgotten_and_begun_anew(root: Path) -> None:
    duty, _ = duty_of(start_of(root))
    begin(duty, NEW)
    duty.take(0, bytearray(NEW.stream), 0, PIECE)
    assert duty.abort() == DONE
    progress = progress_message()
    duty.fill(progress)
    assert list(progress.slots[:2]) == [0, 0]
    assert begin(duty, NEW) == DONE


def test_an_update_that_waits_for_its_last_check_is_not_forgotten(root: Path) -> None:
    duty, link = duty_of(start_of(root))
    begin(duty, NEW)
    bring(duty, NEW.stream)
    duty.finish(REQUEST_ID)
    duty.abort()
    bring(duty, NEW.stream)
    duty.abort()
    assert link.finished == [(REQUEST_ID, DONE, 0)]


def test_a_probation_without_a_confirmation_is_over_after_a_minute(root: Path) -> None:
    began_ms = (1 << 30) - 1_000  # the clock goes round within it
    duty, _ = duty_of(tried(root), began_ms)
    assert not duty.is_over((began_ms + PROBATION_MS) & 0x3FFFFFFF)
    assert duty.is_over((began_ms + PROBATION_MS + 1) & 0x3FFFFFFF)


def test_a_confirmation_ends_the_probation_for_good(root: Path) -> None:
    duty, _ = duty_of(tried(root))
    assert duty.confirm() == DONE
    assert not duty.is_over(PROBATION_MS + 1)
    assert duty.confirm() == DONE
    start = start_of(root)
    assert (start.slot, start.on_probation) == ("b", False)


def test_a_confirmation_that_the_flash_does_not_take_is_refused_and_can_be_asked_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    duty, _ = duty_of(tried(root))

    def worn(_path: str, _content: bytes) -> None:
        raise OSError(5)

    with monkeypatch.context() as patched:
        patched.setattr(slots, "replace_file", worn)
        assert (duty.confirm(), duty.refusal) == (REFUSED, slots.FLASH)
    assert duty.is_over(PROBATION_MS + 1)
    assert duty.confirm() == DONE


def test_without_probation_nothing_is_over_and_a_confirmation_changes_nothing(root: Path) -> None:
    duty, _ = duty_of(start_of(root))
    before = (root / "slots" / "state").read_bytes()
    assert not duty.is_over(PROBATION_MS + 1)
    assert duty.confirm() == DONE
    assert (root / "slots" / "state").read_bytes() == before


@pytest.mark.parametrize("slot", ["a", "b"])
def test_hello_tells_which_firmware_runs_and_how(root: Path, slot: str) -> None:
    start = start_of(root) if slot == "a" else tried(root)
    duty, _ = duty_of(start)
    hello = hello_message()
    duty.fill_hello(hello, FIRMWARE_SLOT)
    buf = bytearray(512)
    told = link_pb2.Hello.FromString(bytes(buf[hello.pack(buf, len(buf)) :]))
    version, security_version = ("1", 1) if slot == "a" else ("2", 2)
    assert (told.slot, told.firmware) == (1 if slot == "a" else 2, version)
    assert (told.on_probation, told.security_version, told.fell_back) == (slot == "b", security_version, False)
