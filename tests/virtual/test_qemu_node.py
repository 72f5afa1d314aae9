"""A node that is a real Linux in QEMU, as its HAT sees it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from racklet_virtual.board import VirtualHat
from racklet_virtual.fault_catalogue import FaultError, inject
from racklet_virtual.firmware_process import MicroPythonMissingError, project_firmware
from racklet_virtual.hardware import Pin
from racklet_virtual.qemu_node import QemuNode
from racklet_virtual.qemu_process import QemuUnavailableError, find_qemu
from racklet_virtual.rack import VirtualRack
from racklet_virtual.script import NodeState
from racklet_virtual.shell import Order
from tests.virtual.conftest import until

PATIENCE_S = 45.0
pytestmark = pytest.mark.asyncio(loop_scope="module")


class Desk:
    """One HAT whose firmware does nothing, with a QEMU node: the test moves the pins."""

    def __init__(self, rack: VirtualRack) -> None:
        self.rack = rack
        self.hat: VirtualHat = rack.hats[0]
        self.node = self.hat.node
        assert isinstance(self.hat.hardware.node, QemuNode)
        self.machine: QemuNode = self.hat.hardware.node

    async def pulse(self, pin: Pin) -> None:
        """Move the latch of the supply."""
        on = pin is Pin.GATE_SET
        self.drive(pin, 1)
        await until(lambda: self.node.supply_on == on)
        self.drive(pin, 0)

    def drive(self, pin: Pin, level: int) -> None:
        self.hat.hardware.set_pin(pin, level, self.rack.now_us())
        self.hat.look_again()

    async def until_state(self, *states: NodeState) -> None:
        await until(lambda: self.node.state in states, PATIENCE_S)

    async def until_up(self) -> None:
        await self.until_state(NodeState.IDLE, NodeState.WORKING)

    async def boot(self) -> None:
        """Wait for the login; switch the supply on, anew where it needs that."""
        if self.node.state not in (NodeState.IDLE, NodeState.WORKING, NodeState.BOOTING):
            await self.cut()
            await self.pulse(Pin.GATE_SET)
        await self.until_up()

    async def cut(self) -> None:
        await self.pulse(Pin.GATE_CLEAR)
        await self.until_state(NodeState.OFF)

    def sent(self) -> bytes:
        """Return what the node sent since the supply was switched on."""
        return self.node.sent(self.node.boots[-1])

    def type(self, data: bytes) -> None:
        self.machine.type(data, self.rack.now_us())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    """A rack of one QEMU node that is off."""
    folder = tmp_path_factory.mktemp("rack")
    entry = folder / "main.py"
    entry.write_text("")
    try:
        find_qemu()
        firmware = replace(project_firmware(), entry=entry)
    except (MicroPythonMissingError, QemuUnavailableError) as error:
        pytest.skip(str(error))
    async with VirtualRack(folder, 1, qemu=[1], firmware=firmware) as rack:
        yield Desk(rack)


def is_running(pid: int | None) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_it_boots_to_a_login_and_a_person_can_work_on_its_console(desk: Desk) -> None:
    await desk.boot()
    assert b"Linux version" in desk.sent()
    assert desk.sent().endswith(b"node-1 login: ")
    desk.type(b"root\r")
    await until(lambda: desk.sent().find(b"root@node-1:/root# ") > 0)
    desk.type(b"echo $((6 * 7)); cat /proc/sys/kernel/hostname\r")
    await until(lambda: b"\r\n42\r\nnode-1\r\n" in desk.sent())


async def test_its_load_is_the_work_it_does(desk: Desk) -> None:
    await desk.boot()
    await until(lambda: 0.4 < desk.node.amperes < 0.7, PATIENCE_S)
    desk.node.obey(Order.WORK)
    await until(lambda: desk.node.state is NodeState.WORKING and desk.node.amperes > 0.8)
    await desk.until_state(NodeState.IDLE)


async def test_it_is_killed_when_its_rail_is_too_low_and_says_nothing_more(desk: Desk) -> None:
    await desk.cut()
    await desk.pulse(Pin.GATE_SET)
    await until(lambda: len(desk.sent()) > 1000, PATIENCE_S)
    pid = desk.machine.pid
    await desk.cut()
    sent = desk.sent()
    await until(lambda: not is_running(pid))
    assert desk.machine.pid is None
    assert not desk.machine.sending
    assert desk.sent() == sent
    assert desk.node.amperes == 0


async def test_it_shuts_down_when_its_hat_asks_and_halts_after_its_last_byte(desk: Desk) -> None:
    await desk.boot()
    desk.drive(Pin.SOFT_OFF, 0)
    await desk.until_state(NodeState.STOPPING)
    await desk.until_state(NodeState.HALTED)
    desk.drive(Pin.SOFT_OFF, 1)
    assert desk.hat.hardware.pin(Pin.NODE_HALTED, desk.rack.now_us()) == 1
    assert desk.sent().endswith(b"reboot: Power down\r\n")
    assert desk.machine.pid is None
    assert desk.node.amperes == pytest.approx(0.06)


async def test_a_reboot_and_the_reset_button_are_resets_at_their_offsets(desk: Desk) -> None:
    await desk.boot()
    desk.node.obey(Order.REBOOT)
    await desk.until_state(NodeState.BOOTING)
    await desk.until_up()
    desk.node.reset()
    await desk.until_state(NodeState.BOOTING)
    await until(lambda: desk.node.phase == "kernel")
    desk.node.reset()
    await until(lambda: len(desk.node.boots[-1].resets) == 2)
    await until(lambda: desk.node.phase == "kernel")
    [first, second] = desk.node.boots[-1].resets
    sent = desk.sent()
    assert sent[:first].endswith(b"reboot: Restarting system\r\n")
    assert sent[first:].startswith(b"[    0.000000] Booting Linux")
    assert sent[second:].startswith(b"[    0.000000] Booting Linux")


async def test_it_hangs_until_it_is_reset(desk: Desk) -> None:
    await desk.boot()
    desk.node.obey(Order.HANG)
    await desk.until_state(NodeState.HUNG)
    sent = desk.sent()
    desk.type(b"x" * 1_000_000)
    desk.node.obey(Order.POWEROFF)
    await until(lambda: desk.machine._load == 0)
    assert desk.node.state is NodeState.HUNG
    assert desk.sent() == sent
    desk.node.reset()
    await desk.until_state(NodeState.BOOTING)


async def test_it_panics_by_magic_sysrq_before_anybody_logged_in(desk: Desk) -> None:
    await desk.boot()
    desk.node.obey(Order.PANIC)
    await desk.until_state(NodeState.PANICKED)
    await until(lambda: b"end Kernel panic - not syncing: sysrq triggered crash" in desk.sent())


async def test_when_qemu_itself_ends_the_node_is_silent_and_the_status_says_why(desk: Desk) -> None:
    await desk.boot()
    pid = desk.machine.pid
    assert pid is not None
    os.kill(pid, 15)
    await desk.until_state(NodeState.HUNG)
    assert "QEMU ended with 0: " in desk.node.phase
    await desk.cut()


async def test_a_habit_is_refused(desk: Desk) -> None:
    with pytest.raises(FaultError, match="node-1 is a QEMU machine: it has no habit hang"):
        inject(desk.rack, "node-1", "habit", ("hang",))
    inject(desk.rack, "node-1", "clear", ())


async def test_a_killed_rack_leaves_no_machine(desk: Desk, tmp_path: Path) -> None:
    del desk  # it skips where there is no QEMU
    code = (
        "import asyncio\nfrom pathlib import Path\nfrom racklet_virtual.qemu_node import QemuNode, QemuSurroundings\n"
        "from racklet_virtual.qemu_process import find_qemu\nfrom racklet_virtual.node import NodeProfile\n"
        "from racklet_virtual.record import SentBoots\n"
        "async def main():\n"
        f"  folder = Path({str(tmp_path)!r})\n"
        "  around = QemuSurroundings(find_qemu(), folder, lambda: 0, lambda: None)\n"
        "  node = QemuNode(NodeProfile('node-1'), SentBoots(folder), around)\n"
        "  node.power(on=True, at_us=0)\n"
        "  print(node.pid, flush=True)\n"
        "  await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=subprocess.PIPE)
    assert process.stdout is not None
    pid = int(await process.stdout.readline())
    await until(lambda: "qemu-system" in Path(f"/proc/{pid}/cmdline").read_text())
    process.kill()
    await process.wait()
    await until(lambda: not is_running(pid))


async def test_what_is_missing_is_said_with_the_name_of_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(QemuUnavailableError, match=r"qemu-system-aarch64.*apt install qemu-system-arm"):
        VirtualRack(tmp_path, 1, qemu=[1])
