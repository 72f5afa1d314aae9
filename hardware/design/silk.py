"""Moves the parts' names on the silkscreen to where they cover nothing; what finds no place goes to the Fab layer.

`/usr/bin/python3 -m hardware.design.silk BOARD.kicad_pcb`
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pcbnew

from hardware.design.board import nm

_SIZES = (0.8, 0.7)  # mm; 0.7 is the least that board houses print
_MARGIN = 0.12  # mm between a letter and a pad
Box = tuple[int, int, int, int]


def _box(item: pcbnew.BOARD_ITEM, margin: float) -> Box:
    box, edge = item.GetBoundingBox(), nm(margin)
    return box.GetLeft() - edge, box.GetTop() - edge, box.GetRight() + edge, box.GetBottom() + edge


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _body(footprint: pcbnew.FOOTPRINT) -> Box:
    outline = footprint.GetCourtyard(pcbnew.B_CrtYd if footprint.IsFlipped() else pcbnew.F_CrtYd)
    box = outline.BBox() if outline.OutlineCount() else footprint.GetBoundingBox(False)
    return box.GetLeft(), box.GetTop(), box.GetRight(), box.GetBottom()


class Silk:
    """The silkscreen of one side."""

    def __init__(self, board: pcbnew.BOARD, *, back: bool) -> None:
        self.layer = pcbnew.B_SilkS if back else pcbnew.F_SilkS
        self.fab = pcbnew.B_Fab if back else pcbnew.F_Fab
        copper = pcbnew.B_Cu if back else pcbnew.F_Cu
        self.parts = [entry for entry in board.GetFootprints() if entry.IsFlipped() == back]
        self.taken = [_box(entry, 0.15) for entry in board.GetDrawings() if entry.GetLayer() == self.layer]
        for footprint in board.GetFootprints():
            for pad in footprint.Pads():
                if pad.IsOnLayer(copper) or pad.GetDrillSize().x > 0:
                    self.taken.append(_box(pad, _MARGIN))
            self.taken += [_box(item, 0.08) for item in footprint.GraphicalItems() if item.GetLayer() == self.layer]
        # No name inside another part's outline: it would name the wrong one.
        for footprint in self.parts:
            box = _body(footprint)
            inset = nm(0.25)
            self.taken.append((box[0] + inset, box[1] + inset, box[2] - inset, box[3] - inset))
        edges = board.GetBoardEdgesBoundingBox()
        self.board = (edges.GetLeft(), edges.GetTop(), edges.GetRight(), edges.GetBottom())

    def tidy(self) -> list[str]:
        """Place every name; return those that found no place."""
        hidden = []
        for footprint in sorted(self.parts, key=lambda entry: -entry.GetArea()):
            if footprint.GetReference().startswith("H"):
                footprint.Reference().SetVisible(False)
            elif not any(self._fits(footprint, name) for name in self._names(footprint)):
                hidden.append(footprint.GetReference())
        return hidden

    def _names(self, footprint: pcbnew.FOOTPRINT) -> Iterator[pcbnew.PCB_FIELD]:
        """Yield what may name a part: a probe wants the net's name, which is a test point's value."""
        names = [footprint.Reference()]
        if footprint.GetReference().startswith("TP"):
            names.insert(0, footprint.Value())
        for name in names:
            name.SetLayer(self.fab)
            name.SetPosition(footprint.GetPosition())
        yield from names

    def _fits(self, footprint: pcbnew.FOOTPRINT, name: pcbnew.PCB_FIELD) -> bool:
        name.SetVisible(True)
        name.SetLayer(self.layer)
        if any(self._try(name, place) for place in self._places(footprint, name.GetText())):
            return True
        name.SetLayer(self.fab)
        name.SetPosition(footprint.GetPosition())
        return False

    def _places(self, footprint: pcbnew.FOOTPRINT, text: str) -> Iterator[tuple[float, int, int, int]]:
        left_side, top_side, right_side, bottom_side = _body(footprint)
        middle_x, middle_y = (left_side + right_side) // 2, (top_side + bottom_side) // 2
        for size in _SIZES:
            wide = nm(size * 0.5 * len(text) + 0.1)
            tall = nm(size * 0.7)
            for away in (0, 0.5, 1.0):
                far = nm(away)
                for turn, half_x, half_y in ((0, wide, tall), (90, tall, wide)):
                    left, right = left_side - half_x - far, right_side + half_x + far
                    top, bottom = top_side - half_y - far, bottom_side + half_y + far
                    for x, y in ((middle_x, top), (middle_x, bottom), (left, middle_y), (right, middle_y)):
                        yield size, turn, x, y
                    for x, y in ((left, top), (right, top), (left, bottom), (right, bottom)):
                        yield size, turn, x, y

    def _try(self, name: pcbnew.PCB_FIELD, place: tuple[float, int, int, int]) -> bool:
        size, turn, x, y = place
        name.SetTextSize(pcbnew.VECTOR2I(nm(size), nm(size)))
        name.SetTextThickness(nm(0.12 if size >= _SIZES[0] else 0.1))
        name.SetTextAngleDegrees(turn)
        name.SetKeepUpright(True)
        name.SetPosition(pcbnew.VECTOR2I(int(x), int(y)))
        box = _box(name, 0.05)
        left, top, right, bottom = self.board
        rim = nm(0.3)
        if box[0] < left + rim or box[1] < top + rim or box[2] > right - rim or box[3] > bottom - rim:
            return False
        if any(_meet(box, other) for other in self.taken):
            return False
        self.taken.append(box)
        return True


def main() -> None:
    """Tidy the board named on the command line."""
    path = sys.argv[1]
    board = pcbnew.LoadBoard(path)
    for back in (False, True):
        hidden = Silk(board, back=back).tidy()
        print(f"{'back' if back else 'front'}: names on the Fab layer only: {hidden}")
    board.Save(path)


if __name__ == "__main__":
    main()
