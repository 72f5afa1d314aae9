"""The cost of a rack, from estimates that carry their month."""

from __future__ import annotations

import re

from racklet_case import bom
from racklet_case.parameters import parameters

GRAMS = 700.0  # what `just cad` prints for the default rack


def test_a_rack_of_five_nodes_costs_400_to_500_eur() -> None:
    total = sum(line.total for line in bom.lines(parameters(), GRAMS, fans=2))
    low, high = bom.prices()["budget_eur"]
    assert (low, high) == (400.0, 500.0)
    assert low <= total <= high


def test_the_price_table_carries_its_month() -> None:
    assert re.fullmatch(r"20\d\d-\d\d", bom.prices()["as_of"])


def test_every_board_switch_and_drive_has_a_price() -> None:
    p, table = parameters(), bom.prices()
    assert set(table["nodes"]) == set(p.sbc)
    assert set(table["switch"]) == set(p.switch)
    assert set(table["storage"]) == {"none", *p.storage}


def test_a_rack_without_controller_and_switch_is_cheaper_by_them() -> None:
    full = {line.what: line for line in bom.lines(parameters(), GRAMS, fans=2)}
    bare = {
        line.what: line
        for line in bom.lines(parameters({"rack.controller": False, "rack.switch": "none"}), GRAMS, fans=2)
    }
    node = next(what for what in full if what.startswith("Raspberry"))
    assert bare[node].count == full[node].count - 1
    assert [what for what in full if what not in bare] == ["switch, 8 ports, 1 Gbit/s"]
