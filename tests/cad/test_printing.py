"""What a printer cannot do is found; each check is seen failing on a deliberate mistake."""

from __future__ import annotations

import numpy as np
import pytest
from build123d import Box, Cylinder, Part, Pos, Rot

from racklet_case import printing
from racklet_case.meshes import triangles
from racklet_case.panels import laid
from racklet_case.parameters import parameters

PRINTER = parameters().printer


def report(part: Part) -> printing.Report:
    lying = laid(Part() + part, (0, 0, 0))
    return printing.report("part", printing.as_mesh(triangles(lying)), lying.volume, PRINTER)


def test_a_plate_with_a_post_can_be_printed() -> None:
    found = report(Box(40, 30, 3) + Pos(0, 0, 8) * Cylinder(3, 14))
    assert found.problems == ()
    assert found.watertight


def test_a_wall_of_one_line_is_found() -> None:
    found = report(Box(40, 30, 3) + Pos(0, 0, 6) * Box(20, 0.5, 10))
    assert any("a wall below 0.8 mm" in problem for problem in found.problems)


def test_a_wall_of_two_lines_is_fine() -> None:
    assert report(Box(40, 30, 3) + Pos(0, 0.13, 6) * Box(20, 1.0, 10)).problems == ()


def test_a_floating_island_is_found() -> None:
    arch = (
        Box(40, 10, 3)
        + Pos(-18, 0, 10) * Box(4, 10, 20)
        + Pos(0, 0, 18) * Box(40, 10, 3)
        + Pos(10, 0, 15) * Box(4, 4, 6)
    )
    assert any("an island of 1" in problem for problem in report(arch).problems)


def test_a_shelf_that_sticks_out_is_found_and_a_bridge_of_the_same_length_is_not() -> None:
    shelf = Box(40, 10, 3) + Pos(-18, 0, 10) * Box(4, 10, 20) + Pos(-8, 0, 18.5) * Box(24, 10, 3)
    bridge = (
        Box(40, 10, 3)
        + Pos(-18, 0, 10) * Box(4, 10, 20)
        + Pos(6, 0, 10) * Box(4, 10, 20)
        + Pos(-6, 0, 18.5) * Box(28, 10, 3)
    )
    assert any("stick out over nothing" in problem for problem in report(shelf).problems)
    found = report(bridge)
    assert found.problems == ()
    assert found.longest_bridge == pytest.approx(20, abs=1.0)


def test_a_bridge_that_is_too_long_is_found() -> None:
    bridge = (
        Box(80, 10, 3)
        + Pos(-38, 0, 10) * Box(4, 10, 20)
        + Pos(38, 0, 10) * Box(4, 10, 20)
        + Pos(0, 0, 18.5) * Box(80, 10, 3)
    )
    assert any("a bridge of 7" in problem for problem in report(bridge).problems)


def test_a_slope_of_45_degrees_needs_no_support_and_one_of_70_does() -> None:
    steep = Box(10, 10, 20) + Pos(6, 0, 3) * Rot(0, 45, 0) * Box(14, 10, 5)
    assert report(Box(10, 10, 20)).steepest_degrees == 0
    assert report(Pos(0, 0, 0) * steep).steepest_degrees > 40


def test_a_part_larger_than_the_bed_is_found() -> None:
    assert any("do not fit the bed" in problem for problem in report(Box(215, 20, 3)).problems)


def test_a_surface_with_a_hole_is_found_by_the_independent_library() -> None:
    whole = triangles(Part() + (Pos(0, 0, 5) * Box(10, 10, 10)))
    torn = printing.report("torn", printing.as_mesh(np.delete(whole, 3, axis=0)), 1000.0, PRINTER)
    assert not torn.watertight
    assert "the surface is not closed" in torn.problems


def test_two_bodies_in_one_part_are_found() -> None:
    assert any("2 bodies" in problem for problem in report(Box(5, 5, 5) + Pos(20, 0, 0) * Box(5, 5, 5)).problems)
