"""The compute tray: carries a node with its HAT, slides, stops, latches, leads the HAT's header into the backplane."""

from __future__ import annotations

from build123d import Part, Plane, Pos, Rot

from racklet_case.layout import (
    JACK_GAP,
    LATCH_ROOT_X,
    LATCH_SLIT,
    LIGHT_GUIDE,
    PEG_POINT,
    TAB,
    TOOTH_X,
    Layout,
    Span,
)
from racklet_case.shapes import box, countersink, lettering, prism_x, prism_y, prism_z, rod

M25_HEAD = 5.0  # countersunk head, ISO 7046: 4.7 mm and some room
POST = 7.0
ENGRAVED = 0.6
BUTTON_HOLE = 2.6  # for a paper clip


def tray(at: Layout, *, pressed: bool = False) -> Part:
    """Return the tray, printed as it stands. `pressed` bends the latch as a finger does."""
    solids = [_floor(at), _front(at), *_tongues(at), *_sides(at), *_posts(at), *_pegs(at), _grip(at)]
    if at.p.chosen_storage is not None:
        solids += _storage_bars(at)
    whole = solids[0].fuse(*solids[1:])
    whole = whole.cut(*_openings(at))
    return Part() + whole.fuse(_latch(at, pressed=pressed))


def light_guide(at: Layout) -> Part:
    """Return the guide from a light of the HAT at y = 0 to its window. Printed lying, in clear plastic."""
    start_x, end_x = at.m.hat.outline[0] + 0.6, at.front_x + at.p.tray.front
    led_z = at.hat_z + max(part.height for part in at.leds)
    half, rise = LIGHT_GUIDE[1] / 2, at.window_z - led_z
    lean = rise * 0.5
    bend = start_x + 1.2
    points = [
        (start_x, led_z - half + 0.9),
        (bend + 0.9, led_z - half + 0.9),
        (bend + 0.9 + lean, at.window_z - half),
        (end_x, at.window_z - half),
        (end_x, at.window_z + half),
        (bend + lean - 0.6, at.window_z + half),
        (bend - 0.6, led_z + half + 0.3),
        (start_x, led_z + half + 0.3),
    ]
    if rise < 0.1:  # straight
        points = [(start_x, led_z - half), (end_x, led_z - half), (end_x, led_z + half), (start_x, led_z + half)]
    guide = prism_y(points, (-LIGHT_GUIDE[0] / 2, LIGHT_GUIDE[0] / 2))
    shoulder = (at.front_x - 1.6, at.front_x - 0.1)
    stop = box(
        shoulder, (-LIGHT_GUIDE[0] / 2, LIGHT_GUIDE[0] / 2), (at.window_z + half - 0.1, at.window_z + half + 1.0)
    )
    return Part() + guide.fuse(stop)


def _floor(at: Layout) -> Part:
    return box((at.tray_rear_x, at.front_x + 0.1), at.floor_y, (0, at.p.tray.floor))


def front_span(at: Layout) -> tuple[Span, Span]:
    """Return the front plate's y and z: it overlaps the walls by 2.2 mm, which is the stop."""
    return (at.wall_y[0] - 2.2, at.wall_y[1] + 2.2), (0.0, at.p.rack.pitch - 0.6)


def _front(at: Layout) -> Part:
    y, z = front_span(at)
    return box((at.front_x, at.front_x + at.p.tray.front), y, z)


def _tongues(at: Layout) -> list[Part]:
    width, height = at.p.tray.tongue
    left, right = at.floor_y
    rear, front = at.tray_rear_x, at.front_x + 0.1
    lead = 6.0  # narrower at the rear, to find the rails
    points = [(rear, -0.1), (front, -0.1), (front, width), (rear + lead, width), (rear, width - 1.6)]
    return [
        prism_z([(x, right + y) for x, y in points], (0, height)),
        prism_z([(x, left - y) for x, y in points], (0, height)),
    ]


