"""Checks the copper that carries 5 A: each step's resistance and heating, from the board file itself.

`/usr/bin/python3 -m hardware.power_path hardware/kicad/hat/hat.kicad_pcb`: ends with 1 when a limit is broken.

Each net of the path is cut into squares of 0.1 mm on each layer, with the sheet resistance of its copper; barrels of
plated holes and vias join the layers. One ampere in at the pads of one part and out at those of the next gives the
resistance and, from the square with the most current, the heating by IPC-2221 for a track of that current density.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pcbnew

_SQUARE = 0.1  # mm
_RHO_OHM_MM = 1.72e-5 * 1.2  # copper at 70 degrees
_THICKNESS_MM = {pcbnew.F_Cu: 0.035, pcbnew.B_Cu: 0.035, pcbnew.In1_Cu: 0.0152, pcbnew.In2_Cu: 0.0152}
_PLATING_MM = 0.018
_BOARD_MM = 1.6
_ORIGIN = (99.0, 79.0)
_SHAPE = (590, 670)


@dataclass(frozen=True)
class Step:
    """A stretch of the path: from the pads of one part to those of the next, on one net."""

    net: str
    source: tuple[str, str]
    sink: tuple[str, ...]
    amperes: float
    limit_mohm: float


# Currents at 5 A out: 26 W and 88 % at 12 V are 2.5 A in. The limits add up to 25 mV on the 5 V side.
PATH = (
    Step("/VIN", ("J2", "1 7"), ("F1", "1"), 2.5, 3.0),
    Step("/VIN_FUSED", ("F1", "2"), ("Q1", "5"), 2.5, 3.0),
    Step("/VIN_PROT", ("Q1", "1 2 3"), ("U1", "2"), 2.5, 8.0),
    Step("/SW", ("U1", "8"), ("L1", "1"), 5.0, 4.0),
    Step("/5V_BUCK", ("L1", "2"), ("Q3", "1 2 3"), 5.0, 3.0),
    Step("/5V_DIODE", ("Q3", "5"), ("Q2", "5"), 5.0, 2.0),
    Step("/5V_SUPPLY", ("Q2", "1 2 3"), ("R22", "1"), 5.0, 3.0),
    Step("/5V_NODE", ("R22", "4"), ("J1", "2 4"), 5.0, 3.0),
)
_RISE_LIMIT_K = 30.0  # at the narrowest square, as if a whole track were as narrow
_MAX_ROUNDS = 6000
_RESIDUE_A = 1e-5


class Copper:
    """The copper of one net as a network of resistors."""

    def __init__(self, board: pcbnew.BOARD, net: str) -> None:
        self.board = board
        self.net = net
        self.masks = {layer: self._mask(layer) for layer in _THICKNESS_MM}
        self.index: dict[int, np.ndarray] = {}
        count = 0
        for layer, mask in self.masks.items():
            numbers = np.full(_SHAPE, -1)
            numbers[mask] = np.arange(count, count + mask.sum())
            count += int(mask.sum())
            self.index[layer] = numbers
        self.count = count

    def _mask(self, layer: int) -> np.ndarray:
        shape = pcbnew.SHAPE_POLY_SET()
        for zone in self.board.Zones():
            if zone.GetNetname() == self.net and zone.IsOnLayer(layer):
                shape.Append(zone.GetFilledPolysList(layer))
        for item in [*self.board.Tracks(), *self.board.GetPads()]:
            if item.GetNetname() == self.net and item.IsOnLayer(layer):
                item.TransformShapeToPolygon(shape, layer, 0, pcbnew.FromMM(0.005), pcbnew.ERROR_INSIDE)
        shape.Simplify()
        mask = np.zeros(_SHAPE, dtype=bool)
        for number in range(shape.OutlineCount()):
            lines = [(shape.Outline(number), True)]
            lines += [(shape.Hole(number, hole), False) for hole in range(shape.HoleCount(number))]
            for line, solid in lines:
                area = _fill([(line.CPoint(i).x, line.CPoint(i).y) for i in range(line.PointCount())])
                mask = mask | area if solid else mask & ~area
        return mask

    def _joints(self) -> list[tuple[int, int, float]]:
        """Return the barrels: pairs of squares with a conductance."""
        found = []
        holes = [via for via in self.board.Tracks() if isinstance(via, pcbnew.PCB_VIA)]
        holes += [pad for pad in self.board.GetPads() if pad.GetDrillSize().x > 0]
        layers = [pcbnew.F_Cu, pcbnew.In1_Cu, pcbnew.In2_Cu, pcbnew.B_Cu]
        for hole in holes:
            if hole.GetNetname() != self.net:
                continue
            drill = hole.GetDrillValue() if isinstance(hole, pcbnew.PCB_VIA) else hole.GetDrillSize().x
            point = hole.GetPosition()
            row, column = _cell(point.x, point.y)
            area = np.pi * pcbnew.ToMM(drill) * _PLATING_MM
            numbers = [int(self.index[layer][row, column]) for layer in layers]
            present = [(place, number) for place, number in enumerate(numbers) if number >= 0]
            for (above, first), (below, second) in pairwise(present):
                length = _BOARD_MM * (below - above) / (len(layers) - 1)
                found.append((first, second, area / (_RHO_OHM_MM * length)))
        return found

    def terminals(self, ref: str, numbers: str) -> np.ndarray:
        """Return the squares under the pads of a part. Raises ValueError when a pad is not on this net's copper."""
        squares: list[int] = []
        for pad in self.board.FindFootprintByReference(ref).Pads():
            if pad.GetNumber() not in numbers.split():
                continue
            if pad.GetNetname() != self.net:
                raise ValueError(f"{ref}.{pad.GetNumber()} is on {pad.GetNetname()}, not on {self.net}")
            for layer, index in self.index.items():
                if pad.IsOnLayer(layer):
                    shape = pcbnew.SHAPE_POLY_SET()
                    pad.TransformShapeToPolygon(shape, layer, 0, pcbnew.FromMM(0.005), pcbnew.ERROR_INSIDE)
                    line = shape.Outline(0)
                    area = _fill([(line.CPoint(i).x, line.CPoint(i).y) for i in range(line.PointCount())])
                    squares += [int(number) for number in index[area] if number >= 0]
        return np.unique(squares)

    def solve(self, source: np.ndarray, sink: np.ndarray) -> tuple[float, float]:
        """Return the resistance in ohms, and the highest current density in A/mm2 for one ampere, past the pads."""
        firsts, seconds, values, kinds = [], [], [], []
        for layer, index in self.index.items():
            value = _THICKNESS_MM[layer] / _RHO_OHM_MM
            for one, other in ((index[:, :-1], index[:, 1:]), (index[:-1], index[1:])):
                both = (one >= 0) & (other >= 0)
                firsts.append(one[both])
                seconds.append(other[both])
                values.append(np.full(int(both.sum()), value))
                kinds.append(np.full(int(both.sum()), _THICKNESS_MM[layer] * _SQUARE))
        for first, second, value in self._joints():
            firsts.append(np.array([first]))
            seconds.append(np.array([second]))
            values.append(np.array([value]))
            kinds.append(np.array([np.inf]))
        a, b, g, area = (np.concatenate(part) for part in (firsts, seconds, values, kinds))
        # The pads are equipotential: the part's metal. All their squares become one.
        merged = np.arange(self.count)
        merged[source], merged[sink] = self.count, self.count + 1
        a, b = merged[a], merged[b]
        keep = a != b
        a, b, g, area = a[keep], b[keep], g[keep], area[keep]
        return _solve(a, b, g, area, self.count)


