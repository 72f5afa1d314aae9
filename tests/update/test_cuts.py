"""A sample of `just account update-cuts`: the power is cut while an update is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import interpreter
from tools.account.update_cuts import WAYS, Cutter

SAMPLE = 23  # every so many writes: some 15 cuts of each way


@pytest.mark.timeout(120)
def test_a_hat_whose_power_was_cut_starts_and_takes_the_next_update(tmp_path: Path) -> None:
    interpreter("micropython")
    cutter = Cutter(tmp_path)
    assert cutter.writes > 300
    cuts = [cut for way in range(len(WAYS)) for cut in cutter.cuts(way, 7 * way, SAMPLE)]
    cuts += cutter.cuts(0, cutter.writes - 12, 1)  # where the new slot becomes the one that runs
    assert len(cuts) > 40
    assert [cut for cut in cuts if cut.slot not in {"a", "b"}] == []
    assert {(cut.version, cut.standing) for cut in cuts} >= {("1", "confirmed"), ("2", "probation")}
