"""The log ring against a simple model of a node's console, read by hostd's real receiver."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from racklet.link.v1 import link_pb2
from racklet_link.events import BootStarted, LinkEvent, LogData, LogGap
from racklet_link.limits import LOG_DATA_MAX
from racklet_link.log_ring import LogRing
from racklet_link.receiver import LogReceiver
from tests.protocol.hat_messages import empty, read

UART_OVERRUN = link_pb2.GAP_REASON_UART_OVERRUN
SUPPLY_ON = link_pb2.BOOT_CAUSE_SUPPLY_ON
CHUNK_MS = 40
UART_ENTRIES, FRAMING_ERROR = 1024, 0x100
DAMAGED, LAPPED = 1, -2  # why taking entries ends
LARGE = 64 * 1024  # its positions take 17 bits
LATER_MS = 1000  # when no record may grow any more


def append(ring: LogRing, data: bytes, now_ms: int = 0, turns: int = 0) -> None:
    ring.append(data, len(data), now_ms, turns)


def take(ring: LogRing, data: bytes, now_ms: int = 0, turns: int = 0, *, damaged_at: int = -1, came: int = 0) -> int:
    """Let the ring take what a UART's ring of 1024 entries received; return why that ended."""
    entries = array("H", [*data, *bytes(UART_ENTRIES - len(data))])
    if damaged_at >= 0:
        entries[damaged_at] |= FRAMING_ERROR
    job = array("i", (0, len(data), 0, 0, 0, now_ms, turns))
    return ring.take(job, entries, UART_ENTRIES, b"\0", lambda: came or len(data), UART_ENTRIES)


def next_record(ring: LogRing, now_ms: int = LATER_MS) -> link_pb2.LogRecord | None:
    record = empty()
    return read(record, link_pb2.LogRecord) if ring.next_record(record, now_ms) else None


def records(ring: LogRing, now_ms: int = LATER_MS) -> list[link_pb2.LogRecord]:
    told = []
    while (record := next_record(ring, now_ms)) is not None:
        told.append(record)
        assert len(told) < 1000
    return told


def story(ring: LogRing) -> list[str]:
    """Tell all that is to be sent in a few words each, neighbouring bytes as one."""
    told: list[str] = []
    begin = end = 0
    for record in records(ring):
        if record.boot_cause:
            lost = f", after {record.lost_boots} lost with {record.lost_bytes} bytes" if record.lost_boots else ""
            told.append(f"boot {record.boot}{lost}")
        elif record.lost_bytes:
            told.append(f"{record.lost_bytes} lost at {record.offset}")
        else:
            joins = bool(told) and "bytes at" in told[-1] and record.offset == end
            begin = begin if joins else record.offset
            end = record.offset + len(record.data)
            told[len(told) - joins :] = [f"{end - begin} bytes at {begin}"]
    return told


def test_bytes_are_told_with_boot_offset_and_the_time_of_the_first() -> None:
    ring = LogRing(600)
    ring.begin_boot(SUPPLY_ON, 7, 1)
    append(ring, b"U-Boot", 10, 1)
    append(ring, b" 2026", 1010, 1)
    at_ms = 1 << 30
    assert records(ring, 2010) == [
        link_pb2.LogRecord(boot=1, at_ms=at_ms + 7, boot_cause=SUPPLY_ON),
        link_pb2.LogRecord(boot=1, offset=0, at_ms=at_ms + 10, data=b"U-Boot"),
        link_pb2.LogRecord(boot=1, offset=6, at_ms=at_ms + 1010, data=b" 2026"),
    ]


def test_only_the_first_bytes_of_the_data_that_are_named_are_added() -> None:
    ring = LogRing(600)
    ring.append(b"abcdef", 4, 0, 0)
    assert next_record(ring).data == b"abcd"


def test_bytes_within_40_ms_share_a_record_and_later_ones_begin_another() -> None:
    ring = LogRing(600)
    append(ring, b"a", 0)
    append(ring, b"b", CHUNK_MS)
    append(ring, b"c", CHUNK_MS + 1)
    assert [record.data for record in records(ring)] == [b"ab", b"c"]


def test_a_record_that_may_grow_waits_for_40_ms() -> None:
    ring = LogRing(600)
    append(ring, b"a", 5)
    assert next_record(ring, 5 + CHUNK_MS) is None
    assert next_record(ring, 5 + CHUNK_MS + 1).data == b"a"


