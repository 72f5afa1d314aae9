"""The restore policy: only a loss of the input power lets it act, and it writes only what changed."""

from __future__ import annotations

import pytest

from racklet.link.v1.link_pb2 import RestorePolicy, SupplyState
from racklet_hat.restore import Restore

GOOD_UV, BAD_UV = 12_000_000, 6_900_000
OFF, LAST, ON = (
    RestorePolicy.RESTORE_POLICY_OFF,
    RestorePolicy.RESTORE_POLICY_LAST,
    RestorePolicy.RESTORE_POLICY_ON,
)
IS_OFF, IS_ON, TRIPPED = (
    SupplyState.SUPPLY_STATE_OFF,
    SupplyState.SUPPLY_STATE_ON,
    SupplyState.SUPPLY_STATE_TRIPPED,
)


def kept(policy: int, *, was_on: bool = False, delay_ms: int = 0) -> bytearray:
    return bytearray((policy, was_on, delay_ms // 100 & 255, delay_ms // 100 >> 8))


def acts(restore: Restore, now_ms: int = 0, state: int = IS_OFF, *, latch_on: bool = False) -> bool:
    return restore.step(GOOD_UV, state, latch_on, now_ms)


@pytest.mark.parametrize(
    ("policy", "was_on", "lost", "expected"),
    [
        (OFF, True, True, False),
        (LAST, True, True, True),
        (LAST, False, True, False),
        (ON, False, True, True),
        (ON, True, True, True),
        (LAST, True, False, False),
        (ON, True, False, False),
    ],
)
def test_it_acts_only_after_a_loss_and_as_the_policy_says(
    policy: int, *, was_on: bool, lost: bool, expected: bool
) -> None:
    assert acts(Restore(kept(policy, was_on=was_on), lost=lost, is_on=False)) is expected


def test_it_goes_on_until_somebody_has_acted() -> None:
    restore = Restore(kept(ON), lost=True, is_on=False)
    assert acts(restore)
    assert acts(restore, 100)
    restore.lost = False
    assert not acts(restore, 200)


def test_it_waits_until_the_input_has_been_good_for_the_delay() -> None:
    restore = Restore(kept(ON, delay_ms=2000), lost=True, is_on=False)
    assert not acts(restore, 1000)
    assert not acts(restore, 2900)
    assert not restore.step(BAD_UV, IS_OFF, False, 2950)
    assert not acts(restore, 3000)
    assert not acts(restore, 4900)
    assert acts(restore, 5000)


def test_a_microcontroller_that_lived_through_the_loss_knows_it_from_the_input() -> None:
    restore = Restore(kept(LAST), lost=False, is_on=True)
    assert not restore.step(BAD_UV, IS_ON, False, 0)
    restore.follow(TRIPPED)  # the rail fell with the input
    assert not restore.step(GOOD_UV, IS_ON, False, 100)
    assert restore.step(GOOD_UV, TRIPPED, False, 200)


def test_an_input_that_only_dipped_while_the_latch_held_is_no_loss() -> None:
    restore = Restore(kept(ON), lost=False, is_on=True)
    restore.step(BAD_UV, IS_ON, True, 0)
    assert not acts(restore, 100, IS_ON, latch_on=True)
    restore.follow(IS_OFF)
    assert not acts(restore, 200)


def test_a_supply_that_the_latch_kept_on_was_not_lost() -> None:
    assert not Restore(kept(ON), lost=True, is_on=True).lost


@pytest.mark.parametrize("state", [IS_OFF, TRIPPED])
def test_what_was_switched_off_or_tripped_stays_off_with_last(state: int) -> None:
    restore = Restore(kept(LAST), lost=False, is_on=True)
    restore.follow(state)
    restore.step(BAD_UV, state, False, 0)
    assert not acts(restore, 100)


def test_states_on_the_way_change_nothing() -> None:
    restore = Restore(kept(LAST, was_on=True), lost=False, is_on=True)
    for state in (SupplyState.SUPPLY_STATE_STARTING, SupplyState.SUPPLY_STATE_STOPPING):
        restore.follow(state)
    assert not restore.is_new


def test_the_flash_is_written_only_when_something_changed() -> None:
    restore = Restore(kept(OFF), lost=False, is_on=False)
    assert restore.set(OFF, 0) == 0
    for state in (IS_ON, IS_OFF, TRIPPED):
        restore.follow(state)
    assert not restore.is_new
    assert restore.set(LAST, 60_000) == 0
    assert restore.is_new
    assert restore.kept == kept(LAST, delay_ms=60_000)
    restore.is_new = False
    restore.follow(IS_ON)
    assert (restore.is_new, restore.kept[1]) == (True, 1)
    restore.is_new = False
    restore.follow(IS_ON)
    assert restore.set(LAST, 60_000) == 0
    assert not restore.is_new


def test_a_policy_that_is_set_while_the_supply_is_on_remembers_that() -> None:
    restore = Restore(bytearray(), lost=False, is_on=True)
    restore.set(LAST, 0)
    assert restore.kept == kept(LAST, was_on=True)


@pytest.mark.parametrize("flash", [b"", b"\x02", b"\x00\x01\x00\x00", b"\x04\x01\x00\x00", b"\xff" * 16])
def test_what_is_no_policy_in_the_flash_means_off(flash: bytes) -> None:
    restore = Restore(bytearray(flash), lost=True, is_on=False)
    assert restore.kept == kept(OFF)
    assert not acts(restore)


@pytest.mark.parametrize(
    ("policy", "delay_ms", "field"), [(0, 0, 1), (4, 0, 1), (-1, 0, 1), (ON, -1, 2), (ON, 600_001, 2)]
)
def test_what_is_out_of_range_is_refused_by_its_number_and_changes_nothing(
    policy: int, delay_ms: int, field: int
) -> None:
    restore = Restore(kept(LAST, delay_ms=500), lost=False, is_on=False)
    assert restore.set(policy, delay_ms) == field
    assert (restore.kept, restore.is_new) == (kept(LAST, delay_ms=500), False)
