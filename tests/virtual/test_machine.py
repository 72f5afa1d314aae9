"""The stand-in `machine`, in a real MicroPython, against the real hardware model."""

from __future__ import annotations

import binascii
import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from racklet_virtual.machine_server import Operation
from racklet_virtual.script import NodeState
from tests.virtual.conftest import connected, until

if TYPE_CHECKING:
    from racklet_virtual.board import VirtualHat
    from tests.virtual.conftest import StartRack

SHIM = Path(__file__).parents[2] / "firmware/virtual/micropython"
SWITCH_ON = """
import machine, time
gate_set = machine.Pin(10, machine.Pin.OUT, value=0)
gate_set.value(1); time.sleep_ms(2); gate_set.value(0)
"""


async def said_by(start_rack: StartRack, script: str) -> tuple[VirtualHat, str]:
    """Run a script after somebody pressed a key, and return what it printed."""
    rack = await start_rack("import sys\nsys.stdin.read(1)\n" + script + "\nprint('END')\n")
    [hat] = rack.hats
    with await connected(hat) as port:
        port.write(b"x")
        said = await port.expect(b"END")
    return hat, said.decode().removesuffix("END")


def test_both_ends_number_the_operations_alike() -> None:
    names = "|".join(operation.name for operation in Operation)
    source = (SHIM / "machine.py").read_text() + (SHIM / "rp2.py").read_text()
    numbers = re.findall(rf"^_({names}) = const\((\d+)\)", source, re.MULTILINE)
    assert {name: int(number) for name, number in numbers} == {operation.name: operation for operation in Operation}


async def test_identity_and_reset_cause_come_from_the_board(start_rack: StartRack) -> None:
    hat, said = await said_by(start_rack, "import machine\nprint(machine.unique_id().hex(), machine.reset_cause())")
    assert said.split() == [hat.chip.unique_id.hex(), "1"]


async def test_a_pulse_on_the_gate_switches_the_supply_on(start_rack: StartRack) -> None:
    hat, said = await said_by(
        start_rack, SWITCH_ON + "time.sleep_ms(20)\nprint(machine.Pin(12).value(), machine.Pin(13, machine.Pin.IN)())"
    )
    assert said.split() == ["1", "1"]
    assert hat.node.supply_on


async def test_a_pulse_is_as_wide_as_the_firmware_made_it(start_rack: StartRack) -> None:
    script = """
import machine, time
gate_set = machine.Pin(10, machine.Pin.OUT, value=0)
widest = 0
for _ in range(200):
    start = time.ticks_us()
    gate_set.value(1); time.sleep_us(300); gate_set.value(0)
    widest = max(widest, time.ticks_diff(time.ticks_us(), start))
print(widest < 1000, machine.Pin(12).value())
"""
    _, said = await said_by(start_rack, script)
    none_was_wide, latch = said.split()
    assert latch == "0" or none_was_wide == "False"


async def test_i2c_reads_and_writes_registers(start_rack: StartRack) -> None:
    script = """
import machine
i2c = machine.I2C(0, scl=machine.Pin(21), sda=machine.Pin(20), freq=400_000)
word = bytearray(2)
i2c.readfrom_mem_into(0x40, 0x3f, word)
i2c.writeto_mem(0x40, 0x02, b"\\x12\\x34")
print(word.hex(), i2c.readfrom_mem(0x40, 2, 2).hex(), len(i2c.readfrom_mem(0x40, 9, 5)))
try:
    i2c.readfrom_mem_into(0x41, 0, word)
except OSError as error:
    print(error.errno)
"""
    _, said = await said_by(start_rack, script)
    assert said.split() == ["2281", "1234", "5", "5"]


async def test_the_adc_reads_the_input_voltage(start_rack: StartRack) -> None:
    _, said = await said_by(start_rack, "import machine\nprint(machine.ADC(machine.Pin(26)).read_u16())")
    assert int(said) * 3.3 * 11 / 65535 == pytest.approx(12, abs=0.06)


