"""The HAT's end of the link: what it says to what it hears, and when."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message as ProtobufMessage
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from racklet.link.v1 import link_pb2
from racklet_link.event_queue import EventQueue
from racklet_link.hat import HatLink
from racklet_link.limits import (
    HELLO_EVERY_MS,
    KEEPALIVE_EVERY_MS,
    LINK_LOST_AFTER_MS,
    REPLIES_KEPT,
    RESEND_AFTER_MS,
    SEAL_NUMBER_MAX,
    TELEMETRY_PERIOD_MAX_MS,
    TELEMETRY_PERIOD_MIN_MS,
)
from racklet_link.log_ring import LogRing
from racklet_link.message import Message
from racklet_link.seal import agreed_key
from tests.protocol.hat_messages import framed, frames_in, wired
from tests.protocol.seals import KEY, HostByHand, with_seal
from tests.protocol.simulation import Duties

SESSION = 77
DONE, PENDING = link_pb2.RESULT_DONE, link_pb2.RESULT_PENDING
POWER_ON = link_pb2.SetPower(action=link_pb2.POWER_ACTION_ON)
TRIP = link_pb2.EVENT_KIND_OVER_CURRENT
ALIVE = ["console_acknowledge"]  # what it says when there is nothing to say


class WatchedDuties(Duties):
    """Duties that note all they were told."""

    def __init__(self, key: bytes = KEY) -> None:
        super().__init__(key)
        self.identified: list[int] = []
        self.limits: list[list[int]] = []
        self.updates: list[tuple[object, ...]] = []
        self.restored: list[tuple[int, int]] = []
        self.tested: list[int] = []
        self.unix_ms = 0

    def identify(self, duration_ms: int) -> int:
        self.identified.append(duration_ms)
        return DONE

    def set_limits(self, slots: object) -> int:
        self.limits.append(list(slots[:11]))
        return DONE

    def set_restore(self, policy: int, delay_ms: int) -> int:
        self.restored.append((policy, delay_ms))
        return DONE

    def self_test(self, step: int) -> int:
        self.tested.append(step)
        return DONE

    def begin_update(self, slots: object, buf: bytearray) -> int:
        manifest_bytes, signature_bytes, files_bytes, at, size = slots[:5]
        self.updates.append(("begin", manifest_bytes, signature_bytes, files_bytes, bytes(buf[at : at + size])))
        return DONE

    def take_update(self, offset: int, buf: bytearray, start: int, size: int) -> None:
        self.updates.append(("take", offset, bytes(buf[start : start + size])))

    def finish_update(self, request_id: int) -> int:
        self.updates.append(("finish", request_id))
        return link_pb2.RESULT_PENDING

    def confirm_update(self) -> int:
        self.updates.append(("confirm",))
        return DONE

    def abort_update(self) -> int:
        self.updates.append(("abort",))
        return DONE

    def fill_update(self, progress: Message) -> None:
        progress.slots[0] = 4711

    def set_clock(self, unix_ms: int) -> None:
        self.unix_ms = unix_ms


class Bench:
    """One HAT, spoken to in frames."""

    def __init__(self, *, is_up: bool = True, period_ms: int = TELEMETRY_PERIOD_MAX_MS, key: bytes = KEY) -> None:
        self.log = LogRing(2048)
        self.events = EventQueue(8)
        self.duties = WatchedDuties(key)
        self.host = HostByHand(key)
        self.link = HatLink(SESSION, self.log, self.events, self.duties)
        self.now_ms = 10_000
        self.period_ms = period_ms
        if is_up:
            self.meet()
            self.welcome()
            self.said()

    def hear(self, body: ProtobufMessage) -> None:
        self.hear_wire(self.host.wire(body))

    def meet(self) -> None:
        """Knock, and let the HAT introduce itself."""
        self.hear(link_pb2.Knock())
        self.said()

    def hear_payload(self, payload: bytes) -> None:
        """Hear a good frame of the talk, whatever is in it."""
        self.hear_wire(wired(with_seal(payload, self.host.host_seal)))

    def hear_wire(self, wire: bytes) -> None:
        self.link.receive(wire, len(wire), self.now_ms)

    def hear_body(self, field: int, body: bytes) -> None:
        """Hear a Frame whose body is whatever it is."""
        tag = field << 3 | 2
        start = bytes([tag]) if tag < 128 else bytes([tag & 127 | 128, tag >> 7])
        self.hear_payload(start + bytes([len(body)]) + body)

    def welcome(self, **changed: int) -> None:
        told = {
            "version": 2,
            "session": SESSION,
            "host_session": 5,
            "telemetry_period_ms": self.period_ms,
            "event_sequence": 1,
        }
        self.hear(link_pb2.Welcome(**(told | changed)))

    def said(self) -> list[link_pb2.Frame]:
        """Return all that is due now."""
        wire = bytearray()
        while size := self.link.poll(self.now_ms, 0):
            wire += self.link.wire[:size]
        return self.host.frames(bytes(wire))

    def bodies(self) -> list[str]:
        return [frame.WhichOneof("body") for frame in self.said()]

    def replies(self) -> list[tuple[int, int]]:
        return [(frame.reply.id, frame.reply.result) for frame in self.said() if frame.HasField("reply")]

    def stay_up(self, duration_ms: int) -> None:
        """Let time pass while hostd keeps the link alive and acknowledges nothing new."""
        for _ in range(0, duration_ms, 1000):
            self.now_ms += 1000
            self.hear(link_pb2.Acknowledge())


def test_it_introduces_itself_at_start_and_then_every_second() -> None:
    bench = Bench(is_up=False)
    assert bench.bodies() == ["hello"]
    bench.now_ms += HELLO_EVERY_MS - 1
    assert bench.bodies() == []
    bench.now_ms += 1
    assert bench.bodies() == ["hello"]


def test_hello_tells_where_the_log_and_the_events_stand() -> None:
    bench = Bench()
    bench.log.begin_boot(link_pb2.BOOT_CAUSE_SUPPLY_ON, 0, 0)
    bench.log.append(b"abc", 3, 0, 0)
    bench.events.put(TRIP, 0, 0, 1)
    bench.said()
    bench.hear(link_pb2.Acknowledge(log_boot=1, log_offset=3, event_sequence=2))
    bench.hear(link_pb2.Knock())
    wire = bytes(bench.link.wire[: bench.link.poll(bench.now_ms, 2)])
    assert bench.host.frames(wire)[0].hello == link_pb2.Hello(
        protocol_min=2,
        protocol_max=2,
        session=SESSION,
        at_ms=2 * 2**30 + bench.now_ms,
        boot=1,
        log_boot=1,
        log_offset=3,
        event_sequence=2,
        hat_id=b"\x01\x02\x03\x04\x05\x06\x07\x08",
        board="hat-a",
        firmware="0.1.0",
        has_key=True,
        nonce=bytes([2]) * 16,
        log_ring_bytes=2048,
    )


def test_a_knock_is_answered_at_once_and_ends_the_talk() -> None:
    bench = Bench()
    bench.hear(link_pb2.Knock())
    assert not bench.link.is_up
    assert bench.bodies() == ["hello"]


def test_a_welcome_sets_the_clock_and_brings_the_link_up() -> None:
    bench = Bench(is_up=False)
    bench.meet()
    bench.welcome(unix_ms=1_795_000_000_000)
    assert bench.link.is_up
    assert bench.duties.unix_ms == 1_795_000_000_000


def test_a_welcome_to_another_session_is_not_taken() -> None:
    bench = Bench(is_up=False)
    bench.meet()
    bench.welcome(session=SESSION + 1)
    assert not bench.link.is_up
    assert bench.link.unexpected == 1


@pytest.mark.parametrize("version", [0, 1, 3, 2**32 - 1])
def test_without_a_version_in_common_it_falls_silent_until_the_next_knock(version: int) -> None:
    bench = Bench()
    bench.welcome(version=version)
    assert bench.link.is_incompatible
    assert not bench.link.is_up
    bench.now_ms += 10 * HELLO_EVERY_MS
    assert bench.bodies() == []
    bench.hear(link_pb2.Knock())
    assert bench.bodies() == ["hello"]
    bench.welcome()
    assert bench.link.is_up
    assert not bench.link.is_incompatible


def test_a_link_on_which_nothing_is_heard_is_lost() -> None:
    bench = Bench()
    bench.now_ms += LINK_LOST_AFTER_MS
    assert bench.bodies() == ALIVE
    assert bench.link.is_up
    bench.now_ms += 1
    assert bench.bodies() == ["hello"]
    assert not bench.link.is_up


@pytest.mark.parametrize(
    "body",
    [link_pb2.Acknowledge(), link_pb2.Request(id=1), link_pb2.ConsoleInput()],
    ids=lambda body: body.DESCRIPTOR.name,
)
def test_whatever_hostd_says_keeps_the_link_up(body: ProtobufMessage) -> None:
    bench = Bench()
    bench.now_ms += LINK_LOST_AFTER_MS
    bench.hear(body)
    bench.now_ms += LINK_LOST_AFTER_MS
    bench.said()
    assert bench.link.is_up


def test_what_is_heard_without_a_welcome_is_counted_and_does_nothing() -> None:
    bench = Bench(is_up=False)
    bench.meet()
    bench.hear(link_pb2.Request(id=1, set_power=POWER_ON))
    assert bench.duties.executed == []
    assert bench.link.unexpected == 1


@pytest.mark.parametrize("payload", [b"", b"\x0a\x00", b"\xfa\x3f\x00"])
def test_a_frame_that_says_nothing_to_a_hat_is_counted(payload: bytes) -> None:
    bench = Bench()
    bench.hear_payload(payload)
    assert bench.link.unexpected == 1


def test_a_payload_that_is_no_message_is_counted_as_damaged() -> None:
    bench = Bench()
    bench.hear_wire(wired(b"\x0f"))
    assert bench.link.decoder.bad_frames == 1


@pytest.mark.parametrize("field", [2, 4, 9, 10])
def test_a_body_that_is_no_message_is_counted_and_does_nothing(field: int) -> None:
    bench = Bench()
    bench.hear_body(field, b"\x0f")
    assert bench.link.unexpected == 1
    assert bench.bodies() == []


@pytest.mark.parametrize("request_id", [0, 2**31, 2**32 - 1])
def test_a_request_without_a_usable_id_is_counted_and_does_nothing(request_id: int) -> None:
    bench = Bench()
    bench.hear(link_pb2.Request(id=request_id, identify=link_pb2.Identify()))
    assert bench.link.unexpected == 1
    assert bench.duties.identified == []
    assert bench.bodies() == []


def test_set_power_is_begun_and_answered_as_pending() -> None:
    bench = Bench()
    bench.hear(link_pb2.Request(id=3, set_power=POWER_ON))
    assert bench.duties.executed == [(3, link_pb2.POWER_ACTION_ON)]
    assert bench.replies() == [(3, PENDING)]


def test_the_final_result_of_a_pending_request_is_told() -> None:
    bench = Bench()
    bench.hear(link_pb2.Request(id=3, set_power=POWER_ON))
    bench.said()
    bench.link.finish(3, DONE, 450)
    assert [frame.reply for frame in bench.said()] == [
        link_pb2.Reply(id=3, result=DONE, supply_state=link_pb2.SUPPLY_STATE_ON, duration_ms=450)
    ]


def test_identify_is_done() -> None:
    bench = Bench()
    bench.hear(link_pb2.Request(id=3, identify=link_pb2.Identify(duration_ms=700)))
    assert bench.duties.identified == [700]
    assert bench.replies() == [(3, DONE)]


def test_set_limits_is_done() -> None:
    bench = Bench()
    limits = link_pb2.SetLimits(
        over_current_ma=1,
        over_current_hold_ms=2,
        over_voltage_mv=3,
        under_voltage_mv=4,
        under_voltage_hold_ms=5,
        over_temperature_mc=-6,
        thermal_time_ms=11,
    )
    bench.hear(link_pb2.Request(id=3, set_limits=limits))
    assert bench.duties.limits == [[1, 2, 3, 4, 5, -6, 0, 0, 0, 0, 11]]
    assert bench.replies() == [(3, DONE)]


def test_set_restore_is_done() -> None:
    bench = Bench()
    restore = link_pb2.SetRestore(policy=link_pb2.RESTORE_POLICY_LAST, delay_ms=700)
    bench.hear(link_pb2.Request(id=3, set_restore=restore))
    assert bench.duties.restored == [(2, 700)]
    assert bench.replies() == [(3, DONE)]


def test_a_self_test_that_cannot_be_read_is_refused() -> None:
    bench = Bench()
    bench.hear_body(4, b"\x08\x03\x7a\x02\x0d\x00")  # id 3; a field of 4 bytes that has one
    assert bench.duties.tested == []
    assert bench.replies() == [(3, link_pb2.RESULT_INVALID)]


def test_a_self_test_is_done() -> None:
    bench = Bench()
    bench.hear(link_pb2.Request(id=3, self_test=link_pb2.SelfTest(step=link_pb2.SELF_TEST_STEP_LATCH)))
    assert bench.duties.tested == [3]
    assert bench.replies() == [(3, DONE)]


@pytest.mark.parametrize(
    ("request_", "told", "result"),
    [
        (
            link_pb2.Request(
                id=3,
                begin_update=link_pb2.BeginUpdate(
                    manifest_bytes=2000, signature_bytes=2524, files_bytes=50_000, digest=b"d" * 32
                ),
            ),
            ("begin", 2000, 2524, 50_000, b"d" * 32),
            DONE,
        ),
        (link_pb2.Request(id=3, finish_update=link_pb2.FinishUpdate()), ("finish", 3), link_pb2.RESULT_PENDING),
        (link_pb2.Request(id=3, confirm_update=link_pb2.ConfirmUpdate()), ("confirm",), DONE),
        (link_pb2.Request(id=3, abort_update=link_pb2.AbortUpdate()), ("abort",), DONE),
    ],
    ids=["begin", "finish", "confirm", "abort"],
)
def test_the_steps_of_an_update_are_taken(request_: link_pb2.Request, told: tuple[object, ...], result: int) -> None:
    bench = Bench()
    bench.hear(request_)
    assert bench.duties.updates == [told]
    assert bench.replies() == [(3, result)]


def test_some_of_an_update_is_taken_and_answered_with_how_it_stands() -> None:
    bench = Bench()
    bench.hear(link_pb2.UpdateData(offset=9, data=b"some"))
    assert bench.duties.updates == [("take", 9, b"some")]
    assert [frame.update_progress.offset for frame in bench.said() if frame.HasField("update_progress")] == [4711]


@pytest.mark.parametrize(
    "request_bytes",
    [b"\x08\x03\x52\x01\x0f", b"\x08\x03", b"\x08\x03\x4a\x00", b"\x08\x03\x12\x01\x0f", b"\x08\x03\x22\x01\x0f"],
)
def test_an_operation_that_is_not_known_or_no_message_is_invalid(request_bytes: bytes) -> None:
    bench = Bench()
    bench.hear_body(4, request_bytes)
    assert bench.replies() == [(3, link_pb2.RESULT_INVALID)]


def test_a_repeated_request_is_answered_again_and_not_done_again() -> None:
    bench = Bench()
    for _ in range(3):
        bench.hear(link_pb2.Request(id=3, identify=link_pb2.Identify(duration_ms=1)))
        assert bench.replies() == [(3, DONE)]
    assert bench.duties.identified == [1]


def test_a_request_older_than_the_replies_that_are_kept_is_stale() -> None:
    bench = Bench()
    for request_id in range(1, REPLIES_KEPT + 2):
        bench.hear(link_pb2.Request(id=request_id, identify=link_pb2.Identify()))
    bench.said()
    bench.hear(link_pb2.Request(id=1, identify=link_pb2.Identify()))
    assert bench.replies() == [(1, link_pb2.RESULT_STALE)]
    assert len(bench.duties.identified) == REPLIES_KEPT + 1


def test_every_request_of_what_came_at_once_is_done() -> None:
    bench = Bench()
    asked = [
        link_pb2.Request(id=3, identify=link_pb2.Identify(duration_ms=1)),
        link_pb2.Request(id=4, set_power=POWER_ON),
    ]
    bench.duties.running = None
    bench.hear_wire(b"".join(bench.host.wire(request) for request in asked))
    assert bench.duties.identified == [1]
    assert len(bench.duties.executed) == 1
    assert bench.replies() == [(3, DONE), (4, PENDING)]


def test_more_pending_requests_than_can_be_kept_are_not_begun() -> None:
    bench = Bench()
    for request_id in range(1, REPLIES_KEPT + 2):
        bench.duties.running = None
        bench.hear(link_pb2.Request(id=request_id, set_power=POWER_ON))
    assert len(bench.duties.executed) == REPLIES_KEPT
    assert bench.link.unexpected == 1


def test_a_new_host_session_begins_its_ids_anew() -> None:
    bench = Bench()
    bench.hear(link_pb2.Request(id=1, identify=link_pb2.Identify(duration_ms=1)))
    bench.said()
    bench.welcome(host_session=6)
    bench.hear(link_pb2.Request(id=1, identify=link_pb2.Identify(duration_ms=2)))
    assert bench.duties.identified == [1, 2]


def test_a_request_of_an_earlier_host_session_does_not_answer_one_of_the_new() -> None:
    bench = Bench()
    bench.hear(link_pb2.Request(id=1, set_power=POWER_ON))
    bench.welcome(host_session=6)
    bench.link.finish(1, DONE, 450)
    assert bench.replies() == []
    bench.hear(link_pb2.Request(id=1, identify=link_pb2.Identify(duration_ms=2)))
    assert bench.duties.identified == [2]


def test_the_same_host_session_finds_its_replies_after_a_second_welcome() -> None:
    bench = Bench()
    bench.hear(link_pb2.Request(id=1, identify=link_pb2.Identify()))
    bench.said()
    bench.welcome()
    bench.hear(link_pb2.Request(id=1, identify=link_pb2.Identify()))
    assert bench.replies() == [(1, DONE)]
    assert len(bench.duties.identified) == 1


@pytest.mark.parametrize(
    ("asked_ms", "period_ms"),
    [(0, TELEMETRY_PERIOD_MIN_MS), (200, 200), (2**31 - 1, TELEMETRY_PERIOD_MAX_MS)],
)
def test_telemetry_comes_at_once_and_then_in_the_period_asked_for_within_bounds(asked_ms: int, period_ms: int) -> None:
    bench = Bench(is_up=False, period_ms=asked_ms)
    bench.meet()
    bench.welcome()
    assert [frame.telemetry.sequence for frame in bench.said()] == [1]
    begin_ms = bench.now_ms
    while (bench.now_ms - begin_ms) < period_ms - 1:
        bench.now_ms += min(1000, period_ms - 1 - (bench.now_ms - begin_ms))
        bench.hear(link_pb2.Acknowledge())
        assert "telemetry" not in bench.bodies()
    bench.now_ms += 1
    (frame,) = bench.said()
    assert frame.telemetry == link_pb2.Telemetry(sequence=2, at_ms=bench.now_ms, samples=50)


def test_it_gives_a_sign_of_life_every_second_when_nothing_else_is_due() -> None:
    bench = Bench()
    for _ in range(3):
        bench.now_ms += KEEPALIVE_EVERY_MS - 1
        bench.hear(link_pb2.Acknowledge())
        assert bench.bodies() == []
        bench.now_ms += 1
        assert bench.bodies() == ALIVE


def test_whatever_it_says_puts_the_sign_of_life_off() -> None:
    bench = Bench()
    bench.now_ms += KEEPALIVE_EVERY_MS - 1
    bench.hear(link_pb2.Request(id=1, identify=link_pb2.Identify()))
    assert bench.bodies() == ["reply"]
    bench.now_ms += KEEPALIVE_EVERY_MS - 1
    assert bench.bodies() == []
    bench.now_ms += 1
    assert bench.bodies() == ALIVE


def test_replies_come_first_then_input_events_telemetry_and_the_log() -> None:
    bench = Bench(period_ms=50)
    bench.log.append(b"abc", 3, bench.now_ms, 0)
    bench.now_ms += 100
    bench.events.put(TRIP, bench.now_ms, 0, 1)
    bench.hear(link_pb2.ConsoleInput(data=b"x"))
    bench.hear(link_pb2.Request(id=1, identify=link_pb2.Identify()))
    assert bench.bodies() == ["reply", "console_acknowledge", "event", "telemetry", "log_record"]


def test_what_is_not_acknowledged_in_time_is_sent_again() -> None:
    bench = Bench()
    bench.log.append(b"abc", 3, bench.now_ms, 0)
    bench.events.put(TRIP, bench.now_ms, 0, 1)
    bench.now_ms += 100
    assert bench.bodies() == ["event", "log_record"]
    bench.stay_up(RESEND_AFTER_MS)
    assert bench.bodies() == ALIVE
    bench.now_ms += 1
    assert bench.bodies() == ["event", "log_record"]


def test_an_acknowledgement_of_something_puts_off_sending_the_rest_again() -> None:
    bench = Bench()
    for _ in range(2):
        bench.events.put(TRIP, bench.now_ms, 0, 1)
        bench.log.append(b"abc", 3, bench.now_ms, 0)
        bench.now_ms += 100
        bench.said()
    bench.stay_up(2000)
    bench.hear(link_pb2.Acknowledge(log_offset=3, event_sequence=2))
    bench.stay_up(RESEND_AFTER_MS)
    assert bench.bodies() == ALIVE
    bench.now_ms += 1
    assert bench.bodies() == ["event", "log_record"]


def test_what_hostd_missed_is_sent_again_from_there() -> None:
    bench = Bench()
    for _ in range(3):
        bench.events.put(TRIP, bench.now_ms, 0, 1)
        bench.log.append(b"abc", 3, bench.now_ms, 0)
        bench.now_ms += 100
    bench.said()
    bench.hear(link_pb2.Acknowledge(log_resend=True, resend_offset=3))
    assert [frame.log_record.offset for frame in bench.said()] == [3, 6]
    bench.hear(link_pb2.Acknowledge(event_resend=True, resend_sequence=3))
    assert [frame.event.sequence for frame in bench.said()] == [3]


def test_a_welcome_frees_what_is_stored_and_sends_what_follows() -> None:
    bench = Bench()
    for _ in range(3):
        bench.events.put(TRIP, bench.now_ms, 0, 1)
        bench.log.append(b"abc", 3, bench.now_ms, 0)
        bench.now_ms += 100
    bench.said()
    bench.welcome(log_offset=6, event_sequence=3)
    told = bench.said()
    assert [frame.event.sequence for frame in told if frame.HasField("event")] == [3]
    assert [frame.log_record.offset for frame in told if frame.HasField("log_record")] == [6]
    assert bench.log.held_bytes == 6 + 3


def typed(bench: Bench, offset: int, data: bytes) -> list[int]:
    """Type, and return the offsets that are acknowledged."""
    bench.hear(link_pb2.ConsoleInput(offset=offset, data=data))
    return [frame.console_acknowledge.offset for frame in bench.said() if frame.HasField("console_acknowledge")]


def test_console_input_is_typed_and_acknowledged() -> None:
    bench = Bench()
    assert typed(bench, 0, b"root\n") == [5]
    assert typed(bench, 5, b"ls\n") == [8]
    assert bench.duties.typed == b"root\nls\n"


def test_repeated_console_input_is_acknowledged_and_only_what_is_new_typed() -> None:
    bench = Bench()
    typed(bench, 0, b"login\n")
    assert typed(bench, 0, b"login\n") == [6]
    assert typed(bench, 3, b"in\nls") == [8]
    assert bench.duties.typed == b"login\nls"


def test_console_input_behind_a_hole_is_not_typed() -> None:
    bench = Bench()
    assert typed(bench, 3, b"later") == [0]
    assert bench.duties.typed == b""


def test_console_input_that_finds_no_room_is_taken_in_part() -> None:
    bench = Bench()
    bench.duties.room = 3
    assert typed(bench, 0, b"reboot") == [3]
    assert typed(bench, 3, b"oot") == [6]
    assert bench.duties.typed == b"reboot"


def test_a_new_host_session_counts_its_input_from_0() -> None:
    bench = Bench()
    typed(bench, 0, b"root\n")
    bench.welcome(host_session=6)
    bench.said()
    assert typed(bench, 0, b"ls\n") == [3]


class AnyTalk(RuleBasedStateMachine):
    """Whatever is heard and however time passes: the state is one of the table's, and what is said fits it."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(is_up=False)
        self.host_session = 1

    @rule(
        body=st.sampled_from(
            [
                link_pb2.Knock(),
                link_pb2.Acknowledge(event_sequence=3),
                link_pb2.Acknowledge(log_resend=True, event_resend=True),
                link_pb2.Request(id=1, set_power=POWER_ON),
                link_pb2.Request(id=2, identify=link_pb2.Identify()),
                link_pb2.ConsoleInput(data=b"x"),
            ]
        )
    )
    def hear(self, body: ProtobufMessage) -> None:
        was_up = self.bench.link.is_up
        executed = len(self.bench.duties.executed) + len(self.bench.duties.identified)
        self.bench.hear(body)
        if not was_up:
            assert len(self.bench.duties.executed) + len(self.bench.duties.identified) == executed

    @rule(version=st.sampled_from([1, 1, 0]), session=st.sampled_from([SESSION, SESSION, 1]), fresh=st.booleans())
    def welcome(self, version: int, session: int, *, fresh: bool) -> None:
        self.host_session += fresh
        self.bench.welcome(version=version, session=session, host_session=self.host_session)

    @rule(data=st.binary(max_size=100))
    def hear_noise(self, data: bytes) -> None:
        self.bench.hear_wire(data)

    @rule(duration_ms=st.sampled_from([1, 100, 1000, 3000, 70_000]))
    def wait(self, duration_ms: int) -> None:
        self.bench.now_ms += duration_ms

    @rule()
    def work(self) -> None:
        self.bench.log.append(b"abc", 3, self.bench.now_ms, 0)
        self.bench.events.put(TRIP, self.bench.now_ms, 0, 1)

    @rule()
    def speak(self) -> None:
        bodies = self.bench.bodies()
        if self.bench.link.is_up:
            assert "hello" not in bodies
        else:
            assert bodies in ([], ["hello"])

    @invariant()
    def it_is_never_up_and_incompatible(self) -> None:
        assert not (self.bench.link.is_up and self.bench.link.is_incompatible)

    def teardown(self) -> None:
        self.bench.hear_wire(b"\0")
        self.bench.hear(link_pb2.Knock())
        assert self.bench.bodies() == ["hello"]
        self.bench.welcome(host_session=self.host_session)
        assert self.bench.link.is_up