def test_a_full_record_does_not_wait() -> None:
    ring = LogRing(600)
    append(ring, b"x" * LOG_DATA_MAX, 5)
    assert next_record(ring, 5).data == b"x" * LOG_DATA_MAX


def test_a_record_that_was_sent_does_not_grow() -> None:
    ring = LogRing(600)
    append(ring, b"a", 0)
    assert [record.data for record in records(ring)] == [b"a"]
    append(ring, b"b", 1)
    assert [record.data for record in records(ring)] == [b"b"]


def test_what_a_uart_received_is_taken_until_something_is_wrong_with_it() -> None:
    ring = LogRing(600)
    ring.begin_boot(SUPPLY_ON, 0, 0)
    assert take(ring, b"sound, damaged", damaged_at=7) == DAMAGED
    assert ring.offset == 7
    assert story(ring) == ["boot 1", "7 bytes at 0"]


def test_of_what_was_overwritten_while_it_was_taken_nothing_is_in_the_log() -> None:
    ring = LogRing(600)
    assert take(ring, b"abc", came=UART_ENTRIES + 1) == LAPPED
    assert ring.offset == 0
    assert story(ring) == []


def test_what_a_uart_received_drops_the_oldest_records_of_a_full_ring() -> None:
    ring = LogRing(600)
    ring.begin_boot(SUPPLY_ON, 0, 0)
    for now_ms in (0, 100, 200):
        assert take(ring, b"x" * 500, now_ms) == 0
    assert ring.offset == 1500
    told = story(ring)
    assert told[:2] == ["boot 1", f"{told[1].split()[0]} lost at 0"]
    lost = int(told[1].split()[0])
    assert told[2:] == [f"{1500 - lost} bytes at {lost}"]
    assert 1500 - lost >= 600 - 4 * 6 - LOG_DATA_MAX


