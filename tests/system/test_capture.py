"""What the node's UART sends, through the real firmware, into hostd's store: resets, rates, losses, line errors."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from racklet.v1 import rack_pb2
from racklet_virtual.node import Habit
from racklet_virtual.script import NodeState
from tests.system.rig import ON, Hostd, follows, until, until_async, virtual_rack

UP = (NodeState.IDLE, NodeState.WORKING)
STOPPED_S = 0.4  # at 115200 baud 4608 characters come in it, twice what the HAT's ring takes


async def boots(hostd: Hostd, name: str = "node-1") -> list[rack_pb2.Boot]:
    """Return the boots of a node, oldest first."""
    listed = await hostd.rack.ListBoots(rack_pb2.ListBootsRequest(parent=f"nodes/{name}"))
    return list(reversed(listed.boots))


async def pieces(hostd: Hostd, boot: rack_pb2.Boot) -> list[rack_pb2.ReadBootLogResponse]:
    return [piece async for piece in hostd.rack.ReadBootLog(rack_pb2.ReadBootLogRequest(name=boot.name))]


async def switch_on(hostd: Hostd, name: str = "node-1") -> None:
    await hostd.until_node(lambda node: node.hat.state == rack_pb2.HAT_STATE_ONLINE, name)
    await hostd.rack.SetPower(rack_pb2.SetPowerRequest(name=f"nodes/{name}", action=ON))


async def until_stored(hostd: Hostd, name: str, ends: list[int]) -> list[rack_pb2.Boot]:
    """Wait until the boots of a node, oldest first, have this many bytes."""

    async def all_is_there() -> bool:
        return [boot.log_end for boot in await boots(hostd, name)] == ends

    await until_async(all_is_there)
    return await boots(hostd, name)


def data_of(found: list[rack_pb2.ReadBootLogResponse]) -> bytes:
    return b"".join(piece.data for piece in found)


@pytest.mark.parametrize("baud", [921_600, 1_500_000])
async def test_a_node_of_another_rate_is_understood_from_its_second_boot_on_to_the_last_byte(
    tmp_path: Path, baud: int
) -> None:
    async with virtual_rack(tmp_path / "rack", bauds={1: baud}) as rack, Hostd(tmp_path, rack.config_toml()) as hostd:
        hat = rack.hats[0]
        await switch_on(hostd)
        await until(lambda: hat.node.state in UP)
        hat.node.reset()
        await until(lambda: hat.node.starts == 2 and hat.node.state in UP)
        sent = hat.node.sent(hat.node.boots[-1])
        border = hat.node.boots[-1].resets[0]

        async def second_is_there() -> bool:
            return [boot.log_end for boot in (await boots(hostd))[1:]] == [len(sent) - border]

        await until_async(second_is_there)
        first, second = await boots(hostd)
        found = await pieces(hostd, first)
        assert next(piece.gap.reason for piece in found if piece.HasField("gap")) == "baud_detection"
        last = found[-1].data
        assert sent[:border].endswith(last)
        assert len(data_of(found)) > 5000
        # A busy computer may give the firmware no time for 13 ms: that is a gap of the exact size.
        again = await pieces(hostd, second)
        assert follows([piece.gap if piece.HasField("gap") else piece.data for piece in again], sent[border:])
        events = (await hostd.rack.ListEvents(rack_pb2.ListEventsRequest(node="nodes/node-1"))).events
        assert [event.message for event in events if event.kind == "baud_rate"] == [
            f"The node's console runs at {baud} baud; the HAT listened at 115200 before."
        ]


async def test_a_firmware_that_gets_no_processor_time_loses_what_its_ring_cannot_take_and_counts_it(
    tmp_path: Path,
) -> None:
    async with (
        virtual_rack(tmp_path / "rack", habits={1: Habit.FLOOD}) as rack,
        Hostd(tmp_path, rack.config_toml()) as hostd,
    ):
        hat = rack.hats[0]
        await switch_on(hostd)
        await until(lambda: hat.node.boots and hat.node.boots[-1].sent_bytes > 3000)
        assert hat.chip.pid is not None
        os.kill(hat.chip.pid, signal.SIGSTOP)
        stopped_at = hat.node.boots[-1].sent_bytes
        await until(lambda: hat.node.boots[-1].sent_bytes > stopped_at + 11_520 * STOPPED_S)
        os.kill(hat.chip.pid, signal.SIGCONT)
        hat.node.set_habit(Habit.NORMAL)

        async def has_gap() -> bool:
            newest = (await boots(hostd))[-1]
            return newest.lost_bytes > 0 and newest.log_end > stopped_at + 15_000

        await until_async(has_gap)
        sent = hat.node.sent(hat.node.boots[-1])
        [boot] = await boots(hostd)
        found = await pieces(hostd, boot)
        assert {piece.gap.reason for piece in found if piece.HasField("gap")} == {"uart_overrun"}
        for piece in found:
            assert piece.data == sent[piece.offset : piece.offset + len(piece.data)]
        metrics = await hostd.metrics()
        assert metrics["racklet_uart_errors_total", "overrun", "node-1"] >= 1


@pytest.mark.parametrize(
    ("name", "holds_low", "begins", "cause"),
    [
        ("node-1", True, b"", rack_pb2.BOOT_CAUSE_BREAK),
        ("node-2", False, b"U-Boot 2025", rack_pb2.BOOT_CAUSE_BOOTLOADER),
    ],
)
async def test_a_reset_without_power_change_begins_a_boot_at_the_exact_byte(
    tmp_path: Path, name: str, *, holds_low: bool, begins: bytes, cause: int
) -> None:
    async with virtual_rack(tmp_path / "rack", 2) as rack, Hostd(tmp_path, rack.config_toml()) as hostd:
        hat = rack.hat(name)
        await switch_on(hostd, name)
        await until(lambda: hat.node.state in UP)
        hat.node.reset(holds_low=holds_low)
        await until(lambda: hat.node.starts == 2 and hat.node.state in UP)
        sent = hat.node.sent(hat.node.boots[-1])
        border = sent.index(begins, hat.node.boots[-1].resets[0])
        first, second = await until_stored(hostd, name, [border, len(sent) - border])
        assert (first.cause, second.cause) == (rack_pb2.BOOT_CAUSE_SUPPLY_ON, cause)
        assert data_of(await pieces(hostd, first)) == sent[:border]
        assert data_of(await pieces(hostd, second)) == sent[border:]


async def test_damaged_characters_are_marked_where_they_are_and_counted(tmp_path: Path) -> None:
    async with virtual_rack(tmp_path / "rack") as rack, Hostd(tmp_path, rack.config_toml()) as hostd:
        hat = rack.hats[0]
        await switch_on(hostd)
        await until(lambda: hat.node.boots and hat.node.boots[-1].sent_bytes > 200)  # the rate is found
        hat.hardware.uart.noise = 0.01
        await until(lambda: hat.node.state in UP)
        sent = hat.node.sent(hat.node.boots[-1])
        [boot] = await until_stored(hostd, "node-1", [len(sent)])
        found = await pieces(hostd, boot)
        assert data_of(found) == sent
        marks = [piece for piece in found if piece.HasField("line_errors")]
        ends = {piece.offset for piece in found if piece.HasField("data")}
        assert marks
        assert {mark.offset for mark in marks} <= ends
        total = sum(mark.line_errors.framing_errors for mark in marks)
        assert total == pytest.approx(len(sent) * 0.01, rel=0.4)
        assert (await hostd.metrics())["racklet_uart_errors_total", "framing", "node-1"] == total
        code, shown, _ = await hostd.cli("logs", "node-1", "--timestamps")
        assert code == 0
        assert sum(int(count) for count in re.findall(r"<(\d+) framing error", shown)) == total
