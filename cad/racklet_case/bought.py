"""What is bought, as envelopes: boards with their tall parts, HAT, backplane, fans, switch."""

from __future__ import annotations

from build123d import Part, Plane, Pos, Rot

from racklet_case.layout import FAN, FAN_DEPTH, FAN_HOLES, Layout
from racklet_case.panels import fan_y
from racklet_case.shapes import box, disc_x, rod

PITCH = 2.54
SPACER = 5.5  # across the corners of an M2.5 spacer of 5 mm
SOCKET_HOLE = 0.9
GPIO = (51.0, 5.1)  # 2x20 pins


def node(at: Layout) -> Part:
    """The single-board computer at its place in a tray whose underside is z = 0."""
    sbc = at.p.node
    z, top = at.board_z, at.board_top_z
    width, height = sbc.outline
    board = box((at.dx, at.dx + width), (at.dy, at.dy + height), (z, top))
    solids: list[Part] = []
    for port in sbc.ports:
        middle = port.at
        if port.side == "right":
            x = (at.dx + width + port.reach - port.depth, at.dx + width + port.reach)
            y = (at.dy + middle - port.width / 2, at.dy + middle + port.width / 2)
        else:
            x = (at.dx + middle - port.width / 2, at.dx + middle + port.width / 2)
            y = (at.dy - port.reach, at.dy - port.reach + port.depth)
        solids.append(box(x, y, (top - 0.01, top + port.height)))
    for block, low, high in [
        *((b, top - 0.01, top + b.height) for b in sbc.tall),
        *((b, z - b.height, z + 0.01) for b in sbc.below),
    ]:
        x = (at.dx + block.at[0] - block.size[0] / 2, at.dx + block.at[0] + block.size[0] / 2)
        y = (at.dy + block.at[1] - block.size[1] / 2, at.dy + block.at[1] + block.size[1] / 2)
        solids.append(box(x, y, (low, high)))
    holes = [rod((at.dx + x, at.dy + y, z - 1), "z", 2.75, sbc.thickness + 2) for x, y in sbc.holes]
    return Part() + board.cut(*holes).fuse(*solids)


def hat_places(at: Layout) -> list[tuple[float, float]]:
    """Return where the HAT is screwed to the node, in rack coordinates."""
    holes = at.p.node.hat_holes or at.p.node.holes
    return [(at.dx + x, at.dy + y) for x, y in holes]


def hat(at: Layout) -> Part:
    """The HAT over the node, with its socket, its spacers and its backplane header."""
    board = at.m.hat
    z = (at.hat_z - board.thickness, at.hat_z)
    width, height = board.outline
    top = at.hat_y(0)
    plate = box((0, width), (top - height, top), z)
    plate = plate.cut(*[rod((x, top - y, z[0] - 1), "z", board.hole_diameter, 4) for x, y in board.holes])
    solids = []
    for part in board.parts:
        (x, y), (dx, dy) = part.at, part.size
        solids.append(
            box((x - dx / 2, x + dx / 2), (top - y - dy / 2, top - y + dy / 2), (z[1] - 0.01, z[1] + part.height))
        )
    gpio_y = top - 3.5
    solids.append(
        box(
            (32.5 - GPIO[0] / 2, 32.5 + GPIO[0] / 2),
            (gpio_y - GPIO[1] / 2, gpio_y + GPIO[1] / 2),
            (at.board_top_z, z[0] + 0.01),
        )
    )
    solids += [rod((x, y, at.board_top_z), "z", SPACER, z[0] - at.board_top_z) for x, y in hat_places(at)]
    solids += _pins(at)
    return Part() + plate.fuse(*solids)


def _pins(at: Layout) -> list[Part]:
    header = at.m.hat.backplane_header
    half = header.pin_square / 2
    pins = []
    for index in range(6):
        y = at.hat_y(header.middle_y) + (index - 2.5) * PITCH
        for row in header.row_heights:
            z = at.hat_z + row
            pins.append(box((header.pin_tip_x, header.face_x + 0.2), (y - half, y + half), (z - half, z + half)))
    return pins


