"""Whether a part can be printed as it lies: closed, on the bed, no wall thinner than two lines, nothing in mid-air.

The part is cut into the printer's layers, each a bitmap. What no bitmap shows: strength, warping, real fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy import ndimage

from racklet_case.columns import columns
from racklet_case.parameters import Printer

Bitmap = NDArray[np.bool_]

PIXEL = 0.2  # mm
LOST = 0.8  # mm2 that rounding a layer with the nozzle may take at one place: sharp corners lose about 0.2
REACH = 1.0  # mm that a layer may stick out over the one below: the rims of holes and slopes
BRIDGE = 30.0  # mm that a printer spans between two supports; printers that are set up well do 50
OVERHANG_DEGREES = 45.0
VOLUME_ERROR = 0.01  # of the part's volume, by which its triangles may differ


@dataclass(frozen=True)
class Report:
    """What one part asks of a printer. `problems` is empty when it can be printed without support."""

    name: str
    size: tuple[float, float, float]
    volume_cm3: float
    watertight: bool
    steepest_degrees: float  # of faces that look down, from upright: 90 is a ceiling
    ceiling_cm2: float  # of faces beyond OVERHANG_DEGREES, not on the bed: bridges
    longest_bridge: float
    problems: tuple[str, ...]


def report(name: str, mesh: trimesh.Trimesh, volume: float, printer: Printer) -> Report:
    """Return the report of a part that lies on z = 0. `volume` is the CAD's, mm3."""
    size = tuple(float(side) for side in mesh.extents)
    problems = [*_shape_problems(mesh, volume), *_bed_problems(size, printer)]
    steepest, ceiling = overhang(mesh)
    bridge = 0.0
    below: Bitmap | None = None
    for height, layer in layers(mesh, printer.layer):
        if below is not None and (layer == below).all():
            continue
        problems += [f"at {height:.1f} mm: {what}" for what in thin(layer, printer.nozzle)]
        if below is not None:
            span, airborne = unsupported(layer, below, printer.layer)
            bridge = max(bridge, span)
            problems += [f"at {height:.1f} mm: {what}" for what in airborne]
        below = layer
    if bridge > BRIDGE:
        problems.append(f"a bridge of {bridge:.0f} mm, {BRIDGE:.0f} are taken for possible")
    return Report(name, size, volume / 1000, bool(mesh.is_watertight), steepest, ceiling, bridge, tuple(problems))  # type: ignore[arg-type]  # three sides


def as_mesh(triangles: NDArray[np.float64]) -> trimesh.Trimesh:
    """Return triangles as trimesh sees them: it merges corners and judges by itself whether they close."""
    return trimesh.Trimesh(**trimesh.triangles.to_kwargs(triangles))


def _shape_problems(mesh: trimesh.Trimesh, volume: float) -> Iterator[str]:
    if not mesh.is_watertight:
        yield "the surface is not closed"
    if not mesh.is_winding_consistent:
        yield "the surface is inside out in places"
    if abs(mesh.volume - volume) > VOLUME_ERROR * volume:
        yield f"the triangles hold {mesh.volume:.0f} mm3, the solid {volume:.0f}"
    if mesh.body_count != 1:
        yield f"{mesh.body_count} bodies that do not touch"


def _bed_problems(size: tuple[float, ...], printer: Printer) -> Iterator[str]:
    free = [side - 2 * printer.brim for side in printer.bed]
    if max(size[:2]) > max(free) + 0.05 or min(size[:2]) > min(free) + 0.05:
        yield f"{size[0]:.1f} x {size[1]:.1f} mm do not fit the bed"


def layers(mesh: trimesh.Trimesh, layer: float) -> Iterator[tuple[float, Bitmap]]:
    """Yield the height of the middle of each layer, and where it has plastic."""
    found = columns(np.asarray(mesh.triangles), "z", PIXEL)
    column, row = found.cell % 65536, found.cell // 65536
    column, row = column - column.min() + 2, row - row.min() + 2
    shape = (int(row.max()) + 3, int(column.max()) + 3)
    top = float(mesh.bounds[1][2])
    for index in range(round(top / layer)):
        height = (index + 0.5) * layer
        here = (found.start <= height + 1e-3) & (found.end > height + 1e-3)  # off the faces that lie between layers
        bitmap = np.zeros(shape, bool)
        bitmap[row[here], column[here]] = True
        yield height, bitmap


