"""Routes a board: writes the grid for the router, runs it, brings its tracks back, fills the pours.

`/usr/bin/python3 -m hardware.design.route BOARD IN.kicad_pcb OUT.kicad_pcb ROUTER`
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pcbnew

from hardware.design.board import ORIGIN, at, nm
from hardware.design.boards import layout

GRID = 0.1  # mm
TRACK, CLEARANCE, VIA, DRILL = 0.15, 0.135, 0.5, 0.25  # mm; 5 um more than the rule, for rounding
_HOLE_CLEARANCE = 0.21
_EDGE = 0.35
_NOBODY = -1
_PLANES = {"GND", "/+3V3", "+3V3"}
_BOARD = layout(sys.argv[1] if len(sys.argv) > 1 else "hat")
_WIDTH, _HEIGHT = round(_BOARD.width / GRID) + 1, round(_BOARD.height / GRID) + 1
_COMPLETE = {f"/{track.net}" for track in _BOARD.tracks}
_CELLS = _WIDTH * _HEIGHT
_SIDES = (pcbnew.F_Cu, pcbnew.B_Cu)

Mask = np.ndarray


def raster(shape: pcbnew.SHAPE_POLY_SET) -> Mask:
    """Return the cells whose centre is inside the outline."""
    inside = np.zeros((_HEIGHT, _WIDTH), dtype=bool)
    for index in range(shape.OutlineCount()):
        line = shape.Outline(index)
        points = [line.CPoint(i) for i in range(line.PointCount())]
        corners = [((pcbnew.ToMM(p.x) - ORIGIN[0]) / GRID, (pcbnew.ToMM(p.y) - ORIGIN[1]) / GRID) for p in points]
        inside |= _fill(corners)
    return inside


def _fill(corners: list[tuple[float, float]]) -> Mask:
    inside = np.zeros((_HEIGHT, _WIDTH), dtype=bool)
    left, right = (f(x for x, _ in corners) for f in (min, max))
    top, bottom = (f(y for _, y in corners) for f in (min, max))
    rows = slice(max(0, int(top)), min(_HEIGHT, int(bottom) + 2))
    columns = slice(max(0, int(left)), min(_WIDTH, int(right) + 2))
    ys, xs = np.mgrid[rows, columns]
    if ys.size == 0:
        return inside
    part = np.zeros(ys.shape, dtype=bool)
    for (ax, ay), (bx, by) in zip(corners, [*corners[1:], corners[0]], strict=True):
        if ay != by:
            part ^= ((ay > ys) != (by > ys)) & (xs < (bx - ax) * (ys - ay) / (by - ay) + ax)
    inside[rows, columns] = part
    return inside


class Grid:
    """What the router may use: the owner of each cell, and the terminals of each net."""

    def __init__(self, board: pcbnew.BOARD) -> None:
        self.board = board
        self.tracks = [np.zeros((_HEIGHT, _WIDTH), dtype=int) for _ in _SIDES]
        self.vias = np.zeros((_HEIGHT, _WIDTH), dtype=int)
        self.terminals: dict[int, list[list[int]]] = {}
        self.to_plane: list[tuple[int, list[int]]] = []
        self.names: dict[int, str] = {}
        self._pours = self._power_pours()
        for footprint in sorted(board.GetFootprints(), key=lambda entry: entry.GetReference()):
            for pad in footprint.Pads():
                self._take_pad(footprint, pad)
        for track in board.Tracks():
            if isinstance(track, pcbnew.PCB_VIA):
                self._take_via(track)
            else:
                self._take_track(track)
        self._take_pours()
        self._take_edge()

    def _power_pours(self) -> list[tuple[int, Mask, list[int]]]:
        return [
            (zone.GetNetCode(), raster(zone.Outline()), [])
            for zone in self.board.Zones()
            if zone.GetAssignedPriority() > 0 and zone.IsOnLayer(pcbnew.F_Cu)
        ]

    @staticmethod
    def _claim(target: Mask, mask: Mask, owner: int) -> None:
        foreign = mask & (target != 0) & (target != owner)
        target[mask & (target == 0)] = owner
        target[foreign] = _NOBODY

    def _take_pad(self, footprint: pcbnew.FOOTPRINT, pad: pcbnew.PAD) -> None:
        sides = [side for side, layer in enumerate(_SIDES) if pad.IsOnLayer(layer)]
        if not sides:
            return
        bare = pad.GetAttribute() == pcbnew.PAD_ATTRIB_NPTH or pad.GetNetCode() == 0
        owner = _NOBODY if bare else pad.GetNetCode()
        gap = _HOLE_CLEARANCE if bare else CLEARANCE
        for side in sides:
            self._claim(self.tracks[side], raster(_grown(pad, side, gap + TRACK / 2)), owner)
        self._claim(self.vias, raster(_grown(pad, sides[0], gap + VIA / 2)), owner)
        through = pad.GetDrillSize().x > 0
        if not through:  # no via in or at a pad: solder would run away
            self._claim(self.vias, raster(_grown(pad, sides[0], VIA / 2 + 0.03)), _NOBODY)
        if bare or pad.GetNetname().startswith("unconnected-"):
            return
        self._add_terminal(footprint, pad, sides, through=through)

    def _add_terminal(self, footprint: pcbnew.FOOTPRINT, pad: pcbnew.PAD, sides: list[int], *, through: bool) -> None:
        code, name = pad.GetNetCode(), pad.GetNetname()
        if name in _COMPLETE:
            return
        self.names[code] = name
        cells = []
        for side in sides:
            rows, columns = np.nonzero(raster(_grown(pad, side, -0.05)))
            cells += [side * _CELLS + int(y) * _WIDTH + int(x) for y, x in zip(rows, columns, strict=True)]
        if not cells:
            point = pad.GetPosition()
            x = round((pcbnew.ToMM(point.x) - ORIGIN[0]) / GRID)
            y = round((pcbnew.ToMM(point.y) - ORIGIN[1]) / GRID)
            cells = [sides[0] * _CELLS + y * _WIDTH + x]
        if name in _PLANES:
            plated = {other.GetNumber() for other in footprint.Pads() if other.GetDrillSize().x > 0}
            if not through and pad.GetNumber() not in plated:
                self.to_plane.append((code, cells))
            return
        for owner, mask, inside in self._pours:
            if owner == code and any(mask.flat[cell % _CELLS] for cell in cells if cell < _CELLS):
                inside.extend(cells)
                return
        self.terminals.setdefault(code, []).append(cells)

    def _take_via(self, via: pcbnew.PCB_TRACK) -> None:
        point = via.GetPosition()
        x, y = ((pcbnew.ToMM(v) - o) / GRID for v, o in zip((point.x, point.y), ORIGIN, strict=True))
        ys, xs = np.mgrid[0:_HEIGHT, 0:_WIDTH]
        distance = np.hypot(xs - x, ys - y) * GRID
        for side in range(2):
            self._claim(self.tracks[side], distance < 0.3 + CLEARANCE + TRACK / 2, via.GetNetCode())
        self._claim(self.vias, distance < 0.3 + CLEARANCE + VIA / 2, _NOBODY)

    def _take_track(self, track: pcbnew.PCB_TRACK) -> None:
        side = _SIDES.index(track.GetLayer())
        for target, gap in ((self.tracks[side], CLEARANCE + TRACK / 2), (self.vias, CLEARANCE + VIA / 2)):
            shape = pcbnew.SHAPE_POLY_SET()
            track.TransformShapeToPolygon(shape, track.GetLayer(), nm(gap), nm(0.005), pcbnew.ERROR_OUTSIDE)
            self._claim(target, raster(shape), track.GetNetCode())

    def _take_pours(self) -> None:
        for zone in self.board.Zones():
            if zone.GetAssignedPriority() == 0:
                continue
            mask = raster(zone.Outline())
            for side, layer in enumerate(_SIDES):
                if zone.IsOnLayer(layer):
                    self._claim(self.tracks[side], _widened(mask, 2), zone.GetNetCode())
            self._claim(self.vias, _widened(mask, 4), zone.GetNetCode())
        for owner, _, inside in self._pours:
            if inside:
                self.terminals.setdefault(owner, []).append(inside)

    def _take_edge(self) -> None:
        ys, xs = np.mgrid[0:_HEIGHT, 0:_WIDTH] * GRID
        dx, dy = np.minimum(xs, _BOARD.width - xs), np.minimum(ys, _BOARD.height - ys)
        corner = (dx < _BOARD.corner) & (dy < _BOARD.corner)
        inner = np.where(corner, _BOARD.corner - np.hypot(_BOARD.corner - dx, _BOARD.corner - dy), np.minimum(dx, dy))
        for side in range(2):
            self.tracks[side][inner < _EDGE + TRACK / 2] = _NOBODY
        self.vias[inner < _EDGE + VIA / 2] = _NOBODY

    def text(self) -> str:
        """Return the router's input."""
        reach = (TRACK + CLEARANCE) / GRID, (VIA + CLEARANCE) / GRID, (VIA / 2 + CLEARANCE + TRACK / 2) / GRID
        lines = [f"{_WIDTH} {_HEIGHT} {reach[0]} {reach[1]} {reach[2]}"]
        lines += [_runs(self.tracks[0]), _runs(self.tracks[1]), _runs(self.vias)]
        nets = [(code, False, found) for code, found in self.terminals.items() if len(found) > 1]
        nets.sort(key=lambda entry: _span(entry[2]))
        planes = [(code, True, [cells]) for code, cells in self.to_plane]
        lines.append(str(len(planes) + len(nets)))
        for code, plane, found in planes + nets:
            lines.append(f"{code} {int(plane)} {len(found)}")
            lines += [f"{len(cells)} {' '.join(map(str, cells))}" for cells in found]
        return "\n".join(lines) + "\n"


