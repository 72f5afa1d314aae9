"""Finds places for the small parts: each as near to what it is wired to as courtyards and pours allow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STEP = 0.25  # mm
_GAP = 0.12  # mm between courtyards


@dataclass(frozen=True)
class Box:
    """An axis-parallel rectangle in mm."""

    left: float
    top: float
    right: float
    bottom: float


class Floor:
    """The board's free area, on a grid."""

    def __init__(self, width: float, height: float) -> None:
        self.shape = (round(height / STEP) + 1, round(width / STEP) + 1)
        self.taken: NDArray[np.bool_] = np.zeros(self.shape, dtype=bool)

    def block(self, box: Box) -> None:
        """Take an area."""
        top, left = max(0, int(box.top / STEP)), max(0, int(box.left / STEP))
        self.taken[top : int(np.ceil(box.bottom / STEP)) + 1, left : int(np.ceil(box.right / STEP)) + 1] = True

    def block_mask(self, mask: NDArray[np.bool_]) -> None:
        """Take the cells of a mask."""
        self.taken |= mask

    def free_origins(self, box: Box) -> NDArray[np.bool_]:
        """Tell for each cell whether a part whose courtyard is `box` around its origin may stand there."""
        sums = np.pad(np.cumsum(np.cumsum(self.taken, axis=0), axis=1), ((1, 0), (1, 0)))
        up, down = int(np.ceil((_GAP - box.top) / STEP)), int(np.ceil((box.bottom + _GAP) / STEP))
        left, right = int(np.ceil((_GAP - box.left) / STEP)), int(np.ceil((box.right + _GAP) / STEP))
        height, width = self.shape
        free = np.zeros(self.shape, dtype=bool)
        rows, columns = height - up - down, width - left - right
        if rows <= 0 or columns <= 0:
            return free
        tall, wide = up + down + 1, left + right + 1
        used = (
            sums[tall : tall + rows, wide : wide + columns]
            - sums[:rows, wide : wide + columns]
            - sums[tall : tall + rows, :columns]
            + sums[:rows, :columns]
        )
        free[up : up + rows, left : left + columns] = used == 0
        return free

    def best(
        self, turns: list[tuple[float, Box, list[tuple[float, float, list[tuple[float, float]]]]]]
    ) -> tuple[float, float, float]:
        """Return x, y and rotation of the cheapest place.

        Each turn is a rotation, the courtyard then, and its pins: their offset and what they are wired to. The cost is
        the sum of the distances from each pin to the nearest of those. Raises ValueError when nothing is free.
        """
        ys, xs = np.mgrid[0 : self.shape[0], 0 : self.shape[1]] * STEP
        best = (np.inf, 0.0, 0.0, 0.0)
        for rotation, box, wired in turns:
            cost = np.zeros(self.shape)
            for dx, dy, targets in wired:
                nearest = np.full(self.shape, np.inf)
                for tx, ty in targets:
                    nearest = np.minimum(nearest, np.abs(xs + dx - tx) + np.abs(ys + dy - ty))
                cost += nearest
            cost[~self.free_origins(box)] = np.inf
            at = np.unravel_index(np.argmin(cost), self.shape)
            if cost[at] < best[0]:
                best = (float(cost[at]), float(xs[at]), float(ys[at]), rotation)
        if not np.isfinite(best[0]):
            raise ValueError("no free place is left")
        return best[1:]
