"""The bill of materials of a board and what it costs: `python -m hardware.bom hat`, `--csv` for the assembly house.

`--variant plain` is the backplane without hubs.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import io
import tomllib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hardware.netlist import Netlist, read_golden

PRICES = Path(__file__).parent / "prices.toml"


class NoPriceError(LookupError):
    """A part of the board stands in no price table."""


@dataclass(frozen=True)
class Line:
    """One kind of part: where it sits on one board, and the price of one piece in EUR."""

    mpn: str
    value: str
    footprint: str
    refs: tuple[str, ...]
    eur: float
    lcsc: str


def prices() -> dict[str, Any]:
    """Return the price table."""
    return tomllib.loads(PRICES.read_text(encoding="utf-8"))


def lines(netlist: Netlist, table: dict[str, Any]) -> list[Line]:
    """Return what must be bought for one board, dearest first. Raises NoPriceError."""
    groups: dict[str, list[str]] = defaultdict(list)
    for part in netlist.components.values():
        if part.fitted and part.listed:
            if not part.mpn:
                raise NoPriceError(f"{part.ref} ({part.value}) has no part number")
            groups[part.mpn].append(part.ref)
    result = []
    for mpn, refs in groups.items():
        first = netlist.components[refs[0]]
        entry = table["parts"].get(mpn) or (table["resistors"] if mpn.startswith("RC") else None)
        if entry is None:
            raise NoPriceError(f"{refs[0]}: no price for {mpn}; add it to {PRICES.name}")
        order = tuple(sorted(refs, key=lambda ref: (ref.rstrip("0123456789"), len(ref), ref)))
        result.append(Line(mpn, first.value, first.footprint.split(":")[1], order, entry["eur"], entry.get("lcsc", "")))
    return sorted(result, key=lambda line: (-line.eur * len(line.refs), line.mpn))


def variant(netlist: Netlist, table: dict[str, Any], board: str, name: str) -> Netlist:
    """Return the board as the variant is fitted. Raises KeyError for a variant or a part that there is not."""
    chosen = table["board"][board][name]
    parts = dict(netlist.components)
    for fitted, refs in ((False, chosen["without"]), (True, chosen["with"])):
        for ref in refs:
            parts[ref] = dataclasses.replace(parts[ref], fitted=fitted)
    return Netlist(netlist.nets, parts)


def total(bill: list[Line], table: dict[str, Any], board: str) -> float:
    """Return the cost of one board's parts and of the board itself, in EUR."""
    return float(sum(line.eur * len(line.refs) for line in bill) + table["board"][board]["eur"])


def as_csv(bill: list[Line]) -> str:
    """Return the bill as assembly houses read it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["Comment", "Designator", "Footprint", "Quantity", "Manufacturer Part", "LCSC"])
    for line in bill:
        writer.writerow([line.value, ",".join(line.refs), line.footprint, len(line.refs), line.mpn, line.lcsc])
    return text.getvalue()


def main() -> None:
    """Print the bill of a board."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("board", choices=["hat", "backplane"])
    parser.add_argument("--variant", help="as prices.toml has it: plain")
    parser.add_argument("--csv", action="store_true", help="the bill as assembly houses read it")
    arguments = parser.parse_args()
    table = prices()
    netlist, bare = read_golden(arguments.board), table["board"][arguments.board]
    if arguments.variant:
        netlist = variant(netlist, table, arguments.board, arguments.variant)
    bill = lines(netlist, table)
    if arguments.csv:
        print(as_csv(bill), end="")
        return
    for line in bill:
        cost = line.eur * len(line.refs)
        print(f"{cost:6.2f}  {len(line.refs):3} x {line.eur:5.3f}  {line.mpn:22} {line.value:12} {' '.join(line.refs)}")
    print(f"{bare['eur']:6.2f}  the board: {bare['description']}")
    cost = total(bill, table, arguments.board)
    print(f"{cost:6.2f}  EUR for one of {table['boards']} boards; prices are estimates of {table['as_of']}")


if __name__ == "__main__":
    main()
