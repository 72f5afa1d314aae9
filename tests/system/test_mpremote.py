"""A person with mpremote at a HAT's port, and the bytes that look like one but are none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from racklet.link.v1 import link_pb2
from racklet_virtual.board import VirtualHat
from racklet_virtual.node import ScriptedNode
from racklet_virtual.script import NodeState
from tests.system.link_port import LinkPort, padded_knock, seal
from tests.system.rig import BIN, Hostd, run, until, virtual_rack

TAKE_OVER = b"\r\x03"  # what mpremote sends first
PROMPT = b">>> "
LENGTHS = [length + near for length in range(64, 520, 64) for near in (-1, 0, 1, 2)]


class EchoNode(ScriptedNode):
    """A node whose console sends back every byte as it is."""

    def type(self, data: bytes, at_us: int) -> None:
        self._line.put(data, at_us)


@pytest_asyncio.fixture
async def hat(tmp_path: Path) -> AsyncIterator[VirtualHat]:
    """A HAT whose firmware runs, with its node on. Whatever the test does, the supply must not move."""
    async with virtual_rack(tmp_path) as rack:
        [hat] = rack.hats
        hat.hardware.node = EchoNode(hat.hardware.node.profile, hat.hardware.record)
        with LinkPort(hat) as port:
            await port.power_on()
        await until(lambda: not hat.cable.host_open)
        yield hat
        assert hat.node.supply_on
        assert (len(hat.node.boots), hat.node.starts) == (1, 1), "the supply went off and on again"


async def mpremote(hat: VirtualHat, *arguments: str) -> str:
    """Run mpremote at the HAT's port; return what it printed."""
    code, output, errors = await run(BIN / "mpremote", "connect", str(hat.port), *arguments)
    assert code == 0, output + errors
    return output.replace("\r", "").strip()


def is_at_repl(hat: VirtualHat) -> bool:
    """Tell whether the HAT shows a prompt instead of running its firmware."""
    return PROMPT in hat.chip.last_words or b"raw REPL" in hat.chip.last_words


async def hello_after(hat: VirtualHat, starts: int) -> link_pb2.Hello:
    """Return the Hello of the firmware once it runs again."""
    await until(lambda: hat.chip.starts == starts and hat.plugged and hat.chip.pid is not None)
    with LinkPort(hat) as port:
        return await port.until_up()


async def test_an_expression_is_evaluated_while_the_firmware_runs(hat: VirtualHat) -> None:
    assert await mpremote(hat, "resume", "eval", "1+1") == "2"
    assert hat.chip.starts == 1


async def test_the_flash_is_listed_while_the_firmware_runs(hat: VirtualHat) -> None:
    (hat.chip.flash / "note.txt").write_text("here")
    assert "note.txt" in await mpremote(hat, "resume", "fs", "ls")


async def test_a_file_is_run_while_the_firmware_runs(hat: VirtualHat, tmp_path: Path) -> None:
    file = tmp_path / "job.py"
    file.write_text("import sys\nprint(6 * 7, 'racklet_hat.app' in sys.modules)\n")
    assert await mpremote(hat, "resume", "run", str(file)) == "42 True"


async def test_a_file_is_copied_to_the_flash_and_back(hat: VirtualHat, tmp_path: Path) -> None:
    data = bytes(range(256)) * 5
    (tmp_path / "there").write_bytes(data)
    await mpremote(
        hat, "resume", "fs", "cp", str(tmp_path / "there"), ":data", "+", "fs", "cp", ":data", str(tmp_path / "back")
    )
    assert (tmp_path / "back").read_bytes() == data


async def test_a_hat_at_the_repl_stays_there_while_the_person_thinks(hat: VirtualHat) -> None:
    """The watchdog sleeps then; it would bite after 8 s."""
    await until(lambda: hat.chip._watchdog.is_set)
    assert await mpremote(hat, "resume", "eval", "6*7") == "42"
    assert not hat.chip._watchdog.is_set
    assert hat.chip.starts == 1


async def test_the_hat_works_again_after_a_reset(hat: VirtualHat) -> None:
    assert await mpremote(hat, "resume", "eval", "1+1") == "2"
    await mpremote(hat, "resume", "reset")
    hello = await hello_after(hat, starts=2)
    assert (hello.supply_state, hello.boot_continues) == (link_pb2.SUPPLY_STATE_ON, True)


async def test_the_hat_works_again_after_a_soft_reset_and_a_reset(hat: VirtualHat) -> None:
    assert await mpremote(hat, "eval", "1+1") == "2"  # without `resume` mpremote resets first, into the raw REPL
    await mpremote(hat, "resume", "reset")
    assert (await hello_after(hat, starts=3)).supply_state == link_pb2.SUPPLY_STATE_ON


