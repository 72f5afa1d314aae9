"""Checks the copper that carries the power: each step's resistance and heating, from the board file itself.

`/usr/bin/python3 -m hardware.power_path hardware/kicad/hat/hat.kicad_pcb`: ends with 1 when a limit is broken. Names of
nets behind it check only those.

Each net of the path is cut into squares on each layer, with the sheet resistance of its copper; barrels of plated holes
and vias join the layers. Currents in at the pads of parts and out at those of another give the resistance and, from the
square with the most current, the heating by IPC-2221 for a track of that current density.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pcbnew

_RHO_OHM_MM = 1.72e-5 * 1.2  # copper at 70 degrees
_OUTER_MM, _INNER_MM = 0.035, 0.0152
_PLATING_MM = 0.018
_BOARD_MM = 1.6
_MARGIN_MM = 1.0
Pads = tuple[str, str]  # a part and the numbers of its pads


@dataclass(frozen=True)
class Step:
    """A stretch of the path on one net: currents from the pads of parts, with their amperes, to those of one other."""

    net: str
    sources: tuple[tuple[Pads, float], ...]
    sink: Pads
    limit_mohm: float  # the largest drop over the sum of the currents

    @property
    def amperes(self) -> float:
        """The sum of the currents."""
        return sum(amperes for _, amperes in self.sources)


@dataclass(frozen=True)
class PowerPath:
    """What is checked on a board. `square` is the edge of a square in mm."""

    square: float
    steps: tuple[Step, ...]
    summed: str  # what the sum of the drops is, of the steps with `summed_from` amperes and more
    summed_from: float


def _step(net: str, source: Pads, sink: Pads, amperes: float, limit_mohm: float) -> Step:
    return Step(net, ((source, amperes),), sink, limit_mohm)


# HAT: 5 A out; 26 W and 88 % at 12 V are 2.5 A in. The limits add up to 25 mV on the 5 V side.
# Backplane: 2.5 A a slot at 12 V, 3.3 A for one alone at 9 V; standby of 1 A; fans.
_SLOTS = range(1, 6)
PATHS = {
    "hat": PowerPath(
        0.1,
        (
            _step("/VIN", ("J2", "1 7"), ("F1", "1"), 2.5, 3.0),
            _step("/VIN_FUSED", ("F1", "2"), ("Q1", "5"), 2.5, 3.0),
            _step("/VIN_PROT", ("Q1", "1 2 3"), ("U1", "2"), 2.5, 8.0),
            _step("/SW", ("U1", "8"), ("L1", "1"), 5.0, 4.0),
            _step("/5V_BUCK", ("L1", "2"), ("Q3", "1 2 3"), 5.0, 3.0),
            _step("/5V_DIODE", ("Q3", "5"), ("Q2", "5"), 5.0, 2.0),
            _step("/5V_SUPPLY", ("Q2", "1 2 3"), ("R22", "1"), 5.0, 3.0),
            _step("/5V_NODE", ("R22", "4"), ("J1", "2 4"), 5.0, 3.0),
        ),
        "copper of the 5 V side",
        5.0,
    ),
    "backplane": PowerPath(
        0.35,
        (
            Step("/VIN", tuple(((f"F{slot}", "1"), 2.5) for slot in _SLOTS), ("J6", "2"), 6.0),
            *(_step(f"/VIN_{slot}", (f"F{slot}", "2"), (f"J{slot}", "1 7"), 3.3, 2.0) for slot in _SLOTS),
            Step("GND", tuple(((f"J{slot}", "5 6 10 11 12"), 2.5) for slot in _SLOTS), ("J6", "1"), 6.0),
            _step("/5V_STBY", ("L1", "2"), ("F11", "1"), 1.0, 60.0),
            _step("/VIN_AUX", ("D2", "1"), ("J10", "1"), 2.0, 15.0),
            _step("/FAN_V", ("F7", "2"), ("J9", "2"), 0.5, 10.0),
        ),
        "bus, there and back",
        12.5,
    ),
}
_RISE_LIMIT_K = 30.0  # at the narrowest square, as if a whole track were as narrow
_MAX_ROUNDS = 6000
_RESIDUE_A = 1e-5


class Raster:
    """The squares of a board."""

    def __init__(self, board: pcbnew.BOARD, square: float) -> None:
        self.square = square
        box = board.GetBoardEdgesBoundingBox()
        self.left, self.top = pcbnew.ToMM(box.GetLeft()) - _MARGIN_MM, pcbnew.ToMM(box.GetTop()) - _MARGIN_MM
        high, wide = pcbnew.ToMM(box.GetHeight()), pcbnew.ToMM(box.GetWidth())
        self.shape = (round((high + 2 * _MARGIN_MM) / square), round((wide + 2 * _MARGIN_MM) / square))
        inner = [pcbnew.In1_Cu, pcbnew.In2_Cu] if board.GetCopperLayerCount() > 2 else []  # noqa: PLR2004
        self.layers = [pcbnew.F_Cu, *inner, pcbnew.B_Cu]

    def thickness(self, layer: int) -> float:
        """Return the copper's thickness in mm."""
        return _OUTER_MM if layer in {pcbnew.F_Cu, pcbnew.B_Cu} else _INNER_MM

    def cell(self, x: int, y: int) -> tuple[int, int]:
        """Return row and column of a point."""
        return (
            round((pcbnew.ToMM(y) - self.top) / self.square),
            round((pcbnew.ToMM(x) - self.left) / self.square),
        )

    def fill(self, corners: list[tuple[int, int]]) -> np.ndarray:
        """Return the squares whose middle is inside an outline."""
        square = self.square
        points = [((pcbnew.ToMM(x) - self.left) / square, (pcbnew.ToMM(y) - self.top) / square) for x, y in corners]
        mask = np.zeros(self.shape, dtype=bool)
        rows = slice(max(0, int(min(y for _, y in points))), int(max(y for _, y in points)) + 2)
        columns = slice(max(0, int(min(x for x, _ in points))), int(max(x for x, _ in points)) + 2)
        ys, xs = np.mgrid[rows, columns]
        part = np.zeros(ys.shape, dtype=bool)
        for (ax, ay), (bx, by) in zip(points, [*points[1:], points[0]], strict=True):
            if ay != by:
                part ^= ((ay > ys) != (by > ys)) & (xs < (bx - ax) * (ys - ay) / (by - ay) + ax)
        mask[rows, columns] = part[: self.shape[0] - rows.start, : self.shape[1] - columns.start]
        return mask


