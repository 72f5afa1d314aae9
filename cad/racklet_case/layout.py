"""Where everything is: the measures that follow from the parameters, and the refusal of those that no rack can have.

Axes of the rack and of a tray: x from the backplane to the front, y to the right as seen from the front, z up. x = 0 is
the left edge of the nodes' boards and HATs, which faces the backplane; y = 0 is 56 mm below the HAT's upper edge: the
lower edge of a Raspberry Pi; z = 0 is the underside of the lowest tray.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from racklet_case.mechanics import FrontPart, Mechanics, mechanics
from racklet_case.parameters import ParameterError, Parameters, Port, parameters

Span = tuple[float, float]

HAT_TOP_Y = 56.0  # the HAT's upper edge, along y
RIB = (3.0, 2.0)  # a rail: how far it stands out of the wall, how thick it is
RAIL_PLAY = 0.5  # above the tongue; a tray lies on its lower rail
JACK_GAP = 0.6  # around a socket in a tray's front
LATCH_ROOM = 3.7  # between the HAT's edge and the latch, which bends into it
LATCH_SLIT = 0.6
GROOVE = 2.8  # how far the ribs beside the backplane's frame stand out of a wall
LATCH_ROOT_X, TOOTH_X = 46.0, 74.0
TOOTH_PLAY = 0.3  # between the tooth and its catch
COOLER_AIR = 1.0  # between a cooler and the HAT
MAX_STRAIN = 0.015  # PETG stands 3 to 4 % once, about half of that often: rule of thumb of snap fits
CONNECTOR_GAP = 0.5  # between header and socket when the tray is home; the header's play allows 1.5
PEG_LEAD = 11.5  # the pegs are in the frame this much before the connector is home; the last 5 mm of them are a point
PEG_POINT = 5.0
FRAME_STANDOFF, FRAME_THICK = 4.0, 3.0  # behind the backplane: room for solder, the frame itself
FAN, FAN_DEPTH, FAN_HOLES, FAN_PITCH = 80.0, 25.0, 71.5, 82.0
FILTER_DEPTH = 6.0
U, RACK_10_WIDTH, RACK_10_HOLES = 44.45, 254.0, 236.525  # IEC 60297 in half width: height unit, panel, holes
LIGHT_GUIDE = (3.0, 2.6)  # width, height
SPLICE = (14.0, 28.0, 4.0)  # width, height, thickness of a strip over a seam
TAB = 12.0  # how far grip and latch stand out of the front


@dataclass(frozen=True)
class Layout:
    """A rack that can be built. Make one with `layout()`, which refuses the others."""

    p: Parameters
    m: Mechanics

    # One tray, from its underside up

    @cached_property
    def board_z(self) -> float:
        """The underside of the node's board."""
        storage = self.p.chosen_storage
        if storage is None:
            return self.p.tray.floor + self.p.node.standoff
        return self.p.tray.floor + storage.under + storage.lift

    @cached_property
    def board_top_z(self) -> float:
        """The upper side of the node's board."""
        return self.board_z + self.p.node.thickness

    @cached_property
    def hat_z(self) -> float:
        """The HAT's front surface, which looks up."""
        return self.board_top_z + self.p.node.hat_gap + self.m.hat.thickness

    @cached_property
    def connector_z(self) -> float:
        """The middle of the HAT's backplane header."""
        return self.hat_z + self.m.hat.backplane_header.middle_height

    @cached_property
    def jack_top_z(self) -> float:
        """The upper edge of the highest opening in a tray's front."""
        heights = [port.height for port in self.front_ports]
        return self.board_top_z + max(heights) + JACK_GAP if heights else self.board_top_z

    @cached_property
    def window_z(self) -> float:
        """The middle of the windows for the HAT's lights: as high as the lights, or over the sockets."""
        led = self.hat_z + max(part.height for part in self.leds)
        over_sockets = self.jack_top_z + 1.2 + LIGHT_GUIDE[1] / 2 + self.p.printer.fit_gap
        return max(led, over_sockets)

    @cached_property
    def least_pitch(self) -> float:
        """The least distance of trays: node, HAT and air; and the windows over the sockets."""
        over_hat = self.hat_z + self.m.hat.height + self.p.tray.air_gap
        over_window = self.window_z + LIGHT_GUIDE[1] / 2 + 2.0
        return math.ceil(10 * max(over_hat, over_window)) / 10

    @cached_property
    def front_ports(self) -> tuple[Port, ...]:
        """The sockets that look to the front."""
        return tuple(port for port in self.p.node.ports if port.side == "right")

    @property
    def leds(self) -> tuple[FrontPart, ...]:
        """The HAT's lights."""
        return tuple(part for part in self.m.hat.front if part.ref.startswith("D"))

    # One tray, seen from above

    @property
    def dy(self) -> float:
        """What takes the board's y to the rack's."""
        return HAT_TOP_Y - self.p.node.hat[1]

    @property
    def dx(self) -> float:
        """What takes the board's x to the rack's."""
        return -self.p.node.hat[0]

    def hat_y(self, y: float) -> float:
        """Return the rack's y of a HAT's y, which counts downwards."""
        return HAT_TOP_Y - y

    @cached_property
    def floor_y(self) -> Span:
        """The tray's floor: ports of the lower edge at the left, the latch at the right."""
        node, storage = self.p.node, self.p.chosen_storage
        reach = max((port.reach for port in node.ports if port.side == "lower"), default=0.0)
        left = self.dy - reach - 1.5 - node.side_channel
        hat_edge = HAT_TOP_Y - self.m.hat.outline[1]
        left = min(left, hat_edge - 1.5)
        tongue = self.p.tray.tongue[0] + self.p.printer.sliding_gap
        left = min(left, self.pegs_y[0][0] - GROOVE - 0.4 + tongue)  # the pegs pass the frame's groove
        if storage is not None:
            left = min(left, self.storage_y[0] - 1.5)
        return left, self.latch_y[1] + LATCH_SLIT + 2.1

    @cached_property
    def latch_y(self) -> Span:
        """The spring of the latch, at rest."""
        edge = max(HAT_TOP_Y + 0.5, self.dy + self.p.node.outline[1])
        if self.p.chosen_storage is not None:
            edge = max(edge, self.storage_y[1])
        inner = edge + LATCH_ROOM
        return inner, inner + self.p.tray.latch[0]

    @cached_property
    def storage_y(self) -> Span:
        """What lies below the board, centred under a Pi's outline."""
        storage = self.p.chosen_storage
        width = 0.0 if storage is None else storage.size[1]
        return 28.0 - width / 2, 28.0 + width / 2

    @cached_property
    def wall_y(self) -> Span:
        """The inner faces of the walls between which trays slide."""
        reach = self.p.tray.tongue[0] + self.p.printer.sliding_gap
        return self.floor_y[0] - reach, self.floor_y[1] + reach

    @cached_property
    def front_x(self) -> float:
        """The inner face of a tray's front, which meets the walls' front edges: the stop."""
        node, storage = self.p.node, self.p.chosen_storage
        front = self.dx + node.outline[0] + 1.5
        if storage is not None:
            front = max(front, self.storage_x[1] + storage.plug_room + 1.0)
        return front

    @cached_property
    def storage_x(self) -> Span:
        """What lies below the board, along x."""
        storage = self.p.chosen_storage
        return (0.0, 0.0) if storage is None else (-1.0 + 1.0 * (storage.size[0] < 90), storage.size[0])

    @property
    def tray_rear_x(self) -> float:
        """The tray's rear edge, without its pegs."""
        return -3.0

    @property
    def pegs_y(self) -> tuple[Span, Span]:
        """The two pegs that lead a tray: beside the backplane."""
        left, right = self.backplane_y
        return (left - 8.4, left - 2.4), (right + 2.4, right + 8.4)

    @cached_property
    def peg_tip_x(self) -> float:
        """How far the pegs reach: into the frame before the pins reach their socket."""
        return self.frame_x[1] - PEG_LEAD

    # The backplane

    @cached_property
    def backplane_x(self) -> Span:
        """Back and front surface of the backplane."""
        front = -self.m.mated.hat_edge_to_backplane - CONNECTOR_GAP
        return front - self.m.backplane.thickness, front

    @cached_property
    def frame_x(self) -> Span:
        """The frame behind the backplane that it is screwed to."""
        front = self.backplane_x[0] - FRAME_STANDOFF
        return front - FRAME_THICK, front

    @cached_property
    def backplane_y(self) -> Span:
        """The backplane's edges along y."""
        start = self.hat_y(self.m.hat.backplane_header.middle_y) - self.m.backplane.slot_socket.y
        return start, start + self.m.backplane.outline[1]

    @cached_property
    def backplane_growth(self) -> float:
        """How much longer the backplane is than the one of hardware/kicad: for other counts of slots."""
        board = self.m.backplane
        slots = self.p.rack.slots
        return (slots - 1) * self.p.rack.pitch - (board.slots - 1) * board.pitch

    @cached_property
    def backplane_z(self) -> Span:
        """The backplane's ends: slot 1 is the lowest node's."""
        start = self.row_z(self.first_row) + self.connector_z - self.m.backplane.slot_socket.first_x
        return start, start + self.m.backplane.outline[0] + self.backplane_growth

    def backplane_hole_z(self, x: float) -> float:
        """Return the z of a hole; those right of the middle move with the length."""
        growth = self.backplane_growth if x > self.m.backplane.outline[0] * 0.6 else 0.0
        return self.backplane_z[0] + x + growth

    @cached_property
    def backplane_holes(self) -> tuple[tuple[float, float], ...]:
        """(y, z) of the backplane's holes, without those that a shorter board has no room for."""
        places = [(self.backplane_y[0] + y, self.backplane_hole_z(x), x) for x, y in self.m.backplane.holes]
        ends = [(y, z) for y, z, x in places if not 10 < x < self.m.backplane.outline[0] - 10]
        if self.p.rack.slots != self.m.backplane.slots:
            return tuple(ends)
        return tuple((y, z) for y, z, _ in places)

    # The case

    @property
    def first_row(self) -> int:
        """The row of node 1: above the controller's."""
        return int(self.p.rack.controller)

    @property
    def rows(self) -> int:
        """How many trays there are."""
        return self.p.rack.slots + self.first_row

    def row_z(self, row: int) -> float:
        """Return the underside of a row's tray."""
        return row * self.p.rack.pitch

    def row_name(self, row: int) -> str:
        """Return what stands beside a row: its slot, or C for the controller."""
        return "C" if row < self.first_row else str(row - self.first_row + 1)

    @cached_property
    def inner_z(self) -> Span:
        """Between the panels below and above."""
        trays = self.row_z(self.rows)
        bottom = -self.p.case.headroom
        return bottom, max(
            trays + 14.0, self.backplane_z[1] + 1.5, bottom + self.switch_shelf + self.switch_size[0] + 4.0
        )

    switch_shelf = 10.0  # a switch stands this high above the bottom panel, on the screw blocks

    @property
    def switch_size(self) -> tuple[float, float, float]:
        """Length upright, depth, thickness of the switch; zeros without one."""
        switch = self.p.chosen_switch
        return (0.0, 0.0, 0.0) if switch is None else switch.size

    @cached_property
    def outer_y(self) -> Span:
        """The outer faces of the case."""
        wall = self.p.case.wall
        left = self.wall_y[0] - wall
        if self.switch_size[0]:
            left -= self.switch_size[2] + self.switch_gap + wall
        return left, self.wall_y[1] + wall

    @property
    def switch_gap(self) -> float:
        """The room beside a switch: play, and the strips over the inner wall's seams."""
        return 1.0 + (SPLICE[2] + 0.2 if self.wall_seams else 0.0)

    @cached_property
    def rear_x(self) -> Span:
        """The rear panel that carries the fans outside."""
        inner = self.frame_x[0] - self.p.case.fan_room
        return inner - self.p.case.wall, inner

    @cached_property
    def fan_z(self) -> tuple[float, ...]:
        """The middles of the fans that find room, from below."""
        bottom, top = self.inner_z
        count = min(self.p.rack.fans, int((top - bottom) // FAN_PITCH))
        power = 26.0 if top - bottom - count * FAN_PITCH >= 26.0 else 0.0  # keep a strip for the power entry
        start = bottom + power + (top - bottom - power - count * FAN_PITCH) / 2
        return tuple(start + (index + 0.5) * FAN_PITCH for index in range(count))

    @cached_property
    def wall_seams(self) -> tuple[float, ...]:
        """Where the walls are cut so that they fit the bed: in the middle of a row, away from rails and latches."""
        seats = [self.row_z(row) + 17.0 for row in range(self.rows)] + [self.row_z(self.rows) + 6.0]
        return self._seams(tuple(seat for seat in seats if seat < self.inner_z[1] - 14.0))

    @cached_property
    def rear_seams(self) -> tuple[float, ...]:
        """Where the rear panel is cut: beside fans, not where the walls are."""
        bottom, top = self.inner_z
        seats = [bottom + step for step in range(30, int(top - bottom - 20), 2)]
        free = [z for z in seats if all(abs(z - fan) >= FAN / 2 for fan in self.fan_z)]
        return self._seams(tuple(z for z in free if all(abs(z - seam) > 8 for seam in self.wall_seams)))

    @cached_property
    def frame_seams(self) -> tuple[float, ...]:
        """Where the backplane's frame is cut: away from its bars."""
        bottom, top = self.inner_z
        seats = [bottom + step for step in range(24, int(top - bottom - 20), 2)]
        away = [z for z in seats if all(abs(z - hole) > 9 for _, hole in self.backplane_holes)]
        pegs = [self.row_z(row) for row in range(self.rows)]
        return self._seams(tuple(z for z in away if all(not -4 < z - peg < 10 for peg in pegs)))

    def _seams(self, seats: tuple[float, ...]) -> tuple[float, ...]:
        """Return the fewest of `seats` between which every piece fits the bed, pieces as even as can be."""
        bottom, top = self.inner_z
        longest = max(self.p.printer.bed) - 2 * self.p.printer.brim
        for pieces in range(1, 6):
            if (top - bottom) / pieces > longest:
                continue
            ideal = [bottom + (top - bottom) * cut / pieces for cut in range(1, pieces)]
            seams = sorted({_nearest(seats, wish) for wish in ideal}) if seats else []
            ends = [bottom, *seams, top]
            if all(after - before <= longest for before, after in pairwise(ends)):
                return tuple(seams)
        raise ParameterError(
            f"printer.bed = {self.p.printer.bed}: a wall of {top - bottom:.0f} mm cannot be cut to fit"
        )

    @property
    def pressed_angle(self) -> float:
        """By how many degrees a finger turns the latch about its root: the tooth is free with 0.4 mm to spare."""
        return math.degrees(math.atan((self.p.tray.latch_overlap + 0.4) / (TOOTH_X - LATCH_ROOT_X)))

    @property
    def latch_strain(self) -> float:
        """The strain in the latch's root when its tab is pressed until the tooth is free (a beam, force at its end)."""
        to_tooth, to_tab = TOOTH_X - LATCH_ROOT_X, self.front_x + TAB - LATCH_ROOT_X
        bend = self.p.tray.latch_overlap + 0.4
        return 3 * bend * self.p.tray.latch[0] * to_tab / (to_tooth**2 * (3 * to_tab - to_tooth))


def _nearest(seats: tuple[float, ...], wish: float) -> float:
    return min(seats, key=lambda seat: abs(seat - wish))


def layout(p: Parameters | None = None, m: Mechanics | None = None) -> Layout:
    """Return the layout of a rack. Raises ParameterError with the reason when it cannot be built."""
    found = Layout(p or parameters(), m or mechanics())
    for objections in (_too_thin, _too_tight, _latch_too_stiff, _in_the_way, _too_large):
        for reason in objections(found):
            raise ParameterError(reason)
    _ = found.wall_seams, found.rear_seams, found.frame_seams  # refuse a bed that no cut makes a wall fit
    return found


def _too_thin(at: Layout) -> Iterator[str]:
    p = at.p
    walls = {
        "case.wall": p.case.wall,
        "tray.floor": p.tray.floor,
        "tray.front": p.tray.front,
        "tray.latch": p.tray.latch[0],
    }
    least = 2 * p.printer.nozzle
    for key, value in walls.items():
        if value < least:
            yield f"{key} = {value}: below two lines of a {p.printer.nozzle} mm nozzle, {least} mm"


def _too_tight(at: Layout) -> Iterator[str]:
    p, m, name = at.p, at.m, at.p.node.name
    if p.rack.pitch < at.least_pitch:
        yield (
            f"rack.pitch = {p.rack.pitch}: a {name} with its HAT needs {at.least_pitch} mm; "
            f"the HAT's tallest part ends {at.hat_z + m.hat.height:.1f} mm above the tray's underside"
        )
    tall = max((block.height for block in p.node.tall), default=0.0)
    if tall > p.node.hat_gap - COOLER_AIR:
        yield f"sbc hat_gap = {p.node.hat_gap}: a part of {tall} mm needs at least {tall + COOLER_AIR} mm below the HAT"


def _latch_too_stiff(at: Layout) -> Iterator[str]:
    tray = at.p.tray
    if at.latch_strain > MAX_STRAIN:
        yield (
            f"tray.latch = {tray.latch}: its strain would be {at.latch_strain:.1%}, "
            f"more than {MAX_STRAIN:.1%}; make it thinner"
        )
    if tray.latch_overlap > tray.tongue[0] + at.p.printer.sliding_gap - 0.6:
        yield f"tray.latch_overlap = {tray.latch_overlap}: the tooth would scrape along the wall"


def _in_the_way(at: Layout) -> Iterator[str]:
    p, storage = at.p, at.p.chosen_storage
    below = max((block.height for block in p.node.below), default=0.0)
    what = f"parts below a {p.node.name} are {below} mm high"
    if storage is None and below > p.node.standoff - 0.5:
        yield f"sbc standoff = {p.node.standoff}: {what} and need {below + 0.5} mm"
    if storage is not None and below > storage.lift - storage.size[2] - 0.2:
        yield f"rack.storage = {p.rack.storage!r}: {what} and leave no room for it"
    depth = at.front_x - at.rear_x[1] - 20
    if at.switch_size[1] > depth:
        yield f"rack.switch = {p.rack.switch!r}: {at.switch_size[1]} mm deep, the case has {depth:.0f} mm"


def _too_large(at: Layout) -> Iterator[str]:
    p = at.p
    longest, shortest = (side - 2 * p.printer.brim for side in (max(p.printer.bed), min(p.printer.bed)))
    width = at.outer_y[1] - at.outer_y[0]
    flat = sorted((at.front_x - at.rear_x[0], width))
    if flat[1] > longest or flat[0] > shortest:
        yield f"printer.bed = {p.printer.bed}: the bottom panel of {flat[1]:.0f} x {flat[0]:.0f} mm does not fit"
    tray = at.front_x + p.tray.front + TAB - at.peg_tip_x
    if tray > longest:
        yield f"printer.bed = {p.printer.bed}: a tray of {tray:.0f} mm does not fit"
    passes = RACK_10_WIDTH - 32
    if width > passes and p.rack.front == "rack_10_inch":
        yield f"rack.front = 'rack_10_inch': the case is {width:.0f} mm wide, {passes:.0f} mm pass between the posts"
