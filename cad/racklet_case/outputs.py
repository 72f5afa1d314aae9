"""Everything that `just cad` writes."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
from build123d import Compound, Mesher, Part, export_step, export_stl, import_step

from racklet_case import bom, checks, drawing, fasteners, printing
from racklet_case.assembly import Assembly, Printed
from racklet_case.meshes import ANGLE, FINE, triangles
from racklet_case.parameters import ROOT
from racklet_case.picture import View, render

Say = Callable[[str], None]

_FRONT = View((1.0, -0.75, 0.55), (1100, 1000))
_REAR = View((-1.0, -0.8, 0.5), (1100, 1000))
_APART = View((1.0, -0.7, 0.65), (1400, 1050))
_TRAY = View((1.0, -0.7, 0.75), (1100, 760))


def write(assembly: Assembly, folder: Path) -> list[str]:
    """Write parts, pictures, drawing and bills into `folder`, emptied first. Return what a printer cannot do."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("print", "step"):
        (folder / name).mkdir(parents=True)
    reports = [_part(part, assembly, folder) for part in assembly.printed]
    (folder / "printing.md").write_text(printing_table(reports), encoding="utf-8")
    (folder / "bill.md").write_text(bill(assembly, reports), encoding="utf-8")
    whole = Compound(label="rack", children=[_named(part.shape, part.name) for part in assembly.placed])
    export_step(whole, str(folder / "step" / "rack.step"))
    drawing.write(assembly, folder / "drawing.svg")
    pictures(assembly, folder)
    return [f"{report.name}: {problem}" for report in reports for problem in report.problems]


def _named(shape: Part, name: str) -> Part:
    copy = Part() + shape
    copy.label = name
    return copy


def _part(part: Printed, assembly: Assembly, folder: Path) -> printing.Report:
    lying = part.on_bed
    export_stl(lying, str(folder / "print" / f"{part.name}.stl"), tolerance=FINE, angular_tolerance=ANGLE)
    mesher = Mesher()
    mesher.add_shape(lying, part_number=part.name)
    mesher.write(str(folder / "print" / f"{part.name}.3mf"))
    export_step(lying, str(folder / "step" / f"{part.name}.step"))
    return printing.report(part.name, printing.as_mesh(triangles(lying)), lying.volume, assembly.at.p.printer)


def printing_table(reports: list[printing.Report]) -> str:
    """Return the printability of all parts as a table in Markdown."""
    rows = [
        f"| {r.name} | {r.size[0]:.0f} x {r.size[1]:.0f} x {r.size[2]:.0f} | {'yes' if r.watertight else 'NO'} | "
        f"{r.steepest_degrees:.0f} | {r.ceiling_cm2:.1f} | {r.longest_bridge:.0f} | {'; '.join(r.problems) or 'none'} |"
        for r in reports
    ]
    head = [
        "Sizes as a part lies on the bed, mm. Overhang: the steepest face that looks down, degrees from upright.",
        "90 is a ceiling, which is bridged. Then the area beyond 45 degrees, and the longest bridge.",
        "",
        "| part | size | watertight | overhang | cm2 | bridge, mm | problems |",
        "|---|---|---|---:|---:|---:|---|",
    ]
    return "\n".join([*head, *rows]) + "\n"


def bill(assembly: Assembly, reports: list[printing.Report]) -> str:
    """Return printed parts with their masses, screws, and the cost of the rack, in Markdown."""
    at = assembly.at
    rows, total = [], 0.0
    for part, report in zip(assembly.printed, reports, strict=True):
        grams = bom.plastic_grams(report.volume_cm3, at.p)
        total += grams * part.count
        rows.append(f"| {part.name} | {part.count} | {part.material} | {grams:.0f} | {grams * part.count:.0f} |")
    screws = [f"| {s.use} | {s.size} x {s.length} {s.head} | {s.count} | {s.grip:.1f} |" for s in fasteners.screws(at)]
    inserts = (
        sum(s.count for s in fasteners.screws(at) if "nut" not in s.use and s.size == "M3")
        if at.p.fasteners.case == "insert"
        else 0
    )
    spacers = at.p.rack.slots * len(at.p.node.hat_holes or at.p.node.holes)
    over = at.p.node.hat_gap - max((block.height for block in at.p.node.tall), default=0.0)
    out_cm2, in_cm2 = checks.open_area(at)
    return "\n".join(
        [
            f"# A rack of {at.p.rack.slots} x {at.p.node.name}",
            "",
            f"## Printed parts, {total:.0f} g",
            "",
            "| part | pieces | material | g each | g |",
            "|---|---:|---|---:|---:|",
            *rows,
            "",
            "## Screws",
            "",
            "| for | size | pieces | holds, mm |",
            "|---|---|---:|---:|",
            *screws,
            "",
            f"Heat-set inserts M3 x {at.p.fasteners.insert_length:.0f}: {inserts}.",
            f"Spacers M2.5 x {at.p.node.hat_gap:.0f}, inner threads: {spacers}.",
            f"Air: {in_cm2:.0f} cm2 of fans, {out_cm2:.0f} cm2 out at the front, {over:.1f} mm over a cooler.",
            "",
            "## Cost",
            "",
            bom.as_text(bom.lines(at.p, total, len(at.fan_z))),
        ]
    )


def pictures(assembly: Assembly, folder: Path) -> None:
    """Write the pictures of the rack, of the rack taken apart, and of one tray."""
    parts = [(triangles(part.shape, 0.15), part) for part in assembly.placed]
    plain = [(mesh, part.colour) for mesh, part in parts]
    render(plain, _FRONT, folder / "front.png")
    render(plain, _REAR, folder / "rear.png")
    render([(mesh + np.array(part.apart), part.colour) for mesh, part in parts], _APART, folder / "exploded.png")
    row = assembly.at.rows - 1
    render([(mesh, part.colour) for mesh, part in parts if part.row == row], _TRAY, folder / "tray.png")


def real_boards(assembly: Assembly, folder: Path) -> list[str]:
    """Return where the boards of hardware/kicad, as KiCad exports them, differ from the envelopes. Needs kicad-cli."""
    found = []
    boards = {
        "hat": (*assembly.at.m.hat.outline, assembly.at.m.hat.thickness),
        "backplane": (*assembly.at.m.backplane.outline, assembly.at.m.backplane.thickness),
    }
    for name, size in boards.items():
        source = ROOT / "hardware" / "kicad" / name / f"{name}.kicad_pcb"
        if not source.exists():
            continue
        target = folder / "step" / f"{name}_board.step"
        target.parent.mkdir(parents=True, exist_ok=True)
        command = ["kicad-cli", "pcb", "export", "step", "-f", "--board-only", "-o", str(target), str(source)]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603  # our own files
        box = import_step(str(target)).bounding_box().size
        real = (box.X, box.Y, box.Z)
        if any(abs(one - two) > 0.15 for one, two in zip(real, size, strict=True)):  # copper and mask
            found.append(
                f"{name}: KiCad's board is {real[0]:.2f} x {real[1]:.2f} x {real[2]:.2f} mm, mechanics.toml says {size}"
            )
    return found
