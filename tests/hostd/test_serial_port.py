"""Serial ports, over ptys."""

from __future__ import annotations

import asyncio
import os
import resource
import tty
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from racklet_hostd import serial_port
from racklet_hostd.serial_port import LOOK_MS, SOON_MS, PortUnavailableError, SerialPort
from tests.hostd.rig import until


class Cable:
    """The other side of a port."""

    def __init__(self) -> None:
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        os.set_blocking(self.master, False)
        self.path = Path(os.ttyname(self.slave))
        self.is_in = True

    def pull(self) -> None:
        if self.is_in:
            self.is_in = False
            os.close(self.slave)
            os.close(self.master)

    def read(self) -> bytes:
        try:
            return os.read(self.master, 65536)
        except BlockingIOError:
            return b""


def open_files() -> list[int]:
    return [int(path.name) for path in Path("/proc/self/fd").iterdir()]


@pytest.fixture
def cable() -> Iterator[Cable]:
    cable = Cable()
    yield cable
    cable.pull()


async def test_bytes_go_both_ways_unchanged(cable: Cable) -> None:
    every_byte = bytes(range(256))
    received = bytearray()
    port = await SerialPort.open(cable.path, received.extend)
    os.write(cable.master, every_byte)
    await until(lambda: received == every_byte)
    port.write(every_byte)
    heard = bytearray()
    await until(lambda: heard.extend(cable.read()) or heard == every_byte)
    await port.close()
    assert port.is_closed


async def test_a_port_is_for_one_program_at_a_time(cable: Cable) -> None:
    port = await SerialPort.open(cable.path, lambda _: None)
    with pytest.raises(PortUnavailableError, match="another program is using it"):
        await SerialPort.open(cable.path, lambda _: None)
    await port.close()
    again = await SerialPort.open(cable.path, lambda _: None)
    await again.close()


@pytest.mark.parametrize("what", ["missing", "file", "folder"])
async def test_what_is_no_port_is_named(tmp_path: Path, what: str) -> None:
    path = tmp_path / "port"
    if what == "file":
        path.write_text("")
    elif what == "folder":
        path.mkdir()
    with pytest.raises(PortUnavailableError) as caught:
        await SerialPort.open(path, lambda _: None)
    assert str(caught.value).startswith(f"{path} does not open: ")
    reasons = {"missing": "there is no such port", "file": "it is not a serial port", "folder": "directory"}
    assert reasons[what] in caught.value.reason.lower()


async def test_a_cable_that_is_pulled_closes_the_port(cable: Cable) -> None:
    port = await SerialPort.open(cable.path, lambda _: None)
    cable.pull()
    await until(lambda: port.is_closed)
    port.write(b"to nobody")
    port.pause()
    port.resume()
    await port.close()


async def test_a_cable_that_is_pulled_during_a_write_closes_the_port(cable: Cable) -> None:
    port = await SerialPort.open(cable.path, lambda _: None)
    for _ in range(20):
        port.write(bytes(1000))
    cable.pull()
    await until(lambda: port.is_closed)


async def test_a_side_that_does_not_read_costs_bounded_memory_and_does_not_hold_up_the_end(cable: Cable) -> None:
    port = await SerialPort.open(cable.path, lambda _: None)
    await until(lambda: port.write(bytes(1000)) or port.dropped_bytes > 100_000)
    assert port._transport is not None
    assert port._transport.get_write_buffer_size() <= serial_port._WRITE_BUFFER_BYTES + 1000
    await port.close()


async def test_what_was_dropped_is_only_what_did_not_fit(cable: Cable) -> None:
    port = await SerialPort.open(cable.path, lambda _: None)
    await until(lambda: port.write(bytes(1000)) or port.dropped_bytes)
    heard = bytearray()
    await until(lambda: heard.extend(cable.read()) or not port._is_full)
    port.write(b"end")
    await until(lambda: heard.extend(cable.read()) or heard.endswith(b"end"))
    await port.close()


async def test_a_port_that_is_paused_is_not_read(cable: Cable) -> None:
    received = bytearray()
    port = await SerialPort.open(cable.path, received.extend)
    os.write(cable.master, b"1")
    await until(lambda: received == b"1")
    port.pause()
    os.write(cable.master, b"2")
    await asyncio.sleep(2 * LOOK_MS / 1000)
    assert received == b"1"
    port.resume()
    await until(lambda: received == b"12")
    await port.close()


def next_look_ms(port: SerialPort) -> float:
    assert isinstance(port._next_look, asyncio.TimerHandle)
    return (port._next_look.when() - asyncio.get_running_loop().time()) * 1000


async def until_busy(cable: Cable, port: SerialPort) -> None:
    """Let the HAT say dots until the port is looked at, and has said what it said."""
    await until(lambda: os.write(cable.master, b".") and port._next_look is not None)


async def test_a_busy_port_is_looked_at_and_then_wakes_us_again(cable: Cable) -> None:
    received = bytearray()
    port = await SerialPort.open(cable.path, received.extend)
    await until_busy(cable, port)
    for number in range(100):
        os.write(cable.master, bytes([number]) * 20)
    await until(lambda: received.endswith(bytes([99]) * 20))
    assert received.lstrip(b".") == b"".join(bytes([number]) * 20 for number in range(100))
    await until(lambda: port._next_look is None)
    os.write(cable.master, b"again")
    await until(lambda: received.endswith(b"again"))
    await port.close()


async def test_more_than_a_terminal_holds_comes_whole_and_in_order(cable: Cable) -> None:
    received = bytearray()
    port = await SerialPort.open(cable.path, received.extend)
    await until_busy(cable, port)
    everything = bytes(range(256)) * 2000
    rest = everything

    def feed() -> bool:
        nonlocal rest
        with suppress(BlockingIOError):
            rest = rest[os.write(cable.master, rest) :]
        return len(received) > len(everything)

    await until(feed)
    assert received.lstrip(b".") == everything
    await port.close()


