"""The other panels and the small parts: bottom, top, rear, backplane's frame, covers, handle, feet, filters, ears."""

from __future__ import annotations

from itertools import pairwise

from build123d import Part, Plane, Pos, Rot

from racklet_case.layout import (
    FAN,
    FAN_HOLES,
    FILTER_DEPTH,
    RACK_10_HOLES,
    RACK_10_WIDTH,
    Layout,
    Span,
    U,
)
from racklet_case.shapes import box, countersink, disc_x, lettering, nut_pocket, prism_x, prism_y, prism_z, rod
from racklet_case.tray import PEG_HEIGHT
from racklet_case.walls import (
    BLOCK,
    EAR_X,
    M3_HEAD,
    M3_NUT,
    M3_NUT_HIGH,
    block_middle,
    ear_screws_z,
    inner_wall_rear,
    rear_screws_z,
)

PLAY = 0.7  # of the backplane on its frame, each way: it is aligned with a tray in, then screwed tight
BOSS = 10.0
HANDLE = (100.0, 12.0, 30.0)  # length, width, height
GRIP_ROOM = 22.0  # for fingers under the handle
FOOT, FOOT_BELOW_HEAD = (14.0, 8.0), 4.0  # width and height; what is left below the sunk head
HANDLE_HOLE = 8.0  # depth
EAR_FLANGE = 5.2  # what lies on the wall, with the gap
POWER_JACK = 11.2  # a DC socket 5.5 x 2.1 mm for panels, M11
CABLE_HOLE = (16.0, 9.0)


def wall_screws(at: Layout) -> list[tuple[float, float, bool]]:
    """Return (x, y, in an outer wall) of the screws that hold the bottom and the top panel."""
    front, rear = at.front_x - 0.1, at.rear_x[1]
    right = block_middle(at.wall_y[1], towards_right=False)
    left = block_middle(at.wall_y[0], towards_right=True)
    places = [(front - 10, right, True), (rear + 15, right, True)]
    if not at.switch_size[0]:
        return [*places, (front - 10, left, True), (rear + 15, left, True)]
    outer = block_middle(at.outer_y[0] + at.p.case.wall, towards_right=True)
    places += [(front - 10, outer, True), (rear + 15, outer, True), (front - 10, left, False)]
    if rear + 10 > inner_wall_rear(at):
        places.append((rear + 15, left, False))
    return places


def _plate(at: Layout, z: Span) -> Part:
    return box((at.rear_x[0], at.front_x - 0.1), at.outer_y, z)


def bottom_panel(at: Layout) -> Part:
    """The panel below, with the shelf that a switch stands on."""
    bottom = at.inner_z[0]
    plate = _plate(at, (bottom - at.p.case.wall, bottom))
    cuts = [rod((x, y, bottom - 10), "z", at.p.fasteners.clearance_hole, 20) for x, y, _ in wall_screws(at)]
    cuts += [
        countersink((x, y, bottom - at.p.case.wall), "z", M3_HEAD, at.p.fasteners.clearance_hole)
        for x, y, outer in wall_screws(at)
        if not outer
    ]
    solids = [plate]
    if at.switch_size[0]:
        _, depth, thick = at.switch_size
        y0 = at.outer_y[0] + at.p.case.wall + BLOCK + 1.0
        solids.append(
            box(
                (at.front_x - depth + 5, at.front_x - 16),
                (y0, y0 + thick - BLOCK - 1.5),
                (bottom - 0.1, bottom + at.switch_shelf),
            )
        )
    whole = solids[0].fuse(*solids[1:]) if solids[1:] else solids[0]
    return Part() + whole.cut(*cuts)


def top_panel(at: Layout) -> Part:
    """The panel above, with the handle's screws and slots for warm air."""
    top = at.inner_z[1]
    face = top + at.p.case.wall
    plate = _plate(at, (top, face))
    hole = at.p.fasteners.clearance_hole
    cuts = []
    for x, y, _ in wall_screws(at):
        cuts += [rod((x, y, top - 1), "z", hole, 10), countersink((x, y, face), "-z", M3_HEAD, hole)]
    for x, y in handle_screws(at):
        cuts += [rod((x, y, top - 1), "z", hole, 10), countersink((x, y, top), "z", M3_HEAD, hole)]
    middle = sum(at.outer_y) / 2
    for index in range(-4, 5):
        if abs(index) > 1:  # the handle is between
            x = 22.0 + index * 7.0
            cuts.append(box((x - 1.6, x + 1.6), (middle - 24, middle + 24), (top - 1, face + 1)))
    return Part() + plate.cut(*cuts)


