"""The port of a virtual HAT, as a host sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from racklet_virtual.faults import FaultRates
from tests.virtual.conftest import HostPort, connected, until

if TYPE_CHECKING:
    from racklet_virtual.board import VirtualHat
    from tests.virtual.conftest import StartRack

ECHO = """
import micropython, sys
micropython.kbd_intr(-1)
sys.stdout.write("READY")
while True:
    data = sys.stdin.buffer.read(1)
    sys.stdout.buffer.write(data)
"""
TALK = """
import sys, time
line = b"x" * 63 + bytes([10])
while True:
    sys.stdout.buffer.write(line)
    time.sleep_ms(1)
"""
EVERY_BYTE = bytes(range(256))


async def started(start_rack: StartRack, script: str) -> VirtualHat:
    rack = await start_rack(script)
    return rack.hats[0]


async def echoing(start_rack: StartRack) -> VirtualHat:
    hat = await started(start_rack, ECHO)
    await until(lambda: hat.chip.last_words.endswith(b"READY"))
    return hat


async def test_every_byte_passes_both_ways(start_rack: StartRack) -> None:
    hat = await echoing(start_rack)
    with await connected(hat) as port:
        for _ in range(20):
            port.write(EVERY_BYTE)
            await port.expect(EVERY_BYTE)


async def test_nothing_is_kept_for_a_host_that_is_not_there(start_rack: StartRack) -> None:
    hat = await started(start_rack, TALK)
    await until(lambda: len(hat.chip.last_words) > 1000)
    port = HostPort(hat.port)
    port.pump()
    assert len(port.received) <= 1024
    await port.expect(b"xxx\n")
    port.close()


async def test_a_host_that_comes_back_is_served_again(start_rack: StartRack) -> None:
    hat = await echoing(start_rack)
    for _ in range(3):
        with await connected(hat) as port:
            port.write(b"hello")
            await port.expect(b"hello")
        await until(lambda: not hat.cable.host_open)


async def test_a_host_that_reads_nothing_does_not_stop_the_hat(start_rack: StartRack) -> None:
    hat = await started(start_rack, TALK)
    with await connected(hat):
        await until(lambda: hat.cable.dropped_bytes > 0)


async def test_an_unplugged_port_ends_for_its_host(start_rack: StartRack) -> None:
    hat = await echoing(start_rack)
    with await connected(hat) as port:
        hat.unplug()
        assert not hat.port.is_symlink()
        await until(lambda: port.pump() is not None and port.ended)


async def test_a_hat_can_be_plugged_in_elsewhere_while_it_runs_on(start_rack: StartRack) -> None:
    hat = await echoing(start_rack)
    pid, old = hat.chip.pid, hat.port
    hat.unplug()
    hat.replug("usb-1.9")
    assert hat.port.name == "usb-1.9"
    assert not old.is_symlink()
    with await connected(hat) as port:
        port.write(b"still me")
        await port.expect(b"still me")
    assert hat.chip.pid == pid


async def test_a_taken_slot_is_refused(start_rack: StartRack) -> None:
    rack = await start_rack(None, nodes=2)
    with pytest.raises(FileExistsError):
        rack.hats[0].replug("usb-1.2")
    rack.hats[0].replug("usb-1.1")
    assert all(hat.plugged for hat in rack.hats)


async def test_ports_may_come_and_go_quickly(start_rack: StartRack) -> None:
    hat = await echoing(start_rack)
    for _ in range(20):
        hat.unplug()
        hat.replug()
    with await connected(hat) as port:
        port.write(b"here")
        await port.expect(b"here")


@pytest.mark.parametrize("rates", [FaultRates(bit_errors=0.01), FaultRates(drops=0.5), FaultRates(duplicates=0.5)])
async def test_faults_damage_what_passes(start_rack: StartRack, rates: FaultRates) -> None:
    hat = await echoing(start_rack)
    with await connected(hat) as port:
        hat.damage_line(rates)

        def something_was_damaged() -> int:
            port.write(EVERY_BYTE)
            port.pump()
            return hat.cable.to_hat_faults.damaged_chunks

        await until(something_was_damaged)


async def test_chatter_floods_the_host_and_ends(start_rack: StartRack) -> None:
    hat = await echoing(start_rack)
    with await connected(hat) as port:
        hat.cable.chatter(100_000, duration_s=0.1)
        await until(lambda: len(port.pump()) > 2000)
        await until(lambda: port.pump() is not None and not hat.cable.chattering)


async def test_ctrl_c_is_a_byte_for_a_firmware_that_wants_none(start_rack: StartRack) -> None:
    hat = await echoing(start_rack)
    with await connected(hat) as port:
        port.write(b"\x03")
        await port.expect(b"\x03")


async def test_ctrl_c_interrupts_a_script_that_wants_it(start_rack: StartRack) -> None:
    hat = await started(start_rack, "print('READY')\nwhile True: pass\n")
    await until(lambda: b"READY" in hat.chip.last_words)
    port = await connected(hat)
    port.write(b"\x03")
    await until(lambda: b">>> " in port.pump())
    assert b"KeyboardInterrupt" in port.received
    port.close()