def _grown(pad: pcbnew.PAD, side: int, by: float) -> pcbnew.SHAPE_POLY_SET:
    shape = pcbnew.SHAPE_POLY_SET()
    pad.TransformShapeToPolygon(shape, _SIDES[side], nm(by), nm(0.005), pcbnew.ERROR_OUTSIDE)
    return shape


def _widened(mask: Mask, cells: int) -> Mask:
    wide = mask.copy()
    for dy in range(-cells, cells + 1):
        for dx in range(-cells, cells + 1):
            wide |= np.roll(np.roll(mask, dy, axis=0), dx, axis=1)
    return wide


def _span(terminals: list[list[int]]) -> int:
    xs = [cell % _CELLS % _WIDTH for cells in terminals for cell in cells[:1]]
    ys = [cell % _CELLS // _WIDTH for cells in terminals for cell in cells[:1]]
    return max(xs) - min(xs) + max(ys) - min(ys)


def _runs(owners: Mask) -> str:
    flat = owners.ravel()
    starts = np.concatenate([[0], np.flatnonzero(np.diff(flat)) + 1])
    ends = np.concatenate([starts[1:], [flat.size]])
    return " ".join(f"{end - start} {flat[start]}" for start, end in zip(starts, ends, strict=True))


def bring_back(board: pcbnew.BOARD, answer: str) -> list[str]:
    """Add the router's tracks and vias; return the names of the nets that found no way."""
    failed = []
    for line in answer.splitlines():
        kind, *fields = line.split()
        code, *numbers = map(int, fields)
        if kind == "F":
            failed.append(board.FindNet(code).GetNetname())
        elif kind == "T":
            layer, x0, y0, x1, y1 = numbers
            track = pcbnew.PCB_TRACK(board)
            track.SetStart(at(x0 * GRID, y0 * GRID))
            track.SetEnd(at(x1 * GRID, y1 * GRID))
            track.SetLayer(_SIDES[layer])
            track.SetWidth(nm(TRACK))
            track.SetNetCode(code)
            board.Add(track)
        else:
            via = pcbnew.PCB_VIA(board)
            via.SetPosition(at(numbers[0] * GRID, numbers[1] * GRID))
            via.SetWidth(nm(VIA))
            via.SetDrill(nm(DRILL))
            via.SetNetCode(code)
            board.Add(via)
    return failed


def drop_stubs(board: pcbnew.BOARD) -> None:
    """Take away tracks that end nowhere: what two paths leave where they meet inside a pad."""
    while True:
        board.BuildConnectivity()
        connectivity = board.GetConnectivity()
        loose = [
            track
            for track in board.Tracks()
            if not isinstance(track, pcbnew.PCB_VIA) and connectivity.TestTrackEndpointDangling(track, False)
        ]
        if not loose:
            return
        for track in loose:
            board.Delete(track)


def main() -> None:
    """Route the second file of the board named first into the third, with the router named fourth."""
    source, target, router = sys.argv[2:5]
    board = pcbnew.LoadBoard(source)
    grid = Grid(board)
    done = subprocess.run([router, "250"], input=grid.text(), text=True, stdout=subprocess.PIPE, check=True)  # noqa: S603
    failed = bring_back(board, done.stdout)
    drop_stubs(board)
    pcbnew.ZONE_FILLER(board).Fill(board.Zones())
    board.BuildConnectivity()
    board.Save(target)
    print(f"without a way: {failed}; unconnected: {board.GetConnectivity().GetUnconnectedCount(False)}")


if __name__ == "__main__":
    main()