def _solve(a: np.ndarray, b: np.ndarray, g: np.ndarray, area: np.ndarray, count: int) -> tuple[float, float]:
    """Solve for one ampere from node `count` to node `count + 1` by conjugate gradients."""
    joined = _reached(a, b, count, count + 2)
    if not joined[count + 1]:
        return float("inf"), float("inf")
    keep = joined[a]
    a, b, g, area = a[keep], b[keep], g[keep], area[keep]
    volts = _potentials(a, b, g, count)
    density = np.abs(volts[a] - volts[b]) * g / area
    return float(volts[count]), float(np.quantile(density[density > 0], 0.999))


def _potentials(a: np.ndarray, b: np.ndarray, g: np.ndarray, count: int) -> np.ndarray:
    size = count + 2
    weight = np.bincount(a, g, size) + np.bincount(b, g, size)
    scale = np.where(weight > 0, 1.0 / np.maximum(weight, 1e-30), 0.0)
    scale[count + 1] = 0.0  # held at 0 V
    volts, rest = np.zeros(size), np.zeros(size)
    rest[count] = 1.0
    way = scale * rest
    old = rest @ way
    for _ in range(_MAX_ROUNDS):
        through = (way[a] - way[b]) * g
        pushed = np.bincount(a, through, size) - np.bincount(b, through, size)
        pushed[count + 1] = 0.0
        length = old / (way @ pushed)
        volts += length * way
        rest -= length * pushed
        if np.abs(rest).max() < _RESIDUE_A:
            break
        fresh = scale * rest
        new = rest @ fresh
        way, old = fresh + new / old * way, new
    return volts