async def test_the_faster_a_hat_speaks_the_sooner_the_next_look(cable: Cable) -> None:
    port = await SerialPort.open(cable.path, lambda _: None)
    periods = []
    for count in (100, 12_000, 20_000, 100_000):
        port._read_s, port._counted_s, port._counted_bytes = 1.08, 1.0, count
        periods.append(port._period_ms())
    assert periods == [SOON_MS, pytest.approx(100, abs=2), pytest.approx(60, abs=1), LOOK_MS]
    assert port._period_ms() == SOON_MS  # nothing came
    await port.close()


async def test_an_answer_that_is_awaited_brings_the_next_look_forward(cable: Cable) -> None:
    port = await SerialPort.open(cable.path, lambda _: None)
    await until_busy(cable, port)
    port._look_in(100 * SOON_MS)
    port.hurry()
    assert next_look_ms(port) <= LOOK_MS
    await port.close()


async def test_who_takes_what_came_may_have_the_next_look_soon(cable: Cable) -> None:
    looks: list[float] = []

    def take(_: bytes) -> bool:
        looks.append(asyncio.get_running_loop().time())
        return True

    port = await SerialPort.open(cable.path, take)
    await until_busy(cable, port)
    looks.clear()
    await until(lambda: os.write(cable.master, b".") and len(looks) > 2)
    assert port._next_look is not None
    assert next_look_ms(port) <= LOOK_MS
    await port.close()


async def test_ports_that_say_little_are_looked_at_together() -> None:
    cables = [Cable() for _ in range(3)]
    ports = [await SerialPort.open(cable.path, lambda _: None) for cable in cables]
    for port in ports:
        port._look_in(SOON_MS)
        await asyncio.sleep(0.001)
    looks = [port._next_look.when() for port in ports if isinstance(port._next_look, asyncio.TimerHandle)]
    assert len(looks) == 3
    assert [round(when * 1000) % SOON_MS for when in looks] == [0, 0, 0]
    for port, cable in zip(ports, cables, strict=True):
        await port.close()
        cable.pull()


async def test_a_busy_port_that_is_paused_is_not_read(cable: Cable) -> None:
    received = bytearray()
    port = await SerialPort.open(cable.path, received.extend)
    await until_busy(cable, port)
    port.pause()
    before = len(received)
    os.write(cable.master, b"later")
    await asyncio.sleep(2 * SOON_MS / 1000)
    assert len(received) == before
    port.resume()
    await until(lambda: received.endswith(b"later"))
    await port.close()


async def test_a_port_may_be_paused_by_who_takes_what_came(cable: Cable) -> None:
    received = bytearray()

    def take(data: bytes) -> None:
        received.extend(data)
        port.pause()

    port = await SerialPort.open(cable.path, take)
    for number in range(5):
        os.write(cable.master, b"%d" % number)
        await until(lambda number=number: len(received) == number + 1)  # type: ignore[misc]
        port.resume()
    await port.close()


async def test_a_cable_that_is_pulled_while_the_port_is_looked_at_closes_it(cable: Cable) -> None:
    port = await SerialPort.open(cable.path, lambda _: None)
    await until_busy(cable, port)
    cable.pull()
    await until(lambda: port.is_closed)


async def test_closing_a_port_passes_on_nothing_more(cable: Cable) -> None:
    received = bytearray()
    port = await SerialPort.open(cable.path, received.extend)
    await until_busy(cable, port)
    before = len(received)
    await port.close()
    await asyncio.sleep(2 * SOON_MS / 1000)
    assert len(received) == before


async def test_giving_up_while_a_port_opens_leaves_it_to_others(cable: Cable) -> None:
    async with asyncio.TaskGroup() as tasks:
        opening = tasks.create_task(SerialPort.open(cable.path, lambda _: None))
        await asyncio.sleep(0)
        opening.cancel()
    await asyncio.get_running_loop().run_in_executor(None, lambda: None)

    async def is_free() -> bool:
        try:
            port = await SerialPort.open(cable.path, lambda _: None)
        except PortUnavailableError:
            return False
        await port.close()
        return True

    async with asyncio.timeout(10):
        while not await is_free():  # noqa: ASYNC110 - a thread closes it
            await asyncio.sleep(0.01)


async def test_an_open_port_takes_one_descriptor(cable: Cable) -> None:
    before = len(open_files())
    port = await SerialPort.open(cable.path, lambda _: None)
    assert len(open_files()) == before + 1
    await port.close()
    assert len(open_files()) == before


async def test_without_a_descriptor_left_the_limit_is_named(cable: Cable) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    await (await SerialPort.open(cable.path, lambda _: None)).close()
    highest = max(open_files())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest, hard))
    fillers: list[int] = []
    try:
        with suppress(OSError):
            while True:
                fillers.append(os.open(os.devnull, os.O_RDONLY))
        with pytest.raises(PortUnavailableError, match="as many files open as it may"):
            await SerialPort.open(cable.path, lambda _: None)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for filler in fillers:
            os.close(filler)


async def test_a_port_with_a_descriptor_beyond_1024_works() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2048:
        pytest.skip("this process may not open so many files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    fillers = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    cable = Cable()
    try:
        received = bytearray()
        port = await SerialPort.open(cable.path, received.extend)
        os.write(cable.master, b"far away")
        await until(lambda: received == b"far away")
        await port.close()
    finally:
        cable.pull()
        for filler in fillers:
            os.close(filler)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
