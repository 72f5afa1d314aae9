"""The columns that sweeps and printability stand on."""

from __future__ import annotations

import numpy as np
import pytest
from build123d import Box, Cylinder, Part, Pos
from hypothesis import given, settings
from hypothesis import strategies as some

from racklet_case.columns import Triangles, columns, deepest_overlap
from racklet_case.meshes import triangles

_FACES = [
    (0, 2, 1),
    (1, 2, 3),
    (4, 5, 6),
    (5, 7, 6),
    (0, 1, 4),
    (1, 5, 4),
    (2, 6, 3),
    (3, 6, 7),
    (0, 4, 2),
    (2, 4, 6),
    (1, 3, 5),
    (3, 7, 5),
]


def cuboid(low: tuple[float, float, float], high: tuple[float, float, float]) -> Triangles:
    corners = np.array(
        [[(low, high)[i & 1][0], (low, high)[i >> 1 & 1][1], (low, high)[i >> 2 & 1][2]] for i in range(8)]
    )
    return corners[np.array(_FACES)]


def test_a_tube_has_two_walls_along_its_diameter_and_none_along_its_bore() -> None:
    tube = Part() + (Cylinder(10, 20) - Cylinder(8, 30))
    across = columns(triangles(tube), "x", 0.5)
    counts = np.unique(across.cell, return_counts=True)[1]
    assert set(counts) == {1, 2}
    along = columns(triangles(tube), "z", 0.5)
    area = len(along.cell) * 0.25
    assert area == pytest.approx(np.pi * (100 - 64), rel=0.02)


@settings(max_examples=60, deadline=None)
@given(
    gap=some.floats(-5, 20).filter(lambda gap: abs(gap) > 0.01),
    travel=some.floats(0, 20),
    beside=some.floats(-12, 12).filter(lambda y: abs(abs(y) - 10) > 0.6),
)
def test_a_box_that_moves_meets_a_box_in_its_way_and_as_deep_as_it_should(
    gap: float, travel: float, beside: float
) -> None:
    moving = columns(cuboid((0, 0, 0), (10, 10, 10)), "x", 0.5)
    still = columns(cuboid((10 + gap, beside, 0), (40 + gap, beside + 10, 10)), "x", 0.5)
    expected = max(0.0, travel - gap) if abs(beside) < 10 else 0.0
    found = deepest_overlap(moving, still, travel)
    assert found == pytest.approx(expected, abs=1e-6)


def test_what_only_touches_does_not_meet() -> None:
    one = columns(triangles(Part() + Box(10, 10, 10)), "x", 0.5)
    two = columns(triangles(Part() + (Pos(10, 0, 0) * Box(10, 10, 10))), "x", 0.5)
    assert deepest_overlap(one, two) == pytest.approx(0.0, abs=1e-9)