def _sides(at: Layout) -> list[Part]:
    """Stiffeners along the edges, low enough for the sockets of the board's lower edge."""
    left, right = at.floor_y
    top = max(at.p.tray.tongue[1], at.board_z - 1.0)
    return [
        box((at.tray_rear_x, at.front_x + 0.1), (left, left + 1.6), (0, top)),
        box((at.tray_rear_x, at.front_x + 0.1), (right - 2.1, right), (0, at.p.tray.tongue[1])),
        box((at.tray_rear_x, LATCH_ROOT_X - 4), (right - 1.6, right), (0, top)),
    ]


def post_places(at: Layout) -> tuple[tuple[float, float], ...]:
    """Return where the node's board is screwed on, in rack coordinates."""
    return tuple((at.dx + x, at.dy + y) for x, y in at.p.node.holes)


def _posts(at: Layout) -> list[Part]:
    return [rod((x, y, 0), "z", POST, at.board_z) for x, y in post_places(at)]


def _pegs(at: Layout) -> list[Part]:
    """Pegs that find the backplane's frame before the pins find their socket: full at the frame, pointed at the tip."""
    rear, tip = at.tray_rear_x + 0.1, at.peg_tip_x
    taper = PEG_POINT
    pegs = []
    for low, high in at.pegs_y:
        points = [
            (rear, low),
            (tip + taper, low),
            (tip, low + 2.0),
            (tip, high - 2.0),
            (tip + taper, high),
            (rear, high),
        ]
        flat = prism_z(points, (0, PEG_HEIGHT))
        slope = prism_y(
            [(tip - 0.1, 2.0), (tip + taper, PEG_HEIGHT), (tip - 0.1, PEG_HEIGHT + 0.1)], (low - 0.1, high + 0.1)
        )
        root = box(
            (at.tray_rear_x - 0.1, at.tray_rear_x + (8 if at.p.chosen_storage is None else 2)),
            (low, high),
            (0, PEG_HEIGHT),
        )
        pegs.append(flat.fuse(root).cut(slope))
    return pegs


PEG_HEIGHT = 5.0


def _grip(at: Layout) -> Part:
    """What the fingers hold at the left while the thumb presses the latch at the right."""
    x, left = at.front_x + at.p.tray.front, at.floor_y[0]
    points = [
        (x - 0.1, left - 1),
        (x + TAB - 2, left - 1),
        (x + TAB, left - 2.5),
        (x + TAB, left - 4.5),
        (x - 0.1, left - 4.5),
    ]
    return prism_z(points, (0, 18))


def _storage_bars(at: Layout) -> list[Part]:
    """Two bars that carry what lies below the board."""
    storage = at.p.chosen_storage
    assert storage is not None  # noqa: S101  # the caller asked
    x0, y = at.storage_x[0], at.storage_y
    top = at.p.tray.floor + storage.under
    return [
        box((x0 + place - 3, x0 + place + 3), (y[0] + 8, y[1] - 8), (0, top))
        for place in (14.0, storage.size[0] - 9.85)
    ]


def _openings(at: Layout) -> list[Part]:
    return [*_screws(at), *_sockets(at), *_windows(at), *_air(at), *_latch_room(at), *_labels(at)]


def _screws(at: Layout) -> list[Part]:
    hole = at.p.fasteners.node_hole
    cuts = []
    for x, y in post_places(at):
        cuts += [rod((x, y, -1), "z", hole, at.board_z + 2), countersink((x, y, -0.01), "z", M25_HEAD, hole)]
    return cuts


def port_span(at: Layout, index: int) -> Span:
    """Return the y of an opening in the front."""
    port = at.front_ports[index]
    middle = at.dy + port.at
    return middle - port.width / 2 - JACK_GAP, middle + port.width / 2 + JACK_GAP


