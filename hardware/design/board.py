"""Builds the unrouted board from the golden netlist and the layout table, with KiCad's own Python.

`/usr/bin/python3 -m hardware.design.board BOARD OUT.kicad_pcb`
"""

from __future__ import annotations

import math
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pcbnew

from hardware.design.boards import design, layout
from hardware.design.place import STEP, Box, Floor
from hardware.design.sexpr import child, children, parse, value
from hardware.netlist import BOARDS, Netlist, read_golden

ORIGIN = (100.0, 80.0)  # where the board lies on the page
_FOOTPRINTS = Path("/usr/share/kicad/footprints")
_BLOCKED_EDGE = 0.6  # mm without parts along the edge
_LAYERS = {"F.Cu": pcbnew.F_Cu, "B.Cu": pcbnew.B_Cu}


def nm(length: float) -> int:
    """Return millimetres in KiCad's unit."""
    return int(pcbnew.FromMM(length))


def at(x: float, y: float) -> pcbnew.VECTOR2I:
    """Return a point of the board on the page."""
    return pcbnew.VECTOR2I(nm(ORIGIN[0] + x), nm(ORIGIN[1] + y))


class Builder:
    """A board under construction."""

    def __init__(self, name: str, path: Path, netlist: Netlist) -> None:
        self.name = name
        self.layout = layout(name)
        self.board = pcbnew.NewBoard(str(path))
        self.board.SetCopperLayerCount(self.layout.layers)
        if self.layout.layers > 2:  # noqa: PLR2004 - front and back
            self.board.SetLayerName(pcbnew.In1_Cu, "GND.Cu")
            self.board.SetLayerName(pcbnew.In2_Cu, "3V3.Cu")
        self.netlist = netlist
        self.path = path
        self.nets: dict[str, pcbnew.NETINFO_ITEM] = {}
        self.footprints: dict[str, pcbnew.FOOTPRINT] = {}
        self.net_of = {pin: name for name, pins in netlist.nets.items() for pin in pins}
        self.ids = _symbol_ids(name)
        block, drawn = self.board.GetTitleBlock(), design(name)
        block.SetTitle(drawn.title)
        block.SetRevision(drawn.revision)
        block.SetDate(drawn.date)

    def net(self, name: str) -> pcbnew.NETINFO_ITEM:
        """Return the net, named as the schematic's sheet names it."""
        full = name if name in {"GND", "+3V3"} else f"/{name}"
        if full not in self.nets:
            item = pcbnew.NETINFO_ITEM(self.board, full)
            self.board.Add(item)
            self.nets[full] = item
        return self.nets[full]

    def load(self) -> None:
        """Put every part on the board, all at its corner."""
        for component in self.netlist.components.values():
            library, name = component.footprint.split(":")
            folder = BOARDS / "racklet.pretty" if library == "racklet" else _FOOTPRINTS / f"{library}.pretty"
            footprint = pcbnew.FootprintLoad(str(folder), name)
            footprint.SetFPID(pcbnew.LIB_ID(library, name))
            footprint.SetReference(component.ref)
            footprint.SetValue(component.value)
            self._describe(footprint, component.ref)
            self.board.Add(footprint)
            for pad in footprint.Pads():
                net = self.net_of.get(f"{component.ref}.{pad.GetNumber()}")
                if net:
                    pad.SetNet(self.net(net))
            self.footprints[component.ref] = footprint

    def _describe(self, footprint: pcbnew.FOOTPRINT, ref: str) -> None:
        component = self.netlist.components[ref]
        identifier, fields, pins = self.ids[ref]
        footprint.SetPath(pcbnew.KIID_PATH(f"/{identifier}"))
        footprint.SetSheetname("/")
        footprint.SetSheetfile(f"{self.name}.kicad_sch")
        for name, text in fields.items():
            footprint.SetField(name, text)
            footprint.GetFieldByName(name).SetVisible(False)
        for pad in footprint.Pads():
            if pad.GetNumber() in pins and f"{ref}.{pad.GetNumber()}" not in self.net_of:
                pad.SetNet(self._lonely(ref, pad.GetNumber(), pins[pad.GetNumber()]))
        attributes = footprint.GetAttributes()
        if not component.listed:
            attributes |= pcbnew.FP_EXCLUDE_FROM_BOM
        if not component.fitted:
            attributes |= pcbnew.FP_DNP
        footprint.SetAttributes(attributes)
        footprint.Value().SetVisible(False)

    def _lonely(self, ref: str, pad: str, name: str) -> pcbnew.NETINFO_ITEM:
        full = f"unconnected-({ref}-{name}-Pad{pad})".replace("/", "{slash}")  # as KiCad does
        if full not in self.nets:
            item = pcbnew.NETINFO_ITEM(self.board, full)
            self.board.Add(item)
            self.nets[full] = item
        return self.nets[full]

    def put(self, ref: str, x: float, y: float, rotation: float) -> None:
        """Move a part to its place."""
        footprint = self.footprints[ref]
        footprint.SetPosition(at(x, y))
        if ref in self.layout.on_back and not footprint.IsFlipped():
            footprint.Flip(at(x, y), pcbnew.FLIP_DIRECTION_LEFT_RIGHT)
        footprint.SetOrientationDegrees(rotation)

    def courtyard(self, ref: str) -> Box:
        """Return the rectangle around a part that no other may enter."""
        footprint = self.footprints[ref]
        outline = footprint.GetCourtyard(pcbnew.B_CrtYd if footprint.IsFlipped() else pcbnew.F_CrtYd)
        box = outline.BBox() if outline.OutlineCount() else footprint.GetBoundingBox(False)
        sides = (box.GetLeft(), box.GetTop(), box.GetRight(), box.GetBottom())
        left, top, right, bottom = (pcbnew.ToMM(side) for side in sides)
        return Box(left - ORIGIN[0], top - ORIGIN[1], right - ORIGIN[0], bottom - ORIGIN[1])

    def pad_points(self, ref: str) -> list[tuple[str, str, float, float]]:
        """Return each pad's number, net and place."""
        found = []
        for pad in self.footprints[ref].Pads():
            point = pad.GetPosition()
            net = self.net_of.get(f"{ref}.{pad.GetNumber()}", "")
            found.append((pad.GetNumber(), net, pcbnew.ToMM(point.x) - ORIGIN[0], pcbnew.ToMM(point.y) - ORIGIN[1]))
        return found

    def place(self) -> None:
        """Put the fixed parts where the table says, and all others near what they are wired to."""
        board = self.layout
        floor = self._floor()
        for ref, (x, y, rotation) in board.fixed.items():
            self.put(ref, x, y, rotation)
            if ref not in board.on_back:
                floor.block(self.courtyard(ref))
        for ref, ring in board.crowded.items():  # room for tracks and vias around many pins
            wide = self.courtyard(ref)
            floor.block(Box(wide.left - ring, wide.top - ring, wide.right + ring, wide.bottom + ring))
        placed = set(board.fixed)
        rest = [ref for ref in board.first if ref not in placed]
        rest += sorted(set(self.footprints) - placed - set(rest), key=self._eagerness)
        for ref in rest:
            self._place_one(ref, floor, placed)
            placed.add(ref)

    def _floor(self) -> Floor:
        """Return the board's area without edges, words, pours, drawn tracks and vias."""
        board = self.layout
        floor = Floor(board.width, board.height)
        for edge in (
            Box(0, 0, _BLOCKED_EDGE, board.height),
            Box(0, 0, board.width, _BLOCKED_EDGE),
            Box(board.width - _BLOCKED_EDGE, 0, board.width, board.height),
            Box(0, board.height - _BLOCKED_EDGE, board.width, board.height),
            *(Box(*sides) for sides in board.blocked),
        ):
            floor.block(edge)
        for words in (entry for entry in board.prints if not entry.back):
            long, tall = len(words.words) * words.size * 0.5, words.size * 0.8
            half_x, half_y = (tall, long) if words.turn else (long, tall)
            floor.block(Box(words.x - half_x, words.y - half_y, words.x + half_x, words.y + half_y))
        for x, y in (point for points in board.vias.values() for point in points):
            floor.block(Box(x - 0.4, y - 0.4, x + 0.4, y + 0.4))
        for _, outline in board.pours:
            floor.block_mask(_inside(outline, floor.shape))
        for track in board.tracks:
            if track.layer == "F.Cu":
                for (ax, ay), (bx, by) in pairwise(track.corners):
                    floor.block(Box(min(ax, bx) - 0.3, min(ay, by) - 0.3, max(ax, bx) + 0.3, max(ay, by) + 0.3))
        return floor

    def _eagerness(self, ref: str) -> tuple[bool, bool, str]:
        return ref.startswith("TP"), not ref.startswith(("Q", "U")), ref

    def _place_one(self, ref: str, floor: Floor, placed: set[str]) -> None:
        targets = self._targets(ref, placed)
        turns = []
        for rotation in (0, 90, 180, 270):
            self.put(ref, 0, 0, rotation)
            wired = [(x, y, targets[number]) for number, _, x, y in self.pad_points(ref) if targets.get(number)]
            turns.append((float(rotation), self.courtyard(ref), wired))
        x, y, rotation = floor.best(turns)
        self.put(ref, x, y, rotation)
        floor.block(self.courtyard(ref))

    def _targets(self, ref: str, placed: set[str]) -> dict[str, list[tuple[float, float]]]:
        near = self.layout.near.get(ref)
        targets: dict[str, list[tuple[float, float]]] = {}
        for number, net, _, _ in self.pad_points(ref):
            if net in {"GND", "+3V3", "NODE_3V3"} and ref[0] not in "QU":
                continue
            pins = [pin for pin in self.netlist.nets.get(net, ()) if pin.split(".")[0] in placed]
            points = [self._pin_point(pin) for pin in pins]
            if points and net not in {"GND", "+3V3"}:
                targets[number] = points
        if near:
            first = next(number for number, net, _, _ in self.pad_points(ref) if net and net != "GND")
            targets.setdefault(first, [])
            targets[first] = [self._pin_point(near)] if near.split(".")[0] in placed else targets[first]
        return targets

    def _pin_point(self, pin: str) -> tuple[float, float]:
        ref, number = pin.split(".")
        for found, _, x, y in self.pad_points(ref):
            if found == number:
                return x, y
        raise KeyError(pin)

    def outline(self) -> None:
        """Draw the board's edge."""
        width, height, radius = self.layout.width, self.layout.height, self.layout.corner
        cut = radius * (1 - math.sqrt(0.5))
        for start, end in (
            ((radius, 0), (width - radius, 0)),
            ((width, radius), (width, height - radius)),
            ((width - radius, height), (radius, height)),
            ((0, height - radius), (0, radius)),
        ):
            self._edge(pcbnew.SHAPE_T_SEGMENT, start, end)
        self._edge(pcbnew.SHAPE_T_ARC, (width - radius, 0), (width, radius), (width - cut, cut))
        self._edge(pcbnew.SHAPE_T_ARC, (width, height - radius), (width - radius, height), (width - cut, height - cut))
        self._edge(pcbnew.SHAPE_T_ARC, (radius, height), (0, height - radius), (cut, height - cut))
        self._edge(pcbnew.SHAPE_T_ARC, (0, radius), (radius, 0), (cut, cut))

    def _edge(
        self, kind: int, start: tuple[float, float], end: tuple[float, float], middle: tuple[float, float] | None = None
    ) -> None:
        shape = pcbnew.PCB_SHAPE(self.board, kind)
        if middle:
            shape.SetArcGeometry(at(*start), at(*middle), at(*end))
        else:
            shape.SetStart(at(*start))
            shape.SetEnd(at(*end))
        shape.SetLayer(pcbnew.Edge_Cuts)
        shape.SetWidth(nm(0.1))
        self.board.Add(shape)

    def pours(self) -> None:
        """Add the planes and the power pours."""
        gap, board = 0.4, self.layout
        right, bottom = board.width - gap, board.height - gap
        whole = [(gap, gap), (right, gap), (right, bottom), (gap, bottom)]
        if board.layers > 2:  # noqa: PLR2004 - front and back
            self._zone("GND", [pcbnew.F_Cu, pcbnew.In1_Cu, pcbnew.B_Cu], whole, 0)
            self._zone("+3V3", [pcbnew.In2_Cu], whole, 0)
        else:
            self._zone("GND", [pcbnew.F_Cu, pcbnew.B_Cu], whole, 0)
        for net, outline in board.pours:
            self._zone(net, [pcbnew.F_Cu], outline, 5)
        for net, outline in board.inner_pours:
            self._zone(net, [pcbnew.In2_Cu], outline, 5)
        for net, outline in board.back_pours:
            self._zone(net, [pcbnew.B_Cu], outline, 5)
        for net, points in board.vias.items():
            for x, y in points:
                via = pcbnew.PCB_VIA(self.board)
                via.SetPosition(at(x, y))
                via.SetWidth(nm(0.6))
                via.SetDrill(nm(0.3))
                via.SetNet(self.net(net))
                self.board.Add(via)
        self._draw_tracks()

    def _draw_tracks(self) -> None:
        for drawn in self.layout.tracks:
            for start, end in pairwise(drawn.corners):
                track = pcbnew.PCB_TRACK(self.board)
                track.SetStart(at(*start))
                track.SetEnd(at(*end))
                track.SetLayer(_LAYERS[drawn.layer])
                track.SetWidth(nm(drawn.width))
                track.SetNet(self.net(drawn.net))
                self.board.Add(track)

    def _zone(self, net: str, layers: list[int], outline: list[tuple[float, float]], priority: int) -> None:
        zone = pcbnew.ZONE(self.board)
        chosen = pcbnew.LSET()
        for layer in layers:
            chosen.AddLayer(layer)
        zone.SetLayerSet(chosen)
        zone.SetNet(self.net(net))
        zone.SetZoneName(net)
        zone.SetAssignedPriority(priority)
        zone.SetLocalClearance(nm(0.2))
        zone.SetMinThickness(nm(0.2))
        zone.SetThermalReliefGap(nm(0.2))
        zone.SetThermalReliefSpokeWidth(nm(self.layout.spoke))
        zone.SetPadConnection(pcbnew.ZONE_CONNECTION_FULL if priority else pcbnew.ZONE_CONNECTION_THERMAL)
        zone.SetIslandRemovalMode(pcbnew.ISLAND_REMOVAL_MODE_ALWAYS)
        chain = pcbnew.SHAPE_LINE_CHAIN()
        for x, y in outline:
            point = at(x, y)
            chain.Append(point.x, point.y)
        chain.SetClosed(True)
        zone.AddPolygon(chain)
        self.board.Add(zone)

    def texts(self) -> None:
        """Print what a hand needs to know."""
        for words in self.layout.prints:
            text = pcbnew.PCB_TEXT(self.board)
            text.SetText(words.words)
            text.SetPosition(at(words.x, words.y))
            text.SetLayer(pcbnew.B_SilkS if words.back else pcbnew.F_SilkS)
            text.SetMirrored(words.back)
            text.SetTextSize(pcbnew.VECTOR2I(nm(words.size), nm(words.size)))
            text.SetTextThickness(nm(max(0.12, words.size * 0.15)))
            text.SetTextAngleDegrees(words.turn)
            self.board.Add(text)

    def save(self) -> None:
        """Write the file."""
        self.board.BuildConnectivity()
        pcbnew.SaveBoard(str(self.path), self.board)


