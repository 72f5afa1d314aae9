"""Captures of real boots over the link: stored byte for byte, with the right phases in the right order."""

from pathlib import Path

import pytest

from racklet.v1 import rack_pb2
from tests.hostd.doctor.test_diagnosis import CAPTURED, CAPTURES
from tests.hostd.rig import running_rack, until

UART_BYTES = 448  # what a HAT reads from its UART at a time, at most


@pytest.mark.parametrize("name", sorted(CAPTURED))
async def test_a_capture_is_stored_byte_for_byte_with_its_phases(tmp_path: Path, name: str) -> None:
    path = CAPTURES / f"{name}.log"
    if not path.exists():
        pytest.skip("the captures of real boots are not here")
    data, (phases, findings) = path.read_bytes(), CAPTURED[name]
    async with running_rack(tmp_path) as rig:
        hat = rig.hats["node-1"]
        hat.boot()
        for start in range(0, len(data), UART_BYTES):
            hat.say(data[start : start + UART_BYTES])
        await until(lambda: hat.all_acknowledged)
        boot = "nodes/node-1/boots/1"
        pieces = [piece async for piece in rig.rack.ReadBootLog(rack_pb2.ReadBootLogRequest(name=boot))]
        told = await rig.rack.DiagnoseNode(rack_pb2.DiagnoseNodeRequest(name="nodes/node-1", boot=boot))
        node = await rig.until_node(lambda node: node.phase == list(phases)[-1])
    assert b"".join(piece.data for piece in pieces) == data
    assert [phase.phase for phase in told.phases] == list(phases)
    assert all(data[phase.offset :].startswith(phases[phase.phase]) for phase in told.phases)
    assert [finding.signature for finding in told.findings] == list(node.findings) == findings


def test_every_capture_that_is_here_is_tried() -> None:
    if not CAPTURES.exists():
        pytest.skip("the captures of real boots are not here")
    assert {path.stem for path in CAPTURES.glob("*.log")} == set(CAPTURED)
