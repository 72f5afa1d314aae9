"""A graceful off asks the node by its console or by a command, beside the HAT's pin."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from racklet.link.v1 import link_pb2
from racklet.v1 import rack_pb2
from tests.hostd.pty_hat import PtyHat
from tests.hostd.rig import Rig, running_rack, until

ON, OFF, FORCE_OFF = rack_pb2.POWER_ACTION_ON, rack_pb2.POWER_ACTION_OFF, rack_pb2.POWER_ACTION_FORCE_OFF
CYCLE = rack_pb2.POWER_ACTION_CYCLE


class ListeningHat(PtyHat):
    """A HAT that remembers what had been typed when it was asked for power."""

    typed_before = b""

    def set_power(self, request_id: int, action: int, grace_ms: int, force: int, off_ms: int) -> int:
        self.typed_before = bytes(self.typed)
        return super().set_power(request_id, action, grace_ms, force, off_ms)


def asked(folder: Path, **fields: object) -> dict[str, object]:
    """Return the section of a config with one node that is asked to shut down in this way."""
    return {"node": [{"name": "node-1", "port": str(folder / "ports" / "node-1"), **fields}]}


def program(folder: Path, text: str) -> list[str]:
    """Return the command that runs this program."""
    path = folder / "shutdown"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return [str(path), "now and then"]


def is_running(pid_file: Path) -> bool:
    return Path("/proc", pid_file.read_text().strip()).exists()


async def set_power(rig: Rig, action: rack_pb2.PowerAction.ValueType = OFF) -> rack_pb2.SetPowerResponse:
    return await rig.rack.SetPower(rack_pb2.SetPowerRequest(name="nodes/node-1", action=action))


async def failures(rig: Rig, count: int = 1) -> list[str]:
    """Return what is told of failed shutdowns, as soon as it is so much."""
    found: list[str] = []
    async with asyncio.timeout(20):
        while len(found) < count:
            response = await rig.rack.ListEvents(rack_pb2.ListEventsRequest(page_size=100))
            found = [event.message for event in response.events if event.kind == "shutdown_failed"]
            await asyncio.sleep(0.01)
    return found


async def test_the_shutdown_is_typed_before_the_hat_is_asked(tmp_path: Path) -> None:
    with ListeningHat(tmp_path / "ports" / "node-1") as hat:
        section = asked(tmp_path, shutdown_console="poweroff\n")
        async with running_rack(tmp_path, hats={"node-1": hat}, **section) as rig:
            await set_power(rig)
    assert hat.typed_before == b"poweroff\n"
    assert [request[1] for request in hat.power_requests] == [link_pb2.POWER_ACTION_OFF]


@pytest.mark.parametrize("action", [ON, FORCE_OFF, CYCLE])
async def test_only_a_graceful_off_asks_the_node(tmp_path: Path, action: rack_pb2.PowerAction.ValueType) -> None:
    async with running_rack(tmp_path, **asked(tmp_path, shutdown_console="poweroff\n")) as rig:
        await set_power(rig, action)
        await set_power(rig)
        await until(lambda: rig.hats["node-1"].typed)
    assert rig.hats["node-1"].typed == b"poweroff\n"


async def test_an_off_that_is_refused_types_nothing(tmp_path: Path) -> None:
    async with running_rack(tmp_path, **asked(tmp_path, shutdown_console="poweroff\n")) as rig:
        hat = rig.hats["node-1"]
        hat.power_result = link_pb2.RESULT_PENDING
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(set_power(rig))
            await until(lambda: hat.power_requests and hat.typed)
            with pytest.raises(Exception, match="another power transaction"):
                await set_power(rig)
            hat.finish_power(link_pb2.RESULT_DONE)
    assert hat.typed == b"poweroff\n"


async def test_the_command_gets_its_words_as_they_are(tmp_path: Path) -> None:
    command = program(tmp_path, f'echo "$# $1" > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/told')
    async with running_rack(tmp_path, **asked(tmp_path, shutdown_command=command)) as rig:
        response = await set_power(rig)
        await until((tmp_path / "told").exists)
        assert response.supply_state == rack_pb2.SUPPLY_STATE_ON  # as this HAT measures
    assert (tmp_path / "told").read_text() == "1 now and then\n"


async def test_a_command_that_fails_is_told_and_the_off_goes_on(tmp_path: Path) -> None:
    command = program(tmp_path, "echo no route to host >&2; exit 7")
    async with running_rack(tmp_path, **asked(tmp_path, shutdown_command=command)) as rig:
        await set_power(rig)
        why = f"{command[0]} ended with 7: no route to host"
        assert await failures(rig) == [f"The shutdown command of node-1 failed: {why}."]
        assert [request[1] for request in rig.hats["node-1"].power_requests] == [link_pb2.POWER_ACTION_OFF]


async def test_a_command_that_hangs_does_not_hold_the_off_and_is_killed(tmp_path: Path) -> None:
    command = program(tmp_path, f"echo $$ > {tmp_path}/pid\nexec sleep 1000")
    section = asked(tmp_path, shutdown_command=command, shutdown_timeout_s=1)
    async with running_rack(tmp_path, **section) as rig:
        await set_power(rig)
        told = await failures(rig)
    assert told == [f"The shutdown command of node-1 failed: {command[0]} did not end within 1 s."]
    assert not is_running(tmp_path / "pid")


async def test_a_command_that_runs_when_hostd_ends_is_killed(tmp_path: Path) -> None:
    command = program(tmp_path, f"echo $$ > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid\nexec sleep 1000")
    async with running_rack(tmp_path, **asked(tmp_path, shutdown_command=command)) as rig:
        await set_power(rig)
        await until((tmp_path / "pid").exists)
    assert not is_running(tmp_path / "pid")


async def test_a_command_that_is_not_there_is_told_each_time(tmp_path: Path) -> None:
    section = asked(tmp_path, shutdown_command=["/nowhere/poweroff"])
    async with running_rack(tmp_path, **section) as rig:
        await set_power(rig)
        await failures(rig, 1)
        await set_power(rig)
        assert len(await failures(rig, 2)) == 2


async def test_what_the_line_does_not_take_is_told(tmp_path: Path) -> None:
    async with running_rack(tmp_path, **asked(tmp_path, shutdown_console="poweroff\n")) as rig:
        hat = rig.hats["node-1"]
        hat.type_room = 0
        session = rig.daemon.rack.node("node-1")._online_session
        assert session is not None
        while session.type_console(b"x" * 100):
            pass
        await set_power(rig)
        why = "the line took 0 bytes of 9, for others are still to be typed"
        assert await failures(rig) == [f"The shutdown of node-1 was not typed on its console as a whole: {why}."]
        assert [request[1] for request in hat.power_requests] == [link_pb2.POWER_ACTION_OFF]
