"""hostd's joules against the truth, over a virtual hour with 20 MCU resets, 20 kills of hostd and 5 pulled cables.

The firmware's meter, gate and INA228 driver measure on the virtual rack's electronics, whose monitor is off by what its
data sheet allows. Both ends of the link, hostd's recorder and its store on the disk are the real ones.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.table import Table

from tools.account.energy_run import Plan, measured
from tools.account.profile_node import load_profile
from tools.account.verdict import print_verdict

if TYPE_CHECKING:
    from rich.console import Console

    from tools.account.energy_ledger import Outcome
    from tools.account.verdict import Promise


def account(console: Console, plan: Plan | None = None) -> bool:
    """Run it, print it, and tell whether it held."""
    plan = plan or Plan()
    console.print(
        f"{plan.duration_s} s of virtual time, seed {plan.seed}: {plan.resets} MCU resets, {plan.kills} kills of hostd,"
        f" {plan.pulls} pulls of the cable. The load is modelled, from tools/account/load_profile.csv:"
    )
    _print_loads(console)
    began_s = time.monotonic()
    outcome = measured(plan)
    console.print(
        f"Run in {time.monotonic() - began_s:.0f} s. The stated error is that of docs/metering.md for this load.\n"
    )
    _print_counters(console, outcome)
    if outcome.shows_from_j:
        least_j, most_j = min(outcome.shows_from_j), max(outcome.shows_from_j)
        console.print(
            f"What a reset loses shows from {least_j:.2f} J on, and from {most_j:.2f} J where most is at stake.\n"
        )
    return print_verdict(console, _promises(plan, outcome))


def _print_loads(console: Console) -> None:
    table = Table("phase", "seconds", "amperes", "in bursts", box=None)
    for load in load_profile():
        bursts = f"{load.burst_amperes:.2f} every {load.burst_us / 1000:.0f} ms" if load.burst_us else ""
        table.add_row(load.phase, f"{load.duration_us / 1e6:g}", f"{load.amperes:.2f}", bursts)
    console.print(table)


def _print_counters(console: Console, outcome: Outcome) -> None:
    table = Table("counter", "hostd's", "the truth", "off by", "stated error")
    rows = (
        ("energy", "J", outcome.joules, outcome.true_joules, outcome.stated_joules),
        ("charge", "C", outcome.coulombs, outcome.true_coulombs, outcome.stated_coulombs),
    )
    for name, unit, told, true, stated in rows:
        off, stated_part = _percent(told - true, true), _percent(stated, true)
        table.add_row(
            name,
            f"{told:.2f} {unit}",
            f"{true:.2f} {unit}",
            f"{told - true:+.2f} {unit}  {off:+.2f} %",
            f"±{stated:.2f} {unit}  ±{stated_part:.2f} %",
        )
    console.print(table)


def _promises(plan: Plan, outcome: Outcome) -> tuple[Promise, ...]:
    off_j = abs(outcome.joules - outcome.true_joules)
    off_c = abs(outcome.coulombs - outcome.true_coulombs)
    happened = (outcome.resets, outcome.kills, outcome.pulls)
    stake_j, lost_j = outcome.at_stake_j, outcome.lost_j
    return (
        (
            "all of it happened",
            "{} resets, {} kills, {} pulls".format(*happened) + f"; {outcome.dark_s:.1f} s without telemetry",
            happened == (plan.resets, plan.kills, plan.pulls),
        ),
        (
            "the joules are right",
            f"off by {off_j / outcome.stated_joules:.0%} of the stated error",
            off_j <= outcome.stated_joules,
        ),
        ("so are the coulombs", f"off by {off_c / outcome.stated_coulombs:.0%}", off_c <= outcome.stated_coulombs),
        (
            "and were at every telemetry",
            f"{outcome.telemetries} of them; off by {outcome.most_of_band:.0%} of the stated error at most",
            outcome.outside == 0 < outcome.telemetries,
        ),
        (
            "no reading ever stepped back",
            f"{outcome.published} published, {outcome.steps_back} back; of the HAT's own {outcome.hat_steps_back} back",
            outcome.steps_back == outcome.hat_steps_back == 0 < outcome.published,
        ),
        (
            "a reset of the MCU loses nothing",
            f"at stake {max(stake_j, default=0):.1f} J at most, {sum(stake_j):.1f} J in all; lost {sum(lost_j):.3f} J",
            len(stake_j) == plan.resets and sum(lost_j) == 0,
        ),
        (
            "no rail moved but when asked",
            "switched on {} time, off {}".format(*outcome.switches),
            outcome.switches == (1, 1),
        ),
    )


def _percent(part: float, whole: float) -> float:
    return 100 * part / whole if whole else 0.0
