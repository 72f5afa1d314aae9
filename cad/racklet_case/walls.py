"""The standing panels: walls with rails, the outer wall of the switch bay, and the strips that join cut walls.

Every wall is a flat plate with everything on its inner face, so it prints lying on its outer face without support.
"""

from __future__ import annotations

from itertools import pairwise

from build123d import Part, Plane, Pos, Rot

from racklet_case.layout import GROOVE, LATCH_ROOT_X, RAIL_PLAY, RIB, SPLICE, TOOTH_PLAY, TOOTH_X, Layout, Span
from racklet_case.shapes import box, countersink, lettering, nut_pocket, prism_y, prism_z, rod
from racklet_case.tray import CATCH_OUT

BLOCK = 9.0  # screw blocks
PANEL_HOLE, COVER_HOLE, REAR_HOLE = 5.5, 6.5, 6.5  # depths
M3_HEAD = 6.4  # countersunk head, ISO 10642 and alike
M3_NUT, M3_NUT_HIGH = 5.6, 2.6
SPLICE_REACH = 7.0  # from the seam to its screws
LEAD_IN = 5.0


def right_wall(at: Layout) -> Part:
    """The wall at the latches."""
    y = (at.wall_y[1], at.wall_y[1] + at.p.case.wall)
    x = (at.rear_x[1], at.front_x - 0.1)
    solids = [box(x, y, at.inner_z), *_rails(at, right=True), *_catches(at), *_groove(at, right=True)]
    solids += [_on(at, block, right=True) for block in blocks(at)]
    cuts = [*_block_holes(at, right=True), *_names(at, y[1]), *_splice_holes(at, y, outer=y[1], wall_x=x)]
    cuts += _ear_holes(at, y)
    return Part() + solids[0].fuse(*solids[1:]).cut(*cuts)


def left_wall(at: Layout) -> Part:
    """The wall at the grips; with a switch, it is the inner wall between trays and switch."""
    y = (at.wall_y[0] - at.p.case.wall, at.wall_y[0])
    inner = bool(at.switch_size[0])
    x = (inner_wall_rear(at) if inner else at.rear_x[1], at.front_x - 0.1)
    solids = [box(x, y, at.inner_z), *_rails(at, right=False), *_groove(at, right=False)]
    cuts = _splice_holes(at, y, outer=y[0], wall_x=x)
    if inner:
        solids += [_on(at, block, right=False) for block in blocks(at) if not block[0] and block[1][0] >= x[0]]
        cuts += [hole for hole in _block_holes(at, right=False, outer=False) if x[0] < hole.bounding_box().min.X]
    else:
        solids += [_on(at, block, right=False) for block in blocks(at)]
        cuts += [*_block_holes(at, right=False), *_ear_holes(at, y)]
    return Part() + solids[0].fuse(*solids[1:]).cut(*cuts)


def outer_left_wall(at: Layout) -> Part:
    """The outer wall of the switch bay."""
    y = (at.outer_y[0], at.outer_y[0] + at.p.case.wall)
    x = (at.rear_x[1], at.front_x - 0.1)
    bottom = at.inner_z[0]
    length, depth, _ = at.switch_size
    solids = [box(x, y, at.inner_z)]
    for _, bx, bz in blocks(at):
        high = (bz[0], bz[1] + 2.0) if bz[0] == bottom else bz
        solids.append(box(bx, (y[1] - 0.1, y[1] + BLOCK), high))
    stop_x = at.front_x - 0.6 - depth
    low = bottom + at.switch_shelf
    stop = (stop_x - 3.0, stop_x - 0.4)
    solids.append(
        box(stop, (y[1] - 0.1, y[1] + 8), (low + 10, low + length - 10))
    )  # the switch cannot slip to the rear
    solids.append(
        box(
            (at.front_x - depth * 0.8, at.front_x - 14),
            (y[1] - 0.1, y[1] + 8),
            (low + length + 0.6, low + length + 3.2),
        )
    )
    cuts = [*_outer_left_holes(at, y[1]), *_splice_holes(at, y, outer=y[0], wall_x=x), *_ear_holes(at, y)]
    return Part() + solids[0].fuse(*solids[1:]).cut(*cuts)


def inner_wall_rear(at: Layout) -> float:
    """Return where the inner wall ends: behind the groove of the backplane's frame."""
    return at.frame_x[0] - 15.0


