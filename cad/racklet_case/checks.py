"""The rack proves itself: nothing intersects, every tray comes out, screws hold, connectors meet, coolers have air."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from build123d import Pos

from racklet_case import fasteners
from racklet_case.assembly import SWEEP_STEP, Assembly, Placed
from racklet_case.columns import deepest_overlap, within
from racklet_case.layout import CONNECTOR_GAP, COOLER_AIR, FAN, PEG_LEAD, PEG_POINT, Layout
from racklet_case.tray import front_span, tray, vent_slots

LEAST_VOLUME = 0.02  # mm3 that two solids may share: rounding
TOUCH = 0.06  # mm along a line that count as touching
HOLD = 1.0  # mm that a latched tray may move
SOCKET_CATCH = 0.6  # mm off the middle at which a socket still catches a pin of 0.64 mm; an estimate
STOP_TOLERANCE = 0.4  # mm that the front's stop may be off: print and panels; an estimate


@dataclass(frozen=True)
class Finding:
    """Something that is wrong."""

    check: str
    what: str


def findings(assembly: Assembly) -> list[Finding]:
    """Return everything that is wrong with a rack; nothing for a sound one."""
    return [
        *intersections(assembly),
        *travel(assembly),
        *latches(assembly),
        *connectors(assembly.at),
        *air(assembly.at),
        *held(assembly.at),
    ]


def intersections(assembly: Assembly) -> Iterator[Finding]:
    """Find solids that share room."""
    parts = assembly.placed
    bounds = [part.shape.bounding_box() for part in parts]
    low = np.array([(b.min.X, b.min.Y, b.min.Z) for b in bounds]) + 0.02
    high = np.array([(b.max.X, b.max.Y, b.max.Z) for b in bounds]) - 0.02
    for one in range(len(parts)):
        near = np.nonzero(((low[one] < high[one + 1 :]) & (high[one] > low[one + 1 :])).all(axis=1))[0] + one + 1
        for two in near:
            shared = _shared_volume(parts[one], parts[int(two)])
            if shared > LEAST_VOLUME:
                yield Finding("intersections", f"{parts[one].name} and {parts[int(two)].name} share {shared:.2f} mm3")


def _shared_volume(one: Placed, two: Placed) -> float:
    common = one.shape.intersect(two.shape)
    if common is None:
        return 0.0
    solids = common if isinstance(common, list) else [common]
    return float(sum(getattr(solid, "volume", 0.0) for solid in solids))


def travel_length(at: Layout) -> float:
    """Return how far a tray moves until it is out."""
    return at.front_x - at.peg_tip_x + 5.0


def travel(assembly: Assembly) -> Iterator[Finding]:
    """Find what a tray meets on its way out, its latch pressed."""
    at = assembly.at
    free = tray(at, pressed=True)
    for row in range(at.rows):
        pressed = Placed(f"tray {at.row_name(row)}", Pos(0, 0, at.row_z(row)) * free, (0, 0, 0), "printed", row)
        riders = [part for part in assembly.placed if part.row == row and not part.name.startswith("tray ")]
        others = [part for part in assembly.placed if part.row != row]
        for part in [pressed, *riders]:
            for other in others:
                depth = _meeting(part, other, travel_length(at))
                if depth > TOUCH:
                    yield Finding("travel", f"{part.name} meets {other.name} on its way out, {depth:.2f} mm deep")


def latches(assembly: Assembly) -> Iterator[Finding]:
    """Find trays that come out although nobody presses their latch."""
    still = [part for part in assembly.placed if part.row is None]
    for part in assembly.placed:
        if part.name.startswith("tray ") and max(_meeting(part, other, HOLD) for other in still) < HOLD / 4:
            yield Finding("latches", f"{part.name} is not held")


def _meeting(moving: Placed, still: Placed, length: float) -> float:
    """Return how deep one part gets into another while it moves out by `length`."""
    box, there = moving.shape.bounding_box(), still.shape.bounding_box()
    if there.max.Z <= box.min.Z or there.min.Z >= box.max.Z or there.max.Y <= box.min.Y or there.min.Y >= box.max.Y:
        return 0.0
    near = within(still.columns, (box.min.Y, box.max.Y), (box.min.Z, box.max.Z), SWEEP_STEP)
    return deepest_overlap(moving.columns, near, length)


def connectors(at: Layout) -> Iterator[Finding]:
    """Find why a HAT's header and its socket would not meet."""
    header = at.m.hat.backplane_header
    if CONNECTOR_GAP < STOP_TOLERANCE:
        yield Finding(
            "connectors",
            f"header and socket press before the front's stop: gap {CONNECTOR_GAP}, tolerance {STOP_TOLERANCE} mm",
        )
    if at.m.mated.play < CONNECTOR_GAP + STOP_TOLERANCE:
        yield Finding(
            "connectors", f"pins may miss their contacts: up to {CONNECTOR_GAP + STOP_TOLERANCE:.1f} mm short"
        )
    pins_reach = at.backplane_x[1] + at.m.backplane.slot_socket.height - header.pin_tip_x
    pegs_lead = PEG_LEAD - PEG_POINT
    if pegs_lead < pins_reach:
        yield Finding(
            "connectors",
            f"pins reach the socket {pins_reach:.1f} mm before home, the pegs lead only {pegs_lead:.1f} mm before",
        )
    off = misalignment(at)
    if off > SOCKET_CATCH:
        yield Finding("connectors", f"pins may be {off:.2f} mm off, a socket catches {SOCKET_CATCH} mm")
    least = (at.peg_tip_x, at.rear_x[1])
    if least[0] < least[1] + 2:
        yield Finding("connectors", "the pegs meet the rear panel")


def misalignment(at: Layout) -> float:
    """Return how far pins may be off their socket: pegs in the frame, node on its posts, HAT on its spacers."""
    screw = 2.5
    return at.p.printer.fit_gap + (at.p.fasteners.node_hole - screw) / 2 + (at.m.hat.hole_diameter - screw) / 2


def air(at: Layout) -> Iterator[Finding]:
    """Find coolers without room."""
    under_hat = at.p.node.hat_gap
    for block in at.p.node.tall:
        if under_hat - block.height < COOLER_AIR:
            yield Finding("air", f"{block.name}: {under_hat - block.height:.1f} mm below the HAT")
    over = at.p.rack.pitch - at.hat_z - at.m.hat.height
    if over < at.p.tray.air_gap - 1e-6:
        yield Finding("air", f"{over:.1f} mm over the HAT")


def open_area(at: Layout) -> tuple[float, float]:
    """Return cm2 for air: out at the trays' fronts and below them, sockets in place; and in through the fans."""
    slots = sum((y[1] - y[0]) * (z[1] - z[0]) for y, z in vent_slots(at))
    gaps = sum(2 * 0.6 * (port.width + port.height) for port in at.front_ports)
    seams = 0.6 * (front_span(at)[0][1] - front_span(at)[0][0])
    below = at.p.case.headroom * (front_span(at)[0][1] - front_span(at)[0][0])
    fans = len(at.fan_z) * math.pi / 4 * ((FAN - 4) ** 2 - 34**2)
    return (at.rows * (slots + gaps + seams) + below) / 100, fans / 100


def held(at: Layout) -> Iterator[Finding]:
    """Find screws that do not hold."""
    for screw in fasteners.screws(at):
        if screw.length - screw.passes < 1.2 * float(screw.size[1:]) - 1.61:  # nuts are lower than 1.2 diameters
            yield Finding("screws", f"{screw.use}: {screw.size} x {screw.length} holds {screw.grip:.1f} mm")
