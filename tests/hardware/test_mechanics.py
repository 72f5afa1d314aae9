"""What the case is built from, hardware/mechanics.toml, is what the board files say."""

from __future__ import annotations

import functools
import math
import tomllib
from typing import Any

import pytest

from hardware.design.sexpr import Node, child, children, parse, value
from hardware.netlist import BOARDS

MECHANICS: dict[str, Any] = tomllib.loads((BOARDS.parent / "mechanics.toml").read_text(encoding="utf-8"))
BOARD_NAMES = ("hat", "backplane")
Point = tuple[float, float]


@functools.cache
def board(name: str) -> Node:
    return parse((BOARDS / name / f"{name}.kicad_pcb").read_text(encoding="utf-8"))


def edges(name: str) -> list[Point]:
    """The ends of all lines and arcs of the board's edge, on the page."""
    lines = [*children(board(name), "gr_line"), *children(board(name), "gr_arc")]
    edge = [line for line in lines if value(line, "layer") == "Edge.Cuts"]
    return [_point(child(line, end)) for line in edge for end in ("start", "end")]


def _point(node: Node) -> Point:
    return float(str(node[1])), float(str(node[2]))


def origin(name: str) -> Point:
    return min(x for x, _ in edges(name)), min(y for _, y in edges(name))


@functools.cache
def footprints(name: str) -> dict[str, Node]:
    found = {}
    for footprint in children(board(name), "footprint"):
        texts = {str(entry[1]): str(entry[2]) for entry in children(footprint, "property")}
        found[texts["Reference"]] = footprint
    return found


def place(name: str, ref: str, pad: str = "") -> Point:
    """Where a part is, or one of its pads, from the board's upper left corner."""
    footprint = footprints(name)[ref]
    at = child(footprint, "at")
    x, y = _point(at)
    turn = math.radians(float(str(at[3])) if len(at) > 3 else 0.0)
    dx, dy = 0.0, 0.0
    if pad:
        dx, dy = next(_point(child(entry, "at")) for entry in children(footprint, "pad") if entry[1] == pad)
    left, top = origin(name)
    return (
        round(x + dx * math.cos(turn) + dy * math.sin(turn) - left, 3),
        round(y - dx * math.sin(turn) + dy * math.cos(turn) - top, 3),
    )


@pytest.mark.parametrize("name", BOARD_NAMES)
def test_the_outline_is_the_board_s_edge(name: str) -> None:
    left, top = origin(name)
    right, bottom = max(x for x, _ in edges(name)), max(y for _, y in edges(name))
    assert [round(right - left, 3), round(bottom - top, 3)] == MECHANICS[name]["outline"]


@pytest.mark.parametrize("name", BOARD_NAMES)
def test_the_screws_go_where_the_holes_are(name: str) -> None:
    holes = [place(name, f"H{number}") for number in range(1, len(MECHANICS[name]["holes"]) + 1)]
    assert sorted(holes) == sorted((x, y) for x, y in MECHANICS[name]["holes"])
    assert f"H{len(holes) + 1}" not in footprints(name)


def test_the_header_s_pins_are_at_their_heights_along_the_edge() -> None:
    header = MECHANICS["hat"]["backplane_header"]
    assert place("hat", "J2", "1")[1] == header["y_of_pin_1"]
    assert place("hat", "J2", "6")[1] == header["y_of_pin_6"]
    assert place("hat", "J2", "7")[0] < place("hat", "J2", "1")[0]  # 7 to 12 next to the edge: the lower row


@pytest.mark.parametrize("part", [*MECHANICS["hat"]["parts"]], ids=lambda part: part["ref"])
def test_a_tall_part_is_where_the_case_leaves_room_for_it(part: dict[str, Any]) -> None:
    if part["ref"] != "J2":  # its origin is pin 1, not its body's middle
        assert math.dist(place("hat", part["ref"]), part["at"]) < 0.5


@pytest.mark.parametrize("part", [*MECHANICS["hat"]["front"]], ids=lambda part: part["ref"])
def test_what_a_hand_or_an_eye_looks_for_is_at_the_front_edge(part: dict[str, Any]) -> None:
    x, y = place("hat", part["ref"])
    assert y == part["y"]
    assert x > MECHANICS["hat"]["outline"][0] - 3


def test_mated_the_rows_of_the_header_are_the_columns_of_the_socket() -> None:
    header, mated = MECHANICS["hat"]["backplane_header"], MECHANICS["mated"]
    assert sum(header["row_heights"]) / 2 == mated["hat_front_to_slot_middle"]
    assert mated["hat_edge_to_backplane"] == pytest.approx(
        MECHANICS["backplane"]["slot_socket"]["height"] + header["face_x"]
    )
    assert (header["y_of_pin_1"] + header["y_of_pin_6"]) / 2 == 29.65


@pytest.mark.parametrize("slot", range(1, MECHANICS["backplane"]["slots"] + 1))
def test_a_slot_s_socket_is_where_its_tray_comes(slot: int) -> None:
    socket = MECHANICS["backplane"]["slot_socket"]
    corners = [place("backplane", f"J{slot}", pin) for pin in ("1", "6", "7", "12")]
    middle = (sum(x for x, _ in corners) / 4, sum(y for _, y in corners) / 4)
    pitch = MECHANICS["backplane"]["pitch"]
    assert middle == pytest.approx((socket["first_x"] + (slot - 1) * pitch, socket["y"]), abs=0.001)
    (one, six, seven, _) = corners
    assert one[0] > seven[0]  # 1 to 6 on the right, 1 on top
    assert one[1] < six[1]


@pytest.mark.parametrize("cable", [*MECHANICS["backplane"]["cables"]], ids=lambda cable: cable["ref"])
def test_a_cable_finds_its_connector(cable: dict[str, Any]) -> None:
    pads = [str(pad[1]) for pad in children(footprints("backplane")[cable["ref"]], "pad") if pad[1]]
    points = [place("backplane", cable["ref"], pad) for pad in pads]
    middle = (sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points))
    assert math.dist(middle, cable["at"]) < 4.0