def _rail(at: Layout, low: float, *, upper: bool, y: Span) -> Part:
    """One rail: narrower at the front, so that a tray finds in."""
    rear, front = at.tray_rear_x + 0.5, at.front_x - 0.1
    height = RIB[1]
    if upper:
        points = [(rear, low), (front - LEAD_IN, low), (front, low + 1.2), (front, low + height), (rear, low + height)]
    else:
        points = [
            (rear, low),
            (front, low),
            (front, low + height - 1.2),
            (front - LEAD_IN, low + height),
            (rear, low + height),
        ]
    return prism_y(points, y)


def _rails(at: Layout, *, right: bool) -> list[Part]:
    wall = at.wall_y[right]
    y = (wall - RIB[0], wall + 0.1) if right else (wall - 0.1, wall + RIB[0])
    rails = []
    for row in range(at.rows):
        z = at.row_z(row)
        rails.append(_rail(at, z - RIB[1], upper=False, y=y))
        rails.append(_rail(at, z + at.p.tray.tongue[1] + RAIL_PLAY, upper=True, y=y))
    return rails


def _catches(at: Layout) -> list[Part]:
    """What the latches' teeth hold on to: upright to the rear, a slope to the front."""
    wall, out = at.wall_y[1], CATCH_OUT
    rear = TOOTH_X + TOOTH_PLAY
    points = [(rear, wall + 0.1), (rear, wall - out), (rear + 1.5, wall - out), (rear + 1.5 + 1.8 * out, wall + 0.1)]
    height = at.p.tray.latch[1]
    return [prism_z(points, (at.row_z(row) + height - 4.5, at.row_z(row) + height + 1.0)) for row in range(at.rows)]


def _groove(at: Layout, *, right: bool) -> list[Part]:
    """Two upright ribs that the backplane's frame is slid between from above."""
    wall = at.wall_y[right]
    y = (wall - GROOVE, wall + 0.1) if right else (wall - 0.1, wall + GROOVE)
    gap = at.p.printer.fit_gap
    rear, front = at.frame_x[0] - gap, at.frame_x[1] + gap
    z = (at.inner_z[0] + 0.0, at.inner_z[1])
    return [box((rear - 2.4, rear), y, z), box((front, front + 2.4), y, z)]


def blocks(at: Layout) -> list[tuple[bool, Span, Span]]:
    """Return the screw blocks of a wall: whether it takes the rear panel's screw, its x and z."""
    bottom, top = at.inner_z
    front, rear = at.front_x - 0.1, at.rear_x[1]
    low, high = (bottom, bottom + 7.0), (top - 12.0, top)
    found = [
        (False, (front - 14, front), low),
        (False, (rear + 10, rear + 20), low),
        (False, (front - 14, front), high),
        (False, (rear + 10, rear + 20), high),
    ]
    return found + [(True, (rear, rear + BLOCK), (z - BLOCK / 2, z + BLOCK / 2)) for z in rear_screws_z(at)]


def rear_screws_z(at: Layout) -> tuple[float, ...]:
    """Return the heights of the rear panel's screws: two on each side of each of its pieces."""
    ends = [at.inner_z[0], *at.rear_seams, at.inner_z[1]]
    found = []
    for low, high in pairwise(ends):
        first, last = low + (14 if low == at.inner_z[0] else 6), high - (18 if high == at.inner_z[1] else 6)
        first, last = _beside_seams(at, first, 1), _beside_seams(at, last, -1)
        found += [first, last] if last - first > BLOCK else [first]
    return tuple(found)


def _beside_seams(at: Layout, z: float, way: int) -> float:
    """Return a height for a block that no seam of the walls cuts, moved into the panel's piece."""
    for seam in at.wall_seams:
        if abs(z - seam) < BLOCK / 2 + 1.0:
            return seam + way * (BLOCK / 2 + 1.0)
    return z


def _on(at: Layout, block: tuple[bool, Span, Span], *, right: bool) -> Part:
    _, x, z = block
    wall = at.wall_y[right]
    return box(x, (wall - BLOCK, wall + 0.1) if right else (wall - 0.1, wall + BLOCK), z)


def block_middle(wall: float, *, towards_right: bool) -> float:
    """Return the y of the screws in a wall's blocks."""
    return wall + (BLOCK / 2 if towards_right else -BLOCK / 2)


def _block_holes(at: Layout, *, right: bool, outer: bool = True) -> list[Part]:
    return _holes(at, block_middle(at.wall_y[right], towards_right=not right), outer=outer)


