"""What the UART received, on its way into the boot log, read by hostd's real receiver."""

from __future__ import annotations

from array import array
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from racklet.link.v1 import link_pb2
from racklet_hat import config
from racklet_hat.uart_capture import UartCapture
from racklet_link.events import BootStarted, Damage, LogData, LogGap
from racklet_link.log_ring import LogRing
from racklet_link.receiver import LogReceiver
from tests.protocol.hat_messages import empty, read

ENTRIES = config.UART_ENTRIES
TOTAL_MASK = 2**27 - 1
FRAMING, PARITY, BREAK, OVERRUN = 0x100, 0x200, 0x500, 0x800
SUPPLY_ON, HAT_START = link_pb2.BOOT_CAUSE_SUPPLY_ON, link_pb2.BOOT_CAUSE_HAT_START
RESET, LOADER = link_pb2.BOOT_CAUSE_BREAK, link_pb2.BOOT_CAUSE_BOOTLOADER
TURN_MS = 5
HOLD_MS = 45


class Uart:
    """The UART and its DMA. `meanwhile` is called when the firmware asks for the total."""

    def __init__(self, before: int = 0) -> None:
        self.ring = array("H", bytes(2 * ENTRIES))
        self.came = before
        self.low = False
        self.bauds: list[int] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def receive(self, *entries: int) -> None:
        for entry in entries:
            self.ring[self.came % ENTRIES] = entry
            self.came += 1

    def total(self) -> int:
        self.meanwhile()
        return self.came & TOTAL_MASK

    def is_low(self) -> bool:
        return self.low

    def set_baud(self, baud: int) -> None:
        self.bauds.append(baud)


class Bench:
    """A capture, hostd's end of its log, and a clock that is turned by hand."""

    def __init__(self, before: int = 0) -> None:
        self.uart = Uart(before)
        self.log = LogRing(config.LOG_RING_BYTES)
        self.events: list[tuple[int, int, int, int]] = []
        self.capture = UartCapture(self.uart, self.log, lambda *event: self.events.append(event))
        self.receiver = LogReceiver(0, 0)
        self.now_ms = 0
        self.is_supplied = True

    def turn(self, span_ms: int = TURN_MS) -> None:
        for _ in range(0, span_ms, TURN_MS):
            self.now_ms += TURN_MS
            self.capture.turn(self.now_ms, 0, self.is_supplied)

    def say(self, text: bytes, span_ms: int = TURN_MS) -> None:
        self.uart.receive(*text)
        self.turn(span_ms)

    def begin(self, cause: int = SUPPLY_ON) -> None:
        self.capture.begin_boot(cause, self.now_ms, 0)

    def news(self) -> list[BootStarted | LogData | LogGap]:
        """Return what hostd is told, and free the ring."""
        told: list[BootStarted | LogData | LogGap] = []
        record = empty()
        while self.log.next_record(record, self.now_ms + 1000):
            for event in self.receiver.take(read(record, link_pb2.LogRecord)) or ():
                assert isinstance(event, BootStarted | LogData | LogGap)
                told.append(event)
        self.log.acknowledge(self.receiver.boot, self.receiver.offset)
        return told

    def story(self) -> list[object]:
        """Return the news in short: causes of boots, bytes, damage before its bytes, losses with their reasons."""
        told: list[object] = []
        for event in self.news():
            if isinstance(event, BootStarted):
                told.append(event.cause)
            elif isinstance(event, LogGap):
                told.append((event.lost_bytes, event.reason.removeprefix("GAP_REASON_")))
            elif event.damage is None and told and isinstance(told[-1], bytes):
                told[-1] += event.data
            else:
                told += [event.data] if event.damage is None else [event.damage, event.data]
        return told