def test_a_ring_of_64_kib_holds_its_size_and_goes_on_over_its_end() -> None:
    ring = LogRing(LARGE)
    sent = bytearray()
    for now_ms in range(0, 100_000, 500):
        data = bytes(now_ms // 500 + index & 255 for index in range(700))
        assert take(ring, data, now_ms) == 0
        sent += data
    assert LARGE - 2 * (LOG_DATA_MAX + 6) < ring.held_bytes <= LARGE
    gap, *kept = records(ring, 101_000)
    assert (gap.offset, gap.lost_bytes) == (0, kept[0].offset)
    assert b"".join(record.data for record in kept) == sent[gap.lost_bytes :]
    ring.acknowledge(0, len(sent) - 1000)
    ring.rewind(0, len(sent) - 1000)
    left = records(ring, 101_000)
    assert b"".join(record.data for record in left) == sent[left[0].offset :]
    ring.acknowledge(0, len(sent))
    assert ring.held_bytes == 0


def test_an_acknowledgement_frees_boots_gaps_and_damaged_bytes_as_well_as_sound_ones() -> None:
    ring = LogRing(600)
    ring.begin_boot(SUPPLY_ON, 0, 0)
    append(ring, b"abc")
    ring.lose(5, UART_OVERRUN, 0, 0)
    ring.append_damaged(0x41, 0, 0, 0)
    append(ring, b"xyz", 100)
    ring.begin_boot(SUPPLY_ON, 200, 0)
    assert len(records(ring)) == 6
    ring.acknowledge(1, 3 + 5 + 1)
    assert ring.held_bytes == (6 + 3) + (6 + 1)
    ring.acknowledge(2, 0)
    assert ring.held_bytes == 0


def test_a_long_text_takes_records_of_the_largest_size() -> None:
    ring = LogRing(1200)
    append(ring, b"x" * 1000)
    assert [len(record.data) for record in records(ring)] == [LOG_DATA_MAX, LOG_DATA_MAX, 1000 - 2 * LOG_DATA_MAX]


@pytest.mark.parametrize("count", [1, 255, 256, 2**16, 2**24 + 2**16 + 2**8 + 1])
def test_what_the_uart_lost_is_a_gap_and_counted(count: int) -> None:
    ring = LogRing(600)
    append(ring, b"ab", 3)
    ring.lose(count, UART_OVERRUN, 4, 0)
    append(ring, b"cd", 5)
    assert records(ring)[1:] == [
        link_pb2.LogRecord(offset=2, at_ms=4, lost_bytes=count, gap_reason=link_pb2.GAP_REASON_UART_OVERRUN),
        link_pb2.LogRecord(offset=2 + count, at_ms=5, data=b"cd"),
    ]
    assert ring.uart_lost_bytes == count


def test_what_is_acknowledged_is_freed_and_not_told_again() -> None:
    ring = LogRing(600)
    ring.begin_boot(SUPPLY_ON, 0, 0)
    append(ring, b"abc", 0)
    append(ring, b"def", 100)
    records(ring)
    ring.acknowledge(1, 3)
    assert (ring.acked_boot, ring.acked_offset) == (1, 3)
    assert ring.held_bytes == 6 + 3
    ring.rewind(1, 3)
    assert [record.data for record in records(ring)] == [b"def"]
    ring.acknowledge(1, 6)
    assert ring.held_bytes == 0


def test_a_record_is_freed_when_all_of_it_is_acknowledged() -> None:
    ring = LogRing(600)
    append(ring, b"abc", 0)
    records(ring)
    ring.acknowledge(0, 2)
    assert ring.held_bytes == 6 + 3
    assert (ring.acked_boot, ring.acked_offset) == (0, 0)


@pytest.mark.parametrize(("boot", "offset"), [(1, 1000), (2, 0), (0, 0), (1, 0), (0, 999), (-1, 5)])
def test_a_position_beyond_the_end_or_one_that_was_passed_changes_nothing(boot: int, offset: int) -> None:
    ring = LogRing(600)
    ring.begin_boot(SUPPLY_ON, 0, 0)
    append(ring, b"abc", 0)
    append(ring, b"def", 100)
    records(ring)
    ring.acknowledge(1, 3)
    ring.acknowledge(boot, offset)
    assert (ring.acked_boot, ring.acked_offset) == (1, 3)
    ring.rewind(1, 3)
    assert [record.data for record in records(ring)] == [b"def"]


def test_rewind_tells_again_from_the_record_that_holds_the_position() -> None:
    ring = LogRing(600)
    ring.begin_boot(SUPPLY_ON, 0, 0)
    append(ring, b"abc", 0)
    append(ring, b"def", 100)
    ring.begin_boot(SUPPLY_ON, 200, 0)
    append(ring, b"ghi", 200)
    assert len(records(ring)) == 5
    for boot, offset, count in ((0, 0, 5), (1, 0, 4), (1, 2, 4), (1, 3, 3), (1, 6, 2), (2, 0, 1), (2, 3, 0), (9, 0, 0)):
        ring.rewind(boot, offset)
        assert len(records(ring)) == count, (boot, offset)


def test_a_full_ring_drops_the_oldest_and_tells_how_much() -> None:
    ring = LogRing(100)
    for at_ms in range(0, 1000, 100):
        append(ring, b"0123456789", at_ms)
    told = records(ring)
    assert told[0].lost_bytes == told[1].offset == 100 - 10 * (len(told) - 1)
    assert told[0].gap_reason == link_pb2.GAP_REASON_RING_FULL
    assert told[0].offset == 0
    assert ring.held_bytes <= 100


def test_a_dropped_start_of_a_boot_is_told_with_its_cause_and_the_gap_in_it() -> None:
    ring = LogRing(64)
    append(ring, b"of the boot before", 0)
    ring.begin_boot(link_pb2.BOOT_CAUSE_HAT_START, 100, 0)
    append(ring, b"x" * 20, 200)
    append(ring, b"y" * 50, 300)
    assert [record for record in records(ring) if not record.data] == [
        link_pb2.LogRecord(at_ms=200, lost_bytes=18, gap_reason=link_pb2.GAP_REASON_RING_FULL),
        link_pb2.LogRecord(boot=1, offset=18, at_ms=200, boot_cause=link_pb2.BOOT_CAUSE_HAT_START),
        link_pb2.LogRecord(boot=1, at_ms=200, lost_bytes=20, gap_reason=link_pb2.GAP_REASON_RING_FULL),
    ]


def test_boots_that_are_lost_as_a_whole_are_counted_with_their_bytes() -> None:
    ring = LogRing(64)
    for boot in range(1, 6):
        ring.begin_boot(SUPPLY_ON, boot * 100, 0)
        append(ring, b"x" * 51, boot * 100 + 50)
    append(ring, b"y", 900)
    assert story(ring) == ["boot 5, after 4 lost with 204 bytes", "52 bytes at 0"]


def test_a_lost_start_alone_is_told_without_gaps() -> None:
    ring = LogRing(64)
    ring.begin_boot(SUPPLY_ON, 0, 0)
    append(ring, b"x" * 51, 100)
    append(ring, b"y", 200)
    assert story(ring) == ["boot 1", "52 bytes at 0"]


def test_a_loss_that_was_told_is_told_again_only_after_a_rewind_before_it() -> None:
    ring = LogRing(64)
    append(ring, b"x" * 40, 0)
    append(ring, b"y" * 40, 100)
    assert story(ring) == ["40 lost at 0", "40 bytes at 40"]
    ring.rewind(0, 40)
    assert story(ring) == ["40 bytes at 40"]
    ring.rewind(0, 39)
    assert story(ring) == ["40 lost at 0", "40 bytes at 40"]


def test_an_acknowledgement_within_a_loss_shortens_it() -> None:
    ring = LogRing(64)
    append(ring, b"x" * 40, 0)
    append(ring, b"y" * 40, 100)
    ring.acknowledge(0, 10)
    assert (ring.acked_boot, ring.acked_offset) == (0, 10)
    ring.rewind(0, 10)
    assert story(ring) == ["30 lost at 10", "40 bytes at 40"]


def ring_that_lost_an_end_and_a_start() -> LogRing:
    """Return a ring that lost 20 bytes of boot 0, the start of boot 1 and 20 bytes of that; it holds 30."""
    ring = LogRing(64)
    append(ring, b"x" * 20, 0)
    ring.begin_boot(SUPPLY_ON, 100, 0)
    append(ring, b"y" * 20, 200)
    append(ring, b"z" * 30, 300)
    assert story(ring) == ["20 lost at 0", "boot 1", "20 lost at 0", "30 bytes at 20"]
    return ring


def test_an_acknowledgement_of_what_was_lost_before_a_lost_start_leaves_the_start() -> None:
    ring = ring_that_lost_an_end_and_a_start()
    ring.acknowledge(0, 20)
    ring.rewind(0, 20)
    assert story(ring) == ["boot 1", "20 lost at 0", "30 bytes at 20"]


def test_an_acknowledgement_within_the_loss_of_the_newest_boot_leaves_the_rest_of_it() -> None:
    ring = ring_that_lost_an_end_and_a_start()
    ring.acknowledge(1, 10)
    assert (ring.acked_boot, ring.acked_offset) == (1, 10)
    ring.rewind(1, 10)
    assert story(ring) == ["10 lost at 10", "30 bytes at 20"]


def test_an_acknowledgement_within_a_boot_that_is_lost_as_a_whole_changes_nothing() -> None:
    ring = LogRing(64)
    for boot in range(1, 4):
        ring.begin_boot(SUPPLY_ON, boot * 100, 0)
        append(ring, b"x" * 51, boot * 100 + 50)
    append(ring, b"y", 900)
    before = story(ring)
    ring.acknowledge(2, 20)
    assert (ring.acked_boot, ring.acked_offset) == (0, 0)
    ring.rewind(0, 0)
    assert story(ring) == before == ["boot 3, after 2 lost with 102 bytes", "52 bytes at 0"]


def test_an_acknowledgement_behind_a_loss_forgets_it() -> None:
    ring = LogRing(64)
    append(ring, b"x" * 40, 0)
    append(ring, b"y" * 40, 100)
    records(ring)
    ring.acknowledge(0, 80)
    ring.rewind(0, 0)
    assert records(ring) == []
    assert ring.held_bytes == 0


def test_a_loss_of_what_was_sent_is_not_told_unless_it_is_asked_for() -> None:
    ring = LogRing(64)
    append(ring, b"x" * 20, 0)
    append(ring, b"y" * 20, 100)
    assert story(ring) == ["40 bytes at 0"]
    append(ring, b"z" * 20, 200)
    assert story(ring) == ["20 bytes at 40"]
    ring.rewind(0, 0)
    assert story(ring) == ["20 lost at 0", "40 bytes at 20"]


def test_a_gap_of_the_uart_that_is_dropped_counts_with_the_bytes_it_stood_for() -> None:
    ring = LogRing(64)
    ring.lose(1000, UART_OVERRUN, 0, 0)
    append(ring, b"x" * 50, 100)
    assert story(ring) == ["1000 lost at 0", "50 bytes at 1000"]


def test_a_loss_keeps_the_time_of_what_was_lost_when_the_clock_turns_over() -> None:
    ring = LogRing(64)
    append(ring, b"x" * 40, 2**30 - 50, 0)
    append(ring, b"y" * 40, 20, 1)
    assert records(ring)[0].at_ms == 2**30 - 50


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 4, 7, 1000])
def test_records_from_before_the_clock_turned_over_keep_their_time(turns: int) -> None:
    ring = LogRing(64)
    append(ring, b"x", 2**30 - 1, turns)
    append(ring, b"y", 50, turns + 1)
    assert [record.at_ms for record in records(ring)] == [(turns << 30) + 2**30 - 1, (turns + 1 << 30) + 50]


