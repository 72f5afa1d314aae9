"""`racklet hat selftest` against real firmware: what is sound passes, each broken part is found, nodes are not cut."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from racklet.v1 import rack_pb2
from racklet_virtual.board import VirtualHat
from racklet_virtual.hardware import MonitorPart, Pin
from racklet_virtual.supply import Stuck
from tests.system.rig import Hostd, virtual_rack

pytestmark = pytest.mark.asyncio(loop_scope="module")
OFF, SUPPLY_ON = rack_pb2.SUPPLY_STATE_OFF, rack_pb2.SUPPLY_STATE_ON
CHECKS = [
    "monitor", "input", "temperature", "supply when off", "current when off", "pins when off", "latch keeps off",
    "UART", "gate on", "pins when on", "latch keeps on", "gate off", "LEDs",
]  # fmt: skip


@dataclass
class Rig:
    hats: list[VirtualHat]
    hostd: Hostd

    async def selftest(self, node: str, *options: str) -> tuple[int, dict[str, dict[str, str]], str]:
        """Run the command; return its exit code, the checks by name, and what it said on stderr."""
        code, output, errors = await self.hostd.cli("hat", "selftest", node, "--json", *options)
        checks = json.loads(output)["checks"] if output else []
        return code, {check["name"]: check for check in checks}, errors

    def hat(self, number: int) -> VirtualHat:
        return self.hats[number - 1]


def failed(checks: dict[str, dict[str, str]]) -> set[str]:
    return {name for name, check in checks.items() if check["outcome"] == "HAT_CHECK_OUTCOME_FAILED"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    folder = tmp_path_factory.mktemp("selftest")
    parts = {1: MonitorPart.INA228, 2: MonitorPart.INA226}
    async with (
        virtual_rack(folder / "rack", 2, parts=parts) as rack,
        Hostd(folder, rack.config_toml()) as hostd,
    ):
        await hostd.until_online("node-1", "node-2")
        await hostd.until_node(lambda node: node.measurement.input_uv > 0)
        await hostd.until_node(lambda node: node.measurement.input_uv > 0, "node-2")
        yield Rig(list(rack.hats), hostd)


@pytest.mark.parametrize(("node", "monitor"), [("node-1", "INA228"), ("node-2", "INA226")])
async def test_a_sound_hat_passes_every_check_and_its_node_is_off_again(rig: Rig, node: str, monitor: str) -> None:
    code, checks, errors = await rig.selftest(node)
    assert (code, errors, failed(checks)) == (0, "", set())
    assert list(checks) == CHECKS
    assert checks["monitor"]["measured"] == monitor
    assert (await rig.hostd.node(node)).supply_state == OFF


async def test_the_table_is_for_people(rig: Rig) -> None:
    code, output, _ = await rig.hostd.cli("hat", "selftest", "node-1")
    lines = output.splitlines()
    assert code == 0
    assert lines[0].split() == ["CHECK", "RESULT", "MEASURED", "EXPECTED"]
    assert lines[-1] == f"node-1: no check of {len(CHECKS)} failed"


async def test_nothing_of_the_uart_s_test_stands_in_the_boot_log(rig: Rig) -> None:
    await rig.selftest("node-1")
    for boot in await rig.hostd.boots("node-1"):
        assert b"\x00\xff\x55\xaa" not in b"".join(
            piece for piece in await rig.hostd.pieces(boot.name) if isinstance(piece, bytes)
        )


async def test_a_node_that_is_on_is_not_cut_unless_told(rig: Rig) -> None:
    hat = rig.hat(1)
    await rig.hostd.power(hat)
    starts = hat.hardware.supply.switch_ons
    code, checks, errors = await rig.selftest("node-1")
    assert (code, checks, hat.hardware.supply.switch_ons) == (1, {}, starts)
    assert "node-1 is on: switch it off first" in errors
    assert hat.node.supply_on

    code, checks, _ = await rig.selftest("node-1", "--interrupt")
    assert (code, failed(checks)) == (0, set())
    assert hat.hardware.supply.switch_ons == starts + 2  # the test's, and the one that gave it back
    assert (await rig.hostd.node("node-1")).supply_state == SUPPLY_ON
    await rig.hostd.power(hat, rack_pb2.POWER_ACTION_FORCE_OFF)


async def test_a_latch_that_forgets_when_its_pins_float_is_found(rig: Rig) -> None:
    hat = rig.hat(2)
    sound = hat.hardware.set_pin

    def set_pin(pin: int, level: int | None, at_us: int) -> None:
        sound(pin, level, at_us)
        if pin == Pin.GATE_CLEAR and level is None:
            hat.hardware.supply.latch_on = False

    hat.hardware.set_pin = set_pin  # type: ignore[method-assign]
    try:
        code, checks, _ = await rig.selftest("node-2")
    finally:
        hat.hardware.set_pin = sound  # type: ignore[method-assign]
    assert code == 1
    assert "latch keeps on" in failed(checks)
    assert "latch keeps off" not in failed(checks)


async def test_a_uart_that_does_not_hear_itself_is_found(rig: Rig) -> None:
    uart = rig.hat(2).hardware.uart
    sound = uart.hear_itself
    uart.hear_itself = lambda data: sound(data)[:-4]  # type: ignore[method-assign]
    try:
        code, checks, _ = await rig.selftest("node-2")
    finally:
        uart.hear_itself = sound  # type: ignore[method-assign]
    assert (code, failed(checks)) == (1, {"UART"})


async def test_a_gate_that_does_not_open_is_found_and_the_test_goes_on(rig: Rig) -> None:
    hat = rig.hat(2)
    hat.stick_supply(Stuck.OFF)
    code, checks, _ = await rig.selftest("node-2")
    hat.stick_supply(None)
    assert code == 1
    assert "gate on" in failed(checks)
    assert "gate off" in checks


async def test_a_monitor_that_does_not_answer_is_found(rig: Rig) -> None:
    hat = rig.hat(2)
    hat.connect_monitor(connected=False)
    code, checks, _ = await rig.selftest("node-2")
    hat.connect_monitor(connected=True)
    assert code == 1
    assert {"monitor", "gate on"} <= failed(checks)
