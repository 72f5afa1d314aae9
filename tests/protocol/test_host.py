"""hostd's end of the link: what it tells and says to what it hears, and when."""

from __future__ import annotations

from random import Random
from typing import Any, ClassVar

import pytest
from google.protobuf.message import Message as ProtobufMessage
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from racklet.link.v1 import link_pb2
from racklet_link.events import (
    ConsoleTaken,
    EventReceived,
    HelloReceived,
    Incompatible,
    KeyAgreed,
    LinkEvent,
    LinkLost,
    LogData,
    LogGap,
    RequestEnded,
    RequestTimedOut,
    StoredPositions,
    Stranger,
    TelemetryReceived,
    Unproven,
    UpdateProgressed,
)
from racklet_link.host import KNOCK_AGAIN_MS, KNOCK_EVERY_MS, HostLink
from racklet_link.limits import KEEPALIVE_EVERY_MS, LINK_LOST_AFTER_MS, OFFSET_MAX, SEAL_NUMBER_MAX, SEQUENCE_MAX
from racklet_link.receiver import RESEND_REQUEST_EVERY_MS
from racklet_link.requester import REPEAT_EVERY_MS
from racklet_link.seal import Seal, agreed_key, talk_seals
from tests.protocol.hat_messages import framed, wired
from tests.protocol.seals import HAT_ID, HAT_NONCE, KEY, opened_frames, sealed_frame, with_seal

ABOUT = {"protocol_min": 2, "protocol_max": 2, "hat_id": HAT_ID, "has_key": True, "nonce": HAT_NONCE}
HELLO = link_pb2.Hello(session=77, event_sequence=1, **ABOUT)
IDENTIFY = link_pb2.Identify(duration_ms=5)
NOTHING = StoredPositions()


def hello(**fields: Any) -> link_pb2.Hello:  # noqa: ANN401 - as the message takes them
    """Return a Hello of the HAT that is adopted."""
    return link_pb2.Hello(**(ABOUT | fields))


class Bench:
    """One HostLink, spoken to in frames."""

    def __init__(self, *, is_up: bool = True) -> None:
        self.now_ms = 50_000
        self.keys = {HAT_ID: KEY}
        self.nonces = 0
        self.link = HostLink(5, 200, self.now_ms, self.keys.get, self.random)
        self.host_seal: Seal | None = None
        self.hat_seal: Seal | None = None
        if is_up:
            self.hear(HELLO)
            self.link.welcome(NOTHING, 1_795_000_000_000, self.now_ms)
            self.said()

    def random(self, size: int) -> bytes:
        self.nonces += 1
        return bytes([self.nonces]) * size

    def hear(self, body: ProtobufMessage) -> list[LinkEvent]:
        """Hear a message as the HAT seals it: a Hello as after a Knock."""
        if not isinstance(body, link_pb2.Hello):
            return self.link.receive(sealed_frame(body, self.hat_seal), self.now_ms)
        self.said()  # it is sealed as before
        nonce = self.link._handshake.nonce
        host_seal, hat_seal = talk_seals(KEY, nonce, body.nonce, body.hat_id)
        told = self.link.receive(sealed_frame(body, hat_seal), self.now_ms)
        if self.link._handshake.nonce != nonce:  # it came through
            self.host_seal, self.hat_seal = host_seal, hat_seal
        return told

    def hear_payload(self, payload: bytes) -> list[LinkEvent]:
        """Hear a good frame of the talk, whatever is in it."""
        return self.link.receive(wired(with_seal(payload, self.hat_seal)), self.now_ms)

    def tick(self, duration_ms: int = 0) -> list[LinkEvent]:
        self.now_ms += duration_ms
        return self.link.tick(self.now_ms)

    def said(self) -> list[link_pb2.Frame]:
        return opened_frames(self.link.take_output(), self.host_seal)

    def bodies(self) -> list[str]:
        return [frame.WhichOneof("body") for frame in self.said()]

    @property
    def errors(self) -> dict[str, int]:
        return {name: count for name, count in self.link.counters.errors.items() if count}