def handle_screws(at: Layout) -> list[tuple[float, float]]:
    """Return where the handle is screwed on: across the case, over its middle of mass."""
    middle = sum(at.outer_y) / 2
    reach = handle_length(at) / 2 - 7
    return [(22.0, middle - reach), (22.0, middle + reach)]


def handle_length(at: Layout) -> float:
    """Return the handle's length: as wide as a hand, or as the case."""
    return min(HANDLE[0], at.outer_y[1] - at.outer_y[0] - 16)


def handle(at: Layout) -> Part:
    """The carrying handle, standing as in the rack; printed lying on its side."""
    length, width, height = handle_length(at), HANDLE[1], HANDLE[2]
    top = at.inner_z[1] + at.p.case.wall
    y = sum(at.outer_y) / 2
    low, high = y - length / 2, y + length / 2
    outer = [
        (low, top),
        (low, top + height - 10),
        (low + 10, top + height),
        (high - 10, top + height),
        (high, top + height - 10),
        (high, top),
    ]
    room = top + GRIP_ROOM
    inner = [
        (low + 14, top - 1),
        (low + 14, room - 6),
        (low + 20, room),
        (high - 20, room),
        (high - 14, room - 6),
        (high - 14, top - 1),
    ]
    span = (22.0 - width / 2, 22.0 + width / 2)
    bar = prism_x(outer, span).cut(prism_x(inner, (span[0] - 1, span[1] + 1)))
    holes = [
        rod((x, place, top - 0.1), "z", at.p.fasteners.case_hole, HANDLE_HOLE + 0.1) for x, place in handle_screws(at)
    ]
    return Part() + bar.cut(*holes)


def foot(at: Layout) -> Part:
    """A foot below a screw of the bottom panel, standing upside down as it is printed; its head is sunk 4 mm."""
    width, high = FOOT
    body = rod((0, 0, 0), "z", width, high)
    hole = at.p.fasteners.clearance_hole
    return Part() + body.cut(
        rod((0, 0, -1), "z", hole, high + 2),
        rod((0, 0, high - 4), "z", M3_HEAD, 5),
        countersink((0, 0, high - 4), "-z", M3_HEAD, hole),
    )


def rear_panel(at: Layout) -> Part:
    """The rear panel: fans sit outside on it and blow in; below them the power socket and a hole for cables."""
    x, y = at.rear_x, at.outer_y
    plate = box(x, y, at.inner_z)
    hole = at.p.fasteners.clearance_hole
    right = block_middle(at.wall_y[1], towards_right=False)
    left_face = at.outer_y[0] + at.p.case.wall
    left = block_middle(left_face, towards_right=True)
    cuts = []
    for z in rear_screws_z(at):
        for place in (left, right):
            cuts += [rod((x[0] - 1, place, z), "x", hole, 10), countersink((x[0], place, z), "x", M3_HEAD, hole)]
    for z in at.fan_z:
        cuts += [disc_x((x[0] - 1, fan_y(at), z), FAN - 4, 10)]
        cuts += [rod((x[0] - 1, fan_y(at) + dy, z + dz), "x", 4.4, 10) for dy, dz in fan_screws()]
    cuts += _power(at)
    return Part() + plate.cut(*cuts)


def fan_y(at: Layout) -> float:
    """Return the middle of the fans along y."""
    return sum(at.outer_y) / 2


def fan_screws() -> list[tuple[float, float]]:
    """Return the fan's holes around its middle."""
    half = FAN_HOLES / 2
    return [(dy, dz) for dy in (-half, half) for dz in (-half, half)]


def power_z(at: Layout) -> float | None:
    """Return the height of the power socket: in the strip below the lowest fan, if there is one."""
    bottom = at.inner_z[0]
    top = at.fan_z[0] - FAN / 2 if at.fan_z else min(at.inner_z[1], bottom + 40)
    return bottom + (top - bottom) / 2 + 1.0 if top - bottom >= 22 else None


def _power(at: Layout) -> list[Part]:
    z = power_z(at)
    if z is None:
        return []
    x, y = at.rear_x, fan_y(at)
    if any(abs(z - seam) < 14 for seam in at.rear_seams):
        z = min(at.rear_seams) - 14.0
    wide, high = CABLE_HOLE
    return [
        rod((x[0] - 1, y - 16, z), "x", POWER_JACK, 10),
        box((x[0] - 1, x[1] + 1), (y + 4, y + 4 + wide), (z - high / 2, z + high / 2)),
    ]


