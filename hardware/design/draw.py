"""Writes schematic and project files (`python -m hardware.design.draw BOARD`), over what a person changed there."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from hardware.design.boards import design
from hardware.design.parts import Design
from hardware.design.sheet import Sheet
from hardware.design.symbols import property_of

KICAD = Path(__file__).parents[1] / "kicad"
_COLOUR = "rgba(0, 0, 0, 0.000)"


def draw(board: Design) -> None:
    """Write one board's schematic, project and library tables."""
    folder = KICAD / board.name
    folder.mkdir(parents=True, exist_ok=True)
    sheet = Sheet(board.name, f"{board.title}, revision {board.revision}", board.revision, board.date, board.paper)
    sheet.draw(list(board.blocks))
    (folder / f"{board.name}.kicad_sch").write_text(sheet.text(), encoding="utf-8")
    project = json.dumps(_project(board), indent=2, sort_keys=True)
    (folder / f"{board.name}.kicad_pro").write_text(project + "\n", encoding="utf-8")
    _tables(folder, board)


def _tables(folder: Path, board: Design) -> None:
    parts = [part for block in board.blocks for part in block.parts]
    symbols = {part.symbol.split(":")[0] for part in parts} | {"power"}
    named = {part.footprint or property_of(part.symbol, "Footprint") for part in parts}
    footprints = {footprint.split(":")[0] for footprint in named if footprint}
    _table(folder / "sym-lib-table", "sym_lib_table", symbols, "${KICAD9_SYMBOL_DIR}/%s.kicad_sym", "%s.kicad_sym")
    _table(folder / "fp-lib-table", "fp_lib_table", footprints, "${KICAD9_FOOTPRINT_DIR}/%s.pretty", "%s.pretty")


def _table(path: Path, kind: str, names: set[str], theirs: str, ours: str) -> None:
    rows = []
    for name in sorted(names):
        uri = f"${{KIPRJMOD}}/../{ours % name}" if name == "racklet" else theirs % name
        rows.append(f'  (lib (name "{name}")(type "KiCad")(uri "{uri}")(options "")(descr ""))')
    path.write_text("\n".join([f"({kind}", "  (version 7)", *rows, ")"]) + "\n", encoding="utf-8")


def _class(name: str, track: float, via: float, drill: float, priority: int) -> dict[str, object]:
    return {
        "name": name, "priority": priority, "track_width": track, "clearance": 0.13, "via_diameter": via,
        "via_drill": drill, "diff_pair_gap": 0.15, "diff_pair_width": 0.25, "diff_pair_via_gap": 0.25,
        "microvia_diameter": 0.3, "microvia_drill": 0.1, "bus_width": 12, "wire_width": 6, "line_style": 0,
        "pcb_color": _COLOUR, "schematic_color": _COLOUR,
    }  # fmt: skip


def _project(board: Design) -> dict[str, object]:
    """Return the project file: what a cheap process holds (0.13 mm track and gap, 0.25 mm drill)."""
    rules = {
        "min_clearance": 0.13, "min_track_width": 0.13, "min_via_diameter": 0.45, "min_via_annular_width": 0.1,
        "min_through_hole_diameter": 0.2, "min_hole_clearance": 0.2, "min_hole_to_hole": 0.25,
        "min_copper_edge_clearance": 0.3, "min_text_height": 0.7, "min_text_thickness": 0.1,
        "min_silk_clearance": 0.0, "min_resolved_spokes": 1,
    }  # fmt: skip
    assignments = {f"/{net}": ["Power"] for net in board.wide} | {"GND": ["Power"], "+3V3": ["Power"]}
    return {
        "meta": {"filename": f"{board.name}.kicad_pro", "version": 3},
        "board": {"design_settings": {"rules": rules}},
        "net_settings": {
            "meta": {"version": 4},
            "classes": [_class("Default", 0.15, 0.5, 0.25, 2147483647), _class("Power", 0.3, 0.6, 0.3, 0)],
            "netclass_patterns": [],
            "netclass_assignments": assignments,
        },
        "schematic": {"meta": {"version": 1}, "legacy_lib_dir": "", "legacy_lib_list": []},
        "sheets": [],
        "text_variables": {},
    }


if __name__ == "__main__":
    draw(design(sys.argv[1]))