def _reached(a: np.ndarray, b: np.ndarray, start: int, size: int) -> np.ndarray:
    reached = np.zeros(size, dtype=bool)
    reached[start] = True
    while (across := reached[a] != reached[b]).any():
        reached[a[across]] = reached[b[across]] = True
    return reached


def _cell(x: int, y: int) -> tuple[int, int]:
    return (
        round((pcbnew.ToMM(y) - _ORIGIN[1]) / _SQUARE),
        round((pcbnew.ToMM(x) - _ORIGIN[0]) / _SQUARE),
    )


def _fill(corners: list[tuple[int, int]]) -> np.ndarray:
    points = [((pcbnew.ToMM(x) - _ORIGIN[0]) / _SQUARE, (pcbnew.ToMM(y) - _ORIGIN[1]) / _SQUARE) for x, y in corners]
    mask = np.zeros(_SHAPE, dtype=bool)
    rows = slice(max(0, int(min(y for _, y in points))), int(max(y for _, y in points)) + 2)
    columns = slice(max(0, int(min(x for x, _ in points))), int(max(x for x, _ in points)) + 2)
    ys, xs = np.mgrid[rows, columns]
    part = np.zeros(ys.shape, dtype=bool)
    for (ax, ay), (bx, by) in zip(points, [*points[1:], points[0]], strict=True):
        if ay != by:
            part ^= ((ay > ys) != (by > ys)) & (xs < (bx - ax) * (ys - ay) / (by - ay) + ax)
    mask[rows, columns] = part[: _SHAPE[0] - rows.start, : _SHAPE[1] - columns.start]
    return mask


def rise_k(density: float, amperes: float) -> float:
    """Return the heating by IPC-2221 (outer layers) of a track with this current and current density in A/mm2."""
    square_mils = amperes / density / 0.00064516
    return float((amperes / (0.048 * square_mils**0.725)) ** (1 / 0.44))


def main() -> None:
    """Check the board named on the command line."""
    board = pcbnew.LoadBoard(sys.argv[1])
    broken = []
    print("net           from      to          A    mOhm  limit    mV     W   A/mm2   rise K")
    total_mv = 0.0
    for step in PATH:
        copper = Copper(board, step.net)
        (from_ref, from_pads), (to_ref, to_pads) = step.source, step.sink
        ohms, per_ampere = copper.solve(copper.terminals(from_ref, from_pads), copper.terminals(to_ref, to_pads))
        density = per_ampere * step.amperes
        rise = rise_k(density, step.amperes) if np.isfinite(density) else float("inf")
        volts, watts = ohms * step.amperes, ohms * step.amperes**2
        total_mv += volts * 1e3 if step.amperes >= 5.0 else 0.0  # noqa: PLR2004 - the 5 V side
        print(
            f"{step.net:13} {from_ref:4}      {to_ref:4}     {step.amperes:4.1f}"
            f"  {ohms * 1e3:6.2f} {step.limit_mohm:6.1f}"
            f" {volts * 1e3:5.1f} {watts:5.2f} {density:7.1f} {rise:8.1f}"
        )
        if ohms * 1e3 > step.limit_mohm or rise > _RISE_LIMIT_K:
            broken.append(step.net)
    print(f"copper of the 5 V side: {total_mv:.1f} mV at 5 A")
    if broken:
        print(f"power path: too thin or not joined: {', '.join(broken)}")
        sys.exit(1)


if __name__ == "__main__":
    main()
