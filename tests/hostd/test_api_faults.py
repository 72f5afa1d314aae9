"""RunFaults against HATs on ptys: what is refused, what is done, and that everything is given back."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from racklet.link.v1 import link_pb2
from racklet.v1 import rack_pb2, rack_pb2_grpc
from racklet_hostd.caller import BUDGET_POLICY, WATCHDOG_POLICY, Caller
from racklet_hostd.model import PowerAction
from racklet_hostd.power import PowerWish
from racklet_hostd.refusals import NodeTakenError
from racklet_hostd.store import StoreLimits
from racklet_hostd.store.debts import FILE_NAME
from tests.hostd.pty_hat import PtyHat
from tests.hostd.rig import Rig, config_for, running_daemon, running_rack, until
from tests.hostd.switching_hat import (
    CYCLE,
    FORCE_OFF,
    OFF,
    ON,
    SwitchingHat,
    audit_of,
    events_of,
    hat_of,
    refusal_of,
    set_power,
)

CUT = '[[fault]]\nnode = "node-1"\nwhat = "cut"\nafter_s = 0\nfor_s = 0.05\n'
HOLD = 'limit_s = 60\n[[fault]]\nnode = "node-1"\nwhat = "hold-off"\nafter_s = 0\n'


def hats_on(folder: Path, count: int, plugged: ExitStack) -> dict[str, PtyHat]:
    hats: dict[str, PtyHat] = {}
    for number in range(1, count + 1):
        hat = SwitchingHat(folder / "ports" / f"node-{number}", 1000 * number)
        hat.become(link_pb2.SUPPLY_STATE_ON)
        hats[f"node-{number}"] = plugged.enter_context(hat)
    return hats


@asynccontextmanager
async def faults_rack(folder: Path, count: int = 1, **sections: Any) -> AsyncIterator[Rig]:  # noqa: ANN401
    """Run hostd with nodes that are on and do what they are asked."""
    names = tuple(f"node-{number}" for number in range(1, count + 1))
    with ExitStack() as plugged:
        hats = hats_on(folder, count, plugged)
        async with running_rack(folder, names, hats=hats, **sections) as rig:
            yield rig


def call_of(rig: Rig, script: str, **fields: Any) -> grpc.aio.UnaryStreamCall[Any, rack_pb2.RunFaultsResponse]:  # noqa: ANN401
    return rig.rack.RunFaults(rack_pb2.RunFaultsRequest(script=script, file="lesson.toml", **fields))


async def run(rig: Rig, script: str, **fields: Any) -> list[rack_pb2.RunFaultsResponse]:  # noqa: ANN401
    """Run a script to its end."""
    async with asyncio.timeout(20):
        return [response async for response in call_of(rig, script, **fields)]


async def rest_of(call: grpc.aio.UnaryStreamCall[Any, rack_pb2.RunFaultsResponse]) -> list[rack_pb2.RunFaultsResponse]:
    """Read what is left of a run."""
    rest: list[rack_pb2.RunFaultsResponse] = []
    async with asyncio.timeout(20):
        while isinstance(response := await call.read(), rack_pb2.RunFaultsResponse):
            rest.append(response)
    return rest


def kinds(responses: list[rack_pb2.RunFaultsResponse]) -> list[str]:
    return [response.step.kind for response in responses if response.HasField("step")]


def actions(rig: Rig, name: str = "node-1") -> list[int]:
    return [action for _, action, *_ in rig.hats[name].power_requests]


def is_on(rig: Rig, name: str = "node-1") -> bool:
    return hat_of(rig, name).now.supply_state == link_pb2.SUPPLY_STATE_ON


def debts_in(folder: Path) -> list[dict[str, object]]:
    path = folder / "state" / FILE_NAME
    found: list[dict[str, object]] = json.loads(path.read_text()) if path.exists() else []
    return found


async def until_free(rig: Rig, name: str = "node-1") -> None:
    await rig.until_node(lambda node: not node.taken_by, name)


async def refused(rig: Rig, script: str, **fields: Any) -> tuple[grpc.StatusCode, str]:  # noqa: ANN401
    return await refusal_of(run(rig, script, **fields))


async def test_a_cut_takes_the_supply_and_gives_it_back(tmp_path: Path) -> None:
    async with faults_rack(tmp_path) as rig:
        responses = await run(rig, CUT)
        node = await rig.node()
        assert debts_in(tmp_path) == []
    assert responses[0].plan.faults[0].deed == "cut for 0.05 s"
    assert kinds(responses) == ["off", "restored"]
    assert list(responses[-1].end.problems) == []
    assert actions(rig) == [link_pb2.POWER_ACTION_FORCE_OFF, link_pb2.POWER_ACTION_ON]
    assert (node.supply_state, node.taken_by) == (rack_pb2.SUPPLY_STATE_ON, "")


async def test_a_flap_cuts_as_often_as_it_says(tmp_path: Path) -> None:
    flap = '[[fault]]\nnode = "node-1"\nwhat = "flap"\nafter_s = 0\ntimes = 3\noff_s = 0.02\non_s = [0, 0.02]\n'
    async with faults_rack(tmp_path) as rig:
        responses = await run(rig, flap)
    assert kinds(responses) == ["off", "on", "off", "on", "off", "restored"]
    assert actions(rig) == [link_pb2.POWER_ACTION_FORCE_OFF, link_pb2.POWER_ACTION_ON] * 3


async def test_nodes_of_a_script_fail_at_the_same_time(tmp_path: Path) -> None:
    async with faults_rack(tmp_path, 3) as rig:
        responses = await run(rig, "".join(CUT.replace("node-1", f"node-{n}") for n in (1, 2, 3)))
    assert sorted(kinds(responses)) == ["off"] * 3 + ["restored"] * 3
    assert all(len(rig.hats[f"node-{number}"].power_requests) == 2 for number in (1, 2, 3))


async def test_a_line_of_the_console_triggers_and_what_was_said_before_does_not(tmp_path: Path) -> None:
    script = CUT.replace("after_s = 0", "console = '^Starting kernel \\d'")
    async with faults_rack(tmp_path) as rig:
        hat = hat_of(rig)
        hat.boot()
        hat.say(b"Starting kernel 1\r\n")
        await rig.until_node(lambda node: node.log_end == 19)
        call = call_of(rig, script)
        assert (await call.read()).plan.faults[0].trigger == r"as soon as its console shows /^Starting kernel \d/"
        hat.say(b"no Starting kernel 2\r\n\x1b[32mStarting \x1b[0mkernel ")
        await rig.until_node(lambda node: node.log_end > 50)
        assert hat.power_requests == []
        hat.say(b"3\xff\n")
        steps = [await call.read() for _ in range(3)]
    assert kinds(steps) == ["triggered", "off", "restored"]
    assert steps[0].step.message == "fault 1 (cut for 0.05 s) now, since node-1 shows Starting kernel 3\ufffd"


async def test_a_phase_and_then_a_line_trigger(tmp_path: Path) -> None:
    script = CUT.replace("after_s = 0", "phase = 'kernel'\nconsole = 'mmc0'")
    async with faults_rack(tmp_path) as rig:
        hat = hat_of(rig)
        call = call_of(rig, script)
        await call.read()
        hat.boot()
        hat.say(b"mmc0: before the kernel\n[    0.000000] Linux version 6.6\n")
        await rig.until_node(lambda node: node.phase == "kernel")
        hat.say(b"[    1.000000] mmc0: new card\n")
        steps = [await call.read() for _ in range(3)]
    assert kinds(steps) == ["triggered", "off", "restored"]
    assert "1.000000] mmc0" in steps[0].step.message


async def test_a_line_before_the_phase_does_not_trigger_when_all_come_at_once(tmp_path: Path) -> None:
    script = CUT.replace("after_s = 0", "phase = 'kernel'\nconsole = 'mmc0'")
    async with faults_rack(tmp_path) as rig:
        hat = hat_of(rig)
        call = call_of(rig, script)
        await call.read()
        hat.boot()
        hat.say(b"mmc0: before the kernel\n[    0.000000] Linux version 6.6\n[    1.000000] mmc0: new card\n")
        steps = [await call.read() for _ in range(3)]
    assert "1.000000] mmc0" in steps[0].step.message


async def test_a_phase_triggers(tmp_path: Path) -> None:
    async with faults_rack(tmp_path) as rig:
        hat = hat_of(rig)
        hat.boot()
        hat.say(b"[    0.000000] Linux version 6.6\n")
        await rig.until_node(lambda node: node.phase == "kernel")
        call = call_of(rig, CUT.replace("after_s = 0", "phase = 'kernel'"))
        await call.read()
        hat.boot()
        hat.say(b"U-Boot 2024.01 (Jan 01 2024)\nStarting kernel ...\n")
        steps = [await call.read() for _ in range(3)]
    assert steps[0].step.message == "fault 1 (cut for 0.05 s) now, since node-1 has reached kernel"


async def test_a_fault_that_never_came_to_its_turn_is_a_problem(tmp_path: Path) -> None:
    script = "limit_s = 1\n" + CUT.replace("after_s = 0", "console = 'never'")
    async with faults_rack(tmp_path) as rig:
        responses = await run(rig, script)
    assert responses[-1].end.reason == "the script's limit of 1 s is reached"
    assert list(responses[-1].end.problems) == ["fault 1 never came to its turn: the script's limit of 1 s is reached"]
    assert rig.hats["node-1"].power_requests == []


async def test_a_hold_lasts_until_the_limit_and_then_all_went_as_planned(tmp_path: Path) -> None:
    async with faults_rack(tmp_path) as rig:
        responses = await run(rig, HOLD.replace("60", "1"))
    assert kinds(responses) == ["off", "restored"]
    assert list(responses[-1].end.problems) == []


@pytest.mark.parametrize("how", ["cancel", "deadline", "connection"])
async def test_when_its_caller_is_gone_the_node_is_given_back(tmp_path: Path, how: str) -> None:
    async with faults_rack(tmp_path) as rig:
        async with grpc.aio.insecure_channel(
            f"unix:{tmp_path}/run/hostd.sock", options=(("grpc.use_local_subchannel_pool", 1),)
        ) as channel:
            own: rack_pb2_grpc.RackAsyncStub = rack_pb2_grpc.RackStub(channel)
            request = rack_pb2.RunFaultsRequest(script=HOLD, file="lesson.toml")
            call = own.RunFaults(request, timeout=1 if how == "deadline" else None)
            await call.read()
            await until(lambda: not is_on(rig))
            assert [debt["node"] for debt in debts_in(tmp_path)] == ["node-1"]
            if how == "cancel":
                call.cancel()
            elif how == "deadline":
                assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await until_free(rig)
        assert is_on(rig)
        assert debts_in(tmp_path) == []
        told = [(kind, message) for _, kind, message in await events_of(rig)]
    assert ("fault_restored", "node-1 is on again, as it was (the fault script lesson.toml of uid 0)") in [
        (kind, message.replace(message[message.index("uid") : -1], "uid 0")) if "uid" in message else (kind, message)
        for kind, message in told
    ]
    assert any(kind == "faults_ended" and "its caller left" in message for kind, message in told)


async def test_hostd_that_is_asked_to_stop_gives_back_first(tmp_path: Path) -> None:
    async with faults_rack(tmp_path) as rig:
        call = call_of(rig, HOLD)
        await call.read()
        await until(lambda: not is_on(rig))
        rig.stop.set()
        rest = await rest_of(call)
        assert is_on(rig)
    assert kinds(rest) == ["off", "restored"]
    assert rest[-1].end.reason == "hostd is shutting down"
    assert debts_in(tmp_path) == []


async def test_a_new_hostd_gives_back_what_the_one_before_took(tmp_path: Path) -> None:
    owed = {"node": "node-1", "run": "the fault script lesson.toml of uid 7", "who": "policy:faults for uid 7"}
    gone = {**owed, "node": "node-9"}
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / FILE_NAME).write_text(json.dumps([{**debt, "since_ms": 1} for debt in (owed, gone)]))
    with ExitStack() as plugged:
        hat = SwitchingHat(tmp_path / "ports" / "node-1", 1000)
        plugged.enter_context(hat)
        async with running_rack(tmp_path, hats={"node-1": hat}) as rig:
            await until_free(rig)
            assert is_on(rig)
            assert debts_in(tmp_path) == []
            told = [(node, kind) for node, kind, _ in await events_of(rig) if "fault" in kind]
            who = {entry.who for entry in await audit_of(rig)}
    assert told == [("node-1", "fault_owed"), ("", "fault_failed"), ("node-1", "fault_restored"), ("", "faults_ended")]
    assert who == {"policy:faults for uid 7"}


async def test_what_is_owed_waits_for_the_hat(tmp_path: Path) -> None:
    owed = {"node": "node-1", "run": "the fault script x of uid 7", "who": "policy:faults for uid 7", "since_ms": 1}
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / FILE_NAME).write_text(json.dumps([owed]))
    config = config_for(tmp_path)
    async with running_daemon(config) as (daemon, _):
        node = daemon.rack.node("node-1")
        await until(lambda: "does not open" in node.hat.problem)
        assert node.taken_by == owed["run"]
        with SwitchingHat(tmp_path / "ports" / "node-1", 1000) as hat:
            await until(lambda: not node.taken_by)
            assert hat.now.supply_state == link_pb2.SUPPLY_STATE_ON


async def test_a_damaged_file_of_debts_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / FILE_NAME).write_text('[{"node":')
    with pytest.raises(Exception, match=r"faults.json is damaged: look which nodes are off"):
        async with running_daemon(config_for(tmp_path), limits=StoreLimits()):
            pass


async def test_others_are_refused_but_for_a_force_off_which_takes_the_node_away(tmp_path: Path) -> None:
    async with faults_rack(tmp_path) as rig:
        call = call_of(rig, HOLD)
        assert kinds([await call.read(), await call.read()]) == ["off"]
        for action in (ON, OFF, CYCLE):
            code, sentence = await refusal_of(set_power(rig, action=action))
            assert code is grpc.StatusCode.FAILED_PRECONDITION
            assert "node-1 is taken by the fault script lesson.toml of uid " in sentence
            assert sentence.endswith("force-off takes it away from that, and then it stays off")
        assert (await rig.node()).taken_by.startswith("the fault script lesson.toml of uid ")
        await set_power(rig, action=FORCE_OFF)
        assert debts_in(tmp_path) == []
        rest = await rest_of(call)
        assert not is_on(rig)
        await set_power(rig, action=ON)
        assert is_on(rig)
    assert kinds(rest) == ["released", "failed"]
    assert "force-off of uid" in rest[-1].end.problems[0]


async def test_the_budget_sheds_a_node_of_a_run_and_the_watchdog_leaves_it_alone(tmp_path: Path) -> None:
    async with faults_rack(tmp_path) as rig:
        node = rig.daemon.rack.node("node-1")
        call = call_of(rig, HOLD.replace("after_s = 0", "after_s = 30"))
        await call.read()
        with pytest.raises(NodeTakenError):
            await node.set_power(PowerWish(PowerAction.CYCLE), WATCHDOG_POLICY)
        await node.set_power(PowerWish(PowerAction.OFF), BUDGET_POLICY)
        rest = await rest_of(call)
    assert kinds(rest) == ["released", "failed"]


async def test_one_run_at_a_time(tmp_path: Path) -> None:
    async with faults_rack(tmp_path, 2) as rig:
        call = call_of(rig, HOLD)
        await call.read()
        code, sentence = await refused(rig, CUT.replace("node-1", "node-2"))
        assert code is grpc.StatusCode.FAILED_PRECONDITION
        assert "the fault script lesson.toml of uid" in sentence
        assert "runs already" in sentence
        call.cancel()
        await until_free(rig)
        assert kinds(await run(rig, CUT.replace("node-1", "node-2"))) == ["off", "restored"]


async def test_a_restore_that_fails_is_tried_again(tmp_path: Path) -> None:
    async with faults_rack(tmp_path) as rig:
        hat = hat_of(rig)
        call = call_of(rig, CUT.replace("0.05", "0.3"))
        await call.read()
        await until(lambda: not is_on(rig))
        hat.power_result = link_pb2.RESULT_NO_MONITOR
        steps = [await call.read() for _ in range(2)]
        assert kinds(steps) == ["off", "failed"]
        assert debts_in(tmp_path)
        hat.power_result = link_pb2.RESULT_DONE
        assert kinds([await call.read()]) == ["restored"]
        assert is_on(rig)


async def test_a_protection_that_trips_is_not_overruled(tmp_path: Path) -> None:
    async with faults_rack(tmp_path) as rig:
        hat = hat_of(rig)
        call = call_of(rig, CUT.replace("0.05", "0.3"))
        await call.read()
        await until(lambda: not is_on(rig))
        hat.become(link_pb2.SUPPLY_STATE_TRIPPED)
        rest = await rest_of(call)
    assert kinds(rest)[-1] == "failed"
    assert "is not switched on again: a protection has tripped" in rest[-2].step.message
    assert actions(rig) == [link_pb2.POWER_ACTION_FORCE_OFF]


async def test_a_cut_that_fails_is_a_problem_and_the_node_is_made_sure_of(tmp_path: Path) -> None:
    async with faults_rack(tmp_path) as rig:
        hat = hat_of(rig)
        hat.power_result = link_pb2.RESULT_PENDING
        call = call_of(rig, CUT)
        await call.read()
        await until(lambda: hat.power_requests)
        hat.power_result = link_pb2.RESULT_DONE
        hat.link.finish(hat.power_requests[-1][0], link_pb2.RESULT_NOT_REACHED, 1500)
        rest = await rest_of(call)
    assert kinds(rest) == ["failed", "restored"]
    assert rest[-1].end.problems[0].startswith("fault 1 failed: could not cut node-1: the rail of node-1 did not")
    assert actions(rig) == [link_pb2.POWER_ACTION_FORCE_OFF, link_pb2.POWER_ACTION_ON]


async def test_nothing_is_cut_when_the_disk_does_not_take_the_debt(tmp_path: Path) -> None:
    async with faults_rack(tmp_path) as rig:
        (tmp_path / "state" / "faults.new").mkdir()  # where the file would be written
        responses = await run(rig, CUT)
    assert "faults.json: Is a directory" in responses[-1].end.problems[0]
    assert rig.hats["node-1"].power_requests == []


async def test_a_hat_that_is_unplugged_in_the_middle_is_waited_for(tmp_path: Path) -> None:
    async with faults_rack(tmp_path) as rig:
        hat = hat_of(rig)
        call = call_of(rig, CUT.replace("0.05", "1"))
        await call.read()
        await until(lambda: not is_on(rig))
        await call.read()
        hat.unplug()
        await rig.until_node(lambda node: node.hat.state == rack_pb2.HAT_STATE_OFFLINE)
        hat.plug()
        assert kinds([await call.read()]) == ["restored"]
        assert is_on(rig)


async def test_a_script_that_is_wrong_is_told_with_its_lines(tmp_path: Path) -> None:
    script = 'sed = 3\n[[fault]]\nnode = "node-1"\nwhat = "cut"\nafter_s = 0\nfor_s = -1\nconsole = "(?=a)"\n'
    async with faults_rack(tmp_path) as rig:
        code, sentence = await refused(rig, script)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    seed, for_s, console = sentence.splitlines()
    assert seed == "lesson.toml:1: sed: unknown key; did you mean seed?"
    assert for_s == "lesson.toml:6: fault[0].for_s: expected seconds from 0 to 3600, or [least, most], found -1"
    assert console.startswith("lesson.toml:7: fault[0].console: expected a regular expression as RE2 takes it (invalid")


async def test_a_rack_that_is_not_as_the_script_needs_it_is_told_with_its_lines(tmp_path: Path) -> None:
    script = "".join(CUT.replace("node-1", name) for name in ("node-1", "node-9", "node-2", "node-3"))
    script += '[[fault]]\nnode = "node-1"\nwhat = "brown-out"\nafter_s = 1\nfor_s = 2\nvolts = 4.6\n'
    async with faults_rack(tmp_path, 3) as rig:
        rig.hats["node-2"].unplug()
        hat_of(rig, "node-3").become(link_pb2.SUPPLY_STATE_OFF)
        await rig.until_node(lambda node: "does not open" in node.hat.problem, "node-2")
        await rig.until_node(lambda node: node.supply_state == rack_pb2.SUPPLY_STATE_OFF, "node-3")
        for dry_run in (False, True):
            code, sentence = await refused(rig, script, dry_run=dry_run)
            assert code is grpc.StatusCode.FAILED_PRECONDITION
            unknown, offline, is_off, brown_out = sentence.splitlines()
            assert unknown.startswith("lesson.toml:7: fault[1].node: expected the name of a node (node-1, node-2")
            assert offline.startswith("lesson.toml:12: fault[2].node: the HAT of node-2 is offline: ")
            assert is_off.startswith("lesson.toml:17: fault[3].node: the supply of node-3 is off, so there is nothing")
            assert "fault[4].what: the HAT of node-1 (board hat-a) cannot lower its supply's voltage" in brown_out
    assert all(not hat.power_requests for hat in rig.hats.values())


async def test_what_is_too_long_is_refused(tmp_path: Path) -> None:
    async with faults_rack(tmp_path) as rig:
        for script, fields, words in (
            ("#" * 70_000, {}, "script: expected at most 65536 characters, found 70000"),
            (CUT, {"seed": 1 << 32}, "seed: expected 0 to 4294967295, found 4294967296"),
            ("x = " + "[" * 60_000, {}, "lesson.toml: not TOML: nested too deeply"),
            ("[[fault]]\nnode='n'\nwhat='x'\n" * 64, {}, "and 44 more"),
        ):
            code, sentence = await refused(rig, script, **fields)
            assert code is grpc.StatusCode.INVALID_ARGUMENT
            assert words in sentence
        request = rack_pb2.RunFaultsRequest(script=CUT, file="x" * 201)
        code, sentence = await refusal_of(rig.rack.RunFaults(request).read())
    assert (code, sentence) == (grpc.StatusCode.INVALID_ARGUMENT, "file: expected at most 200 printable characters")


async def test_a_dry_run_sends_the_plan_and_does_nothing(tmp_path: Path) -> None:
    script = "seed = 5\n" + CUT.replace("after_s = 0", "after_s = [0, 100]")
    async with faults_rack(tmp_path) as rig:
        plans = [await run(rig, script, dry_run=True) for _ in range(2)]
        other = await run(rig, script, dry_run=True, seed=6)
    assert plans[0] == plans[1]
    assert [len(plan) for plan in plans] == [1, 1]
    assert (plans[0][0].plan.seed, other[0].plan.seed) == (5, 6)
    assert plans[0][0].plan.faults[0].trigger != other[0].plan.faults[0].trigger
    assert rig.hats["node-1"].power_requests == []


async def test_for_less_than_an_admin_it_is_not_allowed(tmp_path: Path) -> None:
    grpc_section = {
        "socket": str(tmp_path / "run" / "hostd.sock"),
        "plain_tcp": "127.0.0.1:0",
        "plain_tcp_role": "operator",
    }
    async with (
        faults_rack(tmp_path, grpc=grpc_section) as rig,
        grpc.aio.insecure_channel(f"127.0.0.1:{rig.daemon.api.plain_port}") as channel,
    ):
        stub: rack_pb2_grpc.RackAsyncStub = rack_pb2_grpc.RackStub(channel)
        code, sentence = await refusal_of(stub.RunFaults(rack_pb2.RunFaultsRequest(script=CUT)).read())
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert sentence == "RunFaults takes the role admin, and loopback has operator"


async def test_the_run_and_each_deed_are_in_the_audit_log(tmp_path: Path) -> None:
    async with faults_rack(tmp_path) as rig:
        await run(rig, CUT, seed=3)
        entries = await audit_of(rig)
    sha256 = hashlib.sha256(CUT.encode()).hexdigest()
    asked, *deeds, ended = entries
    assert (asked.kind, asked.method) == ("asked", "RunFaults")
    assert asked.arguments == f"file=lesson.toml seed=3 sha256={sha256}"
    assert (ended.kind, ended.asked, ended.outcome) == ("ended", asked.sequence, "OK")
    assert [(deed.kind, deed.node, deed.arguments) for deed in deeds] == [
        ("asked", "node-1", "action=force-off"),
        ("ended", "node-1", "action=force-off"),
        ("asked", "node-1", "action=on"),
        ("ended", "node-1", "action=on"),
    ]
    assert {deed.who for deed in deeds} == {f"policy:faults for {asked.who}"}


async def test_a_stranger_with_the_same_wish_is_no_holder(tmp_path: Path) -> None:
    async with faults_rack(tmp_path) as rig:
        call = call_of(rig, HOLD)
        await call.read()
        with pytest.raises(NodeTakenError):
            await rig.daemon.rack.node("node-1").set_power(
                PowerWish(PowerAction.ON), Caller("policy:faults for somebody", "hostd")
            )
        call.cancel()
        await until_free(rig)


async def test_a_run_is_told_again_by_its_id_and_not_run_again(tmp_path: Path) -> None:
    request_id = "1f6d4c6e-9a49-4a0e-8d7c-3f1f0d6b5a20"
    async with faults_rack(tmp_path) as rig:
        first = await run(rig, CUT, request_id=request_id)
        again = await run(rig, CUT, request_id=request_id)
        assert again == [first[0], first[-1]]
        assert len(actions(rig)) == 2
    async with faults_rack(tmp_path) as rig:
        code, words = await refused(rig, CUT, request_id=request_id)
        assert (code, words.endswith("it came to: OK")) == (grpc.StatusCode.ABORTED, True)
        assert actions(rig) == []


async def test_a_run_that_broke_off_is_not_run_again_by_its_id(tmp_path: Path) -> None:
    request_id = "1f6d4c6e-9a49-4a0e-8d7c-3f1f0d6b5a20"
    async with faults_rack(tmp_path) as rig:
        call = call_of(rig, CUT.replace("0.05", "30"), request_id=request_id)
        assert (await call.read()).HasField("plan")  # type: ignore[union-attr]
        assert (await call.read()).HasField("step")  # type: ignore[union-attr]
        call.cancel()
        await until_free(rig)
        code, words = await refused(rig, CUT.replace("0.05", "30"), request_id=request_id)
        assert code is grpc.StatusCode.ABORTED
        assert "what it took is given back" in words
        assert is_on(rig)
