"""The live view fits its screen and says what matters."""

import io

import pytest
from rich.console import Console

from racklet.v1 import rack_pb2
from racklet_hostd.cli.live import RackView
from tests.cli.memory_rack import START_S, MemoryRack


def drawn(view: RackView, width: int = 80, height: int = 24) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(view)
    return [line.rstrip() for line in capture.get().splitlines()]


@pytest.fixture
def memory() -> MemoryRack:
    memory = MemoryRack()
    memory.add_node("node-10", supply_state=rack_pb2.SUPPLY_STATE_TRIPPED)
    memory.add_node("node-2", last_line="raspberrypi login: ", boot="nodes/node-2/boots/17", phase="login")
    lost = memory.add_node("node-3", last_line="x" * 200)
    lost.ClearField("measurement")
    lost.hat.state = rack_pb2.HAT_STATE_OFFLINE
    lost.hat.problem = "/dev/ttyACM3 is not there"
    return memory


@pytest.fixture
def view(memory: MemoryRack) -> RackView:
    view = RackView("shelf", lambda: START_S + 42.0)
    assert view.update(list(memory.nodes.values()), is_whole=True) == ["nodes/node-2"]
    view.boot_started("nodes/node-2", START_S)
    return view


def test_it_shows_each_node_with_its_last_line_or_trouble(view: RackView) -> None:
    head, _, _, *rows = drawn(view)
    assert head.startswith("shelf  3 nodes, 2 online  6.24 W")
    assert [" ".join(row.split()) for row in rows] == [
        "node-2 ● on 5.098 0.612 3.12 812.4 J 17 0:42 login",
        "raspberrypi login:",
        "node-3 ✗ offline - - - 812.4 J - - -",
        "HAT is offline: /dev/ttyACM3 is not there",
        "node-10 ▲ tripped 5.098 0.612 3.12 812.4 J - - -",
        "",
    ]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (80, 8), (132, 24), (200, 50)])
def test_it_fits_the_screen(view: RackView, width: int, height: int) -> None:
    lines = drawn(view, width, height)
    assert max(map(len, lines)) <= width
    assert len(lines) <= height


def test_a_low_screen_gets_one_line_a_node(view: RackView) -> None:
    assert len(drawn(view, height=8)) == 6


def test_a_wide_screen_has_the_last_line_beside_the_numbers(view: RackView) -> None:
    assert "raspberrypi login:" in drawn(view, width=160)[3]


@pytest.mark.parametrize(
    ("width", "shown"), [(80, "a-rather-… ●"), (90, "a-rather-long-name ●"), (160, "a-rather-long-name ●")]
)
def test_a_long_name_is_whole_where_there_is_room(width: int, shown: str) -> None:
    memory = MemoryRack()
    memory.add_node("a-rather-long-name")
    view = RackView("shelf")
    view.update(list(memory.nodes.values()))
    lines = drawn(view, width)
    assert lines[3].startswith(shown)
    assert max(map(len, lines)) <= width


def test_a_note_stands_in_the_head_line(view: RackView) -> None:
    view.note = "hostd went away; waiting for it"
    assert drawn(view)[0].endswith("hostd went away; waiting for it")


def test_a_whole_list_drops_nodes_that_are_gone(view: RackView, memory: MemoryRack) -> None:
    view.update([memory.nodes["nodes/node-2"]], is_whole=True)
    assert "node-10" not in "".join(drawn(view))


def test_words_of_a_node_cannot_move_the_cursor(view: RackView, memory: MemoryRack) -> None:
    node = memory.nodes["nodes/node-2"]
    node.last_line = "\x1b[2J[bold]\u202e"
    view.update([node])
    assert r"\x1b[2J[bold]\u202e" in drawn(view)[4]


def test_an_empty_rack_is_drawn_too() -> None:
    lines = drawn(RackView("shelf"))
    assert lines[0].startswith("shelf  0 nodes, 0 online  0.00 W")
    assert lines[3] == "No nodes yet; `racklet nodes` says how to add one."


def test_what_the_boot_doctor_found_stands_before_the_last_line(view: RackView, memory: MemoryRack) -> None:
    node = memory.nodes["nodes/node-2"]
    node.phase = "kernel"
    node.findings.extend(["root-not-found", "kernel-panic"])
    node.last_line = "---[ end Kernel panic ]---"
    view.update([node])
    rows = drawn(view)[3:5]
    assert rows[0].endswith("0:42  kernel")
    assert rows[1] == "  root-not-found, kernel-panic: ---[ end Kernel panic ]---"


@pytest.mark.parametrize("phase", ["", "unknown"])
def test_a_phase_that_is_not_known_is_a_dash(view: RackView, memory: MemoryRack, phase: str) -> None:
    node = memory.nodes["nodes/node-2"]
    node.phase = phase
    view.update([node])
    assert drawn(view)[3].endswith("0:42  -")