def frame(at: Layout) -> Part:
    """The backplane's frame: two uprights with holes for the trays' pegs, bars that the backplane is screwed to."""
    gap = at.p.printer.fit_gap
    x = at.frame_x
    y = (at.wall_y[0] + gap, at.wall_y[1] - gap)
    bottom, top = at.inner_z
    z = (bottom + 0.3, top - 0.3)
    (_, left), (right, _) = at.pegs_y
    solids = [box(x, (y[0], left + 3.0), z), box(x, (right - 3.0, y[1]), z)]
    bars = {round(hole_z, 1) for _, hole_z in at.backplane_holes}
    ends = {z[0] + 5, z[1] - 5}
    solids += [box(x, y, (max(place - 5, z[0]), min(place + 5, z[1]))) for place in bars | ends]
    solids += [
        rod((x[1] - 0.1, place, height), "x", BOSS, at.backplane_x[0] - x[1] + 0.1)
        for place, height in at.backplane_holes
    ]
    loose = at.m.backplane.hole_diameter + 2 * PLAY
    cuts = [rod((x[0] - 1, place, height), "x", loose, 30) for place, height in at.backplane_holes]
    cuts += _peg_holes(at)
    return Part() + solids[0].fuse(*solids[1:]).cut(*cuts)


def _peg_holes(at: Layout) -> list[Part]:
    gap = at.p.printer.fit_gap
    front, rear = at.frame_x[1] + 0.1, at.frame_x[0] - 0.1
    cuts = []
    for row in range(at.rows):
        z = at.row_z(row)
        for low, high in at.pegs_y:
            hole_y, hole_z = (low - gap, high + gap), (z - gap, z + PEG_HEIGHT + gap + 0.3)
            cuts.append(box((rear, front), hole_y, hole_z))
            flare = 1.2  # the hole's mouth, towards the tray
            mouth = [
                (front, hole_z[0] - flare),
                (front - flare, hole_z[0]),
                (front - flare, hole_z[1]),
                (front, hole_z[1] + flare),
            ]
            cuts.append(prism_y(mouth, hole_y))
            side = [
                (front, hole_y[0] - flare),
                (front - flare, hole_y[0]),
                (front - flare, hole_y[1]),
                (front, hole_y[1] + flare),
            ]
            cuts.append(prism_z(side, hole_z))
    return cuts


def switch_bezel(at: Layout) -> Part:
    """The front of the switch bay, with the field of the sockets open and the slots' names."""
    switch = at.p.chosen_switch
    assert switch is not None  # noqa: S101  # there is no bezel without a switch
    x = (at.front_x, at.front_x + at.p.tray.front)
    y = (at.outer_y[0], at.wall_y[0] - 2.4)
    z = (at.inner_z[0], at.inner_z[0] + bezel_height(at))
    plate = box(x, y, z)
    bay = at.outer_y[0] + at.p.case.wall
    low = at.inner_z[0] + at.switch_shelf
    middle = low + switch.size[0] / 2
    length, wide = switch.ports
    field_y = bay + (switch.size[2] + 1.0) / 2
    opening = box(
        (x[0] - 1, x[1] + 1), (field_y - wide / 2, field_y + wide / 2), (middle - length / 2, middle + length / 2)
    )
    cuts = [opening]
    screw_y = block_middle(bay, towards_right=True)
    hole = at.p.fasteners.clearance_hole
    cuts += [rod((x[0] - 1, screw_y, at.inner_z[0] + 3.9), "x", hole, 10)]
    line = max(0.8, 2 * at.p.printer.nozzle)
    for row in range(at.rows):
        place = at.row_z(row) + at.p.rack.pitch / 2
        if place < z[1] - 5:
            cuts += [
                Pos(x[1] - 0.6, y[1] - 3.4, place) * (Plane.YZ * stroke)
                for stroke in lettering(at.row_name(row), 5.5, 0.7, line)
            ]
    hook = box(
        (at.front_x - 6, at.front_x + 0.1),
        (at.wall_y[0] - at.p.case.wall - 2.2, at.wall_y[0] - at.p.case.wall - 0.3),
        (z[1] - 14, z[1] - 4),
    )
    return Part() + plate.cut(*cuts).fuse(hook)


def bezel_height(at: Layout) -> float:
    """Return the bezel's height: up to the cover of the service room."""
    return at.row_z(at.rows) - at.inner_z[0] - 0.4


