"""The screws: how long each must be, and how far it holds. Refuses a case that no screw of a shop holds together."""

from __future__ import annotations

from dataclasses import dataclass

from racklet_case.layout import FAN_DEPTH, FILTER_DEPTH, FRAME_STANDOFF, FRAME_THICK, SPLICE, Layout
from racklet_case.panels import EAR_FLANGE, FOOT_BELOW_HEAD, HANDLE_HOLE, wall_screws
from racklet_case.parameters import ParameterError
from racklet_case.walls import COVER_HOLE, M3_NUT_HIGH, PANEL_HOLE, REAR_HOLE, ear_screws_z, rear_screws_z

SUNK, PAN = "countersunk", "pan"

# Lengths that shops keep (ISO 4762, 7046, 10642 and the like), without the head, or with it where it is countersunk.
LENGTHS = {
    "M2.5": (5, 6, 8, 10, 12, 14, 16, 18, 20, 25),
    "M3": (5, 6, 8, 10, 12, 14, 16, 20, 25, 30),
    "M4": (30, 35, 40, 45, 50),
}
GRIP = {"M2.5": 3.0, "M3": 3.6, "M4": 3.2}  # the least hold: 1.2 diameters in brass, a nut's height for M4
PLASTIC_GRIP = 4.5  # 1.5 diameters of M3, cut into plastic
NUT = {"M3": 2.4, "M4": 3.2}
SPARE = 0.3  # beyond a nut
CLEAN = 0.2  # a screw must not reach a hole's end
WASHER = 0.5
FREE = 30.0  # room beyond a nut


@dataclass(frozen=True)
class Screw:
    """One kind of screw: what it passes, what it then finds to hold in, the length chosen, how many."""

    use: str
    size: str
    head: str
    passes: float
    room: float
    length: int
    count: int

    @property
    def grip(self) -> float:
        """How far the screw holds."""
        return min(self.length - self.passes, self.room)


def choose(use: str, kind: tuple[str, str], span: tuple[float, float], *, grip: float, count: int) -> Screw:
    """Return the shortest screw of a kind (size, head) that passes and holds. Raises ParameterError when none does.

    `span` is what it passes, and how deep it may then go, in mm.
    """
    (size, head), (passes, room) = kind, span
    for length in LENGTHS[size]:
        if grip <= length - passes <= room:
            return Screw(use, size, head, passes, room, length, count)
    raise ParameterError(
        f"{use}: no {size} screw passes {passes:.1f} mm and holds {grip:.1f} to {room:.1f} mm; "
        f"known lengths: {LENGTHS[size]}"
    )


def screws(at: Layout) -> list[Screw]:
    """Return all screws of a rack. Raises ParameterError."""
    return [*_case_screws(at), *_node_screws(at), *_nutted_screws(at)]


def _case_screws(at: Layout) -> list[Screw]:
    """Screws that end in inserts, or in the plastic."""
    wall, front = at.p.case.wall, at.p.tray.front
    grip = GRIP["M3"] if at.p.fasteners.case == "insert" else PLASTIC_GRIP
    feet = sum(outer for _, _, outer in wall_screws(at))
    inner = len(wall_screws(at)) - feet
    rear, covers = 2 * len(rear_screws_z(at)), 2 + bool(at.switch_size[0])
    table = [
        ("top panel", SUNK, (wall, PANEL_HOLE - CLEAN), feet + inner),
        ("feet and bottom panel", PAN, (FOOT_BELOW_HEAD + wall, PANEL_HOLE - CLEAN), feet),
        ("bottom panel, inner wall", SUNK, (wall, PANEL_HOLE - CLEAN), inner),
        ("rear panel", SUNK, (wall, REAR_HOLE - CLEAN), rear),
        ("covers", PAN, (front, COVER_HOLE - CLEAN), covers),
        ("handle", SUNK, (wall, HANDLE_HOLE - CLEAN), 2),
    ]
    return [choose(use, ("M3", head), span, grip=grip, count=count) for use, head, span, count in table if count]


def _node_screws(at: Layout) -> list[Screw]:
    """Screws into the spacers between node and HAT; half a spacer for each side, and a little more."""
    places = len(at.p.node.hat_holes or at.p.node.holes)
    gap, grip = at.p.node.hat_gap, GRIP["M2.5"]
    below, above = (at.board_top_z, gap - 4.0), (at.m.hat.thickness, 4.0)
    return [
        choose("node, from below into the spacer", ("M2.5", SUNK), below, grip=grip, count=at.rows * places),
        choose("HAT, from above into the spacer", ("M2.5", PAN), above, grip=grip, count=at.p.rack.slots * places),
    ]


def _nutted_screws(at: Layout) -> list[Screw]:
    """Screws with nuts."""
    wall = at.p.case.wall
    walls = 3 if at.switch_size[0] else 2
    ears = 2 * len(ear_screws_z(at)) if at.p.rack.front == "rack_10_inch" else 0
    behind = at.m.backplane.thickness + FRAME_STANDOFF + FRAME_THICK + WASHER
    table = [
        ("backplane, with nut and washer", "M3", PAN, behind, len(at.backplane_holes)),
        ("strips over seams, with nut", "M3", SUNK, wall + SPLICE[2] - M3_NUT_HIGH, 4 * len(at.wall_seams) * walls),
        ("fans, with nut", "M4", PAN, FILTER_DEPTH + FAN_DEPTH + wall, 4 * len(at.fan_z)),
        ("ears, with nut", "M3", SUNK, wall + EAR_FLANGE - M3_NUT_HIGH, ears),
    ]
    return [
        choose(use, (size, head), (passes, FREE), grip=NUT[size] + SPARE, count=count)
        for use, size, head, passes, count in table
        if count
    ]