TestAnyTalk = AnyTalk.TestCase
TestAnyTalk.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


# With and without a key.


def test_without_a_key_it_says_so_and_seals_nothing() -> None:
    bench = Bench(is_up=False, key=b"")
    bench.hear(link_pb2.Knock())
    (frame,) = bench.said()
    assert not frame.hello.has_key
    assert len(frame.hello.nonce) == 16


def test_a_hat_that_nobody_adopted_blinks_and_does_nothing_else() -> None:
    bench = Bench(key=b"")
    assert bench.link.is_up
    bench.log.begin_boot(link_pb2.BOOT_CAUSE_SUPPLY_ON, 0, 0)
    bench.log.append(b"secret", 6, 0, 0)
    bench.events.put(TRIP, 0, 0, 1)
    bench.hear(link_pb2.Request(id=1, identify=link_pb2.Identify(duration_ms=9)))
    bench.hear(link_pb2.Request(id=2, set_power=POWER_ON))
    bench.hear(link_pb2.Request(id=3, forget_key=link_pb2.ForgetKey()))
    bench.hear(link_pb2.ConsoleInput(data=b"reboot\n"))
    bench.hear(link_pb2.Acknowledge(log_boot=1, log_offset=6, event_sequence=2))
    refused = link_pb2.RESULT_NOT_ADOPTED
    assert bench.replies() == [(1, DONE), (2, refused), (3, refused)]
    bench.now_ms += KEEPALIVE_EVERY_MS
    assert bench.bodies() == ALIVE
    assert bench.duties.identified == [9]
    assert bench.duties.executed == []
    assert bench.duties.typed == b""
    assert bench.duties.unix_ms == 0
    assert (bench.log.acked_offset, bench.events.acked_sequence) == (0, 1)


