"""Each check of the rack is seen failing on a deliberate mistake."""

from __future__ import annotations

import dataclasses

import pytest
from build123d import Pos

from racklet_case import checks
from racklet_case import layout as measures
from racklet_case import tray as trays
from racklet_case.assembly import Assembly, Placed
from racklet_case.layout import layout
from racklet_case.mechanics import mechanics
from racklet_case.parameters import ParameterError, parameters
from racklet_case.shapes import box


def with_part(rack: Assembly, part: Placed) -> Assembly:
    return dataclasses.replace(rack, placed=(*rack.placed, part))


def moved(rack: Assembly, name: str, by: tuple[float, float, float]) -> Assembly:
    placed = tuple(
        dataclasses.replace(part, shape=Pos(*by) * part.shape) if part.name == name else part for part in rack.placed
    )
    return dataclasses.replace(rack, placed=placed)


@pytest.mark.timeout(120)
def test_the_small_rack_itself_is_sound(small: Assembly) -> None:
    assert [finding.what for finding in checks.findings(small)] == []


def test_a_node_that_sits_a_millimetre_too_low_intersects_its_tray(small: Assembly) -> None:
    found = [finding.what for finding in checks.intersections(moved(small, "node 1", (0, 0, -1.0)))]
    assert any("tray 1 and node 1" in what for what in found)


def test_a_hat_a_millimetre_aside_misses_the_holes_of_its_socket(small: Assembly) -> None:
    found = [finding.what for finding in checks.intersections(moved(small, "HAT 1", (0, 1.0, 0)))]
    assert any("HAT 1 and backplane" in what for what in found)


def test_a_cable_tie_across_the_front_stops_the_tray(small: Assembly) -> None:
    """It touches nothing while the tray is home; only the sweep sees it."""
    tie = Placed(
        "cable tie", box((small.at.front_x + 30, small.at.front_x + 32), (0, 56), (20, 22)), (0, 0, 0), "bought"
    )
    rack = with_part(small, tie)
    assert not [finding for finding in checks.intersections(rack) if "cable tie" in finding.what]
    assert any("cable tie" in finding.what for finding in checks.travel(rack))


def test_a_screw_head_that_stands_out_of_a_wall_stops_the_tray(small: Assembly) -> None:
    wall = small.at.wall_y[0]
    head = Placed("screw head", box((40, 46), (wall, wall + 3.0), (0.5, 2.0)), (0, 0, 0), "bought")
    assert any("screw head" in finding.what for finding in checks.travel(with_part(small, head)))


def test_a_latch_that_is_not_pressed_holds_and_one_without_a_catch_does_not(small: Assembly) -> None:
    assert list(checks.latches(small)) == []
    loose = dataclasses.replace(
        small, placed=tuple(part for part in small.placed if not part.name.startswith("wall_right"))
    )
    assert [finding.what for finding in checks.latches(loose)] == ["tray 1 is not held"]


def test_a_latch_that_bends_too_little_stays_caught(small: Assembly, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures.Layout, "pressed_angle", property(lambda _: 1.0))
    assert any("wall_right" in finding.what for finding in checks.travel(small))


def test_pegs_that_are_too_short_to_lead_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "PEG_LEAD", 8.0)
    assert any("the pegs lead only" in finding.what for finding in checks.connectors(layout()))


def test_a_loose_printer_that_would_let_pins_miss_is_found() -> None:
    at = layout(parameters({"printer.fit_gap": 0.4}))
    assert any("pins may be 0.70 mm off" in finding.what for finding in checks.connectors(at))


def test_a_header_that_presses_before_the_stop_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "CONNECTOR_GAP", 0.1)
    assert any("press before the front's stop" in finding.what for finding in checks.connectors(layout()))


def test_a_taller_capacitor_on_the_hat_is_refused_by_the_pitch() -> None:
    m = mechanics()
    taller = m.model_copy(update={"hat": m.hat.model_copy(update={"height": 12.5})})
    with pytest.raises(ParameterError, match=r"needs 32\.5 mm"):
        layout(parameters(), taller)


def test_a_wall_that_no_shop_s_screw_passes_is_refused() -> None:
    with pytest.raises(ParameterError, match="no M3 screw passes"):
        checks.fasteners.choose("panel", ("M3", "pan"), (4.9, 4.1), grip=3.6, count=1)


def test_a_tray_without_its_latch_room_is_found(small: Assembly, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hole of the latch left out: the spring is one with the front plate, and pressed it meets it."""
    monkeypatch.setattr(trays, "_latch_room", lambda _: [])
    whole = trays.tray(small.at)
    assert whole.volume > small.part("tray").shape.volume + 100
