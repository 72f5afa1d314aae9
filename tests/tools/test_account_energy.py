"""The energy account in small: two virtual minutes. It holds, and it can fail."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from racklet_hat.ina228 import Ina228
from racklet_hostd.store import NodeStore
from tools.account import energy
from tools.account.energy_run import Plan
from tools.account.profile_node import load_profile

SMALL = Plan(duration_s=120, resets=3, kills=3, pulls=1)


def printed(plan: Plan) -> tuple[bool, str]:
    """Run the account; return whether it held, and what it printed."""
    console = Console(file=StringIO(), width=120, highlight=False)
    holds = energy.account(console, plan)
    assert isinstance(console.file, StringIO)
    return holds, console.file.getvalue()


def test_the_joules_are_within_the_stated_error_over_resets_kills_and_pulls() -> None:
    holds, text = printed(SMALL)
    assert holds, text
    assert text.count(" ok ") == 7
    assert "3 resets, 3 kills, 1 pulls" in text


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_holds_for_other_monitors_and_other_times(seed: int) -> None:
    holds, text = printed(Plan(duration_s=60, resets=3, kills=2, pulls=1, seed=seed))
    assert holds, text


def test_it_fails_when_a_reset_of_the_mcu_forgets_what_the_monitor_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    configure = Ina228.configure
    known: list[Ina228] = []

    def forgetful(monitor: Ina228) -> bool:
        if monitor not in known:
            known.append(monitor)
            monitor.write_16(0, 0x8000)  # the part starts anew, its counters at 0
        return configure(monitor)

    monkeypatch.setattr(Ina228, "configure", forgetful)
    holds, text = printed(SMALL)
    assert not holds
    assert "FAILED" in next(line for line in text.splitlines() if "reset of the MCU" in line)


def test_it_fails_when_hostd_publishes_what_is_not_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NodeStore, "energy_uj", property(lambda node: node._energy_uj))
    holds, text = printed(SMALL)
    assert not holds
    assert "FAILED" in next(line for line in text.splitlines() if "stepped back" in line)


def test_it_fails_and_does_not_break_when_the_supply_never_comes_on() -> None:
    holds, text = printed(Plan(duration_s=14, resets=0, kills=0, pulls=0))
    assert not holds
    assert "FAILED" in next(line for line in text.splitlines() if "no rail moved" in line)


def test_the_load_profile_boots_first_and_starts_a_disk() -> None:
    phases = [load.phase for load in load_profile()]
    assert phases[0] == "loader"
    assert {"idle", "cpu-burst", "usb-disk-start"} <= set(phases)