def test_a_key_is_agreed_on_and_kept_when_hostd_has_shown_it() -> None:
    bench = Bench(is_up=False, key=b"")
    bench.meet()
    bench.hear(link_pb2.Adopt(nonce=b"n" * 32))
    (frame,) = bench.said()
    key = agreed_key(frame.key_part.secret, b"n" * 32, bench.duties.hat_id)
    assert bench.duties.key == b""
    bench.host = HostByHand(key)
    bench.meet()
    bench.welcome(unix_ms=5)
    assert bench.link.is_up
    assert bench.duties.key == key
    assert bench.duties.unix_ms == 5


def test_adopt_is_answered_the_same_when_it_comes_again() -> None:
    bench = Bench(is_up=False, key=b"")
    bench.said()
    for _ in range(2):
        bench.hear(link_pb2.Adopt(nonce=b"n" * 32))
    (first,) = bench.said()
    bench.hear(link_pb2.Adopt(nonce=b"n" * 32))
    assert bench.said() == [first]


def test_a_key_that_hostd_does_not_show_is_forgotten_again() -> None:
    bench = Bench(is_up=False, key=b"")
    bench.hear(link_pb2.Adopt(nonce=b"n" * 32))
    bench.said()
    bench.hear_wire(framed(link_pb2.Knock(nonce=b"h" * 16)))
    hello = bytes(bench.link.wire[: bench.link.poll(bench.now_ms, 0)])
    assert frames_in(hello)[0].hello.has_key
    bench.hear_wire(framed(link_pb2.Welcome(version=2, session=SESSION, host_session=5)))
    assert bench.link.forged == 1
    bench.now_ms += LINK_LOST_AFTER_MS + 1
    (frame,) = bench.said()
    assert not frame.hello.has_key
    assert bench.duties.key == b""
    bench.welcome()
    assert bench.link.is_up


