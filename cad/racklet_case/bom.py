"""What a rack is made of and what it costs, from dated estimates."""

from __future__ import annotations

import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from racklet_case.parameters import ROOT, Parameters

PRICES = ROOT / "cad" / "prices.toml"


@dataclass(frozen=True)
class Line:
    """One line of the bill; `eur` is for one piece."""

    what: str
    count: int
    eur: float

    @property
    def total(self) -> float:
        """The line's sum."""
        return self.count * self.eur


def prices(path: Path = PRICES) -> dict[str, Any]:
    """Return the price table."""
    return tomllib.loads(path.read_text(encoding="utf-8"))


def board_eur(board: str) -> float:
    """Return what a board of hardware/, "hat" or "backplane", costs by its own bill."""
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    from hardware import bom  # noqa: PLC0415  # found from the root only
    from hardware.netlist import read_golden  # noqa: PLC0415

    table = bom.prices()
    return bom.total(bom.lines(read_golden(board), table), table, board)


def plastic_grams(volume_cm3: float, p: Parameters) -> float:
    """Return the mass of what is printed; an estimate, the slicer knows better."""
    return volume_cm3 * p.printer.density * p.printer.fill


def lines(p: Parameters, grams: float, fans: int) -> list[Line]:
    """Return the bill of a rack."""
    table = prices()
    rack = p.rack
    boards = rack.slots + int(rack.controller)

    def named(kind: str, key: str, title: str, count: int) -> Line:
        entry = table[kind][key]
        return Line(f"{title}, {entry['what']}", count, entry["eur"])

    def single(kind: str, title: str, count: int) -> Line:
        return Line(f"{title}, {table[kind]['what']}", count, table[kind]["eur"])

    found = [
        named("nodes", rack.sbc, p.node.name, boards),
        Line("Racklet HAT, parts and board for ten", rack.slots, round(board_eur("hat"), 2)),
        single("card", "memory card", boards),
        single("supply", "supply", 1),
        Line("Racklet backplane with its USB hubs, for ten", 1, round(board_eur("backplane"), 2)),
        single("cable", "cable", boards),
        Line(f"plastic, {grams:.0f} g", 1, round(grams / 1000 * table["plastic"]["eur_per_kg"], 2)),
        single("small", "small parts", 1),
    ]
    if fans:
        found.append(single("fan", "fan", fans))
    if p.chosen_switch is not None:
        found.append(named("switch", rack.switch, "switch", 1))
    if rack.storage != "none":
        found.append(named("storage", rack.storage, "storage", rack.slots))
    return sorted(found, key=lambda line: -line.total)


def as_text(bill: list[Line]) -> str:
    """Return the bill as a table in Markdown, with the budget."""
    table = prices()
    low, high = table["budget_eur"]
    total = sum(line.total for line in bill)
    rows = [f"| {line.what} | {line.count} | {line.eur:.2f} | {line.total:.2f} |" for line in bill]
    verdict = "within" if low <= total <= high else "below" if total < low else "above"
    head = ["| part | pieces | EUR each | EUR |", "|---|---:|---:|---:|"]
    end = [
        f"| **sum** | | | **{total:.2f}** |",
        "",
        f"{verdict.capitalize()} the budget of {low:.0f} to {high:.0f} EUR. Estimates of {table['as_of']}.",
    ]
    return "\n".join([*head, *rows, *end]) + "\n"