class Copper:
    """The copper of one net as a network of resistors."""

    def __init__(self, board: pcbnew.BOARD, net: str, square: float) -> None:
        self.board = board
        self.net = net
        self.raster = Raster(board, square)
        self.masks = {layer: self._mask(layer) for layer in self.raster.layers}
        self.index: dict[int, np.ndarray] = {}
        count = 0
        for layer, mask in self.masks.items():
            numbers = np.full(self.raster.shape, -1)
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
        mask = np.zeros(self.raster.shape, dtype=bool)
        for number in range(shape.OutlineCount()):
            lines = [(shape.Outline(number), True)]
            lines += [(shape.Hole(number, hole), False) for hole in range(shape.HoleCount(number))]
            for line, solid in lines:
                area = self.raster.fill([(line.CPoint(i).x, line.CPoint(i).y) for i in range(line.PointCount())])
                mask = mask | area if solid else mask & ~area
        return mask

    def _joints(self) -> list[tuple[int, int, float]]:
        """Return the barrels: pairs of squares with a conductance."""
        found = []
        holes = [via for via in self.board.Tracks() if isinstance(via, pcbnew.PCB_VIA)]
        holes += [pad for pad in self.board.GetPads() if pad.GetDrillSize().x > 0]
        layers = self.raster.layers
        for hole in holes:
            if hole.GetNetname() != self.net:
                continue
            drill = hole.GetDrillValue() if isinstance(hole, pcbnew.PCB_VIA) else hole.GetDrillSize().x
            point = hole.GetPosition()
            row, column = self.raster.cell(point.x, point.y)
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
                    area = self.raster.fill([(line.CPoint(i).x, line.CPoint(i).y) for i in range(line.PointCount())])
                    squares += [int(number) for number in index[area] if number >= 0]
        return np.unique(squares)

    def solve(self, sources: list[tuple[np.ndarray, float]], sink: np.ndarray) -> tuple[float, float]:
        """Return the largest drop in volts, and the highest current density in A/mm2, past the pads."""
        firsts, seconds, values, kinds = [], [], [], []
        for layer, index in self.index.items():
            thick = self.raster.thickness(layer)
            for one, other in ((index[:, :-1], index[:, 1:]), (index[:-1], index[1:])):
                both = (one >= 0) & (other >= 0)
                firsts.append(one[both])
                seconds.append(other[both])
                values.append(np.full(int(both.sum()), thick / _RHO_OHM_MM))
                kinds.append(np.full(int(both.sum()), thick * self.raster.square))
        for first, second, value in self._joints():
            firsts.append(np.array([first]))
            seconds.append(np.array([second]))
            values.append(np.array([value]))
            kinds.append(np.array([np.inf]))
        a, b, g, area = (np.concatenate(part) for part in (firsts, seconds, values, kinds))
        # Pads are equipotential: the part's metal. All their squares become one; the sink's is the first of these.
        merged = np.arange(self.count)
        currents = np.zeros(self.count + 1 + len(sources))
        merged[sink] = self.count
        for place, (squares, amperes) in enumerate(sources, self.count + 1):
            merged[squares] = place
            currents[place] = amperes
        a, b = merged[a], merged[b]
        keep = a != b
        return _solve(a[keep], b[keep], g[keep], area[keep], currents, self.count)


