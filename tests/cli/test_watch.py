"""What is watched: nodes live and in lines, events as they come."""

import json

import pytest

from racklet.v1 import rack_pb2
from tests.cli.conftest import OnTerminal, Start
from tests.cli.memory_rack import MemoryRack
from tests.cli.rack_server import RackServer


@pytest.fixture(autouse=True)
def nodes(rack: MemoryRack) -> None:
    rack.add_node("node-1")
    rack.add_node("node-10")
    rack.add_node("node-2", last_line="raspberrypi login: ", phase="login")
    rack.add_boot("node-2", 17)


def switch_off(rack: MemoryRack, name: str) -> None:
    with rack.changed:
        rack.nodes[f"nodes/{name}"].supply_state = rack_pb2.SUPPLY_STATE_OFF
        rack.changed.notify_all()


def test_a_terminal_shows_the_rack_and_its_changes_until_ctrl_c(rack: MemoryRack, on_terminal: OnTerminal) -> None:
    terminal = on_terminal("watch")
    terminal.expect(rb"shelf.*3 nodes, 3 online")
    terminal.expect(rb"node-1\b")
    terminal.expect(rb"node-2\b.* on .*login")
    terminal.expect(rb"node-10\b")
    switch_off(rack, "node-2")
    terminal.expect(rb"node-2\b.* off ")
    terminal.type(b"\x03")
    assert terminal.wait() == 130
    assert b"Traceback" not in terminal.output
    assert terminal.output.endswith(b"\x1b[?25h")  # the cursor is back


def test_the_screen_tells_that_hostd_is_away_and_goes_on_when_it_is_back(
    server: RackServer, rack: MemoryRack, on_terminal: OnTerminal
) -> None:
    terminal = on_terminal("watch")
    terminal.expect(rb"node-10\b")
    server.stop()
    terminal.expect(rb"hostd went away; waiting for it")
    del rack.nodes["nodes/node-10"]
    server.start()
    terminal.expect(rb"2 nodes, 2 online")


def test_without_a_terminal_each_change_is_a_line(rack: MemoryRack, start: Start) -> None:
    process = start("watch")
    assert process.stdout
    first = [process.stdout.readline().split() for _ in range(3)]
    assert [line[1] for line in first] == [b"node-1", b"node-2", b"node-10"]
    switch_off(rack, "node-2")
    assert process.stdout.readline().split()[1:3] == [b"node-2", b"off"]


def test_json_lines_are_nodes(rack: MemoryRack, start: Start) -> None:
    process = start("watch", "node-2", "--json")
    assert process.stdout
    assert json.loads(process.stdout.readline())["supply_state"] == "SUPPLY_STATE_ON"
    switch_off(rack, "node-2")
    assert json.loads(process.stdout.readline())["supply_state"] == "SUPPLY_STATE_OFF"


def test_only_the_nodes_named_are_asked_for_at_the_interval_named(rack: MemoryRack, start: Start) -> None:
    process = start("watch", "node-2", "--interval", "2.5")
    assert process.stdout
    process.stdout.readline()
    [request] = [request for request in rack.requests if isinstance(request, rack_pb2.WatchNodesRequest)]
    assert request == rack_pb2.WatchNodesRequest(names=["nodes/node-2"], min_interval=request.min_interval)
    assert request.min_interval.ToMilliseconds() == 2_500


def test_events_are_followed_over_a_restart_without_loss_or_repetition(
    server: RackServer, rack: MemoryRack, start: Start
) -> None:
    rack.add_event("started", "one")
    process = start("events", "--follow")
    assert process.stdout
    assert process.stderr
    assert process.stdout.readline().endswith(b"one\n")
    rack.add_event("supply_state", "two", "node-1")
    assert process.stdout.readline().endswith(b"two\n")
    server.stop()
    assert process.stderr.readline() == b"racklet: hostd went away; waiting for it\n"
    rack.add_event("supply_state", "three", "node-2")
    server.start()
    assert process.stdout.readline().endswith(b"three\n")


def test_events_of_one_node_are_followed(rack: MemoryRack, start: Start) -> None:
    process = start("events", "node-1", "--follow", "--json")
    assert process.stdout
    rack.add_event("supply_state", "not this", "node-2")
    rack.add_event("supply_state", "this", "node-1")
    assert json.loads(process.stdout.readline())["message"] == "this"


def test_all_nodes_move_after_a_yes_on_the_terminal(rack: MemoryRack, on_terminal: OnTerminal) -> None:
    terminal = on_terminal("power", "off", "--all")
    terminal.expect(rb"Switch off node-1, node-2, node-10\? \[y/N\] ")
    terminal.type(b"y\n")
    assert terminal.wait() == 0
    assert sum(isinstance(request, rack_pb2.SetPowerRequest) for request in rack.requests) == 3


@pytest.mark.parametrize(("answer", "code"), [(b"\n", 1), (b"n\n", 1), (b"\x03", 130), (b"\x04", 1)])
def test_nothing_moves_without_a_yes(rack: MemoryRack, on_terminal: OnTerminal, answer: bytes, code: int) -> None:
    terminal = on_terminal("power", "off", "--all")
    terminal.expect(rb"\[y/N\] ")
    terminal.type(answer)
    assert terminal.wait() == code
    assert not [request for request in rack.requests if isinstance(request, rack_pb2.SetPowerRequest)]