@pytest.fixture
def fixed(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A capture whose rate is fixed, in its first boot."""
    monkeypatch.setattr(config, "NODE_BAUD", 115_200)
    bench = Bench()
    bench.begin()
    assert bench.story() == [SUPPLY_ON]
    return bench


@pytest.fixture
def searching() -> Bench:
    bench = Bench()
    bench.begin()
    assert bench.story() == [SUPPLY_ON]
    return bench


class AnyLine(RuleBasedStateMachine):
    """Bursts, errors and late turns in any order, while the DMA writes on: nothing is lost without being counted."""

    @initialize(before=st.sampled_from([0, ENTRIES - 3, 2**27 - 700]))
    def begin(self, before: int) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(config, "NODE_BAUD", 115_200)
            self.bench = Bench(before)
        self.bench.begin()
        self.bench.news()
        self.sent: list[int] = []
        self.told = 0
        self.rushes: list[int] = []
        self.bench.uart.meanwhile = self.rush

    def rush(self) -> None:
        if self.rushes:
            self.send(self.rushes.pop())

    def send(self, count: int) -> None:
        entries = [(len(self.sent) + index) * 31 % 251 for index in range(count)]
        self.bench.uart.receive(*entries)
        self.sent += entries

    @rule(count=st.integers(1, 60) | st.integers(1, 3 * ENTRIES))
    def burst(self, count: int) -> None:
        self.send(count)

    @rule(byte=st.integers(0, 255), error=st.sampled_from([FRAMING, PARITY, FRAMING | PARITY, BREAK]))
    def damage(self, byte: int, error: int) -> None:
        entry = error if error == BREAK else byte | error
        self.bench.uart.receive(entry)
        self.sent.append(entry)

    @rule(counts=st.lists(st.integers(0, 900), max_size=4))
    def come_while_it_is_read(self, counts: list[int]) -> None:
        self.rushes = counts

    @rule(turns=st.integers(1, 12))
    def turn(self, turns: int) -> None:
        self.bench.turn(turns * TURN_MS)

    @invariant()
    def what_is_told_is_what_was_sent(self) -> None:
        if not hasattr(self, "bench"):
            return
        for event in self.bench.news():
            assert isinstance(event, LogData | LogGap)
            assert event.offset == self.told
            if isinstance(event, LogGap):
                assert event.reason == "GAP_REASON_UART_OVERRUN"
                self.told += event.lost_bytes
            else:
                self.check(event)

    def check(self, event: LogData) -> None:
        sent = self.sent[self.told : self.told + len(event.data)]
        assert event.data == bytes(entry & 255 for entry in sent)
        counts = Damage(
            sum(entry & BREAK == FRAMING for entry in sent),
            sum(entry & ~255 == PARITY for entry in sent),
            sum(entry & BREAK == BREAK for entry in sent),
        )
        assert (event.damage or Damage(0, 0, 0)) == counts
        assert sent[0] > 255 or event.damage is None
        self.told += len(event.data)

    def teardown(self) -> None:
        if not hasattr(self, "bench"):
            return
        self.rushes = []
        self.bench.turn(1000)
        self.what_is_told_is_what_was_sent()
        assert self.told == len(self.sent)


TestAnyLine = AnyLine.TestCase
TestAnyLine.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


def test_a_lap_of_the_ring_is_a_gap_of_the_exact_size(fixed: Bench) -> None:
    fixed.uart.receive(*[0x41] * (ENTRIES + 700))
    fixed.turn()
    (lost, reason), data = fixed.story()
    assert reason == "UART_OVERRUN"
    assert lost + len(data) == ENTRIES + 700
    assert lost == 700 + 512


def test_what_the_uarts_own_buffer_lost_is_at_least_one_byte(fixed: Bench) -> None:
    fixed.uart.receive(0x41, 0x42 | OVERRUN, 0x43)
    fixed.turn()
    assert fixed.story() == [b"A", (1, "UART_OVERRUN"), b"BC"]


def test_a_damaged_byte_that_is_overwritten_while_it_is_looked_at_is_lost(fixed: Bench) -> None:
    fixed.uart.receive(FRAMING | 0x41, *[0x42] * (ENTRIES - 148))
    calls = iter([0, 500])
    fixed.uart.meanwhile = lambda: fixed.uart.receive(*[0x43] * next(calls, 0))
    fixed.turn()
    lost, *data = fixed.story()
    assert isinstance(lost, tuple)
    assert lost[0] + sum(map(len, data)) == ENTRIES - 147 + 500


def test_a_line_of_garbage_marks_once_in_40_ms(fixed: Bench) -> None:
    for _ in range(16):
        fixed.uart.receive(*[FRAMING | 0x55] * 57)
        fixed.turn()
    told = fixed.news()
    assert sum(event.damage.framing_errors for event in told if isinstance(event, LogData) and event.damage) == 16 * 57
    assert len(told) <= 4


def test_a_line_of_garbage_lets_the_other_tasks_turn(fixed: Bench) -> None:
    fixed.uart.receive(*[FRAMING | 0x55] * 1000)
    fixed.turn()
    assert fixed.log.offset == 64


# Resets.


def test_a_long_break_is_a_reset_and_the_next_byte_begins_a_boot(fixed: Bench) -> None:
    fixed.say(b"running")
    fixed.uart.low = True
    fixed.uart.receive(BREAK)
    fixed.turn(100)
    fixed.uart.low = False
    fixed.turn(300)
    assert fixed.story() == [b"running"]
    fixed.say(b"boot")
    assert fixed.story() == [RESET, b"boot"]


@pytest.mark.parametrize("low_ms", [5, 10, 15])
def test_a_short_break_is_a_damaged_byte(fixed: Bench, low_ms: int) -> None:
    fixed.say(b"a")
    fixed.uart.low = True
    fixed.uart.receive(BREAK)
    fixed.turn(low_ms)
    fixed.uart.low = False
    fixed.say(b"b")
    assert fixed.story() == [b"a", Damage(0, 0, 1), b"\0b"]


def test_a_break_that_was_over_when_somebody_looked_is_a_damaged_byte(fixed: Bench) -> None:
    fixed.uart.low = True  # in the middle of the last byte
    fixed.uart.receive(BREAK, *b"x")
    fixed.turn(50)
    assert fixed.story() == [Damage(0, 0, 1), b"\0x"]


def test_noise_while_in_reset_is_nothing_but_a_damaged_byte_begins_the_boot(fixed: Bench) -> None:
    fixed.uart.low = True
    fixed.uart.receive(BREAK)
    fixed.turn(50)
    fixed.uart.low = False
    fixed.uart.receive(BREAK, FRAMING | 0x62, *b"oot")
    fixed.turn()
    assert fixed.story() == [RESET, Damage(1, 0, 0), b"boot"]


def test_the_line_of_a_node_without_supply_is_low_and_that_means_nothing(fixed: Bench) -> None:
    fixed.say(b"bye")
    fixed.is_supplied = False
    fixed.uart.low = True
    fixed.uart.receive(BREAK)
    fixed.turn(500)
    fixed.is_supplied, fixed.uart.low = True, False
    fixed.begin()
    fixed.say(b"hello")
    assert fixed.story() == [b"bye", SUPPLY_ON, b"hello"]


def test_what_came_before_the_supply_was_switched_belongs_to_the_boot_before(fixed: Bench) -> None:
    fixed.uart.receive(*b"end\nU-Bo")
    fixed.begin()
    fixed.say(b"ot 2025\n")
    assert fixed.story() == [b"end\nU-Bo", SUPPLY_ON, b"ot 2025\n"]


def test_loaders_in_their_order_are_one_boot(fixed: Bench) -> None:
    lines = (
        b"U-Boot TPL 2024.01\r\nU-Boot SPL 2024.01\r\nNOTICE:  BL31: v2.9\r\nNOTICE:  BL31: Built\r\nU-Boot 2024.01\r\n"
    )
    fixed.say(lines)
    assert fixed.story() == [lines]


def test_a_raspberry_pi_5_names_two_loaders_in_one_boot(fixed: Bench) -> None:
    lines = b"\r\n  1.96 RPi: BOOTSYS release VERSION:1\r\n\r\n  3.99 RPi: BOOTLOADER release VERSION:1\r\n"
    fixed.say(lines)
    fixed.say(b"reboot: Restarting system\r\n")
    fixed.say(lines)
    assert fixed.story() == [lines + b"reboot: Restarting system\r\n\r\n", LOADER, lines[2:]]


@pytest.mark.parametrize("step", [1, 2, 7, 64])
def test_a_loader_that_comes_again_begins_a_boot_at_its_line(fixed: Bench, step: int) -> None:
    first, second = b"U-Boot SPL 2024.01\n\nU-Boot 2024.01\nrunning\n\n", b"U-Boot SPL 2024.01\n\nU-Boot 2024.01\n"
    text = first + second
    for at in range(0, len(text), step):
        fixed.say(text[at : at + step])
    fixed.turn(HOLD_MS)
    assert fixed.story() == [first, LOADER, second]


def test_a_loader_right_behind_damage_begins_a_boot(fixed: Bench) -> None:
    fixed.say(b"U-Boot 2024.01\nrunn")
    fixed.uart.receive(FRAMING | 0xFF, *b"U-Boot 2024.01\n")
    fixed.turn()
    assert fixed.story() == [b"U-Boot 2024.01\nrunn", Damage(1, 0, 0), b"\xff", LOADER, b"U-Boot 2024.01\n"]


def test_words_of_a_loader_within_a_line_are_no_reset(fixed: Bench) -> None:
    text = b"U-Boot 2024.01\nversion: U-Boot 2024.01\nU-Boat\n[    0.000000] Booting Linux on physical CPU 0x0\n"
    fixed.say(text + b"[    0.000000] Booting Linux on physical CPU 0x0\n")
    assert fixed.story() == [text + b"[    0.000000] Booting Linux on physical CPU 0x0\n"]


def test_a_node_that_was_running_has_shown_its_loaders(fixed: Bench) -> None:
    fixed.begin(HAT_START)
    fixed.say(b"running\nU-Boot 2024.01\n")
    assert fixed.story() == [HAT_START, b"running\n", LOADER, b"U-Boot 2024.01\n"]


def test_the_begin_of_a_line_waits_no_longer_than_40_ms(fixed: Bench) -> None:
    fixed.say(b"ok\nU-Bo", 40)
    assert fixed.log.offset == 3
    fixed.turn(10)
    assert fixed.log.offset == 7
    fixed.say(b"ot 2025\n")
    assert fixed.story() == [b"ok\nU-Boot 2025\n"]


# The baud rate.


def test_garbage_is_a_gap_and_the_next_rate_is_tried(searching: Bench) -> None:
    searching.uart.receive(*[FRAMING | 0x55, 0x80] * 40)
    searching.turn()
    assert searching.uart.bauds == [115_200, 921_600]
    searching.say(b"U-Boot 2025.01 (Jun 24 2026 - 09:07:15 +0000)\r\n", 10)
    assert searching.story() == [(80, "BAUD_DETECTION"), b"U-Boot 2025.01 (Jun 24 2026 - 09:07:15 +0000)\r\n"]
    assert searching.events == [(link_pb2.EVENT_KIND_BAUD_RATE, 921_600, 0, 115_200)]


def test_the_rate_that_worked_is_the_next_boots_first_and_is_told_once(searching: Bench) -> None:
    searching.uart.receive(*[BREAK] * 40)
    searching.turn()
    searching.say(b"x" * 100, 10)
    searching.begin()
    searching.say(b"y" * 100, 10)
    assert searching.uart.bauds == [115_200, 921_600]
    assert len(searching.events) == 1
    assert searching.story() == [(40, "BAUD_DETECTION"), b"x" * 100, SUPPLY_ON, b"y" * 100]


def test_few_bytes_of_a_quiet_node_come_through_within_50_ms(searching: Bench) -> None:
    searching.say(b"hi", 45)
    assert searching.story() == []
    searching.turn(5)
    assert searching.story() == [b"hi"]
    searching.uart.receive(*b"more")
    searching.turn(50)
    assert searching.story() == [b"more"]


def test_a_node_that_changes_its_rate_is_followed(searching: Bench) -> None:
    searching.say(b"sound " * 20, 10)
    while len(searching.uart.bauds) == 1:
        assert searching.now_ms < 100
        searching.uart.receive(*[FRAMING | 0x55, 0x80] * 10)
        searching.turn()
    searching.say(b"sound again " * 20, 10)
    assert searching.events == [(link_pb2.EVENT_KIND_BAUD_RATE, 921_600, 0, 115_200)]
    first, *_, last = searching.story()
    assert last == b"sound again " * 20
    assert first == b"sound " * 20


def test_a_noisy_line_is_passed_on_when_no_rate_is_better(searching: Bench) -> None:
    for _ in range(200):
        searching.uart.receive(*[FRAMING | 0x55, 0x41] * 5)
        searching.turn()
    assert searching.uart.bauds == [115_200, 921_600, 1_500_000, 115_200, 921_600, 1_500_000, 115_200]
    lost = [item for item in searching.story() if isinstance(item, tuple) and item[-1] == "BAUD_DETECTION"]
    assert len(lost) == 6


def test_a_long_low_line_that_just_rose_is_a_short_break(fixed: Bench) -> None:
    fixed.uart.receive(BREAK)
    fixed.turn()
    assert fixed.story() == [Damage(0, 0, 1), b"\0"]


def test_a_byte_with_a_wrong_parity_is_marked(fixed: Bench) -> None:
    fixed.uart.receive(PARITY | 0x41)
    fixed.turn()
    assert fixed.story() == [Damage(0, 1, 0), b"A"]


def test_bytes_that_are_overwritten_while_they_are_moved_are_lost(fixed: Bench) -> None:
    fixed.uart.receive(*[0x42] * (ENTRIES - 148))
    calls = iter([0, 500])
    fixed.uart.meanwhile = lambda: fixed.uart.receive(*[0x43] * next(calls, 0))
    fixed.turn()
    lost, data = fixed.story()
    assert lost[0] + len(data) == ENTRIES - 148 + 500


def test_a_line_that_never_pauses_lets_a_turn_end(fixed: Bench) -> None:
    asked: list[int] = []
    fixed.uart.receive(*[0x42] * 10)
    fixed.uart.meanwhile = lambda: (asked.append(1), fixed.uart.receive(0x43))
    fixed.turn()
    assert len(asked) < 5
    assert len(fixed.story()[0]) >= 10


def test_a_few_damaged_characters_of_a_quiet_node_are_dropped_and_the_rate_stays(searching: Bench) -> None:
    searching.uart.receive(BREAK, 0x41)
    searching.turn(50)
    assert searching.story() == [(2, "BAUD_DETECTION")]
    assert searching.uart.bauds == [115_200]


def test_what_was_judged_waits_no_longer_when_more_comes(searching: Bench) -> None:
    searching.say(b"ok\nU-B", 50)
    searching.say(b"oo", 5)
    searching.turn(50)
    assert searching.story() == [b"ok\nU-Boo"]


def test_what_the_uart_said_to_itself_is_forgotten_and_the_rest_is_not(fixed: Bench) -> None:
    fixed.say(b"before", HOLD_MS)
    fixed.uart.receive(*b"\x00\xff\x55\xaa")
    fixed.capture.forget()
    fixed.say(b"after", HOLD_MS)
    assert fixed.story()[-1] == b"beforeafter"


def test_a_line_is_quiet_when_nothing_came_for_a_while(fixed: Bench) -> None:
    fixed.say(b"a", TURN_MS)
    assert not fixed.capture.is_quiet(fixed.now_ms)
    fixed.turn(2 * HOLD_MS)
    assert fixed.capture.is_quiet(fixed.now_ms)
