"""The few solids that everything is made of. Spans are (from, to) in millimetres."""

from __future__ import annotations

import math

from build123d import (
    Align,
    Axis,
    Box,
    Circle,
    Cone,
    Cylinder,
    Part,
    Plane,
    Polygon,
    Pos,
    RegularPolygon,
    Rot,
    extrude,
)

from racklet_case.layout import Span

_LOW = (Align.MIN, Align.MIN, Align.MIN)
_UP = (Align.CENTER, Align.CENTER, Align.MIN)

_TURNS = {"x": (0, 90, 0), "-x": (0, -90, 0), "y": (-90, 0, 0), "-y": (90, 0, 0), "z": (0, 0, 0), "-z": (180, 0, 0)}


def box(x: Span, y: Span, z: Span) -> Part:
    """Return the box between three spans."""
    return Pos(x[0], y[0], z[0]) * Box(x[1] - x[0], y[1] - y[0], z[1] - z[0], align=_LOW)


def rod(start: tuple[float, float, float], along: str, diameter: float, length: float) -> Part:
    """Return a cylinder from `start` along "x", "-y" and so on."""
    return Pos(*start) * Rot(*_TURNS[along]) * Cylinder(diameter / 2, length, align=_UP)


def countersink(start: tuple[float, float, float], along: str, head: float, hole: float) -> Part:
    """Return the room for a 90 degree countersunk head whose face is at `start`, the screw going `along`."""
    depth = (head - hole) / 2
    return Pos(*start) * Rot(*_TURNS[along]) * Cone(head / 2, hole / 2, depth, align=_UP)


def nut_pocket(start: tuple[float, float, float], along: str, across_flats: float, depth: float) -> Part:
    """Return the room for a hexagonal nut."""
    flat = RegularPolygon(across_flats / 2, 6, major_radius=False)
    return Pos(*start) * Rot(*_TURNS[along]) * extrude(flat, depth)


def prism_y(points: list[tuple[float, float]], y: Span) -> Part:
    """Return the (x, z) outline drawn out along y."""
    return Pos(0, y[0], 0) * extrude(Plane.XZ * Polygon(*points, align=None), y[1] - y[0], dir=(0, 1, 0))


def prism_z(points: list[tuple[float, float]], z: Span) -> Part:
    """Return the (x, y) outline drawn out along z."""
    return Pos(0, 0, z[0]) * extrude(Polygon(*points, align=None), z[1] - z[0], dir=(0, 0, 1))


def prism_x(points: list[tuple[float, float]], x: Span) -> Part:
    """Return the (y, z) outline drawn out along x."""
    return Pos(x[0], 0, 0) * extrude(Plane.YZ * Polygon(*points, align=None), x[1] - x[0], dir=(1, 0, 0))


def disc_x(middle: tuple[float, float, float], diameter: float, depth: float) -> Part:
    """Return a disc that looks along x."""
    return Pos(*middle) * extrude(Plane.YZ * Circle(diameter / 2), depth, dir=(1, 0, 0))


# Letters of straight strokes on a grid of 4 x 6: any printer can print them, and no font has to be installed.
_STROKES = {
    "0": "0006 0646 4640 4000",
    "1": "1626 2620 1030",
    "2": "0646 4643 4303 0300 0040",
    "3": "0646 4640 4000 0343",
    "4": "0603 0343 4640",
    "5": "4606 0603 0343 4340 4000",
    "6": "4606 0600 0040 4043 4303",
    "7": "0646 4610",
    "8": "0006 0646 4640 4000 0343",
    "A": "0006 0646 4640 0343",
    "C": "4606 0600 0040",
    "D": "0006 0636 3644 4442 4230 3000",
    "E": "4606 0600 0040 0333",
    "I": "1636 2620 1030",
    "K": "0006 0346 0340",
    "L": "0600 0040",
    "O": "0006 0646 4640 4000",
    "R": "0006 0646 4643 4303 1340",
    "S": "4606 0603 0343 4340 4000",
    "T": "0646 2620",
}


def lettering(text: str, height: float, depth: float, line: float) -> list[Part]:
    """Return the strokes of a text in the plane z = 0, centred, `height` high, `line` wide, `depth` deep upwards."""
    step = (height - line) / 6
    advance = 4 * step + 2.2 * line
    start = -advance * (len(text) - 1) / 2
    strokes: list[Part] = []
    for index, letter in enumerate(text):
        left = start + index * advance - 2 * step
        for stroke in _STROKES[letter].split():
            ax, ay, bx, by = (int(digit) * step for digit in stroke)
            length, angle = math.hypot(bx - ax, by - ay), math.degrees(math.atan2(by - ay, bx - ax))
            middle = (left + (ax + bx) / 2, (ay + by) / 2 - 3 * step, depth / 2)
            strokes.append(Pos(*middle) * Rot(0, 0, angle) * Box(length + line, line, depth))
    return strokes


def turned(part: Part, axis: str, angle: float) -> Part:
    """Return the part turned about an axis through the origin."""
    return part.rotate({"x": Axis.X, "y": Axis.Y, "z": Axis.Z}[axis], angle)
