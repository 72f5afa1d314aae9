"""`hardware/mechanics.toml` as the case sees it: where the boards' parts are. The boards' tests hold it to them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from racklet_case.parameters import MECHANICS, ParameterError, read_tables

Pair = tuple[float, float]


class _Table(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)  # the file also tells what only the layouts need


class Header(_Table):
    """The HAT's 2x6 header: pins 1 and 6 along y, the plastic's front and the tips along x."""

    y_of_pin_1: float
    y_of_pin_6: float
    row_heights: Pair
    face_x: float
    pin_tip_x: float
    pin_square: float

    @property
    def middle_y(self) -> float:
        """The middle between pins 1 and 6."""
        return (self.y_of_pin_1 + self.y_of_pin_6) / 2

    @property
    def middle_height(self) -> float:
        """The middle between the two rows, above the HAT's front surface."""
        return sum(self.row_heights) / 2


class BoardPart(_Table):
    """A tall part of a board: middle, size, height."""

    ref: str
    at: Pair
    size: Pair
    height: float


class FrontPart(_Table):
    """What is seen or pressed at the HAT's right edge."""

    name: str
    ref: str
    y: float
    height: float


class Hat(_Table):
    """The HAT, from its upper left corner, y downwards."""

    outline: Pair
    thickness: float
    holes: tuple[Pair, ...]
    hole_diameter: float
    height: float
    depth: float
    gap_to_node: float
    backplane_header: Header
    parts: tuple[BoardPart, ...]
    front: tuple[FrontPart, ...]


class SlotSocket(_Table):
    """A socket of the backplane."""

    first_x: float
    y: float
    height: float


class Cable(_Table):
    """A plug on the backplane's front."""

    name: str
    ref: str
    at: Pair
    height: float


class Backplane(_Table):
    """The backplane, seen from the trays: x along the slots, y to the side of the HAT's 40-pin header."""

    outline: Pair
    thickness: float
    holes: tuple[Pair, ...]
    hole_diameter: float
    slots: int
    pitch: float
    height_between_trays: float
    service_from: float
    service_height: float
    slot_socket: SlotSocket
    cables: tuple[Cable, ...]


class Mated(_Table):
    """How HAT and backplane stand when the connector is home."""

    hat_edge_to_backplane: float
    play: Annotated[float, Field(gt=0)]
    hat_front_to_slot_middle: float


class Mechanics(_Table):
    """The whole file."""

    hat: Hat
    backplane: Backplane
    mated: Mated


def mechanics(path: Path = MECHANICS) -> Mechanics:
    """Return the measures that boards and case share. Raises ParameterError."""
    try:
        return Mechanics.model_validate(read_tables(path))
    except ValidationError as error:
        raise ParameterError(f"{path}: {error}") from error
