"""The stand-in `machine`, in a real MicroPython, against the real hardware model."""

from __future__ import annotations

import binascii
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from racklet_virtual.machine_server import Operation
from racklet_virtual.script import NodeState
from tests.virtual.conftest import connected, until

if TYPE_CHECKING:
    from racklet_virtual.board import VirtualHat
    from tests.virtual.conftest import StartRack

MACHINE = Path(__file__).parents[2] / "firmware/virtual/micropython/machine.py"
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
    numbers = re.findall(rf"^_({names}) = const\((\d+)\)", MACHINE.read_text(), re.MULTILINE)
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


async def test_the_uart_gives_the_firmware_every_byte_the_node_sent(start_rack: StartRack) -> None:
    script = """
import binascii, machine, time
uart = machine.UART(1, baudrate=115200, tx=machine.Pin(4), rx=machine.Pin(5), rxbuf=2048)
gate_set = machine.Pin(10, machine.Pin.OUT, value=0)
gate_set.value(1); time.sleep_ms(2); gate_set.value(0)
chunk, seen = bytearray(256), b""
total = crc = 0
while b"login: " not in seen:
    n = uart.readinto(chunk)
    if n:
        total, crc, seen = total + n, binascii.crc32(chunk[:n], crc), (seen + chunk[:n])[-16:]
    else:
        time.sleep_ms(5)
print(total, crc)
"""
    hat, said = await said_by(start_rack, script)
    total, crc = map(int, said.split())
    sent = hat.node.sent(hat.node.boots[0])[:total]
    assert (len(sent), binascii.crc32(sent)) == (total, crc)
    assert hat.chip.uart_lost_bytes == 0


async def test_a_wrong_baud_rate_reads_garbage(start_rack: StartRack) -> None:
    script = (
        "import machine, time\nuart = machine.UART(1, baudrate=9600, rxbuf=1024)\n"
        + SWITCH_ON
        + "while not uart.any(): time.sleep_ms(1)\nprint(uart.read(3) == b'boo')\n"
    )
    _, said = await said_by(start_rack, script)
    assert said.split() == ["False"]


async def test_a_full_receive_buffer_loses_and_counts_bytes(start_rack: StartRack) -> None:
    script = (
        "import machine\nuart = machine.UART(1, rxbuf=300)\n"
        + SWITCH_ON
        + """
import sys
print("ON")
sys.stdin.read(1)
n = 0
while uart.any():
    n += len(uart.read(100))
print(n)
"""
    )
    rack = await start_rack(script)
    [hat] = rack.hats
    with await connected(hat) as port:
        await until(lambda: hat.node.state in (NodeState.IDLE, NodeState.WORKING))
        sent = hat.node.boots[0].sent_bytes
        port.write(b"x")
        await port.expect(b"300\n")
    assert hat.chip.uart_lost_bytes == sent - 300


async def test_typing_reaches_the_node(start_rack: StartRack) -> None:
    script = (
        """
import machine, time
uart = machine.UART(1, rxbuf=1024)
"""
        + SWITCH_ON
        + """
seen = b""
while b"login: " not in seen:
    seen = (seen + (uart.read(64) or b""))[-64:]
    time.sleep_ms(1)
uart.write(b"root\\r")
while b"Password" not in seen:
    seen = (seen + (uart.read(64) or b""))[-64:]
    time.sleep_ms(1)
"""
    )
    await said_by(start_rack, script)


async def test_asyncio_can_wait_for_the_uart(start_rack: StartRack) -> None:
    script = (
        """
import asyncio, machine
uart = machine.UART(1, rxbuf=1024)
"""
        + SWITCH_ON
        + """
async def main():
    reader = asyncio.StreamReader(uart)
    print(len(await reader.read(8)))
asyncio.run(main())
"""
    )
    _, said = await said_by(start_rack, script)
    assert int(said) > 0


async def test_hot_calls_do_not_allocate(start_rack: StartRack) -> None:
    script = """
import gc, machine, micropython, time
pin, button = machine.Pin(13), machine.Pin(17, machine.Pin.OUT)
i2c = machine.I2C(0)
uart = machine.UART(1, rxbuf=256)
adc, wdt = machine.ADC(26), machine.WDT(timeout=8000)
word, chunk, line = bytearray(3), bytearray(64), b"x" * 16
def calls(times):
  for _ in range(times):
    pin.value(); button.value(1); button.value(0)
    i2c.readfrom_mem_into(0x40, 5, word); i2c.writeto_mem(0x40, 1, b"\\xfb\\x68")
    uart.any(); uart.readinto(chunk); uart.write(line)
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
