"""What a node sends reaches the log whole, by the DMA of the emulated chip, while everything else goes on."""

from __future__ import annotations

import random

import pytest

from racklet.link.v1 import link_pb2
from racklet_virtual.node import Habit
from tests.chip.conftest import MakeHat, TalkingNode
from tests.chip.host import ChipHost

BURST_BYTES = 6_000  # 40 ms of a line at 1500000 baud, three laps of the UART's ring
ALL_VALUES = bytes(range(256))


def sent_by(host: ChipHost) -> bytes:
    """Return everything that the node has sent."""
    record = host.hat.hardware.record
    return b"".join(record.read(boot) for boot in record.boots)


def stored(host: ChipHost) -> bytes:
    """Return everything that came as log."""
    return b"".join(bytes(data) for _, data in sorted(host.log.items()))


def until_stored(host: ChipHost, size: int) -> None:
    """Wait until so many bytes came as log."""
    host.run_until(lambda: len(stored(host)) == size, limit_ms=200)


def test_a_line_at_115200_baud_that_never_pauses_loses_nothing_while_telemetry_and_requests_run(
    make_hat: MakeHat, figures: list[str]
) -> None:
    host = ChipHost(make_hat(habit=Habit.FLOOD))
    host.greet()
    assert host.switch(link_pb2.POWER_ACTION_ON).result == link_pb2.RESULT_DONE
    cycles, start_ms = host.hat.chip.cycles, host.hat.now_ms
    for _ in range(8):
        host.run_ms(100)
        assert host.ask(link_pb2.Identify(duration_ms=50)).result == link_pb2.RESULT_DONE
    share = (host.hat.chip.cycles - cycles) / ((host.hat.now_ms - start_ms) * 125_000)
    host.run_ms(60)

    sent, got = sent_by(host), stored(host)
    figures.append(f"115200 baud without a pause: {len(got):,} bytes, none lost; the processor is busy {share:.0%}")
    assert host.gaps == []
    assert sent.startswith(got)
    assert len(got) > 8_000
    assert len(sent) - len(got) < 2_000, "it falls behind"
    assert len(host.telemetry) >= 4


def test_bursts_at_1500000_baud_lose_nothing_while_telemetry_and_requests_run(make_hat: MakeHat) -> None:
    host = ChipHost(make_hat(baud=1_500_000, talks=True))
    hat = host.hat
    node = hat.hardware.node
    assert isinstance(node, TalkingNode)
    host.greet()
    assert host.switch(link_pb2.POWER_ACTION_ON).result == link_pb2.RESULT_DONE
    while not any(event.kind == link_pb2.EVENT_KIND_BAUD_RATE for event in host.events):
        node.say(b"lines at which the rate is found\r\n" * 16, hat.now_us)
        host.run_ms(30)
        assert hat.now_ms < 3_000
    host.run_ms(200)
    gaps, before = len(host.gaps), len(stored(host))

    text = random.Random(1)
    for _ in range(4):
        burst = text.randbytes(BURST_BYTES - 1).replace(b"\n", b" ") + b"\n"
        node.say(burst, hat.now_us)
        host.run_ms(100)
        assert host.ask(link_pb2.Identify(duration_ms=50)).result == link_pb2.RESULT_DONE
    host.run_until(lambda: len(stored(host)) - before >= 4 * BURST_BYTES or len(host.gaps) > gaps)

    assert host.gaps[gaps:] == []
    assert sent_by(host).endswith(stored(host)[before:])
    assert len(stored(host)) - before == 4 * BURST_BYTES


@pytest.fixture(scope="module")
def talker(make_module_hat: MakeHat) -> ChipHost:
    """A HAT whose node says what it is given."""
    host = ChipHost(make_module_hat(talks=True))
    host.greet()
    assert host.switch(link_pb2.POWER_ACTION_ON).result == link_pb2.RESULT_DONE
    return host


def test_all_byte_values_and_frames_around_multiples_of_64_bytes_come_through_usb(talker: ChipHost) -> None:
    node, hat = talker.hat.hardware.node, talker.hat
    assert isinstance(node, TalkingNode)
    before = len(stored(talker))
    said = bytearray()
    # A frame is that much longer than its data, more or less: the numbers in it have one digit, or two, or three.
    for length in [length - near for length in range(64, 257, 64) for near in range(16, 40)]:
        piece = bytes(ALL_VALUES[(index * 7 + length) % 256] for index in range(length)).replace(b"\0", b"\1")
        node.say(piece, hat.now_us)
        said += piece
        until_stored(talker, before + len(said))

    assert stored(talker)[before:] == said
    wanted = {length + near for length in range(64, 257, 64) for near in (-1, 0, 1)} - {
        257
    }  # COBS makes no frame so long
    assert wanted <= talker.wire_sizes
    node.say(ALL_VALUES, hat.now_us)
    talker.run_until(lambda: stored(talker).endswith(ALL_VALUES), limit_ms=300)
    assert talker.telemetry[-1].frames_bad == 0
