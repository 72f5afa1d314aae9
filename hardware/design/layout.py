"""What a layout table says: where a board's parts, pours, drawn tracks and words are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Point = tuple[float, float]
Outline = list[Point]


@dataclass(frozen=True)
class Print:
    """Words on the silkscreen: their middle, letter height, turn in degrees."""

    words: str
    x: float
    y: float
    size: float
    turn: int = 0
    back: bool = False


@dataclass(frozen=True)
class Track:
    """A track that a person drew: corners on one layer ("F.Cu" or "B.Cu")."""

    net: str
    layer: str
    width: float
    corners: Outline


@dataclass(frozen=True)
class Layout:
    """Millimetres from the board's upper left corner, seen from above, y downwards."""

    width: float
    height: float
    corner: float
    layers: int
    fixed: Mapping[str, tuple[float, float, float]]  # x, y, rotation
    on_back: frozenset[str] = frozenset()
    near: Mapping[str, str] = field(default_factory=dict)  # a part without a signal to pull it goes near this pin
    first: tuple[str, ...] = ()  # what must be close finds its place first
    pours: tuple[tuple[str, Outline], ...] = ()  # on the front
    inner_pours: tuple[tuple[str, Outline], ...] = ()  # in the layer of the 3.3 V plane
    back_pours: tuple[tuple[str, Outline], ...] = ()
    vias: Mapping[str, Outline] = field(default_factory=dict)
    tracks: tuple[Track, ...] = ()  # their nets are complete: the router leaves them alone
    prints: tuple[Print, ...] = ()
    blocked: tuple[tuple[float, float, float, float], ...] = ()  # no parts here: left, top, right, bottom
    crowded: Mapping[str, float] = field(default_factory=dict)  # room around a part with many pins
    spoke: float = 0.3  # width of the thermal spokes of the planes
