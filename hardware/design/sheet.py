"""Draws blocks of parts as a KiCad schematic that a person can go on editing. The same input gives the same file."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from hardware.design.parts import Block, Part
from hardware.design.sexpr import Node, Word, child, children, write
from hardware.design.symbols import Pin, pins, property_of, symbol, turned

_GRID = 1.27
_STUB = 2.54
_LETTER = 1.22  # mm a letter of a label takes
_TEXT = 1.27
_ROW_GAP = 2 * _GRID
_NAMESPACE = uuid.UUID("5c0f7f0e-6f0e-4f7e-9a53-3a6f1f1b7a10")
POWER_SYMBOLS = {"GND": "power:GND", "+3V3": "power:+3V3"}

Direction = tuple[int, int]
# How a power symbol turns so that it points away from its pin; and the same for labels, with their justification.
_GROUND_TURN = {(0, 1): 0, (0, -1): 180, (1, 0): 90, (-1, 0): 270}
_RAIL_TURN = {(0, 1): 180, (0, -1): 0, (1, 0): 270, (-1, 0): 90}
_LABEL_TURN = {(1, 0): (0, "left"), (-1, 0): (180, "right"), (0, -1): (90, "left"), (0, 1): (270, "right")}


@dataclass
class Extent:
    """How far a drawn part reaches from its origin."""

    left: float = 0.0
    top: float = 0.0
    right: float = 0.0
    bottom: float = 0.0

    def take(self, x: float, y: float) -> None:
        """Grow to hold a point."""
        self.left, self.right = min(self.left, x), max(self.right, x)
        self.top, self.bottom = min(self.top, y), max(self.bottom, y)


@dataclass
class Sheet:
    """A schematic of one page. `draw` places the blocks, `text` is the file."""

    project: str
    title: str
    revision: str
    date: str
    paper: tuple[str, float, float]
    items: list[Node] = field(default_factory=list)
    libraries: dict[str, Node] = field(default_factory=dict)
    powers: int = 0

    def identifier(self, key: str) -> str:
        """Return the same id for the same key, always."""
        return str(uuid.uuid5(_NAMESPACE, f"{self.project}/{key}"))

    def draw(self, blocks: list[Block]) -> None:
        """Place the blocks from the left to the right, in rows. Raises ValueError when the paper is too small."""
        x, y, row_height = 12.7, 12.7, 0.0
        for block in blocks:
            columns = _columns(block)
            width = _snap(sum(right - left for left, right, _ in columns) + _GRID * 2 * (len(columns) + 1))
            width = max(
                width, _snap(len(block.title) * 1.9 + 6), _snap(max(map(len, block.notes), default=0) * 0.98 + 4)
            )
            if x + width > self.paper[1] - 12.7:
                x, y, row_height = 12.7, y + row_height + 2 * _GRID, 0.0
            height = _snap(block.height + 10 + 2.2 * len(block.notes))
            self._draw_block(block, columns, (x, y, width, height))
            x, row_height = x + width + 2 * _GRID, max(row_height, height)
        if y + row_height > self.paper[2] - 12.7:
            raise ValueError(f"{self.title}: {y + row_height:.0f} mm of drawing on {self.paper[2]:.0f} mm of paper")

    def _draw_block(self, block: Block, columns: list[Column], frame: tuple[float, float, float, float]) -> None:
        x, y, width, height = frame
        self._box(x, y, x + width, y + height, block.title)
        self._text(block.title, x + 1.27, y + 4.4, 2.0, bold=True)
        for index, note in enumerate(block.notes):
            self._text(note, x + 1.27, y + height - 2.2 * (len(block.notes) - index) + 1.2, 1.27)
        at_x = x + 2 * _GRID
        for left, right, placed in columns:
            for part, down in placed:
                self.part(part, _snap(at_x - left), _snap(y + 7.62 + down))
            at_x += _snap(right - left) + 2 * _GRID

    def part(self, part: Part, x: float, y: float) -> None:
        """Draw one part with its origin at (x, y), each pin with a short wire and the name of its net."""
        self.libraries.setdefault(part.symbol, symbol(part.symbol))
        self.items.append(self._instance(part, x, y))
        drawn = set()
        for pin in pins(part.symbol, part.unit):
            dx, dy = turned(pin.x, pin.y, part.rotation)
            position = (round(x + dx, 4), round(y + dy, 4))
            if position in drawn:
                continue
            drawn.add(position)
            net = part.nets.get(pin.number)
            if net is None:
                self._unconnected(position, f"{part.ref}.{pin.number}")
            else:
                self._connect(position, outward(pin, part.rotation), net, f"{part.ref}.{part.unit}.{pin.number}")

    def _connect(self, start: tuple[float, float], way: Direction, net: str, key: str) -> None:
        if key.startswith("#FLG"):
            end = start
        else:
            end = (round(start[0] + way[0] * _STUB, 4), round(start[1] + way[1] * _STUB, 4))
            points: Node = [Word("pts"), [Word("xy"), *start], [Word("xy"), *end]]
            stroke: Node = [Word("stroke"), [Word("width"), 0], [Word("type"), Word("default")]]
            self.items.append([Word("wire"), points, stroke, [Word("uuid"), self.identifier(f"wire/{key}")]])
        if net in POWER_SYMBOLS:
            self.powers += 1
            turn = (_GROUND_TURN if net == "GND" else _RAIL_TURN)[way]
            power = Part(f"#PWR{self.powers:03d}", POWER_SYMBOLS[net], net, {}, rotation=turn, listed=False)
            self.libraries.setdefault(power.symbol, symbol(power.symbol))
            self.items.append(self._instance(power, *end))
            return
        turn, side = _LABEL_TURN[way]
        effects = _effects(_TEXT, [side, "bottom"])
        self.items.append(
            [Word("label"), net, [Word("at"), *end, turn], effects, [Word("uuid"), self.identifier(f"label/{key}")]]
        )

    def _instance(self, part: Part, x: float, y: float) -> Node:
        named = [Word("yes"), Word("no")]
        node: Node = [
            Word("symbol"),
            [Word("lib_id"), part.symbol],
            [Word("at"), x, y, part.rotation],
            [Word("unit"), part.unit],
            [Word("exclude_from_sim"), Word("no")],
            [Word("in_bom"), named[not part.listed]],
            [Word("on_board"), Word("yes")],
            [Word("dnp"), named[part.fitted]],
            [Word("uuid"), self.identifier(f"symbol/{part.ref}/{part.unit}")],
        ]
        node += self._properties(part, x, y)
        for pin in pins(part.symbol, part.unit):
            node.append([Word("pin"), pin.number, [Word("uuid"), self.identifier(f"pin/{part.ref}/{pin.number}")]])
        path: Node = [Word("path"), f"/{self.identifier('sheet')}"]
        path += [[Word("reference"), part.ref], [Word("unit"), part.unit]]
        node.append([Word("instances"), [Word("project"), self.project, path]])
        return node

    def _properties(self, part: Part, x: float, y: float) -> list[Node]:
        reference, shown = _text_places(part)
        power = part.ref.startswith("#")
        footprint = part.footprint or property_of(part.symbol, "Footprint")
        rows = [
            ("Reference", part.ref, reference, power),
            ("Value", part.value, shown, part.value in {"GND", "PWR_FLAG"}),
            ("Footprint", "" if power else footprint, (0.0, 0.0), True),
            ("Datasheet", property_of(part.symbol, "Datasheet"), (0.0, 0.0), True),
            ("Description", property_of(part.symbol, "Description"), (0.0, 0.0), True),
        ]
        if part.mpn:
            rows.append(("MPN", part.mpn, (0.0, 0.0), True))
        centred = power or part.rotation != 0
        turn = 90 if part.rotation in {90, 270} else 0  # the symbol's turn adds to the text's
        return [
            _property(name, text, (x + dx, y + dy, turn), _effects(_TEXT, [] if centred else ["left"], hidden=hidden))
            for name, text, (dx, dy), hidden in rows
        ]

    def _unconnected(self, position: tuple[float, float], key: str) -> None:
        self.items.append([Word("no_connect"), [Word("at"), *position], [Word("uuid"), self.identifier(f"nc/{key}")]])

    def _box(self, left: float, top: float, right: float, bottom: float, key: str) -> None:
        stroke: Node = [Word("stroke"), [Word("width"), 0.2], [Word("type"), Word("dash")]]
        fill: Node = [Word("fill"), [Word("type"), Word("none")]]
        corners: list[Node] = [[Word("start"), left, top], [Word("end"), right, bottom]]
        self.items.append([Word("rectangle"), *corners, stroke, fill, [Word("uuid"), self.identifier(f"box/{key}")]])

    def _text(self, text: str, x: float, y: float, size: float, *, bold: bool = False) -> None:
        effects = _effects(size, ["left", "bottom"], bold=bold)
        start: Node = [Word("text"), text, [Word("exclude_from_sim"), Word("no")], [Word("at"), x, y, 0]]
        self.items.append([*start, effects, [Word("uuid"), self.identifier(f"text/{text}/{x:.2f}/{y:.2f}")]])

    def text(self) -> str:
        """Return the file."""
        block: Node = [Word("title_block"), [Word("title"), self.title], [Word("date"), self.date]]
        block += [[Word("rev"), self.revision], [Word("company"), "Racklet"]]
        block += [[Word("comment"), 1, "Open hardware under CERN-OHL-P v2. Nothing here has been soldered yet."]]
        libraries: Node = [Word("lib_symbols"), *[self.libraries[name] for name in sorted(self.libraries)]]
        root: Node = [Word("kicad_sch"), [Word("version"), Word("20250114")], [Word("generator"), "racklet"]]
        root += [[Word("generator_version"), "9.0"], [Word("uuid"), self.identifier("sheet")]]
        root += [[Word("paper"), self.paper[0]], block, libraries, *self.items]
        root += [
            [Word("sheet_instances"), [Word("path"), "/", [Word("page"), "1"]]],
            [Word("embedded_fonts"), Word("no")],
        ]
        return write(root) + "\n"


Column = tuple[float, float, list[tuple[Part, float]]]


def outward(pin: Pin, rotation: int) -> Direction:
    """Return the way from a pin's end out of the symbol, on the sheet (y downwards)."""
    into = (pin.angle + rotation) % 360
    return {0: (-1, 0), 90: (0, 1), 180: (1, 0), 270: (0, -1)}[into]