def _sockets(at: Layout) -> list[Part]:
    x = (at.front_x - 0.5, at.front_x + at.p.tray.front + 0.5)
    recess = at.front_x + at.p.tray.front - (at.dx + at.p.node.outline[0])
    if not at.front_ports:  # the sockets are on the long side: a hole for their cables
        left = at.floor_y[0] + 2.5
        return [box(x, (left, left + at.p.node.side_channel - 6), (at.board_top_z, at.board_top_z + 15))]
    spans = [port_span(at, index) for index in range(len(at.front_ports))]
    low = at.board_top_z - 0.3
    if recess > 6:  # plugs with their boots pass as a whole
        return [box(x, (min(spans)[0] - 1, max(spans)[1] + 1), (low, at.jack_top_z))]
    tops = [at.board_top_z + port.height + JACK_GAP for port in at.front_ports]
    return [box(x, span, (low, top)) for span, top in zip(spans, tops, strict=True)]


def light_places(at: Layout) -> tuple[float, ...]:
    """Return the y of the windows."""
    return tuple(at.hat_y(part.y) for part in at.leds)


def button_holes(at: Layout) -> tuple[tuple[str, float, float], ...]:
    """Return name, y and z of the holes to the HAT's buttons that no socket stands in the way of."""
    reach = BUTTON_HOLE / 2 + JACK_GAP + 0.9
    found = []
    for part in at.m.hat.front:
        y, z = at.hat_y(part.y), at.hat_z + part.height
        if not part.ref.startswith("SW"):
            continue
        blocked = False
        for port in at.front_ports:
            beside = abs(at.dy + port.at - y) >= port.width / 2 + reach
            over = z >= at.board_top_z + port.height + reach
            blocked = blocked or not (beside or over)
        if not blocked:
            found.append((part.name, y, z))
    return tuple(found)


def _windows(at: Layout) -> list[Part]:
    x = (at.front_x - 0.5, at.front_x + at.p.tray.front + 0.5)
    gap = at.p.printer.fit_gap / 2
    half_y, half_z = LIGHT_GUIDE[0] / 2 + gap, LIGHT_GUIDE[1] / 2 + gap
    cuts = [box(x, (y - half_y, y + half_y), (at.window_z - half_z, at.window_z + half_z)) for y in light_places(at)]
    cuts += [rod((x[0], y, z), "x", BUTTON_HOLE, x[1] - x[0]) for _, y, z in button_holes(at)]
    return cuts


def vent_slots(at: Layout) -> list[tuple[Span, Span]]:
    """Return (y, z) of the slots for air in the front: beside the sockets, and over sockets and latch."""
    _, z = front_span(at)
    inner = (at.wall_y[0] + 4.0, at.latch_y[0] - 5.0)
    top = (at.jack_top_z + 1.6, z[1] - 2.0)
    busy = [(port_span(at, index)[0] - 1.6, port_span(at, index)[1] + 1.6) for index in range(len(at.front_ports))]
    if not at.front_ports:
        busy = [(inner[0], at.floor_y[0] + at.p.node.side_channel)]
    lights = (min(light_places(at)) - 17, max(light_places(at)) + 15)
    slots: list[tuple[Span, Span]] = []
    place = inner[0]
    while place + 3.2 <= at.wall_y[1] - 4.0:
        column = (place, place + 3.2)
        free = column[1] <= inner[1] and all(column[1] < low or column[0] > high for low, high in busy)
        if free and at.front_ports:
            slots.append((column, (at.board_top_z, top[0] - 1.6)))
        if top[1] - top[0] >= 2.4 and not lights[0] < place < lights[1] and (free or at.front_ports):
            slots.append((column, top))
        place += 4.8
    holes = [(y - 3.5, y + 3.5) for _, y, _ in button_holes(at)]
    return [(y, z) for y, z in slots if all(y[1] < low or y[0] > high for low, high in holes)]