def test_it_ends_what_lies_in_the_line_and_knocks_at_once_and_then_at_times() -> None:
    bench = Bench(is_up=False)
    assert bench.tick() == []
    wire = bench.link.take_output()
    assert wire.startswith(b"\0")
    knock = link_pb2.Knock(protocol_min=2, protocol_max=2, nonce=b"\1" * 16)
    assert opened_frames(wire, None) == [link_pb2.Frame(knock=knock)]
    bench.tick(KNOCK_EVERY_MS - 1)
    assert bench.said() == []
    bench.tick(1)
    assert bench.bodies() == ["knock"]


def test_a_hello_is_told_and_answered_when_asked_to() -> None:
    bench = Bench(is_up=False)
    assert bench.hear(HELLO) == [HelloReceived(HELLO)]
    assert not bench.link.is_up
    bench.said()
    bench.link.welcome(StoredPositions(3, 40, 6), 1_795_000_000_000, bench.now_ms)
    assert bench.link.is_up
    assert bench.link.version == 2
    assert bench.said() == [
        link_pb2.Frame(
            welcome=link_pb2.Welcome(
                version=2,
                protocol_min=2,
                protocol_max=2,
                session=77,
                host_session=5,
                unix_ms=1_795_000_000_000,
                telemetry_period_ms=200,
                log_boot=3,
                log_offset=40,
                event_sequence=6,
            )
        )
    ]


def test_what_a_hat_sends_before_a_welcome_is_counted_and_not_told() -> None:
    bench = Bench(is_up=False)
    assert bench.hear(link_pb2.Telemetry(sequence=1)) == []
    assert bench.errors == {"unexpected": 1}


def test_a_hat_of_other_versions_is_refused_and_told() -> None:
    bench = Bench()
    newer = hello(protocol_min=3, protocol_max=4, session=77)
    assert bench.hear(newer) == [Incompatible(newer)]
    assert not bench.link.is_up
    assert bench.link.version == 0
    assert bench.said() == [
        link_pb2.Frame(welcome=link_pb2.Welcome(protocol_min=2, protocol_max=2, session=77)),
    ]


def test_a_later_version_of_the_hat_is_taken_down_to_ours() -> None:
    bench = Bench(is_up=False)
    bench.hear(hello(protocol_min=2, protocol_max=9, session=77))
    bench.link.welcome(NOTHING, 0, bench.now_ms)
    assert bench.link.version == 2


def test_a_second_hello_of_the_same_session_keeps_the_talk_and_its_requests() -> None:
    bench = Bench()
    bench.link.request(IDENTIFY, 5000, bench.now_ms)
    assert bench.hear(HELLO) == [HelloReceived(HELLO)]
    assert bench.link.is_up
    assert bench.link.is_busy


def test_a_hello_of_another_session_ends_the_talk_and_gives_up_what_was_asked() -> None:
    bench = Bench()
    request_id = bench.link.request(IDENTIFY, 5000, bench.now_ms)
    fresh = hello(protocol_min=2, protocol_max=2, session=78)
    assert bench.hear(fresh) == [RequestTimedOut(request_id, hat_restarted=True), HelloReceived(fresh)]
    assert not bench.link.is_up


def test_console_input_reaches_a_hat_that_restarted() -> None:
    bench = Bench()
    bench.link.type_console(b"ls\n", bench.now_ms)
    bench.hear(link_pb2.ConsoleAcknowledge(offset=3))
    bench.hear(hello(protocol_min=2, protocol_max=2, session=78, event_sequence=1))
    bench.link.welcome(NOTHING, 0, bench.now_ms)
    bench.said()
    bench.link.type_console(b"id\n", bench.now_ms)
    assert [frame.console_input for frame in bench.said()] == [link_pb2.ConsoleInput(offset=0, data=b"id\n")]
    assert bench.hear(link_pb2.ConsoleAcknowledge(offset=3)) == [ConsoleTaken(6)]


