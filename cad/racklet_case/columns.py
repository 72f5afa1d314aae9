"""Solids as columns: on a grid of parallel lines, from where to where each line runs inside a solid.

Exact along the lines, and as fine as the grid across them. A move along the lines only stretches the columns: a
sweep is as exact as a stay.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Triangles = NDArray[np.float64]

_SHIFT = 0.01373  # keeps the lines off the round numbers that edges lie on
_ALONG = {"x": (0, 1, 2), "y": (1, 2, 0), "z": (2, 0, 1)}


@dataclass(frozen=True)
class Columns:
    """Lines by cell number (row * 65536 + column), with start and end along the axis; sorted by cell."""

    cell: NDArray[np.int64]
    start: NDArray[np.float64]
    end: NDArray[np.float64]


def columns(triangles: Triangles, along: str, step: float) -> Columns:
    """Return the columns of a closed mesh. Lines that only touch it are left out."""
    axis, first, second = _ALONG[along]
    hits: list[NDArray[np.int64]] = []
    places: list[NDArray[np.float64]] = []
    for triangle in triangles[:, :, (axis, first, second)]:
        found = _crossings(triangle, step)
        if found is not None:
            hits.append(found[0])
            places.append(found[1])
    if not hits:
        return Columns(np.empty(0, np.int64), np.empty(0), np.empty(0))
    cell, place = np.concatenate(hits), np.concatenate(places)
    order = np.lexsort((place, cell))
    cell, place = cell[order], place[order]
    counts = np.unique(cell, return_counts=True)[1]
    even = np.repeat(counts % 2 == 0, counts)  # an odd line grazes an edge
    cell, place = cell[even], place[even]
    return Columns(cell[::2], place[::2], place[1::2])


def _crossings(triangle: Triangles, step: float) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    (az, ax, ay), (bz, bx, by), (cz, cx, cy) = triangle
    area = (by - cy) * (ax - cx) + (cx - bx) * (ay - cy)
    if abs(area) < 1e-9:  # parallel to the lines
        return None
    low = np.ceil((triangle[:, 1:].min(axis=0) - _SHIFT) / step).astype(int)
    high = np.floor((triangle[:, 1:].max(axis=0) - _SHIFT) / step).astype(int)
    if (high < low).any():
        return None
    columns_, rows = np.arange(low[0], high[0] + 1), np.arange(low[1], high[1] + 1)
    x, y = columns_[None, :] * step + _SHIFT, rows[:, None] * step + _SHIFT
    one = ((by - cy) * (x - cx) + (cx - bx) * (y - cy)) / area
    two = ((cy - ay) * (x - cx) + (ax - cx) * (y - cy)) / area
    three = 1 - one - two
    inside = (one >= 0) & (two >= 0) & (three >= 0)
    cell = (rows[:, None] + 32768) * 65536 + (columns_[None, :] + 32768)
    return cell[inside].astype(np.int64), (one * az + two * bz + three * cz)[inside]


def deepest_overlap(moving: Columns, still: Columns, travel: float = 0.0) -> float:
    """Return how deep, along the lines, `moving` gets into `still` while it moves on by `travel`; 0 when it passes."""
    if not len(moving.cell) or not len(still.cell):
        return 0.0
    first = np.searchsorted(still.cell, moving.cell, "left")
    last = np.searchsorted(still.cell, moving.cell, "right")
    counts = last - first
    index = np.repeat(np.arange(len(moving.cell)), counts)
    if not len(index):
        return 0.0
    offset = np.arange(len(index)) - np.repeat(np.cumsum(counts) - counts, counts)
    other = np.repeat(first, counts) + offset
    depth = np.minimum(moving.end[index] + travel, still.end[other]) - np.maximum(
        moving.start[index], still.start[other]
    )
    return float(max(depth.max(), 0.0))


def within(found: Columns, first: tuple[float, float], second: tuple[float, float], step: float) -> Columns:
    """Return the columns between two spans across the axis."""
    column, row = found.cell % 65536 - 32768, found.cell // 65536 - 32768
    x, y = column * step + _SHIFT, row * step + _SHIFT
    kept = (x >= first[0]) & (x <= first[1]) & (y >= second[0]) & (y <= second[1])
    return Columns(found.cell[kept], found.start[kept], found.end[kept])
