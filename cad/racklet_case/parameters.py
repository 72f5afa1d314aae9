"""The parameters: read once, checked once; unknown keys and impossible values are refused with the reason.

Lengths are millimetres. Nothing here knows of a CAD library.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

ROOT = Path(__file__).resolve().parents[2]
PARAMETERS = ROOT / "cad" / "parameters.toml"
MECHANICS = ROOT / "hardware" / "mechanics.toml"

Length = Annotated[float, Field(gt=0, le=400)]
Place = Annotated[float, Field(ge=-50, le=400)]
Point = tuple[Place, Place]
Area = tuple[Length, Length]
Text = Annotated[str, Field(min_length=1)]


class ParameterError(ValueError):
    """A rack that cannot be built. The message names the key, the value and what would do."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Printer(_Part):
    """What the printer can do. `fill` is the share of a part's volume that becomes plastic."""

    nozzle: Annotated[float, Field(ge=0.2, le=1.0)]
    layer: Annotated[float, Field(ge=0.05, le=0.6)]
    bed: tuple[Annotated[float, Field(ge=120, le=600)], Annotated[float, Field(ge=120, le=600)]]
    brim: Annotated[float, Field(ge=0, le=15)]
    sliding_gap: Annotated[float, Field(ge=0.15, le=0.6)]
    fit_gap: Annotated[float, Field(ge=0.05, le=0.4)]
    density: Annotated[float, Field(ge=0.8, le=2.0)]
    fill: Annotated[float, Field(ge=0.2, le=1.0)]


class Fasteners(_Part):
    """How the case is screwed together: M3, into inserts or into the plastic; nodes with M2.5."""

    case: Literal["insert", "self_tapping"]
    insert_hole: Annotated[float, Field(ge=3.6, le=4.8)]
    insert_length: Annotated[float, Field(ge=3.0, le=5.4)]
    self_tapping_hole: Annotated[float, Field(ge=2.4, le=2.8)]
    clearance_hole: Annotated[float, Field(ge=3.2, le=3.8)]
    node_hole: Annotated[float, Field(ge=2.7, le=3.2)]

    @property
    def case_hole(self) -> float:
        """The diameter of a hole that a case screw ends in."""
        return self.insert_hole if self.case == "insert" else self.self_tapping_hole


class Rack(_Part):
    """What is built. Names are keys of the tables of the same file."""

    sbc: str
    slots: Annotated[int, Field(ge=1, le=8)]
    controller: bool
    pitch: Annotated[float, Field(ge=25, le=80)]
    storage: str
    switch: str
    fans: Annotated[int, Field(ge=0, le=3)]
    front: Literal["desk", "rack_10_inch"]


class Case(_Part):
    """Walls and rooms of the case."""

    wall: Annotated[float, Field(ge=2.4, le=5)]
    headroom: Annotated[float, Field(ge=8, le=20)]
    fan_room: Annotated[float, Field(ge=18, le=60)]


class Tray(_Part):
    """Measures of a tray that no board dictates."""

    floor: Annotated[float, Field(ge=1.6, le=4)]
    front: Annotated[float, Field(ge=1.6, le=4)]
    tongue: tuple[Annotated[float, Field(ge=2, le=5)], Annotated[float, Field(ge=2, le=4)]]
    latch: tuple[Annotated[float, Field(ge=1.2, le=4.5)], Annotated[float, Field(ge=10, le=16)]]
    latch_overlap: Annotated[float, Field(ge=1.2, le=2.4)]
    air_gap: Annotated[float, Field(ge=0.6, le=20)]


class Storage(_Part):
    """What may lie below a node's board. `lift` is what it adds to the height, `under` its distance to the floor."""

    source: Text
    size: tuple[Length, Length, Length]
    lift: Annotated[float, Field(gt=0, le=30)]
    plug_room: Annotated[float, Field(ge=0, le=60)]
    under: Annotated[float, Field(ge=0.2, le=10)]