def _columns(block: Block) -> list[Column]:
    columns: list[Column] = []
    placed: list[tuple[Part, float]] = []
    left = right = down = 0.0
    for part in block.parts:
        reach = _extent(part)
        height = reach.bottom - reach.top + _ROW_GAP
        if placed and down + height > block.height:
            columns.append((left, right, placed))
            placed, left, right, down = [], 0.0, 0.0, 0.0
        placed.append((part, _snap(down - reach.top)))
        left, right, down = min(left, reach.left), max(right, reach.right), down + height
    columns.append((left, right, placed))
    return columns


def _extent(part: Part) -> Extent:
    reach = Extent()
    for pin in pins(part.symbol, part.unit):
        dx, dy = turned(pin.x, pin.y, part.rotation)
        way = outward(pin, part.rotation)
        net = part.nets.get(pin.number)
        length = 0.0 if net is None else _STUB + (5.08 if net in POWER_SYMBOLS else len(net) * _LETTER)
        reach.take(dx, dy)
        reach.take(dx + way[0] * length, dy + way[1] * length)
    for (dx, dy), text in zip(_text_places(part), (part.ref, part.value), strict=True):
        reach.take(dx, dy - _TEXT)
        reach.take(dx + (len(text) * _LETTER if part.rotation == 0 else 0.0), dy + _TEXT)
    return reach


