"""What a schematic is made of: parts with their nets, in blocks that explain one idea each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

RESISTOR = "Device:R"
CAPACITOR = "Device:C"

_R_SIZES = {"0603": "Resistor_SMD:R_0603_1608Metric", "1206": "Resistor_SMD:R_1206_3216Metric"}
_C_SIZES = {
    "0402": "Capacitor_SMD:C_0402_1005Metric",
    "0603": "Capacitor_SMD:C_0603_1608Metric",
    "0805": "Capacitor_SMD:C_0805_2012Metric",
    "1206": "Capacitor_SMD:C_1206_3216Metric",
}
# Samsung CL and Yageo RC: what every assembly house has. Value and size name the part.
_C_MPN = {
    ("100nF", "0402"): "CL05B104KO5NNNC",
    ("1nF", "0402"): "CL05B102KB5NNNC",
    ("10nF", "0402"): "CL05B103KB5NNNC",
    ("1uF", "0402"): "CL05A105KA5NQNC",
    ("15pF", "0402"): "CL05C150JB5NNNC",
    ("100nF 50V", "0603"): "CL10B104KB8NNNC",
    ("22nF", "0603"): "CL10B223KB8NNNC",
    ("470nF 50V", "0805"): "CL21B474KBFNNNE",
    ("1uF 50V", "0805"): "CL21B105KBFNNNE",
    ("10uF", "0805"): "CL21A106KAYNNNE",
    ("10uF 50V", "1206"): "CL31A106KBHNNNE",
    ("22uF 25V", "1206"): "CL31A226KAHNNNE",
    ("22uF 10V", "0805"): "CL21A226MPQNNNE",
}


@dataclass(frozen=True)
class Part:
    """One symbol on the sheet. `nets` maps pin numbers to net names; a pin that is not named stays unconnected."""

    ref: str
    symbol: str
    value: str
    nets: Mapping[str, str]
    footprint: str = ""
    mpn: str = ""
    rotation: int = 0
    unit: int = 1
    fitted: bool = True
    listed: bool = True  # in the bill of materials


@dataclass(frozen=True)
class Block:
    """A titled box of the sheet, `height` mm high; the notes stand beneath the parts they explain."""

    title: str
    parts: tuple[Part, ...]
    notes: tuple[str, ...] = field(default=())
    height: float = 60.96


@dataclass(frozen=True)
class Design:
    """A board's schematic: its blocks, its paper, and the nets whose tracks are wide by rule."""

    name: str
    title: str
    revision: str
    date: str
    paper: tuple[str, float, float]  # KiCad's name, width, height in mm
    blocks: tuple[Block, ...]
    wide: tuple[str, ...]


def ic(ref: str, symbol: str, value: str, nets: str, **more: object) -> Part:
    """Return a part whose nets are written "1=NET 2=NET"."""
    table = dict(pair.split("=") for pair in nets.split())
    return Part(ref, symbol, value, table, **more)  # type: ignore[arg-type]


def resistor(ref: str, value: str, first: str, second: str, size: str = "0603") -> Part:
    """Return a resistor of 1 % between two nets."""
    grade = "JR" if value == "0R" else "FR"  # links come in one grade
    mpn = f"RC{size}{grade}-07{value.upper()}L"
    return Part(ref, RESISTOR, value, {"1": first, "2": second}, _R_SIZES[size], mpn, rotation=90)


def capacitor(ref: str, value: str, first: str, second: str = "GND", size: str = "0603") -> Part:
    """Return a ceramic capacitor between two nets. Raises KeyError for a value that no part number is known for."""
    mpn = _C_MPN[value, size]
    return Part(ref, CAPACITOR, value, {"1": first, "2": second}, _C_SIZES[size], mpn, rotation=90)


def flag(number: int, net: str) -> Part:
    """Return the mark that tells the electrical rule check where a net gets its power from."""
    return Part(f"#FLG{number:02d}", "power:PWR_FLAG", "PWR_FLAG", {"1": net}, listed=False)


def test_point(number: int, net: str) -> Part:
    """Return a bare pad for a probe."""
    pad = "TestPoint:TestPoint_Pad_D1.0mm"
    return Part(f"TP{number}", "Connector:TestPoint", net, {"1": net}, pad, listed=False)