RECEIVE = """
import machine, rp2, time
from array import array
from racklet_hat.rings import UART_RING as ring
uart = machine.UART(1, baudrate=115200, tx=machine.Pin(4), rx=machine.Pin(5), rxbuf=32, txbuf=32)
rx = machine.Pin(5)
count = array("I", (1 << 20,))
data, restart = rp2.DMA(), rp2.DMA()
ctrl = restart.pack_ctrl(inc_read=False, inc_write=False)
restart.config(read=count, write=data.registers[7:8], count=1, ctrl=ctrl)
def start(**changes):
    fields = dict(size=1, inc_read=False, ring_size=13, ring_sel=True, treq_sel=23, chain_to=restart.channel)
    fields.update(changes)
    ctrl = data.pack_ctrl(**fields)
    data.config(read=0x40038000, write=ring, count=1 << 20, ctrl=ctrl, trigger=True)
def came():
    return (1 << 20) - data.count
"""


async def test_the_dma_gives_the_firmware_every_byte_the_node_sent(start_rack: StartRack) -> None:
    script = (
        RECEIVE
        + "start()\n"
        + SWITCH_ON
        + """
import binascii
pos, crc, seen = 0, 0, b""
while b"login: " not in seen:
    fresh = bytes(ring[at % 4096] for at in range(pos, came()))
    pos += len(fresh)
    crc, seen = binascii.crc32(fresh, crc), (seen + fresh)[-16:]
    time.sleep_ms(5)
print(pos, crc)
"""
    )
    hat, said = await said_by(start_rack, script)
    total, crc = map(int, said.split())
    sent = hat.node.sent(hat.node.boots[0])[:total]
    assert (len(sent), binascii.crc32(sent)) == (total, crc)
    assert hat.chip.uart_lost_bytes == 0


async def test_at_a_wrong_baud_rate_the_stop_bits_are_missing(start_rack: StartRack) -> None:
    script = (
        RECEIVE
        + "start()\nuart.init(baudrate=921600)\n"
        + SWITCH_ON
        + "while came() < 64: time.sleep_ms(1)\nprint(sum(ring[at] > 255 for at in range(64)) > 8)\n"
    )
    _, said = await said_by(start_rack, script)
    assert said.split() == ["True"]


async def test_the_dma_overwrites_the_oldest_and_counts_all_while_the_process_is_stopped(start_rack: StartRack) -> None:
    rack = await start_rack(
        "import sys\nsys.stdin.read(1)\n"
        + RECEIVE
        + "start()\n"
        + SWITCH_ON
        + """
import binascii
print("ON")
while came() < 4000: time.sleep_ms(1)
quiet = came()
while True:
    time.sleep_ms(300)
    if came() == quiet:
        break
    quiet = came()
print(quiet, binascii.crc32(bytes(ring[at % 4096] for at in range(quiet - 4096, quiet))), "END")
"""
    )
    [hat] = rack.hats
    with await connected(hat) as port:
        port.write(b"x")
        await port.expect(b"ON")
        assert hat.chip.pid is not None
        os.kill(hat.chip.pid, signal.SIGSTOP)
        await until(lambda: hat.node.state in (NodeState.IDLE, NodeState.WORKING) and not hat.hardware.node.sending)
        os.kill(hat.chip.pid, signal.SIGCONT)
        sent = hat.node.sent(hat.node.boots[0])
        count, newest = (await port.expect(b"END")).split()[:2]
    assert int(count) == len(sent) > 4096
    assert int(newest) == binascii.crc32(sent[-4096:])