@pytest.mark.parametrize("first", range(50, 59))
def test_an_empty_ring_goes_on_where_it_is_or_at_its_start(first: int) -> None:
    ring = LogRing(64)
    append(ring, b"x" * first, 0)
    records(ring)
    ring.acknowledge(0, first)
    append(ring, b"y" * 50, 100)
    assert story(ring) == [f"50 bytes at {first}"]
    assert ring.held_bytes <= 64


@given(size=st.integers(64, 600), first=st.integers(1, 600), then=st.lists(st.integers(1, 30), max_size=80))
@settings(max_examples=200, deadline=None)
def test_what_is_acknowledged_in_time_is_never_lost_wherever_the_ring_wraps(
    size: int, first: int, then: list[int]
) -> None:
    ring = LogRing(size)
    offset = 0
    for count in [min(first, size - 12), *then]:
        append(ring, bytes((offset + index) & 255 for index in range(count)), offset)
        for record in records(ring, offset + LATER_MS):
            assert record.offset == offset
            assert record.data == bytes((offset + index) & 255 for index in range(len(record.data)))
            offset += len(record.data)
        ring.acknowledge(0, offset)
        assert ring.held_bytes == 0
    assert offset == ring.offset


@pytest.mark.parametrize("fill", range(46, 59))
def test_what_was_sent_is_not_sent_again_when_the_next_record_stands_at_the_start(fill: int) -> None:
    ring = LogRing(64)
    append(ring, b"x" * 10, 0)
    append(ring, b"y" * (fill - 22), 100)
    assert story(ring) == [f"{fill - 12} bytes at 0"]
    ring.lose(5, UART_OVERRUN, 200, 0)
    assert story(ring) == [f"5 lost at {fill - 12}"]
    ring.rewind(0, 10)
    assert story(ring)[-1] == f"5 lost at {fill - 12}"


