"""What a node sends reaches the log whole, by the DMA of the emulated chip, while everything else goes on."""

from __future__ import annotations

import random

import pytest

from racklet.link.v1 import link_pb2
from racklet_virtual.node import Habit
from tests.chip.conftest import MakeHat, TalkingNode
from tools.chip_host import ChipHost

BURST_BYTES = 6_000  # 40 ms of a line at 1500000 baud, three laps of the UART's ring
ALL_VALUES = bytes(range(256))
RATE_STEP = 2_000  # bytes a second
PACE_MS = 2
TRIAL_MS = 500
LONG_TRIAL_MS = 1_500
LAST_BYTES = 400
BEHIND_BYTES = 6_000  # 40 ms of the whole line: two turns of the link; what is behind by more has fallen behind
LINE = b"[    1.234567] a line of a log as nodes write them, numbers and all: 0123456789\r\n"


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


@pytest.fixture(scope="module")
def fast_talker(make_module_hat: MakeHat) -> ChipHost:
    """A HAT whose node says what it is given, at 1500000 baud, and which has found that rate."""
    host = ChipHost(make_module_hat(baud=1_500_000, talks=True))
    node, hat = host.hat.hardware.node, host.hat
    assert isinstance(node, TalkingNode)
    host.greet()
    assert host.switch(link_pb2.POWER_ACTION_ON).result == link_pb2.RESULT_DONE
    while not any(event.kind == link_pb2.EVENT_KIND_BAUD_RATE for event in host.events):
        node.say(b"lines at which the rate is found\r\n" * 16, hat.now_us)
        host.run_ms(30)
        assert hat.now_ms < 3_000
    host.run_ms(200)
    return host


def test_bursts_at_1500000_baud_lose_nothing_while_telemetry_and_requests_run(fast_talker: ChipHost) -> None:
    host, hat = fast_talker, fast_talker.hat
    node = hat.hardware.node
    assert isinstance(node, TalkingNode)
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


def test_the_highest_rate_that_a_line_at_1500000_baud_can_go_on_at_is_found(
    fast_talker: ChipHost, figures: list[str]
) -> None:
    line = 1_500_000 // 10
    holds, fails = (line, line) if can_go_on_at(fast_talker, line, LONG_TRIAL_MS) else (0, line)
    while fails - holds > RATE_STEP:
        tried = (holds + fails) // 2
        if can_go_on_at(fast_talker, tried, TRIAL_MS):
            holds = tried
        else:
            fails = tried
    while holds < line and not can_go_on_at(fast_talker, holds, LONG_TRIAL_MS):
        fails, holds = holds, holds - RATE_STEP  # what the log's ring hid for a while, it showed now

    figures.append(
        f"1500000 baud, the node sends every {PACE_MS} ms: {holds:,} bytes a second go on without a loss,"
        f" {holds / line:.0%} of the line" + (f"; {fails:,} do not" if holds < line else "")
    )
    assert holds > line * 4 // 5


def can_go_on_at(host: ChipHost, bytes_per_second: int, trial_ms: int) -> bool:
    """Tell whether nothing is lost and nothing left behind at this rate, while telemetry and requests run."""
    node, hat = host.hat.hardware.node, host.hat
    assert isinstance(node, TalkingNode)
    gaps, replies, telemetry = len(host.gaps), len(host.replies), len(host.telemetry)
    before, sent, asked = len(stored(host)), 0, 0
    for at_ms in range(0, trial_ms, PACE_MS):
        due = bytes_per_second * (at_ms + PACE_MS) // 1000
        node.say((LINE * (due // len(LINE) + 1))[sent:due], hat.now_us)
        sent = due
        if at_ms % 100 == 0:
            host.link.request(link_pb2.Identify(duration_ms=50), 10_000, hat.now_ms)
            asked += 1
        host.run_ms(PACE_MS)
    behind = sent - (len(stored(host)) - before)
    host.run_until(lambda: sent_by(host)[-LAST_BYTES:] == stored(host)[-LAST_BYTES:], limit_ms=3_000)
    assert len(host.replies) - replies == asked
    assert len(host.telemetry) - telemetry >= trial_ms // 200
    return behind < BEHIND_BYTES and len(host.gaps) == gaps


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