def test_a_new_session_is_counted_from_where_it_is_stored() -> None:
    bench = Bench()
    bench.hear(link_pb2.LogRecord(data=b"abc"))
    bench.hear(hello(protocol_min=2, protocol_max=2, session=78, event_sequence=1))
    bench.link.welcome(StoredPositions(2, 7, 4), 0, bench.now_ms)
    assert bench.hear(link_pb2.LogRecord(boot=2, offset=7, data=b"x")) == [LogData(2, 7, 0, b"x")]
    event = link_pb2.Event(sequence=4)
    assert bench.hear(event) == [EventReceived(event, 0)]


def test_a_repeated_welcome_goes_on_from_what_was_received() -> None:
    bench = Bench()
    bench.hear(link_pb2.LogRecord(data=b"abc"))
    bench.hear(HELLO)
    bench.link.welcome(NOTHING, 0, bench.now_ms)
    assert bench.hear(link_pb2.LogRecord(data=b"abcde")) == [LogData(0, 3, 0, b"de")]


def test_what_the_hat_no_longer_holds_is_told_with_the_welcome() -> None:
    bench = Bench(is_up=False)
    bench.hear(hello(protocol_max=2, session=77, log_offset=50, event_sequence=9))
    bench.link.welcome(NOTHING, 0, bench.now_ms)
    assert bench.tick() == [LogGap(0, 0, 0, 50, "GAP_REASON_NOT_KEPT")]
    event = link_pb2.Event(sequence=9)
    assert bench.hear(event) == [EventReceived(event, 0)]


def test_a_link_on_which_nothing_is_heard_is_lost_and_knocked_at_again() -> None:
    bench = Bench()
    bench.tick(LINK_LOST_AFTER_MS)
    bench.said()
    assert bench.link.is_up
    assert bench.tick(1) == [LinkLost()]
    assert not bench.link.is_up
    assert bench.bodies() == ["knock"]


def test_whatever_the_hat_says_keeps_the_link_up() -> None:
    bench = Bench()
    bench.tick(LINK_LOST_AFTER_MS)
    bench.hear(link_pb2.Telemetry())
    assert bench.tick(LINK_LOST_AFTER_MS) == []
    assert bench.link.is_up


def test_damage_does_not_keep_the_link_up() -> None:
    bench = Bench()
    bench.tick(LINK_LOST_AFTER_MS)
    bench.link.receive(b"\x07noise\0", bench.now_ms)
    assert bench.tick(1) == [LinkLost()]


def test_the_link_is_kept_alive_by_acknowledgements() -> None:
    bench = Bench()
    bench.tick(KEEPALIVE_EVERY_MS - 1)
    assert bench.said() == []
    bench.tick(1)
    assert bench.said() == [link_pb2.Frame(acknowledge=link_pb2.Acknowledge(event_sequence=1))]
    bench.tick(KEEPALIVE_EVERY_MS - 1)
    assert bench.said() == []


def test_what_is_stored_is_acknowledged_at_once_and_once() -> None:
    bench = Bench()
    for _ in range(2):
        bench.link.acknowledge(StoredPositions(1, 20, 3), bench.now_ms)
    acknowledge = link_pb2.Acknowledge(log_boot=1, log_offset=20, event_sequence=3)
    assert bench.said() == [link_pb2.Frame(acknowledge=acknowledge)]


def test_what_an_earlier_link_brought_and_is_stored_now_is_not_waited_for() -> None:
    bench = Bench()  # the HAT was in another slot, and what it said there was not stored at the welcome here
    bench.link.acknowledge(StoredPositions(2, 20, 5), bench.now_ms)
    assert bench.hear(link_pb2.LogRecord(boot=2, offset=18, data=b"abcd")) == [LogData(2, 20, 0, b"cd")]
    event = link_pb2.Event(sequence=5)
    assert bench.hear(event) == [EventReceived(event, 0)]
    (frame,) = bench.said()
    assert not frame.acknowledge.log_resend
    assert not frame.acknowledge.event_resend


def test_nothing_is_acknowledged_while_the_link_is_down() -> None:
    bench = Bench(is_up=False)
    bench.link.acknowledge(StoredPositions(1, 20, 3), bench.now_ms)
    assert bench.said() == []


def test_telemetry_is_told() -> None:
    bench = Bench()
    telemetry = link_pb2.Telemetry(sequence=3, supply_uv=5_100_000)
    assert bench.hear(telemetry) == [TelemetryReceived(telemetry)]


