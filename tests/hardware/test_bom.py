"""The bill of materials: complete, priced, within the budget."""

from __future__ import annotations

import dataclasses

import pytest

from hardware import bom
from hardware.netlist import read_golden


def test_ten_hats_cost_at_most_15_eur_each() -> None:
    table = bom.prices()
    assert bom.total(bom.lines(read_golden("hat"), table), table) <= table["budget_eur"] == 15.0


def test_the_bill_names_each_fitted_part_once() -> None:
    netlist = read_golden("hat")
    named = [ref for line in bom.lines(netlist, bom.prices()) for ref in line.refs]
    assert sorted(named) == sorted(part.ref for part in netlist.components.values() if part.fitted and part.listed)


def test_no_price_stands_for_a_part_that_is_gone() -> None:
    used = {line.mpn for line in bom.lines(read_golden("hat"), bom.prices())}
    assert set(bom.prices()["parts"]) <= used


def test_a_part_without_a_price_is_refused() -> None:
    netlist = read_golden("hat")
    netlist.components["U1"] = dataclasses.replace(netlist.components["U1"], mpn="LM2596")
    with pytest.raises(bom.NoPriceError, match="LM2596"):
        bom.lines(netlist, bom.prices())


def test_what_is_not_fitted_is_not_bought() -> None:
    assert "U7" not in bom.as_csv(bom.lines(read_golden("hat"), bom.prices()))
