"""The parameters: what can be built has a layout, what cannot is refused with the reason."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as some

from racklet_case import layout as measures
from racklet_case.layout import Layout, layout
from racklet_case.mechanics import mechanics
from racklet_case.parameters import ParameterError, parameters

BOARDS = sorted(parameters().sbc)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("rack.slots", 0, "rack.slots = 0: Input should be greater than or equal to 1"),
        ("rack.slots", 9, "rack.slots = 9: Input should be less than or equal to 8"),
        ("rack.sbc", "raspberry_pi_6", "there is no such table; known: nanopi_m4"),
        ("rack.switch", "rack_48", "there is no such table"),
        ("rack.pitch", 28.0, r"needs 29.0 mm; the HAT's tallest part ends 27.0 mm above"),
        ("tray.latch", [4.5, 11.0], "make it thinner"),
        ("tray.latch_overlap", 2.5, "tray.latch_overlap = 2.5"),
        ("printer.nozzle", 0.9, "below two lines of a 0.9 mm nozzle"),
        ("printer.bed", [120.0, 120.0], "printer.bed"),
        ("printer.colour", "red", "Extra inputs are not permitted"),
        ("case.wall", -3.0, "case.wall = -3.0"),
        ("garage.door", 1, "garage.door: there is no such table"),
        ("sbc.raspberry_pi_4b.standoff", 2.0, "parts below a Raspberry Pi 4 B are 1.8 mm high and need 2.3 mm"),
        ("sbc.raspberry_pi_4b.hat_gap", 9.0, "needs at least 10.0 mm below the HAT"),
    ],
)
def test_what_cannot_be_built_is_refused_with_the_reason(key: str, value: object, reason: str) -> None:
    with pytest.raises(ParameterError, match=reason.replace("(", r"\(")):
        layout(parameters({key: value}))


def test_a_ten_inch_front_is_refused_where_the_case_is_too_wide() -> None:
    wide = {"rack.sbc": "rock_5b", "rack.pitch": 40.0, "sbc.rock_5b.side_channel": 60.0, "case.wall": 5.0}
    wide |= {"switch.desktop_8.size": [158.0, 101.0, 50.0], "printer.bed": [300.0, 300.0], "tray.tongue": [5.0, 2.4]}
    assert layout(parameters(wide))
    with pytest.raises(ParameterError, match="222 mm pass between the posts"):
        layout(parameters({**wide, "rack.front": "rack_10_inch"}))


def test_a_heat_sink_below_the_board_leaves_no_room_for_a_drive() -> None:
    with pytest.raises(ParameterError, match="leave no room for it"):
        layout(parameters({"rack.sbc": "nanopi_m4", "rack.storage": "m2_adapter", "rack.pitch": 50}))


@pytest.mark.parametrize("board", BOARDS)
def test_every_board_names_where_its_measures_come_from(board: str) -> None:
    assert len(parameters().sbc[board].source) > 20


@pytest.mark.parametrize("board", BOARDS)
def test_the_hat_s_holes_are_over_holes_of_every_board(board: str) -> None:
    sbc, hat = parameters().sbc[board], mechanics().hat
    wanted = [(sbc.hat[0] + x, sbc.hat[1] - y) for x, y in hat.holes]
    met = [any(abs(x - u) < 0.6 and abs(y - v) < 0.6 for u, v in sbc.holes) for x, y in wanted]
    assert sum(met) >= 3  # the fourth of a ROCK 5B is elsewhere


def test_the_backplane_s_sockets_are_behind_the_hats_headers() -> None:
    at = layout()
    for slot in range(5):
        socket_z = at.backplane_z[0] + at.m.backplane.slot_socket.first_x + slot * at.m.backplane.pitch
        assert socket_z == pytest.approx(at.row_z(at.first_row + slot) + at.connector_z)
    assert at.backplane_y[0] + at.m.backplane.slot_socket.y == pytest.approx(
        at.hat_y(at.m.hat.backplane_header.middle_y)
    )


def test_the_service_end_of_the_backplane_is_above_the_trays() -> None:
    at = layout()
    assert at.backplane_z[0] + at.m.backplane.service_from >= at.row_z(at.rows) - 0.6


@given(
    board=some.sampled_from(BOARDS),
    slots=some.integers(1, 8),
    pitch=some.floats(25, 80),
    controller=some.booleans(),
    switch=some.sampled_from(sorted(parameters().switch)),
    fans=some.integers(0, 3),
    wall=some.floats(2.4, 5),
    bed=some.floats(120, 400),
)
def test_a_layout_that_is_accepted_keeps_its_promises(**drawn: object) -> None:
    changes = {f"rack.{key}": drawn[key] for key in ("slots", "pitch", "controller", "switch", "fans")}
    changes |= {"rack.sbc": drawn["board"], "case.wall": drawn["wall"], "printer.bed": [drawn["bed"], drawn["bed"]]}
    try:
        at = layout(parameters(changes))
    except ParameterError as error:
        refusal = str(error)
        assert " = " in refusal  # names a key and its value
        return
    _keeps_its_promises(at)


def _keeps_its_promises(at: Layout) -> None:
    longest = max(at.p.printer.bed) - 2 * at.p.printer.brim
    for seams in (at.wall_seams, at.rear_seams, at.frame_seams):
        ends = [at.inner_z[0], *seams, at.inner_z[1]]
        assert all(0 < high - low <= longest for low, high in pairwise(ends))
    assert not set(at.wall_seams) & set(at.rear_seams)
    assert at.p.rack.pitch >= at.least_pitch
    assert at.latch_strain <= measures.MAX_STRAIN
    assert at.inner_z[0] < at.backplane_z[0] < at.backplane_z[1] < at.inner_z[1]
    for middle in at.fan_z:
        assert at.inner_z[0] <= middle - measures.FAN / 2 <= middle + measures.FAN / 2 <= at.inner_z[1]
        assert all(abs(seam - middle) >= measures.FAN / 2 for seam in at.rear_seams)