@pytest.mark.parametrize(("key", "body"), [(KEY, b"n" * 32), (b"", b"n" * 31), (b"", None)])
def test_a_hat_with_a_key_or_half_a_nonce_agrees_on_nothing(key: bytes, body: bytes | None) -> None:
    bench = Bench(key=key)
    if body is None:
        bench.hear_body(13, b"\x0f")
    else:
        bench.hear(link_pb2.Adopt(nonce=body))
    assert bench.link.unexpected == 1
    assert "key_part" not in bench.bodies()


def test_a_knock_that_is_no_message_is_counted_and_does_nothing() -> None:
    bench = Bench()
    bench.hear_body(3, b"\x0f")
    assert bench.link.unexpected == 1
    assert bench.link.is_up


def test_a_knock_without_a_nonce_is_answered_without_a_proof() -> None:
    bench = Bench()
    bench.hear_wire(framed(link_pb2.Knock(protocol_min=1, protocol_max=1)))
    (frame,) = frames_in(bytes(bench.link.wire[: bench.link.poll(bench.now_ms, 0)]))
    assert frame.hello.has_key
    assert frame.seal == b""


@pytest.mark.parametrize(
    "body",
    [
        link_pb2.Welcome(version=2, session=SESSION, host_session=9),
        link_pb2.Request(id=1, set_power=POWER_ON),
        link_pb2.Acknowledge(log_boot=1, log_offset=3),
        link_pb2.ConsoleInput(data=b"reboot\n"),
    ],
    ids=lambda body: body.DESCRIPTOR.name,
)
def test_what_is_not_sealed_does_nothing(body: ProtobufMessage) -> None:
    bench = Bench()
    bench.log.begin_boot(link_pb2.BOOT_CAUSE_SUPPLY_ON, 0, 0)
    bench.log.append(b"abc", 3, 0, 0)
    bench.hear_wire(framed(body))
    assert bench.link.forged == 1
    assert (bench.duties.executed, bench.duties.typed, bench.log.acked_offset) == ([], b"", 0)