def test_missing_log_bytes_are_asked_for_at_times_until_they_come() -> None:
    bench = Bench()
    missing = link_pb2.LogRecord(boot=0, offset=5, data=b"later")
    asked = link_pb2.Acknowledge(event_sequence=1, log_resend=True)
    assert bench.hear(missing) == []
    assert bench.said() == [link_pb2.Frame(acknowledge=asked)]
    assert bench.hear(missing) == []
    assert bench.said() == []
    bench.now_ms += RESEND_REQUEST_EVERY_MS
    bench.hear(missing)
    assert bench.said() == [link_pb2.Frame(acknowledge=asked)]
    assert bench.hear(link_pb2.LogRecord(data=b"first")) == [LogData(0, 0, 0, b"first")]
    bench.hear(link_pb2.LogRecord(offset=9, data=b"later"))
    (frame,) = bench.said()
    assert (frame.acknowledge.resend_boot, frame.acknowledge.resend_offset) == (0, 5)


def test_missing_events_are_asked_for_at_times_until_they_come() -> None:
    bench = Bench()
    asked = link_pb2.Acknowledge(event_sequence=1, event_resend=True, resend_sequence=1)
    for _ in range(2):
        assert bench.hear(link_pb2.Event(sequence=3)) == []
    assert bench.said() == [link_pb2.Frame(acknowledge=asked)]
    event = link_pb2.Event(sequence=1)
    assert bench.hear(event) == [EventReceived(event, 0)]
    bench.hear(link_pb2.Event(sequence=3))
    (frame,) = bench.said()
    assert frame.acknowledge.resend_sequence == 2


@pytest.mark.parametrize(
    "body",
    [
        hello(protocol_max=2, session=5, log_offset=OFFSET_MAX + 1),
        hello(protocol_max=2, session=5, event_sequence=SEQUENCE_MAX + 1),
        link_pb2.LogRecord(offset=OFFSET_MAX + 1, data=b"x"),
        link_pb2.Event(sequence=SEQUENCE_MAX + 1),
        link_pb2.Knock(),
    ],
    ids=["log offset", "event sequence", "record offset", "event", "what only hostd says"],
)
def test_nonsense_is_counted_and_not_told(body: ProtobufMessage) -> None:
    bench = Bench()
    assert bench.hear(body) == []
    assert bench.errors == {"unexpected": 1}
    assert bench.link.is_up


def test_an_empty_frame_is_counted() -> None:
    bench = Bench()
    assert bench.hear_payload(b"") == []
    assert bench.errors == {"unexpected": 1}


@pytest.mark.parametrize(
    ("wire", "errors"),
    [
        (wired(b"\x0f"), {"malformed": 1}),
        (b"\x09short\0", {"cobs": 1}),
        (wired(b"\x08\x01")[:-2] + b"\x77\0", {"crc": 1}),
        (b"\x05" * 600 + b"\0", {"oversize": 1}),
    ],
    ids=["malformed", "cobs", "crc", "oversize"],
)
def test_damage_is_counted_by_its_kind_and_once(wire: bytes, errors: dict[str, int]) -> None:
    bench = Bench()
    bench.link.receive(wire, bench.now_ms)
    bench.hear(link_pb2.Telemetry())
    assert bench.errors == errors


def test_frames_are_counted_in_both_directions() -> None:
    bench = Bench()
    before = bench.link.counters.frames_received, bench.link.counters.frames_sent
    assert before == (1, 1)
    bench.hear(link_pb2.Telemetry())
    bench.tick(KEEPALIVE_EVERY_MS)
    assert (bench.link.counters.frames_received, bench.link.counters.frames_sent) == (2, 2)


def test_a_request_is_sent_at_once_and_its_end_told() -> None:
    bench = Bench()
    request_id = bench.link.request(IDENTIFY, 5000, bench.now_ms)
    assert bench.said() == [link_pb2.Frame(request=link_pb2.Request(id=request_id, identify=IDENTIFY))]
    reply = link_pb2.Reply(id=request_id, result=link_pb2.RESULT_DONE)
    assert bench.hear(reply) == [RequestEnded(request_id, reply)]
    assert not bench.link.is_busy