def backplane(at: Layout) -> Part:
    """The backplane with its sockets and the plugs on it."""
    board = at.m.backplane
    y0 = at.backplane_y[0]
    plate = box(at.backplane_x, at.backplane_y, at.backplane_z)
    holes = [rod((at.backplane_x[0] - 1, y, z), "x", board.hole_diameter, 10) for y, z in at.backplane_holes]
    front = at.backplane_x[1]
    socket = _socket(at)
    solids = [Pos(0, 0, at.row_z(row)) * socket for row in range(at.first_row, at.rows)]
    growth = at.backplane_growth
    for cable in board.cables:
        y, z = y0 + cable.at[1], at.backplane_z[0] + cable.at[0] + growth
        solids.append(box((front - 0.01, front + cable.height), (y - 3, y + 3), (z - 3, z + 3)))
    return Part() + plate.cut(*holes).fuse(*solids)


def _socket(at: Layout) -> Part:
    """A slot's socket for the tray whose underside is z = 0."""
    front = at.backplane_x[1]
    y, z = at.hat_y(at.m.hat.backplane_header.middle_y), at.connector_z
    body = box(
        (front - 0.01, front + at.m.backplane.slot_socket.height),
        (y - 3 * PITCH - 0.3, y + 3 * PITCH + 0.3),
        (z - PITCH - 0.1, z + PITCH + 0.1),
    )
    half = SOCKET_HOLE / 2
    holes = []
    for index in range(6):
        for row in (-PITCH / 2, PITCH / 2):
            place = y + (index - 2.5) * PITCH
            holes.append(box((front + 0.5, front + 20), (place - half, place + half), (z + row - half, z + row + half)))
    return body.cut(*holes)


def fan(at: Layout, z: float) -> Part:
    """A fan of 80 x 80 x 25 mm outside on the rear panel."""
    x = (at.rear_x[0] - FAN_DEPTH, at.rear_x[0])
    y = fan_y(at)
    body = box(x, (y - FAN / 2, y + FAN / 2), (z - FAN / 2, z + FAN / 2))
    cuts = [disc_x((x[0] - 1, y, z), FAN - 4, FAN_DEPTH + 2)]
    half = FAN_HOLES / 2
    cuts += [rod((x[0] - 1, y + dy, z + dz), "x", 4.3, FAN_DEPTH + 2) for dy in (-half, half) for dz in (-half, half)]
    hub = disc_x((x[0] + 2, y, z), 34, FAN_DEPTH - 4)
    blades = [
        Pos(x[0] + FAN_DEPTH / 2, y, z)
        * Rot(angle, 0, 0)
        * Pos(0, 0, 25)
        * Rot(0, 0, 35)
        * (Plane.XY * box((-8, 8), (-0.8, 0.8), (-12, 11)))
        for angle in range(0, 360, 51)
    ]
    return Part() + body.cut(*cuts).fuse(hub, *blades)


def switch(at: Layout) -> Part:
    """The switch on its shelf, its sockets to the front."""
    length, depth, thick = at.switch_size
    y = at.outer_y[0] + at.p.case.wall + 0.5
    z = at.inner_z[0] + at.switch_shelf
    front = at.front_x - 0.5
    body = box((front - depth, front), (y, y + thick), (z, z + length))
    chosen = at.p.chosen_switch
    assert chosen is not None  # noqa: S101  # the caller asked
    field, high = chosen.ports
    middle = z + length / 2
    sockets = []
    for index in range(8 if field > 100 else 5):
        count = 8 if field > 100 else 5
        step = field / count
        place = middle - field / 2 + (index + 0.5) * step
        sockets.append(
            box(
                (front - 10, front + 1),
                (y + thick / 2 - high / 2 + 1, y + thick / 2 + high / 2 - 1),
                (place - step / 2 + 0.8, place + step / 2 - 0.8),
            )
        )
    return Part() + body.cut(*sockets)


def storage(at: Layout) -> Part:
    """What lies below a node's board."""
    chosen = at.p.chosen_storage
    assert chosen is not None  # noqa: S101  # the caller asked
    low = at.p.tray.floor + chosen.under
    x0 = at.storage_x[0]
    body = box((x0, x0 + chosen.size[0]), at.storage_y, (low, low + chosen.size[2]))
    posts = [rod((at.dx + x, at.dy + y, low - 1), "z", 7.4, chosen.size[2] + 2) for x, y in at.p.node.holes]
    return Part() + body.cut(*posts)
