"""The rack put together: every part at its place, and how each printed part lies on the bed."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from build123d import Part, Plane, Pos, mirror

from racklet_case import bought, fasteners, panels, walls
from racklet_case.columns import Columns, Triangles, columns
from racklet_case.layout import FAN_DEPTH, FILTER_DEPTH, Layout
from racklet_case.meshes import triangles
from racklet_case.shapes import turned
from racklet_case.tray import light_guide, light_places, tray

SWEEP_STEP = 0.25  # mm between the lines of a sweep
Colour = tuple[int, int, int]
ORANGE, GREY, DARK, CLEAR = (222, 120, 50), (150, 160, 172), (92, 100, 112), (196, 214, 236)
GREEN, HAT_GREEN, BLUE, BLACK = (64, 140, 84), (38, 96, 70), (70, 104, 160), (60, 60, 64)


@dataclass(frozen=True)
class Printed:
    """A printed part: how many, how it is turned to lie on the bed, what of."""

    name: str
    shape: Part
    count: int
    turn: tuple[float, float, float]
    material: str = "PETG"

    @cached_property
    def on_bed(self) -> Part:
        """The part as it is printed."""
        return panels.laid(self.shape, self.turn)


@dataclass(frozen=True)
class Placed:
    """A part at its place in the rack. Parts of a row move with its tray."""

    name: str
    shape: Part
    colour: Colour
    kind: Literal["printed", "bought"]
    row: int | None = None
    apart: tuple[float, float, float] = (0.0, 0.0, 0.0)  # where the exploded picture shows it

    @cached_property
    def mesh(self) -> Triangles:
        """The surface."""
        return triangles(self.shape)

    @cached_property
    def columns(self) -> Columns:
        """The part along x, the way the trays move."""
        return columns(self.mesh, "x", SWEEP_STEP)


@dataclass(frozen=True)
class Assembly:
    """A rack: its layout, the parts to print, and everything in place."""

    at: Layout
    printed: tuple[Printed, ...]
    placed: tuple[Placed, ...]

    def part(self, name: str) -> Printed:
        """Return a printed part by name."""
        return next(part for part in self.printed if part.name == name)


def assemble(at: Layout) -> Assembly:
    """Return the rack of a layout. Raises ParameterError when no screw holds it together."""
    fasteners.screws(at)
    bench = _Bench(at)
    for add in (_trays, _walls, _panels, _small, _fan_filters, _ears, _strips, _bought):
        add(bench)
    return Assembly(at, tuple(bench.printed), tuple(bench.placed))


@dataclass
class _Bench:
    """Where the rack is put together, part by part."""

    at: Layout
    printed: list[Printed] = field(default_factory=list)
    placed: list[Placed] = field(default_factory=list)

    def once(self, name: str, shape: Part, look: _Look, seams: tuple[float, ...] = ()) -> None:
        """Add a part that is printed once, or in pieces that are cut at `seams`."""
        pieces = panels.cut_along_z(shape, self.at.inner_z, seams) if seams else [shape]
        for index, piece in enumerate(pieces):
            called = name if len(pieces) == 1 else f"{name}_{index + 1}"
            self.printed.append(Printed(called, piece, 1, look.turn))
            self.put(called, piece, look)

    def put(self, name: str, shape: Part, look: _Look) -> None:
        """Put a printed part in place."""
        self.placed.append(Placed(name, shape, look.colour, "printed", look.row, look.apart))


@dataclass(frozen=True)
class _Look:
    """How a part lies on the bed, where the exploded picture shows it, its colour, the row that it moves with."""

    turn: tuple[float, float, float]
    apart: tuple[float, float, float]
    colour: Colour
    row: int | None = None


def _trays(bench: _Bench) -> None:
    at = bench.at
    body, guide = tray(at), light_guide(at)
    board, hat = bought.node(at), bought.hat(at)
    below = None if at.p.chosen_storage is None else bought.storage(at)
    bench.printed.append(Printed("tray", body, at.rows, (0, 0, 0)))
    bench.printed.append(Printed("light_guide", guide, 2 * at.p.rack.slots, (90, 0, 0), "clear PETG"))
    for row in range(at.rows):
        name, here, apart = at.row_name(row), Pos(0, 0, at.row_z(row)), (120.0, 0.0, 0.0)
        bench.put(f"tray {name}", here * body, _Look((0, 0, 0), apart, ORANGE, row))
        bench.placed.append(Placed(f"node {name}", here * board, GREEN, "bought", row, apart))
        if below is not None:
            bench.placed.append(Placed(f"storage {name}", here * below, BLUE, "bought", row, apart))
        if row < at.first_row:
            continue
        bench.placed.append(Placed(f"HAT {name}", here * hat, HAT_GREEN, "bought", row, apart))
        for index, y in enumerate(light_places(at)):
            look = _Look((0, 0, 0), apart, CLEAR, row)
            bench.put(f"light guide {name}.{index + 1}", here * (Pos(0, y, 0) * guide), look)


def _walls(bench: _Bench) -> None:
    at = bench.at
    bench.once("wall_right", walls.right_wall(at), _Look((-90, 0, 0), (0.0, 110.0, 0.0), GREY), at.wall_seams)
    if not at.switch_size[0]:
        bench.once("wall_left", walls.left_wall(at), _Look((90, 0, 0), (0.0, -110.0, 0.0), GREY), at.wall_seams)
        return
    bench.once("wall_inner", walls.left_wall(at), _Look((90, 0, 0), (0.0, -70.0, 0.0), GREY), at.wall_seams)
    bench.once("wall_left", walls.outer_left_wall(at), _Look((90, 0, 0), (0.0, -190.0, 0.0), GREY), at.wall_seams)


def _panels(bench: _Bench) -> None:
    at = bench.at
    upright = (0, -90, 0)
    bench.once("bottom", panels.bottom_panel(at), _Look((0, 0, 0), (0.0, 0.0, -70.0), DARK))
    bench.once("top", panels.top_panel(at), _Look((0, 0, 0), (0.0, 0.0, 70.0), DARK))
    bench.once("rear", panels.rear_panel(at), _Look(upright, (-110.0, 0.0, 0.0), DARK), at.rear_seams)
    bench.once("backplane_frame", panels.frame(at), _Look(upright, (-62.0, 0.0, 0.0), DARK), at.frame_seams)
    bench.once("service_cover", panels.service_cover(at), _Look(upright, (70.0, 0.0, 0.0), DARK))
    if at.switch_size[0]:
        bench.once("switch_bezel", panels.switch_bezel(at), _Look((0, 90, 0), (70.0, -60.0, 0.0), DARK))


def _small(bench: _Bench) -> None:
    at = bench.at
    bench.once("handle", panels.handle(at), _Look((0, 90, 0), (0.0, 0.0, 110.0), ORANGE))
    feet = [(x, y) for x, y, outer in panels.wall_screws(at) if outer]
    shape = panels.foot(at)
    bench.printed.append(Printed("foot", shape, len(feet), (0, 0, 0)))
    low = at.inner_z[0] - at.p.case.wall
    standing = Part() + mirror(shape, about=Plane.XY)
    for index, (x, y) in enumerate(feet):
        bench.put(f"foot {index + 1}", Pos(x, y, low) * standing, _Look((0, 0, 0), (0.0, 0.0, -100.0), BLACK))


def _fan_filters(bench: _Bench) -> None:
    at = bench.at
    if not at.fan_z:
        return
    shape = panels.filter_frame()
    bench.printed.append(Printed("filter_frame", shape, len(at.fan_z), (0, 0, 0)))
    upright = turned(shape, "y", 90)
    x = at.rear_x[0] - FAN_DEPTH - FILTER_DEPTH
    for index, z in enumerate(at.fan_z):
        look = _Look((0, 0, 0), (-190.0, 0.0, 0.0), BLACK)
        bench.put(f"filter {index + 1}", Pos(x, panels.fan_y(at), z) * upright, look)


def _ears(bench: _Bench) -> None:
    at = bench.at
    if at.p.rack.front != "rack_10_inch":
        return
    right = panels.ear(at)
    left = Part() + mirror(right, about=Plane.XZ.offset(-sum(at.outer_y) / 2))
    bench.once("ear_right", right, _Look((0, 90, 0), (0.0, 150.0, 0.0), DARK))
    bench.once("ear_left", left, _Look((0, 90, 0), (0.0, -230.0, 0.0), DARK))


def _strips(bench: _Bench) -> None:
    """The strips over the walls' seams."""
    at = bench.at
    if not at.wall_seams:
        return
    flat = walls.splice(at)
    rear, inner = at.rear_x[1], walls.inner_wall_rear(at)
    faces = [("right", at.outer_y[1], 1, rear), ("left", at.outer_y[0], -1, rear)]
    if at.switch_size[0]:
        faces.append(("inner", at.wall_y[0] - at.p.case.wall, -1, inner))
    count = 0
    for name, y, outward, start in faces:
        strip = turned(flat, "x", -90 * outward)
        for x, seam in walls.splice_places(at, (start, at.front_x)):
            count += 1
            look = _Look((0, 0, 0), (0.0, outward * 140.0, 0.0), DARK)
            bench.put(f"strip {count} ({name})", Pos(x, y, seam) * strip, look)
    bench.printed.append(Printed("splice", flat, count, (0, 0, 0)))


def _bought(bench: _Bench) -> None:
    at, placed = bench.at, bench.placed
    placed.append(Placed("backplane", bought.backplane(at), HAT_GREEN, "bought", None, (-38.0, 0.0, 0.0)))
    for index, z in enumerate(at.fan_z):
        placed.append(Placed(f"fan {index + 1}", bought.fan(at, z), BLACK, "bought", None, (-150.0, 0.0, 0.0)))
    if at.switch_size[0]:
        placed.append(Placed("switch", bought.switch(at), BLUE, "bought", None, (40.0, -125.0, 0.0)))