def test_a_request_that_is_replayed_does_nothing() -> None:
    bench = Bench()
    wire = bench.host.wire(link_pb2.Request(id=3, identify=link_pb2.Identify(duration_ms=9)))
    bench.hear_wire(wire)
    bench.welcome(host_session=6)  # which counts requests from 1 again
    bench.hear_wire(wire)
    assert bench.duties.identified == [9]
    assert bench.link.forged == 1


def test_a_hat_that_is_to_forget_its_key_answers_and_is_a_hat_without_one() -> None:
    bench = Bench()
    bench.hear(link_pb2.Request(id=3, forget_key=link_pb2.ForgetKey()))
    assert bench.replies() == [(3, DONE)]
    assert bench.duties.key == b""
    bench.meet()
    bench.hear_wire(framed(link_pb2.Request(id=4, set_power=POWER_ON)))
    assert bench.duties.executed == []


def test_a_talk_whose_numbers_are_used_up_begins_anew() -> None:
    bench = Bench()
    bench.link._hat_seal.number = SEAL_NUMBER_MAX
    (frame,) = frames_in(bytes(bench.link.wire[: bench.link.poll(bench.now_ms, 0)]))
    assert frame.hello.has_key
    assert frame.seal == b""
    bench.meet()
    bench.welcome()
    assert bench.link.is_up


def test_update_data_that_is_no_message_is_counted_and_does_nothing() -> None:
    bench = Bench()
    bench.hear_body(16, b"\x0f")
    assert bench.link.unexpected == 1
    assert bench.bodies() == []
