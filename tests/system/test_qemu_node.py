"""A real Linux, in QEMU, under the real firmware and hostd: booted, rebooted, panicked, hung, cut and shut down."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from racklet.v1 import rack_pb2
from racklet_hostd.doctor.diagnosis import Diagnosis
from racklet_hostd.doctor.signatures import known_signatures
from racklet_virtual.board import VirtualHat
from racklet_virtual.rack import VirtualRack
from racklet_virtual.script import NodeState
from racklet_virtual.shell import Order
from tests.system.rig import FORCE_OFF, ON, Hostd, until, virtual_rack

BOOT_S = 45.0  # what a boot takes at most, on a computer that has much else to do
OFF = rack_pb2.POWER_ACTION_OFF
pytestmark = pytest.mark.asyncio(loop_scope="module")


class Rack:
    """A rack of one QEMU node, and the hostd that serves it."""

    def __init__(self, rack: VirtualRack, hostd: Hostd) -> None:
        self.hostd = hostd
        self.hat: VirtualHat = rack.hats[0]
        self.node = self.hat.node

    async def until_state(self, state: NodeState) -> None:
        await until(lambda: self.node.state is state, BOOT_S)

    async def until_up(self) -> None:
        await until(lambda: self.node.state in (NodeState.IDLE, NodeState.WORKING), BOOT_S)

    async def stored(self) -> bytes:
        """Wait until all that the node ever sent is stored; return the newest boot."""
        await self.hostd.until_stored(self.hat)
        return self.node.sent(self.node.boots[-1])

    async def diagnosis(self) -> tuple[list[str], list[str]]:
        """Return the phases and the findings of the newest boot, as DiagnoseNode tells them."""
        request = rack_pb2.DiagnoseNodeRequest(name="nodes/node-1")
        found = await self.hostd.rack.DiagnoseNode(request)
        return [phase.phase for phase in found.phases], [finding.signature for finding in found.findings]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rack]:
    """A QEMU node that is off, its HAT online."""
    async with (
        virtual_rack(tmp_path_factory.mktemp("rack"), qemu=[1]) as rack,
        Hostd(tmp_path_factory.mktemp("hostd"), rack.config_toml()) as hostd,
    ):
        await hostd.until_online()
        yield Rack(rack, hostd)


async def test_a_boot_a_reboot_a_panic_and_the_cut_are_stored_byte_for_byte_and_told(rack: Rack) -> None:
    await rack.hostd.power(rack.hat, ON)
    await rack.until_up()
    booted = await rack.stored()
    assert booted.startswith(b"[    0.000000] Booting Linux on physical CPU")
    assert booted.endswith(b"node-1 login: ")
    assert await rack.diagnosis() == (["kernel", "init", "login"], [])

    rack.node.obey(Order.REBOOT)
    await rack.until_state(NodeState.BOOTING)
    await rack.until_up()
    rebooted = await rack.stored()
    [reset_at] = rack.node.boots[-1].resets
    assert rebooted[:reset_at].endswith(b"reboot: Restarting system\r\n")
    phases, findings = await rack.diagnosis()
    assert phases[-3:] == ["kernel", "init", "login"]
    assert findings == []

    rack.node.obey(Order.PANIC)
    await rack.until_state(NodeState.PANICKED)
    await until(lambda: b"---[ end Kernel panic" in rack.node.sent(rack.node.boots[-1]))
    assert b"sysrq: Trigger a crash" in await rack.stored()
    assert (await rack.diagnosis())[1] == ["kernel-panic"]

    answer = await rack.hostd.power(rack.hat, FORCE_OFF)
    assert answer.supply_state == rack_pb2.SUPPLY_STATE_OFF
    assert rack.node.state is NodeState.OFF
    assert (await rack.stored()).endswith(b"sysrq triggered crash ]---\r\n")


async def test_a_hang_in_the_kernel_is_told_when_it_was_silent_long_enough(rack: Rack) -> None:
    await rack.hostd.power(rack.hat, ON)
    await until(lambda: rack.node.phase == "kernel" and rack.node.boots[-1].sent_bytes > 2000, BOOT_S)
    rack.node.obey(Order.HANG)
    await rack.until_state(NodeState.HUNG)
    await until(lambda: not rack.hat.hardware.node.sending)
    log = await rack.stored()
    assert await rack.diagnosis() == (["kernel"], [])

    stopped_ms = 1_000_000
    diagnosis = Diagnosis(known_signatures(), stopped_ms)
    diagnosis.feed(0, stopped_ms, log)
    diagnosis.listen(stopped_ms + 59_000, 0)
    assert diagnosis.findings == []
    diagnosis.listen(stopped_ms + 61_000, 0)
    assert [(finding.signature, finding.offset) for finding in diagnosis.findings] == [("kernel-silent", len(log))]

    await rack.hostd.power(rack.hat, FORCE_OFF)
    assert await rack.stored() == log


async def test_asked_politely_it_shuts_down_and_its_hat_cuts_the_supply_after_its_last_word(rack: Rack) -> None:
    await rack.hostd.power(rack.hat, ON)
    await rack.until_up()
    answer = await rack.hostd.power(rack.hat, OFF)
    assert answer.supply_state == rack_pb2.SUPPLY_STATE_OFF
    assert rack.node.state is NodeState.OFF
    assert (await rack.stored()).endswith(b"reboot: Power down\r\n")
    boots = await rack.hostd.boots()
    assert len(boots) >= 3
