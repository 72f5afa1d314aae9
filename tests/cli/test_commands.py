"""What each command prints and asks for."""

import json
from typing import TypeVar

import grpc
import pytest
from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from racklet.v1 import rack_pb2
from tests.cli.conftest import Run
from tests.cli.memory_rack import MemoryRack

AnyMessage = TypeVar("AnyMessage", bound=Message)


def parsed(output: str, kind: type[AnyMessage]) -> list[AnyMessage]:
    """Return the messages that JSON lines hold, in protobuf's own reading."""
    return [json_format.Parse(line, kind()) for line in output.splitlines()]


def test_nodes_are_a_table_in_the_order_people_count(rack: MemoryRack, run: Run) -> None:
    rack.add_node("node-10", last_line="x" * 120)
    rack.add_node("node-2", boot="nodes/node-2/boots/7")
    lines = run("nodes").stdout.splitlines()
    assert lines[0].split() == ["NODE", "HAT", "SUPPLY", "VOLTS", "AMPS", "WATTS", "ENERGY", "BOOT", "LAST", "LINE"]
    assert lines[1].split() == ["node-2", "online", "on", "5.098", "0.612", "3.12", "812.4", "J", "7"]
    assert lines[2].endswith("x" * 120)


def test_a_hat_that_is_offline_is_named_with_its_problem(rack: MemoryRack, run: Run) -> None:
    node = rack.add_node("node-1")
    node.hat.state, node.hat.problem = rack_pb2.HAT_STATE_OFFLINE, "cannot open /dev/ttyACM3: Permission denied"
    assert "node-1: HAT is offline: cannot open /dev/ttyACM3: Permission denied" in run("nodes").stdout


def test_a_hat_that_is_online_is_named_when_it_refused_its_config(rack: MemoryRack, run: Run) -> None:
    rack.add_node("node-1").hat.problem = "it refuses over_current_ma = 5900"
    assert "node-1: HAT is online: it refuses over_current_ma = 5900" in run("nodes").stdout


def test_a_rack_without_nodes_says_how_to_add_one(rack: MemoryRack, run: Run) -> None:
    assert "[[node]]" in run("nodes").stdout
    assert not rack.nodes


def test_nodes_come_from_all_pages(rack: MemoryRack, run: Run) -> None:
    rack.page_limit = 2
    for number in range(5):
        rack.add_node(f"node-{number}")
    assert len(parsed(run("nodes", "--json").stdout, rack_pb2.Node)) == 5


def test_nodes_in_json_are_the_api_s_nodes(rack: MemoryRack, run: Run) -> None:
    node = rack.add_node("node-1", last_line="grüße\x1b[2J")
    assert parsed(run("nodes", "--json").stdout, rack_pb2.Node) == [node]


def test_json_has_every_field_by_its_name_in_the_proto(rack: MemoryRack, run: Run) -> None:
    rack.add_node("node-1")
    fields = json.loads(run("nodes", "--json").stdout)
    assert set(fields) == {field.name for field in rack_pb2.Node.DESCRIPTOR.fields} - {"power_wait"}


def test_info_tells_about_the_rack(rack: MemoryRack, run: Run) -> None:
    rack.add_node("node-1")
    output = run("info").stdout
    assert "shelf" in output
    assert "1, 1 online" in output
    [info] = parsed(run("info", "--json").stdout, rack_pb2.RackInfo)
    assert info == rack_pb2.RackInfo(
        display_name="shelf",
        version="0.1.0",
        start_time=info.start_time,
        node_count=1,
        online_count=1,
        supply_uw=3_120_000,
    )


def test_identify_blinks_for_ten_seconds_or_as_told(rack: MemoryRack, run: Run) -> None:
    rack.add_node("node-1")
    run("identify", "node-1")
    run("identify", "nodes/node-1", "--seconds", "0")
    assert rack.requests == [
        rack_pb2.IdentifyNodeRequest(name="nodes/node-1", duration=Duration(seconds=seconds)) for seconds in (10, 0)
    ]
    assert json.loads(run("identify", "node-1", "--json").stdout) == {"name": "nodes/node-1"}


def test_boots_are_listed_newest_first(rack: MemoryRack, run: Run) -> None:
    rack.page_limit = 2
    rack.add_node("node-1")
    for number in range(1, 6):
        rack.add_boot("node-1", number)
    rack.add_gap("node-1", 5, 512, "ring_full")
    assert [line.split()[0] for line in run("boots", "node-1").stdout.splitlines()] == ["BOOT", *"54321"]
    boots = parsed(run("boots", "node-1", "--json", "--limit", "3").stdout, rack_pb2.Boot)
    assert [boot.name for boot in boots] == [f"nodes/node-1/boots/{number}" for number in (5, 4, 3)]
    assert boots[0].lost_bytes == 512


def test_a_node_that_never_booted_says_so(rack: MemoryRack, run: Run) -> None:
    rack.add_node("node-1")
    assert run("boots", "node-1").stdout == "node-1 has not booted yet.\n"


