"""Shaded pictures of meshes, without a display: a z-buffer in numpy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Triangles = NDArray[np.float64]  # (n, 3, 3): triangle, corner, coordinate
Colour = tuple[int, int, int]

_SUPERSAMPLED = 2
_EDGE = 1.2  # mm of depth between neighbouring pixels that are drawn as an edge
_DARK = 0.4


@dataclass(frozen=True)
class View:
    """From where a picture is taken: the eye's direction, the size in pixels, the share that is filled."""

    eye: tuple[float, float, float]
    size: tuple[int, int] = (1200, 900)
    filled: float = 0.92


def render(parts: list[tuple[Triangles, Colour]], view: View, path: Path) -> None:
    """Write a PNG of `parts` on white."""
    width, height = (side * _SUPERSAMPLED for side in view.size)
    axes = _axes(view.eye)
    turned = [(triangles @ axes.T, colour) for triangles, colour in parts]
    corners = np.concatenate([triangles.reshape(-1, 3) for triangles, _ in turned])
    low, high = corners.min(axis=0), corners.max(axis=0)
    scale = view.filled * min(width / (high[0] - low[0]), height / (high[1] - low[1]))
    middle = (low + high) / 2
    depth = np.full((height, width), -np.inf)
    image = np.full((height, width, 3), 255, np.uint8)
    light = np.array([0.3, 0.5, 0.8])
    for triangles, colour in turned:
        normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
        lengths = np.linalg.norm(normals, axis=1)
        seen = (lengths > 1e-9) & (normals[:, 2] > 0)  # a triangle without area
        shade = 0.42 + 0.58 * np.clip(normals[seen] / lengths[seen, None] @ light / np.linalg.norm(light), 0, 1)
        screen = triangles[seen].copy()
        screen[:, :, 0] = (screen[:, :, 0] - middle[0]) * scale + width / 2
        screen[:, :, 1] = height / 2 - (screen[:, :, 1] - middle[1]) * scale
        for triangle, brightness in zip(screen, shade, strict=True):
            _fill(triangle, np.array(colour) * brightness, depth, image)
    _outline(depth, image)
    picture = Image.fromarray(image).resize(view.size, Image.Resampling.LANCZOS)
    picture.quantize(128).save(path, optimize=True)


def _axes(eye: tuple[float, float, float]) -> NDArray[np.float64]:
    """Return the rows right, up, towards the eye."""
    towards = np.array(eye, float) / np.linalg.norm(eye)
    right = np.cross([0.0, 0.0, 1.0], towards)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(towards, right), towards])


def _fill(
    triangle: NDArray[np.float64], colour: NDArray[np.float64], depth: NDArray[np.float64], image: NDArray[np.uint8]
) -> None:
    """Draw one triangle of screen coordinates where it is nearer than what is there."""
    height, width = depth.shape
    left, top = np.maximum(np.floor(triangle[:, :2].min(axis=0)).astype(int), 0)
    right, bottom = np.minimum(np.ceil(triangle[:, :2].max(axis=0)).astype(int) + 1, (width, height))
    if right <= left or bottom <= top:
        return
    x, y = np.arange(left, right)[None, :] + 0.5, np.arange(top, bottom)[:, None] + 0.5
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = triangle
    area = (by - cy) * (ax - cx) + (cx - bx) * (ay - cy)
    if abs(area) < 1e-9:  # seen from its edge
        return
    first = ((by - cy) * (x - cx) + (cx - bx) * (y - cy)) / area
    second = ((cy - ay) * (x - cx) + (ax - cx) * (y - cy)) / area
    third = 1 - first - second
    near = first * az + second * bz + third * cz
    window = depth[top:bottom, left:right]
    drawn = (first >= -1e-6) & (second >= -1e-6) & (third >= -1e-6) & (near > window)  # rounding
    window[drawn] = near[drawn]
    image[top:bottom, left:right][drawn] = np.clip(colour, 0, 255)


def _outline(depth: NDArray[np.float64], image: NDArray[np.uint8]) -> None:
    edge = np.zeros(depth.shape, bool)
    with np.errstate(invalid="ignore"):
        edge[:, 1:] |= np.abs(depth[:, 1:] - depth[:, :-1]) > _EDGE
        edge[1:] |= np.abs(depth[1:] - depth[:-1]) > _EDGE
    image[edge] = (image[edge] * _DARK).astype(np.uint8)
