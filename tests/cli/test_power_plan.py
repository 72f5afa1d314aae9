"""The power budget and the audit log, as people see them."""

import json

import pytest
from google.protobuf.duration_pb2 import Duration

from racklet.v1 import rack_pb2
from tests.cli.conftest import Run, Start
from tests.cli.memory_rack import MemoryRack, stamp


def claim(name: str, phase: rack_pb2.PowerPhase.ValueType, **fields: object) -> rack_pb2.PowerClaim:
    return rack_pb2.PowerClaim(node=f"nodes/{name}", phase=phase, peak_mw=7_000, inrush_mw=15_000, **fields)  # type: ignore[arg-type]


@pytest.fixture
def plan(rack: MemoryRack) -> rack_pb2.GetPowerPlanResponse:
    plan = rack.power_plan
    plan.is_configured = True
    plan.capacity_mw, plan.reserve_mw, plan.claimed_mw, plan.drawn_mw = 60_000, 6_000, 22_500, 9_300
    plan.exceed_limit.seconds = 30
    wait = rack_pb2.PowerWait(position=1, reason="it needs 15.0 W more, and 1.5 W of 54.0 W are free")
    measured = {"measured_peak_mw": 7_500, "drawn_mw": 4_100, "shed_position": 2}
    plan.claims.extend(
        [
            claim("node-1", rack_pb2.POWER_PHASE_ON, claim_mw=7_500, priority=10, **measured),
            claim("node-2", rack_pb2.POWER_PHASE_STARTING, claim_mw=15_000, shed_position=1),
            claim("node-3", rack_pb2.POWER_PHASE_OFF, wait=wait),
            claim("node-4", rack_pb2.POWER_PHASE_UNSPECIFIED, claim_mw=7_000),
        ]
    )
    return plan


def test_the_plan_is_a_table_with_who_waits_and_who_would_be_shed(
    plan: rack_pb2.GetPowerPlanResponse, run: Run
) -> None:
    assert plan.is_configured
    lines = run("power", "plan").stdout.splitlines()
    assert lines[0] == "Supply 60.0 W, reserve 6.0 W: the limit is 54.0 W. Claimed 22.5 W, drawn 9.3 W."
    columns = "NODE STATE PRIORITY PEAK MEASURED INRUSH CLAIM DRAWN QUEUE SHED"
    assert [" ".join(line.split()) for line in lines[2:7]] == [
        columns,
        "node-1 on 10 7.0 7.5 15.0 7.5 4.1 - 2",
        "node-2 starting 0 7.0 - 15.0 15.0 - - 1",
        "node-3 off 0 7.0 - 15.0 - - 1 -",
        "node-4 unknown 0 7.0 - 15.0 7.0 - - -",
    ]
    assert lines[7] == "node-3 waits for power at place 1: it needs 15.0 W more, and 1.5 W of 54.0 W are free"


def test_a_plan_that_is_exceeded_says_what_will_happen(plan: rack_pb2.GetPowerPlanResponse, run: Run) -> None:
    plan.exceed_time.CopyFrom(stamp(5))
    plan.claims[1].is_shed = True
    output = run("power", "plan").stdout
    assert "The budget is exceeded since" in output
    assert "after 30.0 s nodes are shed" in output
    assert "shedding" in output


def test_the_plan_in_json_is_the_api_s(plan: rack_pb2.GetPowerPlanResponse, run: Run) -> None:
    fields = json.loads(run("power", "plan", "--json").stdout)
    assert fields["capacity_mw"] == "60000"
    assert [each["node"] for each in fields["claims"]] == [each.node for each in plan.claims]


def test_without_a_budget_the_plan_says_how_to_have_one(rack: MemoryRack, run: Run) -> None:
    assert not rack.power_plan.is_configured
    assert "set capacity_w in [power]" in run("power", "plan").stdout


def test_the_budget_is_changed_in_watts(rack: MemoryRack, run: Run) -> None:
    assert run("power", "budget", "45.5").stdout == "The rack goes by a supply of 45.5 W until hostd starts again.\n"
    assert rack.requests == [rack_pb2.SetPowerBudgetRequest(capacity_mw=45_500)]
    assert run("power", "budget", "45", "--json").stdout == "{}\n"
    run("power", "budget", "0", code=2)