def test_events_come_oldest_first_with_what_was_lost(rack: MemoryRack, run: Run) -> None:
    rack.add_node("node-1")
    rack.add_event("started", "hostd started")
    rack.add_event("over_current", "5.31 A is more than the limit of 3.00 A\x1b[2J", "node-1", lost_before=3)
    first, lost, second = run("events").stdout.splitlines()
    assert first.split()[2:] == ["rack", "started", "hostd", "started"]
    assert lost == "--- 3 lost before this ---"
    assert second.endswith(r"3.00 A\x1b[2J")
    assert parsed(run("events", "node-1", "--json").stdout, rack_pb2.Event) == rack.events[1:]


def test_only_the_newest_events_are_shown(rack: MemoryRack, run: Run) -> None:
    rack.page_limit = 2
    for number in range(9):
        rack.add_event("tick", str(number))
    assert [line.split()[-1] for line in run("events", "-n", "5").stdout.splitlines()] == list("45678")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("on",), rack_pb2.SetPowerRequest(action=rack_pb2.POWER_ACTION_ON)),
        (("off",), rack_pb2.SetPowerRequest(action=rack_pb2.POWER_ACTION_OFF)),
        (
            ("off", "--grace", "2.5", "--force"),
            rack_pb2.SetPowerRequest(
                action=rack_pb2.POWER_ACTION_OFF, grace=Duration(seconds=2, nanos=500_000_000), force=True
            ),
        ),
        (("force-off",), rack_pb2.SetPowerRequest(action=rack_pb2.POWER_ACTION_FORCE_OFF)),
        (
            ("cycle", "--off-time", "3"),
            rack_pb2.SetPowerRequest(action=rack_pb2.POWER_ACTION_CYCLE, off_time=Duration(seconds=3)),
        ),
    ],
)
def test_power_asks_for_what_was_said(
    rack: MemoryRack, run: Run, arguments: tuple[str, ...], expected: rack_pb2.SetPowerRequest
) -> None:
    rack.add_node("node-1")
    run("power", *arguments, "node-1")
    expected.name = "nodes/node-1"
    assert rack.requests == [expected]


def test_power_shows_what_was_measured_and_how_long_it_took(rack: MemoryRack, run: Run) -> None:
    rack.add_node("node-1")
    assert run("power", "on", "node-1").stdout.split() == ["node-1", "on", "5.098", "V", "0.612", "A", "in", "1.2", "s"]
    fields = json.loads(run("power", "off", "node-1", "--json").stdout)
    told = {
        "name": "nodes/node-1",
        "supply_state": "SUPPLY_STATE_OFF",
        "supply_uv": "12000",
        "supply_ua": "0",
        "duration": "1.240s",
    }
    assert told.items() <= fields.items()


def test_several_nodes_move_once_each_and_failures_do_not_stop_the_others(rack: MemoryRack, run: Run) -> None:
    for name in ("node-1", "node-2", "node-3"):
        rack.add_node(name)
    rack.refusals["node-2"] = (grpc.StatusCode.UNAVAILABLE, "HAT is offline: the port is not there")
    result = run("power", "on", "node-1", "node-2", "node-3", "nodes/node-1", code=1)
    assert sorted(line.split()[0] for line in result.stdout.splitlines()) == ["node-1", "node-3"]
    assert result.stderr == "racklet: node-2: HAT is offline: the port is not there\n"


def test_a_failed_move_is_in_the_json_too(rack: MemoryRack, run: Run) -> None:
    rack.add_node("node-1")
    rack.refusals["node-1"] = (grpc.StatusCode.ABORTED, "another power transaction runs")
    assert json.loads(run("power", "on", "node-1", "--json", code=1).stdout) == {
        "name": "nodes/node-1",
        "error": {"status": "ABORTED", "message": "node-1: another power transaction runs"},
    }


def test_the_exit_code_is_that_of_failures_that_are_alike(rack: MemoryRack, run: Run) -> None:
    rack.add_node("node-1")
    run("power", "on", "node-8", "node-9", "node-1", code=4)
    rack.refusals["node-8"] = (grpc.StatusCode.ABORTED, "busy")
    run("power", "on", "node-8", "node-9", "node-1", code=1)


def test_all_nodes_need_a_yes(rack: MemoryRack, run: Run) -> None:
    rack.add_node("node-1")
    rack.add_node("node-2")
    run("power", "off", "--all", code=2)
    assert not [request for request in rack.requests if isinstance(request, rack_pb2.SetPowerRequest)]
    run("power", "off", "--all", "--yes")
    assert {request.name for request in rack.requests[-2:]} == {"nodes/node-1", "nodes/node-2"}  # type: ignore[attr-defined]


def test_all_of_no_nodes_is_a_failure(rack: MemoryRack, run: Run) -> None:
    assert not rack.nodes
    assert run("power", "off", "--all", "--yes", code=1).stderr == "racklet: the rack has no nodes\n"


@pytest.mark.parametrize("arguments", [("on",), ("on", "--all", "node-1"), ("off", "node-1", "--grace", "601")])
def test_power_refuses_wrong_usage(rack: MemoryRack, run: Run, arguments: tuple[str, ...]) -> None:
    rack.add_node("node-1")
    run("power", *arguments, code=2)
    assert not rack.requests
