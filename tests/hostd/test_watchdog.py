"""The watchdog at work: a node that gives no sign of life is reported, and cycled when its config says so."""

from __future__ import annotations

import socket
from pathlib import Path

from racklet.link.v1 import link_pb2
from racklet.v1 import rack_pb2
from tests.hostd.rig import Rig, running_rack, until

SILENT_TOO_LONG = {"node": "node-1", "boot_s": 0, "console_silence_s": 1, "cycles_per_hour": 1}


def told(rig: Rig, kind: str) -> list[str]:
    """Return the messages of the events of this kind, newest first."""
    return [event.message for event in rig.daemon.rack.events.store.list("node-1", None, 100) if event.kind == kind]


async def test_a_silent_node_is_reported_and_cycled(tmp_path: Path) -> None:
    async with running_rack(tmp_path, watchdog=[SILENT_TOO_LONG]) as rig:
        hat = rig.hats["node-1"]
        await until(lambda: hat.power_requests)
        assert hat.power_requests[0][1] == link_pb2.POWER_ACTION_CYCLE
        assert told(rig, "node_silent")[0].endswith("s. Its supply is cycled.")


async def test_what_the_watchdog_does_is_in_the_audit_log(tmp_path: Path) -> None:
    async with running_rack(tmp_path, watchdog=[SILENT_TOO_LONG]) as rig:
        await until(lambda: rig.hats["node-1"].power_requests)
        answer = await rig.rack.ListAuditEntries(rack_pb2.ListAuditEntriesRequest())
        assert {(entry.who, entry.method, entry.node) for entry in answer.entries} == {
            ("policy:watchdog", "SetPower", "node-1")
        }


async def test_a_cycle_that_is_refused_is_told(tmp_path: Path) -> None:
    async with running_rack(tmp_path, watchdog=[SILENT_TOO_LONG]) as rig:
        rig.hats["node-1"].power_result = link_pb2.RESULT_NO_MONITOR
        await until(lambda: told(rig, "watchdog_failed"))
        assert "does not switch on blind" in told(rig, "watchdog_failed")[0]


async def test_a_node_that_fails_its_probe_is_only_reported_when_nothing_else_is_asked_for(tmp_path: Path) -> None:
    with socket.socket() as nobody:  # bound, and never listening: connections are refused
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        watchdog = {"node": "node-1", "boot_s": 0, "probe_tcp": address, "probe_every_s": 1, "probe_failures": 2}
        async with running_rack(tmp_path, watchdog=[watchdog]) as rig:
            await until(lambda: told(rig, "node_silent"))
            assert told(rig, "node_silent")[0] == (
                f"node-1: 2 probes in a row failed: {address}: Connection refused. It is left as it is."
            )
            assert rig.hats["node-1"].power_requests == []


async def test_a_node_that_speaks_again_is_told(tmp_path: Path) -> None:
    async with running_rack(tmp_path, watchdog=[SILENT_TOO_LONG | {"cycles_per_hour": 0}]) as rig:
        hat = rig.hats["node-1"]
        hat.boot()
        await until(lambda: told(rig, "node_silent"))
        hat.say(b"here I am\n")
        await until(lambda: told(rig, "node_back"))
        assert told(rig, "node_back") == ["node-1: it gives signs of life again."]