def test_a_request_is_repeated_and_given_up_in_its_time() -> None:
    bench = Bench()
    request_id = bench.link.request(IDENTIFY, 700, bench.now_ms)
    bench.said()
    bench.tick(REPEAT_EVERY_MS)
    assert bench.bodies() == ["request"]
    assert bench.tick(700 - REPEAT_EVERY_MS) == [RequestTimedOut(request_id, hat_restarted=False)]
    assert bench.bodies() == []


def test_a_request_waits_for_the_link_and_ends_in_its_time_without_it() -> None:
    bench = Bench(is_up=False)
    request_id = bench.link.request(IDENTIFY, 700, bench.now_ms)
    assert bench.said() == []
    assert bench.tick(700) == [RequestTimedOut(request_id, hat_restarted=False)]
    bench.link.request(IDENTIFY, 9000, bench.now_ms)
    bench.hear(HELLO)
    bench.link.request(IDENTIFY, 9000, bench.now_ms)
    bench.said()
    bench.link.welcome(NOTHING, 0, bench.now_ms)
    bench.tick()
    assert bench.bodies() == ["welcome", "request"]


def test_what_is_typed_is_sent_at_once_and_goes_on_as_it_is_taken() -> None:
    bench = Bench()
    assert bench.link.type_console(b"reboot\n", bench.now_ms) == 7
    assert bench.said() == [link_pb2.Frame(console_input=link_pb2.ConsoleInput(data=b"reboot\n"))]
    assert bench.hear(link_pb2.ConsoleAcknowledge(offset=3)) == [ConsoleTaken(3)]
    assert bench.said() == [link_pb2.Frame(console_input=link_pb2.ConsoleInput(offset=3, data=b"oot\n"))]
    assert bench.link.is_busy
    assert bench.hear(link_pb2.ConsoleAcknowledge(offset=7)) == [ConsoleTaken(7)]
    assert not bench.link.is_busy


def test_what_is_typed_waits_for_the_link() -> None:
    bench = Bench(is_up=False)
    assert bench.link.type_console(b"ls\n", bench.now_ms) == 3
    assert bench.said() == []
    bench.hear(HELLO)
    bench.link.welcome(NOTHING, 0, bench.now_ms)
    bench.tick()
    assert bench.bodies() == ["welcome", "console_input"]


