"""Every board, every count of slots, and whatever parameters are accepted: valid solids."""

from __future__ import annotations

import pytest
from build123d import Part
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from racklet_case import bought, checks, panels, walls
from racklet_case.assembly import assemble
from racklet_case.layout import Layout, layout
from racklet_case.parameters import ParameterError, parameters
from racklet_case.tray import light_guide, tray

BOARDS = sorted(parameters().sbc)
ALONE = {"rack.slots": 1, "rack.controller": False, "rack.switch": "none", "rack.fans": 0}


def fitting(changes: dict[str, object]) -> Layout:
    """Return the layout at the least pitch, in steps of half a millimetre."""
    roomy = layout(parameters({**changes, "rack.pitch": 70.0}))
    return layout(parameters({**changes, "rack.pitch": max(30.0, -(-roomy.least_pitch * 2 // 1) / 2)}))


def assert_solid(part: Part) -> None:
    assert part.is_valid
    assert len(part.solids()) == 1
    assert part.volume > 0


@pytest.mark.timeout(120)
@pytest.mark.parametrize("board", BOARDS)
def test_a_rack_of_every_board_is_sound(board: str) -> None:
    built = assemble(fitting({**ALONE, "rack.sbc": board}))
    for part in built.printed:
        assert_solid(part.shape)
    assert [finding.what for finding in checks.findings(built)] == []


@pytest.mark.timeout(120)
def test_a_tray_with_a_drive_below_the_board_is_sound() -> None:
    built = assemble(fitting({**ALONE, "rack.storage": "m2_adapter"}))
    assert [finding.what for finding in checks.findings(built)] == []


@pytest.mark.timeout(120)
@pytest.mark.parametrize("slots", range(1, 9))
def test_every_count_of_slots_builds(slots: int) -> None:
    switch = "desktop_8" if slots > 4 else "none"
    at = layout(parameters({"rack.slots": slots, "rack.switch": switch}))
    longest = max(at.p.printer.bed) - 2 * at.p.printer.brim
    for shape, seams in (
        (walls.right_wall(at), at.wall_seams),
        (panels.rear_panel(at), at.rear_seams),
        (panels.frame(at), at.frame_seams),
    ):
        pieces = panels.cut_along_z(shape, at.inner_z, seams)
        assert len(pieces) == len(seams) + 1
        for piece in pieces:
            assert_solid(piece)
            assert longest >= piece.bounding_box().size.Z
    assert_solid(bought.backplane(at))


@pytest.mark.timeout(120)
def test_a_ten_inch_front_is_sound() -> None:
    built = assemble(layout(parameters({**ALONE, "rack.slots": 3, "rack.front": "rack_10_inch"})))
    assert {"ear_left", "ear_right"} <= {part.name for part in built.printed}
    assert list(checks.intersections(built)) == []


@pytest.mark.timeout(180)
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    board=some.sampled_from(BOARDS),
    pitch=some.floats(30, 60),
    floor=some.floats(1.6, 4),
    thick=some.floats(1.2, 1.8),
    gap=some.floats(0.15, 0.6),
    wall=some.floats(2.4, 5),
    fasteners=some.sampled_from(["insert", "self_tapping"]),
)
def test_no_accepted_parameters_give_an_invalid_solid(**drawn: object) -> None:
    changes = {**ALONE, "rack.sbc": drawn["board"], "rack.pitch": drawn["pitch"], "tray.floor": drawn["floor"]}
    changes |= {
        "tray.latch": [drawn["thick"], 11.0],
        "printer.sliding_gap": drawn["gap"],
        "case.wall": drawn["wall"],
        "fasteners.case": drawn["fasteners"],
    }
    try:
        at = layout(parameters(changes))
        checks.fasteners.screws(at)
    except ParameterError as error:
        refusal = str(error)
        assert " = " in refusal or "no M3 screw" in refusal
        return
    for part in (
        tray(at),
        tray(at, pressed=True),
        light_guide(at),
        walls.right_wall(at),
        panels.top_panel(at),
        panels.handle(at),
    ):
        assert_solid(part)
