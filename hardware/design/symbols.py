"""Symbols of KiCad's libraries, complete in themselves, and where their pins are."""

from __future__ import annotations

import copy
import functools
import math
import os
from dataclasses import dataclass
from pathlib import Path

from hardware.design.sexpr import Node, child, children, parse, value

KICAD_SYMBOLS = Path(os.environ.get("KICAD9_SYMBOL_DIR", "/usr/share/kicad/symbols"))
OWN_SYMBOLS = Path(__file__).parents[1] / "kicad"


@dataclass(frozen=True)
class Pin:
    """A pin of a symbol: millimetres, y upwards; `angle` points from the pin's end into the body."""

    number: str
    name: str
    x: float
    y: float
    angle: int


@functools.cache
def _library(name: str) -> Node:
    own = OWN_SYMBOLS / f"{name}.kicad_sym"
    path = own if own.exists() else KICAD_SYMBOLS / f"{name}.kicad_sym"
    return parse(path.read_text(encoding="utf-8"))


@functools.cache
def symbol(lib_id: str) -> Node:
    """Return the symbol as a schematic embeds it: named `library:name`, what it extends worked in."""
    library, name = lib_id.split(":")
    found = next(entry for entry in children(_library(library), "symbol") if entry[1] == name)
    parent_name = value(found, "extends")
    if not parent_name:
        result = copy.deepcopy(found)
    else:
        result = copy.deepcopy(symbol(f"{library}:{parent_name}"))
        own = {str(entry[1]): entry for entry in children(found, "property")}
        for index, entry in enumerate(result):
            if isinstance(entry, list) and entry[0] == "property" and str(entry[1]) in own:
                result[index] = copy.deepcopy(own.pop(str(entry[1])))
        at = max(i for i, entry in enumerate(result) if isinstance(entry, list) and entry[0] == "property") + 1
        result[at:at] = [copy.deepcopy(entry) for entry in own.values()]
        for unit in children(result, "symbol"):
            unit[1] = name + str(unit[1]).removeprefix(parent_name)
    result[1] = lib_id
    return result


def pins(lib_id: str, unit: int = 1) -> list[Pin]:
    """Return the pins of one unit, those common to all units with them."""
    found = []
    for drawing in children(symbol(lib_id), "symbol"):
        number = int(str(drawing[1]).rsplit("_", 2)[1])
        if number not in {0, unit}:
            continue
        for pin in children(drawing, "pin"):
            at = child(pin, "at")
            x, y, angle = (float(str(entry)) for entry in at[1:4])
            found.append(Pin(value(pin, "number"), value(pin, "name"), x, y, round(angle)))
    return found


def property_of(lib_id: str, name: str) -> str:
    """Return a property of the symbol, or an empty string."""
    for entry in children(symbol(lib_id), "property"):
        if entry[1] == name:
            return str(entry[2])
    return ""


def turned(x: float, y: float, rotation: int) -> tuple[float, float]:
    """Return a point of a symbol turned by `rotation` degrees, as an offset on the sheet (y downwards)."""
    angle = math.radians(rotation)
    return (
        round(x * math.cos(angle) - y * math.sin(angle), 4),
        round(-(x * math.sin(angle) + y * math.cos(angle)), 4),
    )
