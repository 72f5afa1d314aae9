"""The two ends of the link with a bad line between them."""

from __future__ import annotations

from contextlib import suppress
from random import Random

import pytest
from cobs import cobs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from racklet.link.v1 import link_pb2
from racklet_link.events import StoredPositions
from racklet_link.host import HostLink
from racklet_link.limits import (
    HELLO_EVERY_MS,
    LINK_LOST_AFTER_MS,
    MAX_FRAME,
    REQUESTS_OUTSTANDING_MAX,
    SEAL_SIZE,
    TELEMETRY_PERIOD_MAX_MS,
)
from racklet_link.requester import RequestsFullError
from racklet_link.seal import Seal
from tests.protocol.hat_messages import wired
from tests.protocol.random_messages import filled
from tests.protocol.seals import HAT_ID, KEY, with_seal
from tests.protocol.simulation import Hat, Host, Line

STEP_MS = 10
POWER_ON = link_pb2.SetPower(action=link_pb2.POWER_ACTION_ON)


class Talk:
    """A HAT and a host over a line, stepped together."""

    def __init__(
        self, seed: int = 0, badness: float = 0.0, ring_size: int = 2048, start_ms: int = 0, *, period_ms: int = 1000
    ) -> None:
        self.random = Random(seed)
        self.up, self.down = Line(self.random, badness), Line(self.random, badness)
        self.now_ms = start_ms
        self.hat = Hat(1, ring_size)
        self.host = Host(self.new_link(7, period_ms))
        self.sent: dict[int, bytearray] = {}
        self.synced_ms = start_ms

    def new_link(self, host_session: int, period_ms: int = 1000) -> HostLink:
        """Return hostd's end of another opening of the port."""
        return HostLink(host_session, period_ms, self.now_ms, {HAT_ID: KEY}.get, self.random.randbytes)

    def as_hat(self, payload: bytes) -> bytes:
        """Return the frame of what a HAT would say that is out of its mind."""
        return wired(with_seal(payload, self.hat.link._hat_seal))

    def as_host(self, payload: bytes) -> bytes:
        """Return the frame of what such a hostd would say."""
        return wired(with_seal(payload, self.host.link._handshake.host_seal))

    def run(self, duration_ms: int, sync_every_ms: int = 500) -> None:
        for _ in range(duration_ms // STEP_MS):
            self.now_ms += STEP_MS
            self.down.put(self.host.step(self.now_ms, self.up.take(self.now_ms)), self.now_ms)
            if self.now_ms - self.synced_ms >= sync_every_ms:
                self.synced_ms = self.now_ms
                self.down.put(self.host.sync(self.now_ms), self.now_ms)
            self.up.put(self.hat.step(self.now_ms, self.down.take(self.now_ms), 400), self.now_ms)

    def move(self) -> None:
        """Plug the HAT in elsewhere: what the line held is gone, what hostd has not stored it still has."""
        self.up, self.down = Line(self.random, self.up.badness), Line(self.random, self.down.badness)
        self.host.link, self.host.has_moved = self.new_link(self.random.randint(8, 2**30)), True

    def boot(self) -> None:
        self.hat.log.begin_boot(link_pb2.BOOT_CAUSE_SUPPLY_ON, self.now_ms, 0)
        self.sent[self.hat.log.boot] = bytearray()

    def print(self, data: bytes) -> None:
        self.hat.log.append(data, len(data), self.now_ms, 0)
        self.sent[self.hat.log.boot] += data

    def settle(self) -> None:
        """Let a good line bring everything across."""
        self.up.badness = self.down.badness = 0.0
        for _ in range(15):
            self.run(1000)
            if self.hat.link.is_up and self.all_stored and not self.host.link.is_busy:
                return

    @property
    def all_stored(self) -> bool:
        log, events = self.hat.log, self.hat.events
        return (log.acked_boot, log.acked_offset) == (
            log.boot,
            log.offset,
        ) and events.acked_sequence == events.next_sequence

    def check_log(self) -> None:
        """Hold what arrived against what was sent: the same bytes but for gaps, and every byte accounted for."""
        host = self.host
        assert len(set(self.sent) - set(host.boots)) == host.lost_boots
        assert sum(map(len, self.sent.values())) == sum(map(len, host.boots.values())) + host.lost_boots_bytes
        for boot, received in host.boots.items():
            differing = sum(a != b for a, b in zip(received, self.sent[boot], strict=False))
            assert differing <= host.lost.get(boot, 0)


def test_a_quiet_hat_that_measures_seldom_stays_up() -> None:
    talk = Talk(period_ms=TELEMETRY_PERIOD_MAX_MS)
    talk.run(1000)
    for _ in range(120):
        talk.run(500)
        assert talk.host.link.is_up
    assert len(talk.host.telemetry) == 2


def test_a_perfect_line_brings_the_whole_log_without_a_gap() -> None:
    talk = Talk(ring_size=4096)
    for _ in range(3):
        talk.boot()
        for _ in range(20):
            talk.print(bytes(range(1, 200)))
            talk.run(50)
    talk.settle()
    assert talk.host.boots == talk.sent
    assert talk.host.lost == {}
    assert talk.hat.log.held_bytes == 0


@given(
    seed=st.integers(0, 2**32),
    badness=st.sampled_from([0.0, 0.02, 0.2, 0.5]),
    ring_size=st.sampled_from([600, 1000, 4096]),
    prints=st.lists(st.tuples(st.integers(0, 700), st.integers(0, 60), st.booleans()), max_size=40),
)
@settings(max_examples=400, deadline=None)
def test_every_byte_arrives_once_and_in_order_or_is_in_a_gap(
    seed: int, badness: float, ring_size: int, prints: list[tuple[int, int, bool]]
) -> None:
    talk = Talk(seed, badness, ring_size)
    talk.boot()
    for size, pause, reboot in prints:
        if reboot:
            talk.boot()
        talk.print(talk.random.randbytes(size))
        talk.run(pause * STEP_MS)
    talk.settle()
    talk.check_log()
    assert talk.hat.log.held_bytes == 0


@given(
    seed=st.integers(0, 2**32),
    badness=st.sampled_from([0.0, 0.02, 0.2]),
    sync_every_ms=st.integers(50, 500),
    turns=st.lists(st.tuples(st.integers(0, 200), st.booleans(), st.integers(0, 40)), max_size=20),
)
@settings(max_examples=200, deadline=None)
def test_a_hat_that_is_plugged_in_elsewhere_goes_on_with_what_is_not_stored(
    seed: int, badness: float, sync_every_ms: int, turns: list[tuple[int, bool, int]]
) -> None:
    talk = Talk(seed, badness, ring_size=8192)
    for size, is_new_boot, pause in turns:
        if is_new_boot or not talk.sent:
            talk.boot()
        talk.print(talk.random.randbytes(size))
        talk.hat.events.put(link_pb2.EVENT_KIND_OVER_CURRENT, talk.now_ms, 0, 1, size)
        talk.run(pause * STEP_MS, sync_every_ms)
        talk.move()
        talk.run(pause * STEP_MS, sync_every_ms)
    talk.settle()
    talk.check_log()
    assert talk.host.boots == talk.sent
    assert talk.host.events == sorted(set(talk.host.events))
    assert len(talk.host.events) + talk.host.events_lost == len(turns)
    assert talk.all_stored


@given(seed=st.integers(0, 2**32), badness=st.sampled_from([0.02, 0.2, 0.5]), count=st.integers(1, 20))
@settings(max_examples=100, deadline=None)
def test_no_request_is_executed_twice_and_none_ends_without_a_word(seed: int, badness: float, count: int) -> None:
    talk = Talk(seed, badness)
    talk.run(3000)
    ids = []
    for _ in range(count):
        try:
            ids.append(talk.host.link.request(link_pb2.SetPower(action=link_pb2.POWER_ACTION_ON), 5000, talk.now_ms))
        except RequestsFullError:
            assert len(ids) - len(talk.host.ended) == REQUESTS_OUTSTANDING_MAX
        talk.run(talk.random.randint(0, 60) * STEP_MS)
    talk.settle()
    executed = [request_id for request_id, _ in talk.hat.duties.executed]
    assert len(executed) == len(set(executed))
    assert set(talk.host.ended) == set(ids)
    for request_id, reply in talk.host.ended.items():
        assert reply is None or request_id in executed


@given(
    seed=st.integers(0, 2**32),
    badness=st.sampled_from([0.0, 0.2, 0.5]),
    texts=st.lists(st.binary(max_size=300), max_size=20),
)
@settings(max_examples=100, deadline=None)
def test_console_input_is_typed_once_and_in_order(seed: int, badness: float, texts: list[bytes]) -> None:
    talk = Talk(seed, badness)
    talk.run(3000)
    typed = bytearray()
    for text in texts:
        talk.hat.duties.room = talk.random.randint(0, 100)
        typed += text[: talk.host.link.type_console(text, talk.now_ms)]
        talk.run(talk.random.randint(0, 30) * STEP_MS)
    talk.hat.duties.room = 100
    talk.settle()
    assert talk.hat.duties.typed == typed
    assert talk.host.taken == len(typed)


@given(
    seed=st.integers(0, 2**32),
    badness=st.sampled_from([0.0, 0.2, 0.5]),
    bursts=st.lists(st.integers(0, 20), max_size=10),
)
@settings(max_examples=100, deadline=None)
def test_every_event_arrives_once_and_in_order_or_is_counted_as_lost(
    seed: int, badness: float, bursts: list[int]
) -> None:
    talk = Talk(seed, badness)
    talk.run(2000)
    for burst in bursts:
        for value in range(burst):
            talk.hat.events.put(link_pb2.EVENT_KIND_OVER_CURRENT, talk.now_ms, 0, 1, value)
        talk.run(500)
    talk.settle()
    assert talk.host.events == sorted(set(talk.host.events))
    assert len(talk.host.events) + talk.host.events_lost == sum(bursts)
    assert talk.all_stored


def test_a_microcontroller_reset_begins_a_new_session_and_ends_what_was_asked() -> None:
    talk = Talk()
    talk.run(1000)
    request_id = talk.host.link.request(link_pb2.SetPower(action=link_pb2.POWER_ACTION_ON), 9000, talk.now_ms)
    talk.run(100)
    talk.hat = Hat(2)
    talk.run(2000)
    assert talk.host.session == 2
    assert talk.host.ended == {request_id: None}
    assert talk.hat.duties.executed == []
    assert talk.host.link.is_up


def test_a_restarted_host_goes_on_from_what_it_had_stored() -> None:
    talk = Talk(ring_size=8192)
    talk.run(1000)
    talk.boot()
    talk.print(b"x" * 3000)
    talk.run(1000)
    talk.print(b"y" * 1000)
    talk.run(100, sync_every_ms=10_000)
    old = talk.host
    stored_size = old.stored.log_offset
    talk.host = Host(talk.new_link(8), old.stored, old.stored, {1: old.boots[1][:stored_size]}, session=1)
    talk.settle()
    assert talk.host.boots == talk.sent


def test_a_host_that_lost_its_store_is_told_what_the_hat_no_longer_holds() -> None:
    talk = Talk(ring_size=8192)
    talk.run(1000)
    talk.boot()
    talk.boot()
    talk.print(b"x" * 3000)
    talk.run(2000)
    talk.host = Host(talk.new_link(8))
    talk.print(b"y" * 10)
    talk.settle()
    assert talk.host.boots[2] == bytes(3000) + b"y" * 10
    assert talk.host.lost == {2: 3000}


def test_a_claim_to_speak_another_version_disturbs_no_talk() -> None:
    talk = Talk()
    talk.run(1000)
    claim = link_pb2.Frame(hello=link_pb2.Hello(protocol_min=9, protocol_max=9, session=1, hat_id=HAT_ID))
    assert talk.host.link.receive(wired(claim.SerializeToString()), talk.now_ms) == []
    refusal = link_pb2.Frame(welcome=link_pb2.Welcome(protocol_min=9, protocol_max=9, session=talk.hat.session))
    talk.hat.step(talk.now_ms, wired(refusal.SerializeToString()), 0)
    assert talk.hat.link.is_up
    assert talk.host.link.is_up


def test_the_link_is_lost_in_time_on_both_ends_and_comes_back() -> None:
    talk = Talk()
    talk.run(1000)
    assert talk.hat.link.is_up
    talk.up.badness = talk.down.badness = 0.0
    silent_since = talk.now_ms
    while talk.hat.link.is_up or talk.host.link.is_up:
        talk.now_ms += STEP_MS
        talk.host.step(talk.now_ms, b"")
        talk.hat.step(talk.now_ms, b"", 10)
    assert talk.now_ms - silent_since <= LINK_LOST_AFTER_MS + 1100
    talk.run(2 * HELLO_EVERY_MS)
    assert talk.hat.link.is_up
    assert talk.host.link.is_up


def test_the_clock_of_the_hat_may_turn_over() -> None:
    talk = Talk(start_ms=2**30 - 2000)
    talk.boot()
    for _ in range(40):
        talk.print(b"tick")
        talk.run(100)
    talk.settle()
    assert talk.host.boots == talk.sent
    assert len(talk.host.telemetry) >= 4


@given(data=st.lists(st.binary(max_size=2000), max_size=10))
@settings(max_examples=200, deadline=None)
def test_any_bytes_leave_both_ends_working_and_no_larger(data: list[bytes]) -> None:
    talk = Talk()
    for garbage in data:
        talk.host.step(talk.now_ms, garbage)
        talk.hat.step(talk.now_ms, garbage, 100)
        assert talk.hat.link.decoder._fill <= MAX_FRAME
        assert len(talk.host.link._reader._held) <= MAX_FRAME + 1
    talk.run(3000)
    assert talk.host.link.is_up
    assert talk.hat.link.is_up


@given(
    frames=st.lists(
        filled(link_pb2.Frame.DESCRIPTOR).filter(lambda frame: not frame.request.HasField("forget_key")), max_size=20
    )
)
@settings(max_examples=300, deadline=None)
def test_well_formed_nonsense_leaves_both_ends_working(frames: list[link_pb2.Frame]) -> None:
    talk = Talk()
    talk.boot()
    talk.run(1000)
    for frame in frames:
        payload = frame.SerializeToString()
        talk.host.link.receive(talk.as_hat(payload), talk.now_ms)
        talk.host.link.receive(wired(payload), talk.now_ms)
        talk.host.link.tick(talk.now_ms)
        talk.host.link.acknowledge(StoredPositions(1, 0, 1), talk.now_ms)
        talk.hat.step(talk.now_ms, talk.as_host(payload) + wired(payload), 100)
    talk.host = Host(talk.new_link(9))
    talk.run(4000)
    assert talk.host.link.is_up
    assert talk.hat.link.is_up


@pytest.mark.parametrize(
    "frame",
    [
        link_pb2.Frame(hello=link_pb2.Hello(hat_id=HAT_ID, protocol_max=2, session=5, log_offset=2**64 - 1)),
        link_pb2.Frame(hello=link_pb2.Hello(hat_id=HAT_ID, protocol_max=2, session=5, event_sequence=2**32 - 1)),
        link_pb2.Frame(log_record=link_pb2.LogRecord(boot=1, offset=2**64 - 1, data=b"x")),
        link_pb2.Frame(log_record=link_pb2.LogRecord(boot=1, lost_bytes=2**63, gap_reason=1)),
        link_pb2.Frame(event=link_pb2.Event(sequence=2**32 - 1, lost_before=2**32 - 1)),
    ],
    ids=lambda frame: str(frame.WhichOneof("body")),
)
def test_numbers_that_would_run_over_are_refused(frame: link_pb2.Frame) -> None:
    talk = Talk()
    talk.run(1000)
    talk.host.link.receive(talk.as_hat(frame.SerializeToString()), talk.now_ms)
    assert talk.host.link.counters.errors["unexpected"] == 1
    talk.run(2000)
    assert talk.host.link.is_up


@pytest.mark.parametrize("field", ["session", "boot"])
def test_frames_of_a_session_that_was_not_welcomed_are_counted(field: str) -> None:
    talk = Talk()
    body = link_pb2.Frame(log_record=link_pb2.LogRecord(boot=1)) if field == "boot" else link_pb2.Frame()
    talk.host.link.receive(wired(body.SerializeToString()), 0)
    assert talk.host.link.counters.errors["unexpected"] == 1
    assert talk.host.stored == StoredPositions()


class Villain:
    """Somebody on the line without the key: everything said passes through his hands, and he keeps it all."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        self.heard: list[bytes] = []

    def pass_on(self, said: bytes) -> bytes:
        frames = [frame + b"\0" for frame in said.split(b"\0") if frame]
        self.heard = [*self.heard, *frames][-50:]
        passed = bytearray()
        for frame in frames:
            passed += self.data.draw(st.sampled_from([frame, frame, frame, frame, frame, *self.instead_of(frame)]))
        return bytes(passed)

    def instead_of(self, frame: bytes) -> list[bytes]:
        """Return what he may pass on instead: nothing, twice, cut, changed with a right checksum, or something else."""
        payload = bytearray(cobs.decode(frame[:-1])[:-4])
        at = self.data.draw(st.integers(0, 8 * len(payload) - 1))
        flipped = bytearray(payload)
        flipped[at // 8] ^= 1 << at % 8
        replayed = self.data.draw(st.sampled_from(self.heard))  # of either direction: reflected as well
        made_up = self.data.draw(filled(link_pb2.Frame.DESCRIPTOR)).SerializeToString()
        sealed_by_himself = with_seal(made_up, Seal(bytes(32)))
        cut = payload[: self.data.draw(st.integers(0, len(payload)))]
        own = [wired(bytes(each)) for each in (flipped, cut, made_up, sealed_by_himself, payload[:-SEAL_SIZE])]
        return [b"", frame + frame, replayed + frame, *own, *[frame + each for each in own]]


@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.data_too_large, HealthCheck.too_slow])
def test_nothing_is_done_or_stored_that_the_other_end_did_not_say(data: st.DataObject) -> None:
    talk = Talk()
    villain = Villain(data)
    talk.run(500)
    talk.boot()
    asked: set[int] = set()
    for step in range(25):
        talk.print(b"line %d\n" % step)
        if step % 5 == 0:
            with suppress(RequestsFullError):
                asked.add(talk.host.link.request(POWER_ON, 3000, talk.now_ms))
            talk.host.link.type_console(b"k", talk.now_ms)
        talk.now_ms += 100
        down = villain.pass_on(talk.host.step(talk.now_ms, villain.pass_on(talk.hat.step(talk.now_ms, b"", 400))))
        down += villain.pass_on(talk.host.sync(talk.now_ms))
        talk.hat.step(talk.now_ms, down, 0)
    duties = talk.hat.duties
    executed = [request_id for request_id, _ in duties.executed]
    assert set(executed) <= asked
    assert len(executed) == len(set(executed))
    assert all(action == link_pb2.POWER_ACTION_ON for _, action in duties.executed)
    assert duties.typed == b"k" * len(duties.typed)
    assert len(duties.typed) <= 5
    assert duties.key == KEY
    log = talk.hat.log
    assert (log.acked_boot, log.acked_offset) <= (talk.host.reached.log_boot, talk.host.reached.log_offset)
    talk.run(4000)
    talk.settle()
    assert talk.host.boots == talk.sent
