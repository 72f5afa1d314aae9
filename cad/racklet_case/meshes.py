"""Solids as triangles."""

from __future__ import annotations

import numpy as np
from build123d import Part
from numpy.typing import NDArray

FINE = 0.05  # mm between a curve and its triangles
ANGLE = 0.35  # rad


def triangles(part: Part, tolerance: float = FINE) -> NDArray[np.float64]:
    """Return the surface of a part: triangle, corner, coordinate."""
    corners, faces = part.tessellate(tolerance, ANGLE)
    places = np.array([(corner.X, corner.Y, corner.Z) for corner in corners])
    return places[np.array(faces)]