class AnyTalk(RuleBasedStateMachine):
    """Whatever is heard and however time passes: it is up only after a welcome, and every request ends once."""

    HEARD: ClassVar = [
        HELLO,
        hello(protocol_max=2, session=78),
        hello(protocol_min=9, protocol_max=9, session=77),
        link_pb2.Telemetry(),
        link_pb2.LogRecord(data=b"abc"),
        link_pb2.LogRecord(boot=3, data=b"abc"),
        link_pb2.Event(sequence=1),
        link_pb2.Event(sequence=4),
        link_pb2.Reply(id=1, result=link_pb2.RESULT_DONE),
        link_pb2.Reply(id=2, result=link_pb2.RESULT_PENDING),
        link_pb2.ConsoleAcknowledge(offset=2),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(is_up=False)
        self.asked: list[int] = []
        self.ended: list[int] = []
        self.session = 0

    def take(self, events: list[LinkEvent]) -> None:
        self.ended += [event.request_id for event in events if isinstance(event, RequestEnded | RequestTimedOut)]
        if any(isinstance(event, HelloReceived) for event in events):
            self.bench.link.welcome(NOTHING, 0, self.bench.now_ms)

    @rule(body=st.sampled_from(HEARD))
    def hear(self, body: ProtobufMessage) -> None:
        self.take(self.bench.hear(body))

    @rule(data=st.binary(max_size=100))
    def hear_noise(self, data: bytes) -> None:
        self.take(self.bench.link.receive(data, self.bench.now_ms))

    @rule(duration_ms=st.sampled_from([1, 100, 1000, 3000]))
    def wait(self, duration_ms: int) -> None:
        self.take(self.bench.tick(duration_ms))

    @rule(timeout_ms=st.sampled_from([0, 500, 5000]))
    def ask(self, timeout_ms: int) -> None:
        if len(self.asked) - len(self.ended) < 4:
            self.asked.append(self.bench.link.request(IDENTIFY, timeout_ms, self.bench.now_ms))

    @rule(data=st.binary(max_size=300))
    def type(self, data: bytes) -> None:
        self.bench.link.type_console(data, self.bench.now_ms)

    @invariant()
    def it_says_only_whole_frames_and_a_version_only_when_up(self) -> None:
        self.bench.said()
        assert (self.bench.link.version == 2) is self.bench.link.is_up

    @invariant()
    def no_request_ends_twice(self) -> None:
        assert len(self.ended) == len(set(self.ended))
        assert set(self.ended) <= set(self.asked)

    def teardown(self) -> None:
        self.take(self.bench.tick(10_000))
        assert sorted(self.ended) == self.asked


TestAnyTalk = AnyTalk.TestCase
TestAnyTalk.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


def test_it_says_when_it_wants_the_next_tick() -> None:
    bench = Bench(is_up=False)
    bench.tick()
    assert bench.link.due_ms == bench.now_ms + KNOCK_EVERY_MS
    bench.hear(HELLO)
    bench.link.welcome(NOTHING, 1_795_000_000_000, bench.now_ms)
    bench.tick()
    heard_ms = bench.now_ms
    assert bench.link.due_ms <= bench.now_ms + KEEPALIVE_EVERY_MS
    while bench.link.is_up:
        bench.tick(bench.link.due_ms - bench.now_ms)
        assert bench.link.due_ms > bench.now_ms
    assert bench.now_ms == heard_ms + LINK_LOST_AFTER_MS + 1


def test_while_an_answer_is_awaited_it_wants_every_tick() -> None:
    bench = Bench()
    bench.link.request(IDENTIFY, 5000, bench.now_ms)
    assert bench.link.due_ms == bench.now_ms


def test_records_that_came_together_are_told_as_one() -> None:
    bench = Bench()
    bench.hear(link_pb2.LogRecord(boot=1, at_ms=1, boot_cause=link_pb2.BOOT_CAUSE_SUPPLY_ON))
    records = [link_pb2.LogRecord(boot=1, offset=3 * index, at_ms=5 + index, data=b"abc") for index in range(4)]
    events = bench.link.receive(b"".join(sealed_frame(record, bench.hat_seal) for record in records), bench.now_ms)
    assert events == [LogData(1, 0, 5, b"abc" * 4)]


def test_it_is_known_how_late_console_bytes_came_until_the_hat_starts_anew() -> None:
    bench = Bench()
    bench.hear(link_pb2.LogRecord(boot=1, at_ms=1, boot_cause=link_pb2.BOOT_CAUSE_SUPPLY_ON))
    lags = []
    for index, passed_ms in enumerate((10, 10, 80)):
        bench.now_ms += passed_ms
        bench.hear(link_pb2.LogRecord(boot=1, offset=index, at_ms=100 + 10 * index, data=b"a"))
        lags.append(bench.link.log_lag_ms)
    assert lags == [0, 0, 70]
    bench.hear(link_pb2.Telemetry(sequence=1, at_ms=7))
    assert bench.link.log_lag_ms == 0  # nothing of the console came
    bench.hear(hello(session=HELLO.session + 1))
    bench.link.welcome(NOTHING, 0, bench.now_ms)
    bench.hear(link_pb2.LogRecord(boot=1, at_ms=1, boot_cause=link_pb2.BOOT_CAUSE_SUPPLY_ON))
    bench.hear(link_pb2.LogRecord(boot=1, at_ms=1, data=b"a"))
    assert bench.link.log_lag_ms == 0


def test_it_is_known_how_much_of_the_console_is_not_acknowledged() -> None:
    bench = Bench(is_up=False)
    bench.hear(hello(log_ring_bytes=65_536))
    bench.link.welcome(NOTHING, 0, bench.now_ms)
    assert bench.link.log_ring_bytes == 65_536
    bench.hear(link_pb2.LogRecord(boot=1, at_ms=1, boot_cause=link_pb2.BOOT_CAUSE_SUPPLY_ON))
    assert bench.link.unacknowledged_bytes == 0
    bench.hear(link_pb2.LogRecord(boot=1, at_ms=2, data=b"abcde"))
    assert bench.link.unacknowledged_bytes == 5
    bench.link.acknowledge(StoredPositions(1, 3, 1), bench.now_ms)
    assert bench.link.unacknowledged_bytes == 2


# Who speaks.


def test_a_hat_that_proves_nothing_is_told_of_after_three_hellos_and_knocked_at_at_times() -> None:
    bench = Bench(is_up=False)
    bench.tick()
    bench.said()
    told = []
    for _ in range(5):
        bench.now_ms += KNOCK_AGAIN_MS
        told += bench.link.receive(framed(HELLO), bench.now_ms)
        assert bench.bodies() == ["knock"]
        told += bench.link.receive(framed(HELLO), bench.now_ms)
        assert bench.bodies() == []
    assert told == [Unproven(HELLO)]
    assert not bench.link.is_up
    assert bench.hear(HELLO) == [HelloReceived(HELLO)]


def test_a_bare_hello_in_a_talk_is_knocked_at_and_ends_nothing() -> None:
    bench = Bench()
    bench.link.request(IDENTIFY, 5000, bench.now_ms)
    bench.said()
    bench.tick(KNOCK_AGAIN_MS)
    assert bench.link.receive(framed(hello(session=78)), bench.now_ms) == []
    assert bench.bodies() == ["knock"]
    assert bench.link.is_up
    assert bench.link.is_busy
    assert bench.errors == {"seal": 1}


def test_a_hello_said_again_within_the_talk_is_told() -> None:
    bench = Bench()
    assert bench.link.receive(sealed_frame(HELLO, bench.hat_seal), bench.now_ms) == [HelloReceived(HELLO)]


def test_one_hat_does_not_speak_for_another_within_the_talk() -> None:
    bench = Bench()
    other = hello(hat_id=b"another!")
    assert bench.link.receive(sealed_frame(other, bench.hat_seal), bench.now_ms) == []
    assert bench.errors == {"seal": 1}


def test_what_is_not_sealed_or_comes_again_is_counted_and_not_told() -> None:
    bench = Bench()
    record = sealed_frame(link_pb2.LogRecord(data=b"abc"), bench.hat_seal)
    assert bench.link.receive(record, bench.now_ms) == [LogData(0, 0, 0, b"abc")]
    assert bench.link.receive(record, bench.now_ms) == []
    assert bench.link.receive(framed(link_pb2.LogRecord(offset=3, data=b"evil")), bench.now_ms) == []
    assert bench.link.receive(sealed_frame(link_pb2.Telemetry(), bench.host_seal), bench.now_ms) == []  # reflected
    assert bench.errors == {"seal": 3}


def test_what_is_not_sealed_does_not_keep_the_link_up() -> None:
    bench = Bench()
    bench.tick(LINK_LOST_AFTER_MS)
    bench.link.receive(framed(link_pb2.Telemetry()), bench.now_ms)
    assert bench.tick(1) == [LinkLost()]


def test_a_stranger_is_told_of_and_can_be_asked_to_blink_and_tells_nothing() -> None:
    bench = Bench(is_up=False)
    stranger = hello(hat_id=b"stranger", has_key=False)
    assert bench.link.receive(framed(stranger), bench.now_ms) == [Stranger(stranger)]
    assert not bench.link.is_up
    bench.link.welcome_stranger(bench.now_ms)
    request_id = bench.link.request(IDENTIFY, 5000, bench.now_ms)
    assert [frame.WhichOneof("body") for frame in bench.said()] == ["welcome", "request"]
    for body in (link_pb2.LogRecord(boot=1, boot_cause=1), link_pb2.Telemetry(), link_pb2.Event(sequence=1)):
        assert bench.link.receive(framed(body), bench.now_ms) == []
    reply = link_pb2.Reply(id=request_id, result=link_pb2.RESULT_DONE)
    assert bench.link.receive(framed(reply), bench.now_ms) == [RequestEnded(request_id, reply)]
    assert bench.errors == {"unexpected": 3}


def test_a_key_is_agreed_on_and_the_talk_begins_with_it() -> None:
    bench = Bench(is_up=False)
    stranger = hello(has_key=False)
    bench.keys.clear()
    bench.link.receive(framed(stranger), bench.now_ms)
    bench.link.adopt(HAT_ID, bench.now_ms)
    assert bench.link.is_busy
    bench.tick()
    frame, *_ = bench.said()
    key = agreed_key(b"s" * 32, frame.adopt.nonce, HAT_ID)
    part = framed(link_pb2.KeyPart(secret=b"s" * 32))
    assert bench.link.receive(part, bench.now_ms) == [KeyAgreed(HAT_ID, key)]
    assert not bench.link.is_busy
    assert bench.link.receive(part, bench.now_ms) == []
    bench.link.knock(bench.now_ms)
    (frame,) = bench.said()
    assert frame.knock.nonce
    bench.keys[HAT_ID] = key
    _, seal = talk_seals(key, frame.knock.nonce, HAT_NONCE, HAT_ID)
    assert bench.link.receive(sealed_frame(HELLO, seal), bench.now_ms) == [HelloReceived(HELLO)]


def test_it_stops_to_want_a_key() -> None:
    bench = Bench(is_up=False)
    bench.link.adopt(HAT_ID, bench.now_ms)
    bench.link.stop_adopting()
    assert not bench.link.is_busy
    assert bench.link.receive(framed(link_pb2.KeyPart(secret=b"s" * 32)), bench.now_ms) == []


def test_a_hat_that_proves_itself_and_speaks_no_version_of_ours_is_refused_under_seal() -> None:
    bench = Bench()
    newer = hello(protocol_min=3, protocol_max=4, session=78)
    assert bench.hear(newer) == [Incompatible(newer)]
    (frame,) = bench.said()
    assert frame.welcome.version == 0


def test_a_claim_of_another_version_is_told_when_there_is_no_talk() -> None:
    bench = Bench(is_up=False)
    old = link_pb2.Hello(protocol_min=1, protocol_max=1, session=7, hat_id=HAT_ID)
    assert bench.link.receive(framed(old), bench.now_ms) == [Incompatible(old)]


def test_a_talk_whose_numbers_are_used_up_begins_anew() -> None:
    bench = Bench()
    bench.link._handshake.host_seal.number = SEAL_NUMBER_MAX
    bench.tick(KNOCK_EVERY_MS)
    assert not bench.link.is_up
    assert bench.bodies() == ["knock"]
    assert bench.hear(HELLO) == [HelloReceived(HELLO)]


@given(seed=st.integers(0, 2**32))
def test_no_knock_holds_a_ctrl_c_which_would_stop_a_hat_that_is_about_to_start(seed: int) -> None:
    link = HostLink(5, 200, 0, {}.get, Random(seed).randbytes)
    link.tick(0)
    assert 3 not in link.take_output()


def test_randomness_that_is_none_does_not_hang_it() -> None:
    link = HostLink(5, 200, 0, {}.get, lambda size: b"\3" * size)
    link.tick(0)
    assert link.take_output()


def test_an_update_is_sent_as_the_hat_asks_for_it_and_ends_with_the_hat() -> None:
    bench = Bench()
    bench.link.send_update(b"firmware" * 10, bench.now_ms)
    assert bench.link.is_busy
    assert bench.bodies() == ["update_data"]
    progress = link_pb2.UpdateProgress(offset=8)
    assert bench.hear(progress) == [UpdateProgressed(progress)]
    (frame,) = bench.said()
    assert frame.update_data == link_pb2.UpdateData(offset=8, data=b"firmware" * 9)
    bench.link.send_update(b"", bench.now_ms)
    assert not bench.link.is_busy
    assert bench.hear(progress) == [UpdateProgressed(progress)]
    assert bench.said() == []


def test_an_update_waits_for_the_link() -> None:
    bench = Bench(is_up=False)
    bench.link.send_update(b"firmware", bench.now_ms)
    assert bench.said() == []
