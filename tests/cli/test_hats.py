"""The commands about HATs: what they print and ask for."""

from __future__ import annotations

import json

from racklet.v1 import rack_pb2
from tests.cli.conftest import Run
from tests.cli.memory_rack import MemoryRack

FIRST, SECOND = "e66118604b2f7a21", "e66130100f5a6c2b"


def plug(rack: MemoryRack, hat_id: str, **fields: object) -> rack_pb2.SeenHat:
    """Put a HAT into the rack that nobody has adopted, unless `fields` say otherwise."""
    about = {"standing": rack_pb2.HAT_STANDING_UNADOPTED, "slot": "usb-1.1", "board": "hat-a", "firmware": "0.1.0"}
    hat = rack_pb2.SeenHat(name=f"hats/{hat_id}", **(about | fields))
    rack.hats.append(hat)
    return hat


def test_hats_are_a_table_and_what_is_wrong_stands_below(rack: MemoryRack, run: Run) -> None:
    plug(rack, FIRST, standing=rack_pb2.HAT_STANDING_ADOPTED, node="nodes/node-1")
    plug(rack, SECOND, slot="usb-1.2\x1b[2J", problem="nobody has adopted it")
    plug(rack, SECOND, standing=99, slot="")
    lines = run("hats").stdout.splitlines()
    assert lines[0].split() == ["HAT", "STATE", "SLOT", "NODE", "BOARD", "FIRMWARE"]
    assert lines[1].split() == [FIRST, "adopted", "usb-1.1", "node-1", "hat-a", "0.1.0"]
    assert lines[2].split()[:2] == [SECOND, "unadopted"]
    assert lines[3].split()[:4] == [SECOND, "unknown", "-", "-"]
    assert "nobody has adopted it" in lines[4]
    assert "\x1b" not in "".join(lines)


def test_hats_in_json_are_the_api_s_hats(rack: MemoryRack, run: Run) -> None:
    plug(rack, FIRST)
    (line,) = run("hats", "--json").stdout.splitlines()
    assert json.loads(line)["name"] == f"hats/{FIRST}"


def test_without_hats_it_says_where_they_are_looked_for(rack: MemoryRack, run: Run) -> None:
    assert not rack.hats
    assert "racklet doctor" in run("hats").stdout


def test_a_hat_is_adopted_by_the_begin_of_its_id(rack: MemoryRack, run: Run) -> None:
    plug(rack, FIRST)
    plug(rack, SECOND)
    assert run("adopt", "E6611", "--node", "node-1").stdout == f"{FIRST} is the HAT of node-1 now\n"
    assert rack.requests[-1] == rack_pb2.AdoptHatRequest(name=f"hats/{FIRST}", node="nodes/node-1")
    run("adopt", f"hats/{SECOND}", "--node", "node-1", "--replace")
    assert rack.requests[-1].replace


def test_the_begin_of_several_ids_is_refused_with_all_of_them(rack: MemoryRack, run: Run) -> None:
    plug(rack, FIRST)
    plug(rack, SECOND)
    result = run("adopt", "e661", "--node", "node-1", code=1)
    assert f"several HATs begin with e661: {FIRST}, {SECOND}" in result.output


def test_a_hat_that_is_not_there_is_not_found(rack: MemoryRack, run: Run) -> None:
    plug(rack, FIRST)
    assert "there is no HAT abcd" in run("adopt", "abcd", "--node", "node-1", code=4).output


def test_forgetting_a_hat_that_is_away_says_what_it_still_holds(rack: MemoryRack, run: Run) -> None:
    plug(rack, FIRST)
    plug(rack, SECOND, slot="")
    assert run("forget", FIRST).stdout == f"{FIRST} is forgotten\n"
    assert "reset it to factory state" in run("forget", SECOND).stdout
    assert json.loads(run("forget", SECOND, "--json").stdout) == {"key_forgotten": False}


def test_a_hat_without_a_node_can_be_asked_to_blink(rack: MemoryRack, run: Run) -> None:
    plug(rack, FIRST)
    run("identify", f"hats/{FIRST}")
    assert rack.requests[-1].name == f"hats/{FIRST}"
