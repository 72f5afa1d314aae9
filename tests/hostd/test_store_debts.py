"""The file of debts: what it was told is there after any end, and what the disk did not take is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from racklet_hostd.errors import StoreError
from racklet_hostd.store.debts import FILE_NAME, Debt, Debts

FIRST = Debt("node-1", "the fault script lesson.toml of uid 7", "policy:faults for uid 7", 1_000)
SECOND = Debt("node-2", "the fault script lesson.toml of uid 7", "policy:faults for uid 7", 2_000)


async def test_debts_outlast_their_hostd_until_they_are_struck_out(tmp_path: Path) -> None:
    debts = Debts(tmp_path)
    await debts.add(FIRST)
    await debts.add(SECOND)
    await debts.remove("node-1")
    assert Debts(tmp_path).all == debts.all == [SECOND]
    await debts.remove("node-2")
    assert Debts(tmp_path).all == []
    assert not (tmp_path / FILE_NAME).exists()


async def test_what_is_noted_down_twice_or_struck_out_twice_is_there_once_or_not(tmp_path: Path) -> None:
    debts = Debts(tmp_path)
    await debts.add(FIRST)
    await debts.add(FIRST)
    assert Debts(tmp_path).all == [FIRST]
    await debts.remove("node-9")
    await debts.remove("node-1")
    await debts.remove("node-1")
    assert Debts(tmp_path).all == []


async def test_a_debt_that_the_disk_does_not_take_is_none(tmp_path: Path) -> None:
    debts = Debts(tmp_path)
    await debts.add(FIRST)
    fresh = (tmp_path / FILE_NAME).with_suffix(".new")
    fresh.mkdir()
    with pytest.raises(StoreError, match=r"faults\.json: Is a directory"):
        await debts.add(SECOND)
    assert Debts(tmp_path).all == debts.all == [FIRST]
    fresh.rmdir()
    await debts.add(SECOND)
    assert Debts(tmp_path).all == [FIRST, SECOND]


async def test_a_file_that_was_being_written_when_hostd_was_killed_counts_for_nothing(tmp_path: Path) -> None:
    await Debts(tmp_path).add(FIRST)
    (tmp_path / FILE_NAME).with_suffix(".new").write_text('[{"node": "nod')
    debts = Debts(tmp_path)
    assert debts.all == [FIRST]
    await debts.remove("node-1")
    assert Debts(tmp_path).all == []


@pytest.mark.parametrize("text", ["", "{", "[1]", "{}x", '[{"node": "node-1"}]'])
def test_a_damaged_file_says_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(StoreError, match="is damaged: look which nodes are off that should be on, and remove it"):
        Debts(tmp_path)