async def test_the_hat_works_again_after_ctrl_d_at_the_prompt(hat: VirtualHat) -> None:
    with LinkPort(hat) as port:
        port.write(TAKE_OVER)
        await until(lambda: hat.chip.last_words.endswith(PROMPT))
        port.write(b"\x04")
        await until(lambda: hat.chip.starts == 2)
        hello = await port.until_up()
    assert hello.reset_cause == link_pb2.RESET_CAUSE_SOFT
    assert (hello.supply_state, hello.boot_continues) == (link_pb2.SUPPLY_STATE_ON, True)


@pytest.mark.parametrize("partial", [b"\x21half a frame", seal(bytes(300))[:-1], b"\x05"])
async def test_what_a_dead_hostd_began_is_in_nobodys_way(hat: VirtualHat, partial: bytes) -> None:
    with LinkPort(hat) as port:
        port.write(partial)
        await until(lambda: hat.cable.host_open)
        await asyncio.sleep(1)  # a partial frame is stale by the HAT's own clock, 100 ms after its last byte came
    assert await mpremote(hat, "resume", "eval", "1+1") == "2"


async def test_mpremote_takes_over_right_after_hostd_was_killed(tmp_path: Path) -> None:
    async with virtual_rack(tmp_path / "rack") as rack, Hostd(tmp_path, rack.config_toml()) as hostd:
        [hat] = rack.hats
        await hostd.until_online()
        await hostd.power(hat)
        await hostd.kill()
        assert await mpremote(hat, "resume", "eval", "1+1") == "2"
        assert hat.node.supply_on


async def test_ctrl_c_inside_a_frame_is_a_byte(hat: VirtualHat) -> None:
    with LinkPort(hat) as port:
        for filler in (b"\x03", TAKE_OVER, b"\x03\r"):
            port.write(padded_knock(200, filler))
            await port.until_greeted()
    assert (is_at_repl(hat), hat.chip.starts) == (False, 1)


@pytest.mark.parametrize(
    "parts",
    [
        (b"\x21damaged\r\x03and more\0",),
        (b"\x21damaged", TAKE_OVER, b"and more\0"),
        (b"\x21", TAKE_OVER + TAKE_OVER, b"\x03\0"),
        (b"\x03\x03\0",),
        (b"\0\x03", b"\x03\0"),
        (bytes(range(1, 256)) * 3, TAKE_OVER, b"\0"),
    ],
)
async def test_ctrl_c_inside_a_damaged_frame_takes_nobody_over(hat: VirtualHat, parts: tuple[bytes, ...]) -> None:
    with LinkPort(hat) as port:
        await port.until_up()
        for part in parts:
            port.write(part)
            port.pump()
        await port.until_greeted_by_knock()
    assert (is_at_repl(hat), hat.chip.starts) == (False, 1)


async def test_ctrl_c_alone_takes_nobody_over(hat: VirtualHat) -> None:
    with LinkPort(hat) as port:
        await port.until_up()
        port.write(b"\x03")
        await port.until_greeted_by_knock()
    assert (is_at_repl(hat), hat.chip.starts) == (False, 1)


async def test_frames_of_lengths_around_usb_packets_arrive(hat: VirtualHat) -> None:
    """Of 64 bytes: the chip's stdin has stalled on multiples of them."""
    with LinkPort(hat) as port:
        await port.until_up()
        for length in LENGTHS:
            port.write(padded_knock(length))
            await port.until_greeted()
        damage = port.link.counters.errors  # the knocks have no nonce, so that their Hellos are bare
        assert not damage.total() - damage["seal"]


async def test_every_byte_value_is_typed_and_comes_back(hat: VirtualHat) -> None:
    with LinkPort(hat) as port:
        await until(lambda: port.pump() or hat.node.state is NodeState.IDLE)
        boot_bytes = hat.node.boots[0].sent_bytes
        typed = bytes(range(256)) + bytes(reversed(range(256))) + TAKE_OVER * 40 + bytes(64)
        waiting = typed
        while waiting:
            waiting = waiting[port.link.type_console(waiting, hat.now_us() // 1000) :]
            port.pump()
            await asyncio.sleep(0)
        await until(lambda: port.pump() or len(port.log) >= boot_bytes + len(typed))
        assert bytes(port.log[boot_bytes:]) == typed
        assert port.log == hat.node.sent(hat.node.boots[0])
        assert not port.gaps
    assert not is_at_repl(hat)
