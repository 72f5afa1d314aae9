"""What a HAT brings is stored: each byte and each event once, with their times, whatever happens between."""

from __future__ import annotations

import time
from pathlib import Path

from racklet.link.v1 import link_pb2
from racklet.v1 import rack_pb2
from racklet_hostd.store import Chunk, StoreLimits
from tests.hostd.pty_hat import PtyHat
from tests.hostd.rig import Rig, running_rack, until

TEXT = b"".join(b"[%5d.%06d] line %d of a boot\n" % (n // 100, n, n) for n in range(2000))


def stored(rig: Rig, boot: int, name: str = "node-1") -> bytes:
    """Return the bytes of a boot log."""
    log = rig.daemon.rack.node(name).store.boot_log(boot)
    pieces = log.read(0, 1 << 20)
    assert all(isinstance(piece, Chunk) for piece in pieces), pieces
    return b"".join(piece.data for piece in pieces if isinstance(piece, Chunk))


async def test_every_byte_of_a_boot_is_stored_and_acknowledged(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        hat = rig.hats["node-1"]
        hat.boot()
        for start in range(0, len(TEXT), 5000):
            hat.say(TEXT[start : start + 5000])
            await until(lambda: hat.all_acknowledged)
        assert stored(rig, 1) == TEXT


async def test_records_have_the_wall_time_of_when_they_came(tmp_path: Path) -> None:
    before_ms = time.time_ns() // 1_000_000
    async with running_rack(tmp_path) as rig:
        rig.hats["node-1"].boot()
        rig.hats["node-1"].say(b"x")
        await until(lambda: rig.hats["node-1"].all_acknowledged)
        log = rig.daemon.rack.node("node-1").store.boot_log(1)
        # The HAT's clock is known to within the time that the Hello took, and better with each telemetry.
        times_ms = (log.start_ms, log.last_byte_ms)
        assert before_ms - 1000 <= min(times_ms) <= max(times_ms) <= time.time_ns() // 1_000_000


async def test_a_new_boot_gets_the_next_number_and_an_empty_last_line(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        hat = rig.hats["node-1"]
        hat.boot()
        hat.say(b"first\n")
        await rig.until_node(lambda node: node.last_line == "first")
        hat.boot()
        node = await rig.until_node(lambda node: node.boot == "nodes/node-1/boots/2")
        assert (node.last_line, node.log_end) == ("", 0)
        hat.say(b"second\n")
        await rig.until_node(lambda node: node.last_line == "second")
        assert (stored(rig, 1), stored(rig, 2)) == (b"first\n", b"second\n")


async def test_bytes_that_a_uart_lost_are_a_gap(tmp_path: Path) -> None:
    async with running_rack(tmp_path) as rig:
        hat = rig.hats["node-1"]
        hat.boot()
        hat.say(b"one")
        hat.lose(17)
        hat.say(b"two")
        await until(lambda: hat.all_acknowledged)
        log = rig.daemon.rack.node("node-1").store.boot_log(1)
        pieces = [(piece.offset, getattr(piece, "reason", None) or piece.data) for piece in log.read(0, 100)]  # type: ignore[union-attr]
    assert pieces == [(0, b"one"), (3, "uart_overrun"), (20, b"two")]
    assert log.lost_bytes == 17


async def test_hostd_that_starts_again_goes_on_without_loss_or_repetition(tmp_path: Path) -> None:
    with PtyHat(tmp_path / "ports" / "node-1") as hat:
        hat.boot()
        for start in range(0, len(TEXT), 20_000):
            hat.say(TEXT[start : start + 10_000])
            async with running_rack(tmp_path, hats={"node-1": hat}) as rig:
                hat.say(TEXT[start + 10_000 : start + 20_000])
                end = min(start + 20_000, len(TEXT))
                await rig.until_node(lambda node, end=end: node.log_end == end)  # type: ignore[misc]
        async with running_rack(tmp_path, hats={"node-1": hat}) as rig:
            assert stored(rig, 1) == TEXT
            assert (await rig.node()).last_line == TEXT.splitlines()[-1].decode()


async def test_a_hat_event_is_recorded_once_as_a_sentence(tmp_path: Path) -> None:
    with PtyHat(tmp_path / "ports" / "node-1") as hat:
        hat.tell(link_pb2.EVENT_KIND_OVER_CURRENT, 3_214_000, 3_000_000)
        for _ in range(2):
            async with running_rack(tmp_path, hats={"node-1": hat}) as rig:
                await until(lambda: hat.all_acknowledged)
                events = rig.daemon.rack.events.store.list("node-1", None, 100)
    assert [event.message for event in events if event.kind == "over_current"] == [
        "The current was 3.214 A, above the limit of 3.000 A; the supply was cut."
    ]


async def test_a_full_disk_is_told_once_and_everything_else_goes_on(tmp_path: Path) -> None:
    async with running_rack(tmp_path, limits=StoreLimits(free_bytes_kept=1 << 60)) as rig:
        hat, rack = rig.hats["node-1"], rig.daemon.rack
        hat.boot()
        hat.say(b"nobody keeps this")
        await until(lambda: rack.store_failures["disk_full"] == 1)
        hat.say(b"nor this")
        await until(lambda: rack.store_failures["disk_full"] >= 2)
        assert "disk" in rig.daemon.not_ready()
        node = await rig.until_node(lambda node: node.HasField("measurement"))
        assert node.hat.state == rack_pb2.HAT_STATE_ONLINE
        told = [event for event in rack.events.store.list("node-1", None, 100) if event.kind == "disk_full"]
        assert len(told) == 1
        assert "17 bytes of boot 1 are lost" in told[0].message
        await until(lambda: hat.all_acknowledged)


async def test_a_disk_that_has_room_again_takes_logs_again(tmp_path: Path) -> None:
    async with running_rack(tmp_path, limits=StoreLimits(free_bytes_kept=1 << 60)) as rig:
        hat, rack = rig.hats["node-1"], rig.daemon.rack
        hat.boot()
        hat.say(b"lost")
        await until(lambda: rack.store_failures["disk_full"] == 1)
        await until(lambda: hat.all_acknowledged)
        rig.daemon._syncing._store._limits = StoreLimits()
        hat.say(b"kept")
        await until(lambda: rig.daemon.not_ready() == "")
        pieces = rack.node("node-1").store.boot_log(1).read(0, 100)
    assert [getattr(piece, "reason", None) or piece.data for piece in pieces] == ["disk_full", b"kept"]  # type: ignore[union-attr]