def service_cover(at: Layout) -> Part:
    """The front of the service room above the trays, where the backplane's cables are."""
    x = (at.front_x, at.front_x + at.p.tray.front)
    low, high = at.row_z(at.rows), at.inner_z[1]
    plate = box(x, at.outer_y, (low, high))
    hole = at.p.fasteners.clearance_hole
    right = block_middle(at.wall_y[1], towards_right=False)
    left = block_middle(at.outer_y[0] + at.p.case.wall, towards_right=True)
    cuts = []
    for y in (left, right):
        cuts += [rod((x[0] - 1, y, high - 6.0), "x", hole, 10)]
    middle = sum(at.outer_y) / 2
    room = high - low
    line = max(1.2, 2 * at.p.printer.nozzle)
    if room > 30:  # the name over a row of slots
        cuts += [
            Pos(x[1] - 0.6, middle, high - 9) * (Plane.YZ * stroke) for stroke in lettering("RACKLET", 9.0, 0.7, line)
        ]
        slots = (low + 4, high - 17)
    else:
        slots = (low + 3, high - 12)
    reach = (at.outer_y[1] - at.outer_y[0]) / 2 - 14
    if slots[1] - slots[0] > 2:
        place = -reach
        while place <= reach:
            cuts.append(box((x[0] - 1, x[1] + 1), (middle + place - 1.7, middle + place + 1.7), slots))
            place += 6.0
    return Part() + plate.cut(*cuts)


def filter_frame() -> Part:
    """What holds a dust filter of 3 mm foam before a fan; lies on its outer face as it is printed."""
    half = FAN / 2
    ring = box((-half, half), (-half, half), (0, FILTER_DEPTH))
    cuts = [rod((0, 0, 2.0), "z", FAN - 3, FILTER_DEPTH)]
    window = rod((0, 0, -1), "z", FAN - 8, FILTER_DEPTH + 2)
    bars = [box((-half, half), (place - 1.0, place + 1.0), (0, 2.0)) for place in (-24, -12, 0, 12, 24)]
    bars += [box((-1.2, 1.2), (-half, half), (0, 2.0))]
    cuts += [window.cut(*bars)]
    for dx, dy in fan_screws():
        cuts += [rod((dx, dy, -1), "z", 4.4, 20)]
    return Part() + ring.cut(*cuts)


def ear(at: Layout) -> Part:
    """An ear of the 10-inch front for the right side, in place; the left one is its mirror image."""
    units = ear_units(at)
    bottom = ear_bottom(at)
    z = (bottom + 0.4, bottom + units * U - 0.4)
    face = at.outer_y[1]
    middle = sum(at.outer_y) / 2
    edge = middle + RACK_10_WIDTH / 2
    front = (at.front_x - 4.0, at.front_x - 0.1)
    plate = box(front, (face + 0.2, edge), z)
    flange = box((at.front_x - 30, front[1]), (face + 0.2, face + EAR_FLANGE), z)
    gusset = prism_z(
        [(front[0] + 0.1, face + 5.1), (front[0] + 0.1, face + 27), (front[0] - 22, face + 5.1)], (z[0], z[0] + 4)
    )
    upper = prism_z(
        [(front[0] + 0.1, face + 5.1), (front[0] + 0.1, face + 27), (front[0] - 22, face + 5.1)], (z[1] - 4, z[1])
    )
    hole_y = middle + RACK_10_HOLES / 2
    cuts = []
    for unit in range(units):
        for step in (6.35, 38.1):
            height = bottom + unit * U + step
            cuts.append(box((front[0] - 1, front[1] + 1), (hole_y - 3.2, hole_y + 3.2), (height - 3.2, height + 3.2)))
    for height in ear_screws_z(at):
        cuts += [rod((at.front_x - EAR_X, face - 1, height), "y", at.p.fasteners.clearance_hole, 10)]
        cuts += [nut_pocket((at.front_x - EAR_X, face + EAR_FLANGE - M3_NUT_HIGH, height), "y", M3_NUT, 5)]
    return Part() + plate.fuse(flange, gusset, upper).cut(*cuts)


def ear_units(at: Layout) -> int:
    """Return how many height units an ear covers: within the case and the bed."""
    height = at.inner_z[1] - at.inner_z[0]
    bed = max(at.p.printer.bed) - 2 * at.p.printer.brim
    return max(1, int(min(height, bed) // U))


def ear_bottom(at: Layout) -> float:
    """Return where the ears begin."""
    return at.inner_z[0] - at.p.case.wall


def cut_along_z(part: Part, bounds: Span, seams: tuple[float, ...]) -> list[Part]:
    """Return the pieces of a part that is cut at `seams`, from below."""
    ends = [bounds[0] - 50, *seams, bounds[1] + 50]
    far = (-500.0, 500.0)
    pieces = []
    for low, high in pairwise(ends):
        pieces.append(Part() + (part & box(far, far, (low, high))))
    return pieces


def laid(part: Part, turn: tuple[float, float, float]) -> Part:
    """Return the part turned and put on the bed, its lowest corner at the origin."""
    turned = Rot(*turn) * part
    low = turned.bounding_box().min
    return Pos(-low.X, -low.Y, -low.Z) * turned