def _text_places(part: Part) -> tuple[tuple[float, float], tuple[float, float]]:
    if part.ref.startswith("#"):
        turn = part.rotation
        away = {0: (0.0, -3.81), 180: (0.0, 3.81), 90: (-5.6, 0.0), 270: (5.6, 0.0)}[turn]
        return away, away
    if part.rotation:
        return (0.0, -3.3), (0.0, 3.3)
    corners = [
        turned(float(str(corner[1])), float(str(corner[2])), 0)
        for drawing in children(symbol(part.symbol), "symbol")
        for shape in children(drawing, "rectangle")
        for corner in (child(shape, "start"), child(shape, "end"))
    ]
    ends = [turned(pin.x, pin.y, 0) for pin in pins(part.symbol, part.unit)]
    top = min(y for _, y in corners or ends)
    above = [x for x, y in ends if y < top + 0.01]
    x = (max(above) + 2.54) if above else min(x for x, _ in corners or ends)
    if not corners:
        x = max(x for x, _ in ends) + 2.54 if part.symbol.startswith("Transistor") else x
    return (x, top - 4.2), (x, top - 2.1)


def _property(name: str, text: str, at: tuple[float, float, int], effects: Node) -> Node:
    return [Word("property"), name, text, [Word("at"), *at], effects]


def _effects(size: float, justify: list[str], *, bold: bool = False, hidden: bool = False) -> Node:
    font: Node = [Word("font"), [Word("size"), size, size]]
    if bold:
        font.append([Word("bold"), Word("yes")])
    node: Node = [Word("effects"), font]
    if justify:
        node.append([Word("justify"), *[Word(side) for side in justify]])
    if hidden:
        node.append([Word("hide"), Word("yes")])
    return node


def _snap(length: float) -> float:
    return round(-(-round(length / _GRID, 3) // 1) * _GRID, 4)