class Switch(_Part):
    """A network switch: length (upright in the case), depth, thickness; 0 for none."""

    source: Text
    size: tuple[
        Annotated[float, Field(ge=0, le=300)],
        Annotated[float, Field(ge=0, le=140)],
        Annotated[float, Field(ge=0, le=50)],
    ]
    ports: tuple[Annotated[float, Field(ge=0, le=300)], Annotated[float, Field(ge=0, le=50)]]


class Port(_Part):
    """A socket at an edge of a board: middle along that edge, width, height above the board, reach beyond the edge."""

    name: Text
    side: Literal["right", "lower"]
    at: Place
    width: Length
    height: Length
    reach: Annotated[float, Field(ge=0, le=10)]
    depth: Length


class Block(_Part):
    """A box on a board: middle, size, height."""

    name: Text
    at: Point
    size: Area
    height: Length
    source: str = ""


class Sbc(_Part):
    """A single-board computer, seen from above: x to the right from its left edge, y up from its lower edge."""

    name: Text
    source: Text
    outline: Area
    thickness: Annotated[float, Field(ge=0.8, le=2.4)]
    hat: Point
    holes: Annotated[tuple[Point, ...], Field(min_length=3)]
    hat_holes: tuple[Point, ...] = ()
    standoff: Annotated[float, Field(ge=2, le=20)]
    hat_gap: Annotated[float, Field(ge=8, le=30)]
    side_channel: Annotated[float, Field(ge=0, le=60)] = 0.0
    ports: tuple[Port, ...]
    tall: tuple[Block, ...]
    below: tuple[Block, ...]


class Parameters(_Part):
    """`cad/parameters.toml`."""

    printer: Printer
    fasteners: Fasteners
    rack: Rack
    case: Case
    tray: Tray
    storage: dict[str, Storage]
    switch: dict[str, Switch]
    sbc: dict[str, Sbc]

    @property
    def node(self) -> Sbc:
        """The chosen single-board computer. Raises ParameterError."""
        return _chosen(self.sbc, "rack.sbc", self.rack.sbc)

    @property
    def chosen_switch(self) -> Switch | None:
        """The chosen switch, if any. Raises ParameterError."""
        found = _chosen(self.switch, "rack.switch", self.rack.switch)
        return found if found.size[0] else None

    @property
    def chosen_storage(self) -> Storage | None:
        """What lies below a node's board, if anything."""
        return None if self.rack.storage == "none" else _chosen(self.storage, "rack.storage", self.rack.storage)


Kind = TypeVar("Kind")


def _chosen(table: dict[str, Kind], key: str, name: str) -> Kind:
    if name not in table:
        raise ParameterError(f"{key} = {name!r}: there is no such table; known: {', '.join(sorted(table))}")
    return table[name]


def read_tables(path: Path = PARAMETERS) -> dict[str, Any]:
    """Return a TOML file as it is. Raises ParameterError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ParameterError(f"{path}: {error}") from error


def parameters(changes: dict[str, Any] | None = None, path: Path = PARAMETERS) -> Parameters:
    """Return the parameters, with `changes` such as {"rack.slots": 3} on top. Raises ParameterError."""
    tables = read_tables(path)
    for key, value in (changes or {}).items():
        *above, last = key.split(".")
        table = tables
        for name in above:
            table = table.get(name) if isinstance(table, dict) else None  # type: ignore[assignment]  # checked below
        if not isinstance(table, dict):
            raise ParameterError(f"{key}: there is no such table")
        table[last] = value
    try:
        return Parameters.model_validate(tables)
    except ValidationError as error:
        raise ParameterError("; ".join(_reason(each) for each in error.errors())) from error


def _reason(error: ErrorDetails) -> str:
    key = ".".join(str(part) for part in error["loc"])
    return f"{key} = {error['input']!r}: {error['msg']}"
