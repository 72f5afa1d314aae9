"""The rack of the parameter file, as it is delivered."""

from __future__ import annotations

import pytest

from racklet_case import checks, printing
from racklet_case.assembly import Assembly
from racklet_case.meshes import triangles


@pytest.mark.timeout(240)
def test_the_rack_is_sound(rack: Assembly) -> None:
    assert [finding.what for finding in checks.findings(rack)] == []


@pytest.mark.timeout(120)
def test_every_printed_part_is_one_closed_body_that_fits_the_bed(rack: Assembly) -> None:
    for part in rack.printed:
        mesh = printing.as_mesh(triangles(part.on_bed))
        assert mesh.is_volume, part.name  # trimesh's word for closed, consistent and outside out
        assert mesh.body_count == 1, part.name
        assert mesh.volume == pytest.approx(part.shape.volume, rel=0.01), part.name
        assert sorted(mesh.extents[:2])[1] <= max(rack.at.p.printer.bed), part.name


@pytest.mark.timeout(240)
def test_no_part_needs_support_or_has_a_wall_that_no_nozzle_draws(rack: Assembly) -> None:
    for part in rack.printed:
        mesh = printing.as_mesh(triangles(part.on_bed))
        found = printing.report(part.name, mesh, part.shape.volume, rack.at.p.printer)
        assert found.problems == (), part.name


def test_there_is_a_tray_for_every_row_and_two_lights_for_every_hat(rack: Assembly) -> None:
    names = [part.name for part in rack.placed]
    assert [name for name in names if name.startswith("tray ")] == ["tray C", *(f"tray {slot}" for slot in range(1, 6))]
    assert sum(name.startswith("light guide ") for name in names) == rack.part("light_guide").count == 10


def test_placed_and_printed_parts_agree_in_number(rack: Assembly) -> None:
    placed = sum(part.kind == "printed" for part in rack.placed)
    assert placed == sum(part.count for part in rack.printed)
