"""The bill of materials: complete, priced, within the budget."""

from __future__ import annotations

import dataclasses

import pytest

from hardware import bom
from hardware.netlist import read_golden

BOARDS = pytest.mark.parametrize("board", ["hat", "backplane"])


def test_ten_hats_cost_at_most_15_eur_each() -> None:
    table = bom.prices()
    assert bom.total(bom.lines(read_golden("hat"), table), table, "hat") <= table["board"]["hat"]["budget_eur"] == 15.0


def test_a_backplane_without_hubs_costs_at_most_5_eur() -> None:
    table = bom.prices()
    plain = bom.variant(read_golden("backplane"), table, "backplane", "plain")
    budget = table["board"]["backplane"]["plain"]["budget_eur"]
    assert bom.total(bom.lines(plain, table), table, "backplane") <= budget == 5.0


def test_without_hubs_each_slot_s_usb_has_a_header_and_nothing_of_the_hubs_is_bought() -> None:
    table = bom.prices()
    plain = bom.variant(read_golden("backplane"), table, "backplane", "plain")
    bought = {ref for line in bom.lines(plain, table) for ref in line.refs}
    assert {f"J{10 + slot}" for slot in range(1, 6)} <= bought
    hubs = {pin.split(".")[0] for name, pins in plain.nets.items() if name.startswith("HUB") for pin in pins}
    assert not bought & hubs


@BOARDS
def test_the_bill_names_each_fitted_part_once(board: str) -> None:
    netlist = read_golden(board)
    named = [ref for line in bom.lines(netlist, bom.prices()) for ref in line.refs]
    assert sorted(named) == sorted(part.ref for part in netlist.components.values() if part.fitted and part.listed)


def test_no_price_stands_for_a_part_that_is_gone() -> None:
    table = bom.prices()
    plain = bom.variant(read_golden("backplane"), table, "backplane", "plain")
    bills = (bom.lines(netlist, table) for netlist in (read_golden("hat"), read_golden("backplane"), plain))
    assert set(table["parts"]) <= {line.mpn for bill in bills for line in bill}


def test_a_part_without_a_price_is_refused() -> None:
    netlist = read_golden("hat")
    netlist.components["U1"] = dataclasses.replace(netlist.components["U1"], mpn="LM2596")
    with pytest.raises(bom.NoPriceError, match="LM2596"):
        bom.lines(netlist, bom.prices())


def test_what_is_not_fitted_is_not_bought() -> None:
    assert "U7" not in bom.as_csv(bom.lines(read_golden("hat"), bom.prices()))
