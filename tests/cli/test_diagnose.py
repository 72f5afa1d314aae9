"""What `racklet diagnose` prints, and how it ends."""

import pytest
from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration

from racklet.v1 import rack_pb2
from tests.cli.conftest import Run
from tests.cli.memory_rack import MemoryRack, stamp


@pytest.fixture
def panicked(rack: MemoryRack) -> rack_pb2.DiagnoseNodeResponse:
    """Add a node whose newest boot, the 17th, ended in a panic."""
    rack.add_node("node-1")
    response = rack_pb2.DiagnoseNodeResponse(
        boot="nodes/node-1/boots/17",
        phases=[
            rack_pb2.BootPhase(
                phase="u-boot", offset=4, start_time=stamp(0), duration=Duration(seconds=3), energy_uj=9_600_000
            ),
            rack_pb2.BootPhase(phase="kernel", offset=900, start_time=stamp(3), duration=Duration(seconds=4000)),
        ],
        findings=[
            rack_pb2.Finding(
                signature="kernel-panic",
                phase="kernel",
                offset=4711,
                find_time=stamp(5),
                line="Kernel panic - not syncing: \x1b[2Jno root [bold]fs",
                meaning="The kernel stopped.",
                advice="Read the lines before it.",
                count=3,
            )
        ],
        verdict="It reached kernel; found: kernel-panic.",
    )
    rack.diagnoses["nodes/node-1/boots/-"] = response
    return response


def test_phases_and_findings_are_told_and_the_exit_code_says_that_there_are_some(
    panicked: rack_pb2.DiagnoseNodeResponse, run: Run
) -> None:
    lines = run("diagnose", "node-1", code=1).stdout.splitlines()
    assert lines[0] == f"node-1, boot 17: {panicked.verdict}"
    assert [line.split()[0] for line in lines[2:5]] == ["PHASE", "u-boot", "kernel"]
    assert lines[3].split()[-6:] == ["3.0", "s", "9.6", "J", "3.20", "4"]
    assert lines[4].split()[-4:] == ["1:06:40", "-", "-", "900"]
    assert lines[6].startswith("kernel-panic  in kernel, at ")
    assert lines[6].endswith(", offset 4711, 3 times")
    assert lines[7:] == [
        r"  seen   Kernel panic - not syncing: \x1b[2Jno root [bold]fs",
        "  means  The kernel stopped.",
        "  try    Read the lines before it.",
    ]


def test_a_boot_without_findings_ends_with_zero(rack: MemoryRack, run: Run) -> None:
    rack.add_node("node-1")
    verdict = "It reached login, and nothing was found wrong."
    rack.diagnoses["nodes/node-1/boots/3"] = rack_pb2.DiagnoseNodeResponse(
        boot="nodes/node-1/boots/3", verdict=verdict, skipped_bytes=5
    )
    assert run("diagnose", "node-1", "--boot", "3").stdout.splitlines() == [
        f"node-1, boot 3: {verdict}",
        "",
        "5 bytes in the middle of the log were not looked at.",
    ]


def test_json_is_the_api_s_answer(panicked: rack_pb2.DiagnoseNodeResponse, run: Run) -> None:
    output = run("diagnose", "node-1", "--json", code=1).stdout
    assert json_format.Parse(output, rack_pb2.DiagnoseNodeResponse()) == panicked


def test_a_boot_that_is_not_kept_is_not_found(rack: MemoryRack, run: Run) -> None:
    rack.add_node("node-1")
    run("diagnose", "node-1", "--boot", "9", code=4)