def _disc(radius: float) -> Bitmap:
    reach = int(np.ceil(radius / PIXEL))
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    return np.asarray((x * x + y * y) * PIXEL * PIXEL <= radius * radius + 1e-9)


def _two_lines(nozzle: float) -> Bitmap:
    """Return a disc as wide as two lines; an even number of pixels is as good as an odd one."""
    pixels = round(2 * nozzle / PIXEL)
    from_middle = np.arange(pixels) - (pixels - 1) / 2
    return np.asarray(from_middle[:, None] ** 2 + from_middle[None, :] ** 2 <= (pixels / 2) ** 2)


def thin(layer: Bitmap, nozzle: float) -> Iterator[str]:
    """Find walls of a layer that are thinner than two lines: what a disc of that width cannot reach."""
    drawn = ndimage.binary_opening(layer, _two_lines(nozzle))
    lost, count = ndimage.label(layer & ~drawn)
    if not count:
        return
    areas = ndimage.sum_labels(np.ones_like(lost), lost, range(1, count + 1)) * PIXEL * PIXEL
    for area in areas[areas > LOST]:
        yield f"a wall below {2 * nozzle:.1f} mm, {area:.1f} mm2 of it"


def unsupported(layer: Bitmap, below: Bitmap, height: float) -> tuple[float, list[str]]:
    """Return the longest bridge of a layer, mm, and what hangs in the air."""
    eight = np.ones((3, 3), bool)
    labels, count = ndimage.label(layer, eight)
    problems = []
    if count:
        touched = ndimage.maximum(below, labels, range(1, count + 1))
        sizes = ndimage.sum_labels(np.ones_like(labels), labels, range(1, count + 1)) * PIXEL * PIXEL
        problems = [
            f"an island of {size:.1f} mm2"
            for touch, size in zip(touched, sizes, strict=True)
            if not touch and size > 0.1
        ]
    slope = ndimage.binary_dilation(below, _disc(height + PIXEL))
    free = layer & ~slope
    if not free.any():
        return 0.0, problems
    spans = np.minimum(_runs(free, layer, 1), _runs(free, layer, 0))
    distance = ndimage.distance_transform_edt(~slope) * PIXEL
    hanging = free & np.isinf(spans) & (distance > REACH)
    if hanging.any():
        problems.append(f"{distance[hanging].max():.1f} mm stick out over nothing")
    held = spans[free & np.isfinite(spans)]
    return float(held.max()) if len(held) else 0.0, problems


def _runs(free: Bitmap, layer: Bitmap, axis: int) -> NDArray[np.float64]:
    """Return for each unsupported pixel the length of its run along an axis; infinite when an end of it is not held."""
    if axis == 0:
        return _runs(free.T, layer.T, 1).T
    lengths = np.full(free.shape, np.inf)
    padded = np.pad(free, ((0, 0), (1, 1)))
    starts = np.argwhere(padded[:, 1:] & ~padded[:, :-1])
    ends = np.argwhere(~padded[:, 1:] & padded[:, :-1])
    held = layer & ~free
    for (row, start), (_, end) in zip(starts, ends, strict=True):
        if start > 0 and end < free.shape[1] and held[row, start - 1] and held[row, end]:
            lengths[row, start:end] = (end - start) * PIXEL
    return lengths


def overhang(mesh: trimesh.Trimesh) -> tuple[float, float]:
    """Return the steepest face that looks down, degrees from upright; and cm2 beyond OVERHANG_DEGREES off the bed."""
    down = -mesh.face_normals[:, 2]
    off_bed = mesh.triangles[:, :, 2].max(axis=1) > 0.01
    looks_down = off_bed & (down > 1e-6)
    if not looks_down.any():
        return 0.0, 0.0
    angles = np.degrees(np.arcsin(np.clip(down, 0, 1)))
    steep = looks_down & (angles > OVERHANG_DEGREES + 1)
    return float(angles[looks_down].max()), float(mesh.area_faces[steep].sum() / 100)