def test_who_switches_on_is_told_what_waits_for_what(rack: MemoryRack, start: Start) -> None:
    rack.add_node("node-1")
    waiting = rack.add_node("node-2")
    waiting.power_wait.position, waiting.power_wait.reason = 1, "it needs 15.0 W more, and 3.0 W of 60.0 W are free"
    process = start("power", "on", "node-1", "node-2")
    assert process.stderr is not None
    told = process.stderr.readline().decode()
    with rack.changed:
        waiting.ClearField("power_wait")
        rack.changed.notify_all()
    output, errors = process.communicate(timeout=20)
    assert told == ("racklet: node-2 waits for power at place 1: it needs 15.0 W more, and 3.0 W of 60.0 W are free\n")
    assert sorted(line.split()[0] for line in output.decode().splitlines()) == ["node-1", "node-2"]
    assert (errors, process.returncode) == (b"", 0)


def entry(sequence: int, kind: str, **fields: object) -> rack_pb2.AuditEntry:
    about = {"who": "uid 1000", "method": "SetPower", "node": "node-1", "arguments": "action=on"}
    return rack_pb2.AuditEntry(sequence=sequence, kind=kind, entry_time=stamp(sequence), **(about | fields))  # type: ignore[arg-type]


def test_the_audit_log_is_a_table_with_a_row_for_each_call(rack: MemoryRack, run: Run) -> None:
    rack.page_limit = 2
    took = Duration(seconds=1, nanos=200_000_000)
    rack.audit_entries += [
        entry(1, "asked", outcome=""),
        entry(2, "asked", who="policy:budget", node="node-2"),
        entry(3, "ended", asked=1, outcome="OK", duration=took),
        entry(4, "ended", asked=2, who="policy:budget", node="node-2", outcome="it is\x1b[2J offline"),
        entry(5, "asked", node="node-3"),
        entry(6, "late", node="node-3", outcome="not_reached"),
        entry(7, "note", who="", method="torn", node="", arguments="cut_bytes=12"),
    ]
    rows = [line.split("  ") for line in run("audit").stdout.splitlines()]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert cells[0] == ["ENTRY", "TIME", "WHO", "WHAT", "NODE", "WITH", "TOOK", "OUTCOME"]
    assert [[*row[:1], *row[2:]] for row in cells[1:]] == [
        ["1", "uid 1000", "SetPower", "node-1", "action=on", "1.2 s", "OK"],
        [
            "2",
            "policy:budget",
            "SetPower",
            "node-2",
            "action=on",
            "0.0 s",
            r"it is\x1b[2J offline",
        ],
        ["5", "uid 1000", "SetPower", "node-3", "action=on", "no end on record"],
        ["6", "uid 1000", "SetPower (late)", "node-3", "action=on", "0.0 s", "not_reached"],
        ["7", "hostd", "torn", "-", "cut_bytes=12", "0.0 s"],
    ]
    assert [json.loads(line)["sequence"] for line in run("audit", "--json", "-n", "3").stdout.splitlines()] == list(
        "567"
    )


def test_a_log_that_is_whole_and_one_that_is_not(rack: MemoryRack, run: Run) -> None:
    rack.audit_verdict.first_sequence, rack.audit_verdict.last_sequence = 1, 7
    rack.audit_verdict.last_hash = "ab" * 32
    output = run("audit", "--verify").stdout
    assert output.startswith(f"The audit log is whole, from entry 1 to 7.\nThe last hash is {'ab' * 32}.\n")
    rack.audit_verdict.problem = "000000000001.jsonl:3: it was changed, for its hash is another"
    output = run("audit", "--verify", code=1).stdout
    assert output == "The audit log is not whole: 000000000001.jsonl:3: it was changed, for its hash is another\n"
    assert json.loads(run("audit", "--verify", "--json", code=1).stdout)["last_sequence"] == "7"