def _air(at: Layout) -> list[Part]:
    x = (at.front_x - 0.5, at.front_x + at.p.tray.front + 0.5)
    cuts = [box(x, y, z) for y, z in vent_slots(at)]
    through = (-0.5, at.p.tray.floor + 0.5)
    if at.p.chosen_storage is not None:
        return cuts
    top_y = at.dy + at.p.node.outline[1]
    for start, end in ((10, 55), (68, at.front_x - 8)):
        low, high = max(at.dy, 0) + 8, min(top_y, 56) - 8
        middle = (low + high) / 2
        cuts += [box((start, end), (low, middle - 2.5), through), box((start, end), (middle + 2.5, high), through)]
    return cuts


def _latch_room(at: Layout) -> list[Part]:
    inner, outer = at.latch_y
    front = at.front_x + at.p.tray.front
    swing = (front + 1 - LATCH_ROOT_X) * (at.p.tray.latch_overlap + 0.4) / (TOOTH_X - LATCH_ROOT_X)
    wedge = [
        (LATCH_ROOT_X, inner - 0.6),
        (front + 1, inner - swing - 0.8),
        (front + 1, outer + LATCH_SLIT),
        (LATCH_ROOT_X, outer + LATCH_SLIT),
    ]
    return [prism_z(wedge, (-1, at.p.tray.latch[1] + 0.8))]


def _labels(at: Layout) -> list[Part]:
    """Names of the windows, engraved: S for status, ID for identify."""
    x = at.front_x + at.p.tray.front
    low, high = min(light_places(at)), max(light_places(at))
    line = max(0.8, 2 * at.p.printer.nozzle)
    cuts = []
    places = [("ID", low - 7.5), ("S", high + 6.0)]
    for text, y in places[: 1 if button_holes(at) else 2]:  # the button holes are where the S would be
        strokes = lettering(text, 4.8, ENGRAVED + 0.1, line)
        cuts += [Pos(x - ENGRAVED, y, at.window_z) * (Plane.YZ * stroke) for stroke in strokes]
    return cuts


def _latch(at: Layout, *, pressed: bool) -> Part:
    """A spring along the right edge, from the bed up, with a tooth that reaches over the tongue to its catch."""
    inner, outer = at.latch_y
    height = at.p.tray.latch[1]
    front = at.front_x + at.p.tray.front
    spring = box((LATCH_ROOT_X - 6, front + TAB), (inner, outer), (0, height))
    thumb = prism_z(
        [
            (front + 0.6, inner),
            (front + TAB, inner),
            (front + TAB, outer + 2.4),
            (front + TAB - 2, outer + 2.4),
            (front + 3, outer),
        ],
        (0, 18),
    )
    spring = spring.fuse(thumb, _tooth(at))
    if pressed:
        spring = Pos(LATCH_ROOT_X, inner, 0) * Rot(0, 0, -at.pressed_angle) * Pos(-LATCH_ROOT_X, -inner, 0) * spring
    root = box((LATCH_ROOT_X - 8, LATCH_ROOT_X), (inner - 2, outer + LATCH_SLIT + 0.1), (0, height))
    return root.fuse(spring)


def tooth_reach(at: Layout) -> float:
    """Return the y of the tooth's tip: it overlaps its catch, which stands out of the wall as far as a rail."""
    return at.wall_y[1] - CATCH_OUT + at.p.tray.latch_overlap


CATCH_OUT = 3.2


def _tooth(at: Layout) -> Part:
    outer, tip, height = at.latch_y[1], tooth_reach(at), at.p.tray.latch[1]
    out = tip - outer
    points = [(TOOTH_X, outer - 0.1), (TOOTH_X, tip), (TOOTH_X - 1.5, tip), (TOOTH_X - 1.5 - out, outer - 0.1)]
    rise = height - 3.5  # below, a slope of 45 degrees that needs no support
    tooth = prism_z(points, (rise - out, height))
    below = [(outer, rise - out), (tip + 0.2, rise + 0.2), (tip + 0.2, rise - out - 1), (outer, rise - out - 1)]
    return tooth.cut(prism_x(below, (TOOTH_X - 20, TOOTH_X + 1)))