def _outer_left_holes(at: Layout, face: float) -> list[Part]:
    y = block_middle(face, towards_right=True)
    bottom = at.inner_z[0]
    front = at.front_x - 0.1
    bezel = [rod((front + 0.1, y, bottom + 3.9), "-x", at.p.fasteners.case_hole, COVER_HOLE + 0.1)]
    return [*_holes(at, y, outer=True), *bezel]


def _holes(at: Layout, y: float, *, outer: bool) -> list[Part]:
    """Holes that screws end in: upright for the panels above and below, along x for the rear panel and the cover."""
    bottom, top = at.inner_z
    hole = at.p.fasteners.case_hole
    front, rear = at.front_x - 0.1, at.rear_x[1]
    cuts = []
    for x in (front - 10, rear + 15):
        cuts += [
            rod((x, y, bottom - 0.1), "z", hole, PANEL_HOLE + 0.1),
            rod((x, y, top + 0.1), "-z", hole, PANEL_HOLE + 0.1),
        ]
    if outer:
        cuts.append(rod((front + 0.1, y, top - 6.0), "-x", hole, COVER_HOLE + 0.1))
        cuts += [rod((rear - 0.1, y, z), "x", hole, REAR_HOLE + 0.1) for z in rear_screws_z(at)]
    return cuts


def _names(at: Layout, face: float) -> list[Part]:
    """The slots' names, engraved in the outer face near the front."""
    depth = 0.6
    line = max(1.0, 2 * at.p.printer.nozzle)
    cuts = []
    for row in range(at.rows):
        for stroke in lettering(at.row_name(row), 8.0, depth + 0.1, line):
            mirrored = Rot(0, 0, 180) * (Plane.XZ * stroke)  # seen from outside
            cuts.append(Pos(at.front_x - 10, face - depth, at.row_z(row) + 24) * mirrored)
    return cuts


def splice_places(at: Layout, wall_x: Span) -> list[tuple[float, float]]:
    """Return (x, z) of the middles of the strips over a wall's seams."""
    rear = max(
        at.frame_x[0] - 7.0, wall_x[0] + SPLICE[0] / 2 - 1.0
    )  # behind the frame's groove, before the rear blocks
    return [(x, seam) for seam in at.wall_seams for x in (LATCH_ROOT_X, rear)]


def _splice_holes(at: Layout, y: Span, *, outer: float, wall_x: Span) -> list[Part]:
    """Holes for the strips' screws; their heads are sunk into the inner face."""
    inner = y[0] + y[1] - outer
    along = "y" if outer > inner else "-y"
    cuts = []
    for x, seam in splice_places(at, wall_x):
        for z in (seam - SPLICE_REACH, seam + SPLICE_REACH):
            cuts += [
                rod(
                    (x, inner - (0.1 if along == "y" else -0.1), z),
                    along,
                    at.p.fasteners.clearance_hole,
                    at.p.case.wall + 0.2,
                )
            ]
            cuts += [countersink((x, inner, z), along, M3_HEAD, at.p.fasteners.clearance_hole)]
    return cuts


def splice(at: Layout) -> Part:
    """Return the strip over a seam, lying: two nuts in its outer face."""
    width, height, thick = SPLICE
    strip = box((-width / 2, width / 2), (-height / 2, height / 2), (0, thick))
    cuts = []
    for y in (-SPLICE_REACH, SPLICE_REACH):
        cuts += [
            rod((0, y, -0.1), "z", at.p.fasteners.clearance_hole, thick + 0.2),
            nut_pocket((0, y, thick - M3_NUT_HIGH), "z", M3_NUT, 5),
        ]
    return Part() + strip.cut(*cuts)


EAR_X = 16.0  # from the front to the ears' screws


def ear_screws_z(at: Layout) -> tuple[float, ...]:
    """Return the heights of the screws of a 10-inch front's ears: away from rails and latches."""
    rows = [0, at.rows - 1] if at.rows > 1 else [0]
    return tuple(at.row_z(row) + 14.0 for row in rows)


def _ear_holes(at: Layout, y: Span) -> list[Part]:
    if at.p.rack.front != "rack_10_inch":
        return []
    inner, along = (y[0], "y") if y[1] == at.outer_y[1] else (y[1], "-y")
    cuts = []
    for z in ear_screws_z(at):
        x = at.front_x - EAR_X
        cuts += [
            rod(
                (x, inner - (0.1 if along == "y" else -0.1), z),
                along,
                at.p.fasteners.clearance_hole,
                at.p.case.wall + 0.2,
            )
        ]
        cuts += [countersink((x, inner, z), along, M3_HEAD, at.p.fasteners.clearance_hole)]
    return cuts