def test_a_receiver_that_goes_on_behind_lost_boots_counts_no_byte_twice() -> None:
    ring = LogRing(100)
    for boot in (1, 2):
        ring.begin_boot(SUPPLY_ON, boot * 100, 0)
        append(ring, b"x" * 10, boot * 100)
    assert story(ring) == ["boot 1", "10 bytes at 0", "boot 2", "10 bytes at 0"]  # stored; no acknowledgement arrives
    ring.begin_boot(SUPPLY_ON, 300, 0)
    append(ring, b"y" * 94, 300)
    receiver = LogReceiver(2, 10)
    ring.acknowledge(2, 10)
    ring.rewind(2, 10)
    news = [event for record in records(ring) for event in receiver.take(record)]
    assert isinstance(news[0], BootStarted)
    assert (news[0].lost_boots, news[0].lost_bytes) == (0, 0)
    assert [(gap.boot, gap.lost_bytes) for gap in news if isinstance(gap, LogGap)] == [(3, 41)]  # of its own start


def test_damaged_bytes_are_counted_in_the_record_that_the_first_of_them_begins() -> None:
    ring = LogRing(600)
    append(ring, b"ab", 1)
    ring.append_damaged(0xFF, 0, 2, 0)
    append(ring, b"cd", 3)
    ring.append_damaged(0, 2, 4, 0)
    ring.append_damaged(0x81, 1, 5, 0)
    assert records(ring) == [
        link_pb2.LogRecord(at_ms=1, data=b"ab"),
        link_pb2.LogRecord(offset=2, at_ms=2, data=b"\xffcd\0\x81", framing_errors=1, parity_errors=1, breaks=1),
    ]