def _inside(outline: list[tuple[float, float]], shape: tuple[int, int]) -> np.ndarray:
    ys, xs = np.mgrid[0 : shape[0], 0 : shape[1]] * STEP
    inside = np.zeros(shape, dtype=bool)
    for (ax, ay), (bx, by) in zip(outline, [*outline[1:], outline[0]], strict=True):
        if ay != by:
            inside ^= ((ay > ys) != (by > ys)) & (xs < (bx - ax) * (ys - ay) / (by - ay) + ax)
    return inside


def _symbol_ids(board: str) -> dict[str, tuple[str, dict[str, str], dict[str, str]]]:
    """Return of each symbol of the schematic: its id, its fields, and its pins' names."""
    root = parse((BOARDS / board / f"{board}.kicad_sch").read_text(encoding="utf-8"))
    library = {str(entry[1]): entry for entry in children(child(root, "lib_symbols"), "symbol")}
    found: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {}
    for symbol in children(root, "symbol"):
        fields = {str(entry[1]): str(entry[2]) for entry in children(symbol, "property")}
        ref = fields.pop("Reference")
        if ref.startswith("#"):
            continue
        names = {
            value(pin, "number"): value(pin, "name")
            for drawing in children(library[value(symbol, "lib_id")], "symbol")
            for pin in children(drawing, "pin")
        }
        keep = {name: text for name, text in fields.items() if name in {"Datasheet", "Description", "MPN"}}
        found.setdefault(ref, (value(symbol, "uuid"), keep, names))
    return found


def main() -> None:
    """Build the board named first on the command line, as the file named second."""
    name, target = sys.argv[1:3]
    builder = Builder(name, Path(target), read_golden(name))
    builder.load()
    builder.place()
    builder.outline()
    builder.pours()
    builder.texts()
    builder.save()
    print(f"{len(builder.footprints)} parts placed")


if __name__ == "__main__":
    main()