def _solve(
    a: np.ndarray, b: np.ndarray, g: np.ndarray, area: np.ndarray, currents: np.ndarray, sink: int
) -> tuple[float, float]:
    """Solve for the currents into the nodes, all out at the node `sink`."""
    joined = _reached(a, b, sink, len(currents))
    if not joined[currents > 0].all():
        return float("inf"), float("inf")
    keep = joined[a]
    a, b, g, area = a[keep], b[keep], g[keep], area[keep]
    volts = _potentials(a, b, g, currents, sink)
    density = np.abs(volts[a] - volts[b]) * g / area
    return float(volts.max()), float(np.quantile(density[density > 0], 0.999))


def _potentials(a: np.ndarray, b: np.ndarray, g: np.ndarray, currents: np.ndarray, sink: int) -> np.ndarray:
    """Solve by conjugate gradients."""
    size = len(currents)
    weight = np.bincount(a, g, size) + np.bincount(b, g, size)
    scale = np.where(weight > 0, 1.0 / np.maximum(weight, 1e-30), 0.0)
    scale[sink] = 0.0  # held at 0 V
    volts, rest = np.zeros(size), currents.copy()
    way = scale * rest
    old = rest @ way
    for _ in range(_MAX_ROUNDS):
        through = (way[a] - way[b]) * g
        pushed = np.bincount(a, through, size) - np.bincount(b, through, size)
        pushed[sink] = 0.0
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


def rise_k(density: float, amperes: float) -> float:
    """Return the heating by IPC-2221 (outer layers) of a track with this current and current density in A/mm2."""
    square_mils = amperes / density / 0.00064516
    return float((amperes / (0.048 * square_mils**0.725)) ** (1 / 0.44))


def main() -> None:
    """Check the board file named on the command line; its name says which board it is."""
    path = PATHS[Path(sys.argv[1]).stem]
    board = pcbnew.LoadBoard(sys.argv[1])
    broken = []
    print("net           from      to          A    mOhm  limit    mV     W   A/mm2   rise K")
    total_mv = 0.0
    for step in path.steps:
        if sys.argv[2:] and step.net not in sys.argv[2:]:
            continue
        copper = Copper(board, step.net, path.square)
        sources = [(copper.terminals(*pads), amperes) for pads, amperes in step.sources]
        volts, density = copper.solve(sources, copper.terminals(*step.sink))
        ohms = volts / step.amperes
        rise = rise_k(density, step.amperes) if np.isfinite(density) else float("inf")
        total_mv += volts * 1e3 if step.amperes >= path.summed_from else 0.0
        (first, _), _ = step.sources[0]
        print(
            f"{step.net:13} {first + ('..' if len(sources) > 1 else ''):6}    {step.sink[0]:4}     {step.amperes:4.1f}"
            f"  {ohms * 1e3:6.2f} {step.limit_mohm:6.1f}"
            f" {volts * 1e3:5.1f} {volts * step.amperes:5.2f} {density:7.1f} {rise:8.1f}"
        )
        if ohms * 1e3 > step.limit_mohm or rise > _RISE_LIMIT_K:
            broken.append(step.net)
    print(f"{path.summed}: {total_mv:.1f} mV at {path.summed_from:g} A")
    if broken:
        print(f"power path: too thin or not joined: {', '.join(broken)}")
        sys.exit(1)


if __name__ == "__main__":
    main()