def test_300_errors_are_two_counts_of_one_byte_each() -> None:
    ring = LogRing(1000)
    for _ in range(300):
        ring.append_damaged(1, 0, 0, 0)
    assert [record.framing_errors for record in records(ring)] == [300]


def test_room_that_nothing_came_of_leaves_no_record() -> None:
    ring = LogRing(600)
    assert ring.make_room(20, 0, 0) == 20
    assert records(ring) == []
    ring.append_damaged(1, 0, 50, 0)
    assert [record.data for record in records(ring, 200)] == [b"\1"]
    assert ring.held_bytes == 6 + 6 + 1


def test_room_that_nothing_came_of_does_not_add_up_when_hostd_goes_on_from_its_end() -> None:
    ring = LogRing(600)
    for now_ms in (0, 50, 100):
        ring.make_room(20, now_ms, 0)
        ring.rewind(0, 0)
    assert ring.held_bytes == 6


class AnyHistory(RuleBasedStateMachine):
    """A node prints and boots, a line loses records, hostd acknowledges late, asks again, restarts.

    Whatever happens: what the receiver was told is what the node sent, or a loss of the right size.
    """

    @initialize(size=st.integers(64, 600) | st.just(LARGE), before_turn_ms=st.sampled_from([2**30, 500]))
    def begin(self, size: int, before_turn_ms: int) -> None:
        self.ring = LogRing(size)
        self.ring._marks[1] = max(0, size - 600)  # what comes reaches the end of a large ring as well
        self.size = size
        self.clock_ms = 2**30 - before_turn_ms
        self.sent: list[list[tuple[int, int]]] = [[]]  # of each boot the bytes, -1 for a lost one, and their times
        self.receiver = LogReceiver(0, 0)
        self.damaged: dict[tuple[int, int], int] = {}  # which byte of which boot had which error
        self.told: list[LinkEvent] = []
        self.positions = [(0, 0)]  # after each of `told`
        self.stored = 0  # how many of `told` may be acknowledged

    @rule(count=st.integers(0, 30) | st.integers(0, 700))
    def print(self, count: int) -> None:
        begin = len(self.sent[-1])
        data = bytes((begin * 7 + index) & 255 for index in range(count))
        self.ring.append(data, count, self.clock_ms & 0x3FFFFFFF, self.clock_ms >> 30)
        self.sent[-1] += [(byte, self.clock_ms) for byte in data]

    @rule(count=st.integers(0, 30) | st.integers(0, 700))
    def take(self, count: int) -> None:
        begin = len(self.sent[-1])
        data = bytes((begin * 7 + index) & 255 for index in range(count))
        assert take(self.ring, data, self.clock_ms & 0x3FFFFFFF, self.clock_ms >> 30) == 0
        self.sent[-1] += [(byte, self.clock_ms) for byte in data]

    @rule()
    def boot(self) -> None:
        self.ring.begin_boot(SUPPLY_ON, self.clock_ms & 0x3FFFFFFF, self.clock_ms >> 30)
        self.sent.append([])

    @rule(count=st.sampled_from([1, 40, 300]))
    def lose(self, count: int) -> None:
        self.ring.lose(count, UART_OVERRUN, self.clock_ms & 0x3FFFFFFF, self.clock_ms >> 30)
        self.sent[-1] += [(-1, self.clock_ms)] * count

    @rule(byte=st.integers(0, 255), error=st.integers(0, 2), count=st.sampled_from([1, 2, 500]))
    def damage(self, byte: int, error: int, count: int) -> None:
        for _ in range(count):
            self.ring.append_damaged(byte, error, self.clock_ms & 0x3FFFFFFF, self.clock_ms >> 30)
            self.damaged[len(self.sent) - 1, len(self.sent[-1])] = error
            self.sent[-1].append((byte, self.clock_ms))

    @rule(wanted=st.integers(1, 500))
    def begin_to_print(self, wanted: int) -> None:
        """Nothing comes of the room that was made."""
        assert 1 <= self.ring.make_room(wanted, self.clock_ms & 0x3FFFFFFF, self.clock_ms >> 30) <= wanted

    @rule(span_ms=st.sampled_from([1, 5, 39, 40, 41, 200]))
    def wait(self, span_ms: int) -> None:
        self.clock_ms += span_ms

    @rule(count=st.integers(1, 12), arrives=st.booleans())
    def send(self, count: int, *, arrives: bool) -> None:
        for _ in range(count):
            record = next_record(self.ring, self.clock_ms & 0x3FFFFFFF)
            if record is None:
                return
            if arrives:
                self.receive(record)

    def receive(self, record: link_pb2.LogRecord) -> None:
        news = self.receiver.take(record)
        if news is None:
            self.ring.rewind(self.receiver.boot, self.receiver.offset)
            return
        for event in news:
            self.told.append(event)
            end = event.lost_bytes if isinstance(event, LogGap) else len(getattr(event, "data", b""))
            self.positions.append((event.boot, getattr(event, "offset", 0) + end))
            if isinstance(event, LogData):
                self.check_bytes(event)
        assert self.positions[-1] == (self.receiver.boot, self.receiver.offset)

    def check_bytes(self, event: LogData) -> None:
        sent = self.sent[event.boot][event.offset : event.offset + len(event.data)]
        assert event.data == bytes(byte for byte, _ in sent)
        errors = [self.damaged.get((event.boot, event.offset + index)) for index in range(len(event.data))]
        if event.damage is not None:
            assert errors[0] is not None
        assert tuple(event.damage or (0, 0, 0)) == tuple(errors.count(error) for error in range(3))
        for _, at_ms in sent:
            assert 0 <= at_ms - event.at_ms <= CHUNK_MS

    @rule(share=st.floats(0, 1), short=st.integers(0, 20), arrives=st.booleans())
    def store(self, share: float, short: int, *, arrives: bool) -> None:
        """Store up to some place that was reached, and acknowledge it or a place shortly before it."""
        self.stored += round(share * (len(self.told) - self.stored))
        boot, offset = self.positions[self.stored]
        if arrives:
            self.ring.acknowledge(boot, max(0, offset - short))

    @rule()
    def resend_unheard(self) -> None:
        self.ring.rewind(self.ring.acked_boot, self.ring.acked_offset)

    @rule()
    def restart_hostd(self) -> None:
        """Go on from what is stored, and let the HAT know.

        Not where whole boots lie between that and what the HAT knows to be stored:
        `test_a_receiver_that_goes_on_behind_lost_boots_counts_no_byte_twice` is about that.
        """
        if self.positions[self.stored][0] > self.ring.acked_boot + 1:
            return
        del self.told[self.stored :]
        del self.positions[self.stored + 1 :]
        boot, offset = self.positions[-1]
        self.receiver = LogReceiver(boot, offset)
        assert self.receiver.skip_to(self.ring.acked_boot, self.ring.acked_offset, 0) == []
        self.ring.acknowledge(boot, offset)
        self.ring.rewind(boot, offset)

    @invariant()
    def the_ring_keeps_its_size(self) -> None:
        assert 0 <= self.ring._marks[3] <= self.ring.held_bytes <= self.size
        assert len(self.ring.ring) == self.size

    @invariant()
    def the_acknowledged_position_is_one_that_hostd_stored(self) -> None:
        assert (self.ring.acked_boot, self.ring.acked_offset) <= self.positions[self.stored]

    def teardown(self) -> None:
        if not hasattr(self, "ring"):
            return
        self.wait(LATER_MS)
        self.ring.rewind(self.receiver.boot, self.receiver.offset)
        for record in records(self.ring, self.clock_ms & 0x3FFFFFFF):
            self.receive(record)
        boot, offset = len(self.sent) - 1, len(self.sent[-1])
        assert (self.receiver.boot, self.receiver.offset) == (boot, offset)
        self.check_sums()
        self.ring.acknowledge(boot, offset)
        assert self.ring.held_bytes in {0, 6}  # the head of a record that nothing came of
        assert records(self.ring) == []

    def check_sums(self) -> None:
        boots, lost_boots, bytes_told = {0}, 0, 0
        for event in self.told:
            if isinstance(event, BootStarted):
                boots.add(event.boot)
                lost_boots += event.lost_boots
                bytes_told += event.lost_bytes
            else:
                assert isinstance(event, LogData | LogGap)
                bytes_told += event.lost_bytes if isinstance(event, LogGap) else len(event.data)
        assert len(self.sent) == len(boots) + lost_boots
        assert bytes_told == sum(map(len, self.sent))


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