async def test_a_node_in_reset_holds_its_line_low(start_rack: StartRack) -> None:
    script = (
        "import sys\nsys.stdin.read(1)\n"
        + RECEIVE
        + "start()\n"
        + SWITCH_ON
        + """
while came() < 100: time.sleep_ms(1)
print("READY", rx.value())
while ring[(came() - 1) % 4096] != 0x500: time.sleep_ms(1)
print("LOW", rx.value())
while not rx.value(): time.sleep_ms(1)
print("END")
"""
    )
    rack = await start_rack(script)
    [hat] = rack.hats
    with await connected(hat) as port:
        port.write(b"x")
        await port.expect(b"READY 1")
        hat.node.reset()
        await port.expect(b"LOW 0")
        await port.expect(b"END")


async def test_a_stopped_dma_moves_nothing(start_rack: StartRack) -> None:
    script = (
        RECEIVE
        + "start()\n"
        + SWITCH_ON
        + """
while came() < 100: time.sleep_ms(1)
data.ctrl = 0
print(data.active(0))
before = came()
while time.ticks_ms() and machine.Pin(5).value() and before == came():
    time.sleep_ms(200)
    break
print(before == came())
"""
    )
    hat, said = await said_by(start_rack, script)
    assert said.split() == ["False", "True"]
    assert hat.chip.uart_lost_bytes > 0


@pytest.mark.parametrize(
    "wrong",
    [
        "start(size=2)",
        "start(inc_read=True)",
        "start(treq_sel=22)",
        "start(ring_size=11)",
        "start(chain_to=data.channel)",
        "data.ctrl = 5",
        "data.active(1)",
        "restart.config(read=count, write=ring, count=1, ctrl=restart.pack_ctrl(inc_read=False, inc_write=False))",
        "restart.config(read=count, write=data.registers[7:8], count=2, ctrl=restart.pack_ctrl())",
        "data.config(read=0x40034000, write=ring, count=1 << 20, ctrl=2, trigger=True)",
        "machine.mem32[0x40038038] = 0x50",
    ],
)
async def test_another_use_of_the_dma_is_refused(start_rack: StartRack, wrong: str) -> None:
    script = RECEIVE + f"\ntry:\n    {wrong}\n    print('nothing')\nexcept ValueError:\n    print('refused')\n"
    _, said = await said_by(start_rack, script)
    assert said.split() == ["refused"]


async def test_typing_reaches_the_node(start_rack: StartRack) -> None:
    script = (
        RECEIVE
        + "start()\n"
        + SWITCH_ON
        + """
def wait_for(words):
    pos, seen = 0, b""
    while words not in seen:
        fresh = bytes(ring[at % 4096] for at in range(pos, came()))
        pos += len(fresh)
        seen = (seen + fresh)[-64:]
        time.sleep_ms(1)
wait_for(b"login: ")
uart.write(b"root\\r")
wait_for(b"Password")
"""
    )
    await said_by(start_rack, script)


async def test_hot_calls_do_not_allocate(start_rack: StartRack) -> None:
    script = """
import gc, machine, micropython, time
pin, button = machine.Pin(13), machine.Pin(17, machine.Pin.OUT)
i2c = machine.I2C(0)
uart = machine.UART(1, rxbuf=32)
adc, wdt = machine.ADC(26), machine.WDT(timeout=8000)
word, line = bytearray(3), b"x" * 16
def calls(times):
  for _ in range(times):
    pin.value(); button.value(1); button.value(0)
    i2c.readfrom_mem_into(0x40, 5, word); i2c.writeto_mem(0x40, 1, b"\\xfb\\x68")
    uart.write(line)
    adc.read_u16(); wdt.feed()
calls(1)
gc.collect()
micropython.heap_lock()
calls(20)
micropython.heap_unlock()
print("fine")
"""
    _, said = await said_by(start_rack, script)
    assert "fine" in said


async def test_what_is_not_modelled_says_so(start_rack: StartRack) -> None:
    script = """
import machine
for wrong in (lambda: machine.UART(1, timeout=10), lambda: machine.WDT(timeout=9000), lambda: machine.Timer(-1)):
    try:
        wrong()
        print("nothing")
    except (ValueError, AttributeError):
        print("refused")
"""
    _, said = await said_by(start_rack, script)
    assert said.split() == ["refused"] * 3
