"""hostd's end of the link: bytes and time in, events and bytes out. No I/O, no waiting."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cobs import cobs  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError

from racklet.link.v1 import link_pb2
from racklet_link.events import (
    HelloReceived,
    Incompatible,
    KeyAgreed,
    LinkEvent,
    LinkLost,
    StoredPositions,
    Stranger,
    TelemetryReceived,
    Unproven,
    UpdateProgressed,
)
from racklet_link.frame_reader import FrameReader
from racklet_link.handshake import Handshake
from racklet_link.kernels_host import crc32_append
from racklet_link.limits import (
    KEEPALIVE_EVERY_MS,
    LINK_LOST_AFTER_MS,
    LOST_BYTES_MAX,
    OFFSET_MAX,
    PROTOCOL_MAX,
    PROTOCOL_MIN,
    SEAL_SIZE,
    SEQUENCE_MAX,
)
from racklet_link.news import LinkNews
from racklet_link.receiver import EventReceiver, Lateness, LogReceiver, Missing
from racklet_link.requester import ConsoleTyper, Operation, Requester
from racklet_link.update_sender import UpdateSender

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from racklet_link.seal import Seal

KNOCK_EVERY_MS: Final = 500
KNOCK_AGAIN_MS: Final = 100  # at a Hello without proof: who cannot prove does not make us talk at the line's speed
UNPROVEN_HELLOS: Final = 3  # one may be on its way already when we knock, and one be lost
CTRL_C: Final = 3
_OF_STRANGERS: Final = ("reply", "console_acknowledge")


@dataclass(slots=True)
class LinkCounters:
    """What went over a link.

    Errors: crc, cobs and oversize of damaged frames, malformed and unexpected of contents, seal of frames that did not
    come from the HAT, or came before.
    """

    frames_received: int = 0
    frames_sent: int = 0
    errors: Counter[str] = field(default_factory=Counter)


class HostLink:
    """hostd's end of one link.

    Feed it with `receive` and `tick`, act on the events they return, and write what `take_output` gives. It knocks
    until a HAT says Hello; then it wants `welcome`, and later `acknowledge` whenever more is stored.

    `key_of` returns the key of a HAT that is adopted, by its id, and `random` so many random bytes. A HAT with a key is
    told of when it has proved to know it, and everything it says from then on is sealed; a Hello of any other is a
    Stranger or Unproven.

    Attributes:
        counters: what went over the link.
        is_up: whether a HAT has proved itself, or a stranger is welcome, and something valid was heard lately.
        version: of the protocol that is spoken; 0 before.
        log_lag_ms: how late the newest console bytes of the last `receive` came, beside those that were not held back.
    """

    def __init__(
        self,
        host_session: int,
        telemetry_period_ms: int,
        now_ms: int,
        key_of: Callable[[bytes], bytes | None],
        random: Callable[[int], bytes],
    ) -> None:
        self.counters = LinkCounters()
        self.is_up = False
        self.version = 0
        self.log_lag_ms = 0
        self._host_session = host_session
        self._telemetry_period_ms = telemetry_period_ms
        self._reader = FrameReader()
        self._news = LinkNews()
        self._output = bytearray(1)  # a 0x00 first: it ends whatever an earlier talk left in the line
        self._now_ms = self._heard_ms = self._said_ms = now_ms
        self._knock_ms = now_ms - KNOCK_EVERY_MS
        self._handshake = Handshake(key_of, random, _is_harmless)
        self._hat_session = 0
        self._recorded_session = 0  # of the HAT session whose records are received
        self._hello = link_pb2.Hello()
        self._stored = StoredPositions()
        self._log = LogReceiver(0, 0)
        self._log_missing = Missing()
        self._lateness = Lateness()
        self._event_receiver = EventReceiver(1)
        self._event_missing = Missing()
        self._requester = Requester()
        self._typer = ConsoleTyper()
        self._sender: UpdateSender | None = None

    def receive(self, data: bytes, now_ms: int) -> list[LinkEvent]:
        """Take bytes from the line, whatever they are; return what they tell."""
        self._now_ms = now_ms
        self._log.at_ms = None
        for payload in self._reader.feed(data):
            self._on_payload(payload)
        self._count_frames()
        self.log_lag_ms = 0 if self._log.at_ms is None else self._lateness.of(self._log.at_ms, now_ms)
        return self._news.take()

    def tick(self, now_ms: int) -> list[LinkEvent]:
        """Let time pass. Call it when `due_ms` has come, at least every 100 ms while `is_busy`."""
        self._now_ms = now_ms
        if self.is_up and now_ms - self._heard_ms > LINK_LOST_AFTER_MS:
            self._end_talk()
            self._news.tell([LinkLost()])
        self._news.tell(self._requester.expire(now_ms))
        if self._handshake.is_adopt_due(now_ms):
            self._say(link_pb2.Frame(adopt=link_pb2.Adopt(nonce=self._handshake.adopting)), None)
        if self._handshake.host_seal is not None and self._handshake.host_seal.is_used_up:
            self._end_talk()
        if not self.is_up:
            self._say_knock(KNOCK_EVERY_MS)
            return self._news.take()
        self._say_requests()
        if now_ms - self._said_ms >= KEEPALIVE_EVERY_MS:
            self._say_acknowledge()
        return self._news.take()

    @property
    def due_ms(self) -> int:
        """When `tick` has something to do, unless something comes or is asked for until then."""
        if self.is_busy:
            return self._now_ms
        if not self.is_up:
            return self._knock_ms + KNOCK_EVERY_MS
        return min(self._said_ms + KEEPALIVE_EVERY_MS, self._heard_ms + LINK_LOST_AFTER_MS + 1)

    @property
    def log_ring_bytes(self) -> int:
        """Of what size the HAT says its log ring is; 0 when it does not say."""
        return self._hello.log_ring_bytes

    @property
    def unacknowledged_bytes(self) -> int:
        """How many console bytes of the newest boot were told and not acknowledged."""
        is_same_boot = self._stored.log_boot == self._log.boot
        return self._log.offset - (self._stored.log_offset if is_same_boot else 0)

    def take_output(self) -> bytes:
        """Return what to write to the line now."""
        output = bytes(self._output)
        self._output.clear()
        return output

    def welcome(self, stored: StoredPositions, unix_ms: int, now_ms: int) -> None:
        """Answer the newest Hello: the HAT frees what is stored and sends what follows."""
        self._now_ms = now_ms
        hello = self._hello
        if hello.session != self._recorded_session:
            self._recorded_session = hello.session
            self._log = LogReceiver(stored.log_boot, stored.log_offset)
            self._event_receiver = EventReceiver(stored.event_sequence)
        self._news.tell(self._log.skip_to(hello.log_boot, hello.log_offset, hello.at_ms))
        self._event_receiver.sequence = max(self._event_receiver.sequence, hello.event_sequence)
        self._stored = stored
        self._say_welcome(hello, stored, unix_ms)

    def welcome_stranger(self, now_ms: int) -> None:
        """Answer the newest Stranger that has no key: it can be asked to blink then, and tells nothing."""
        self._now_ms = now_ms
        self._say_welcome(self._hello, StoredPositions(), 0)

    def adopt(self, hat_id: bytes, now_ms: int) -> None:
        """Agree on a key with the HAT on the line; KeyAgreed tells when it has."""
        self._handshake.adopt(hat_id, now_ms)

    def stop_adopting(self) -> None:
        """Give it up."""
        self._handshake.adopting = b""

    def knock(self, now_ms: int) -> None:
        """End the talk, if there is one, and begin another."""
        self._now_ms = now_ms
        self._end_talk()
        self._say_knock(0)

    def acknowledge(self, stored: StoredPositions, now_ms: int) -> None:
        """Tell the HAT that it may free what is stored durably.

        That may be more than this link has brought: the HAT's talk over another one brought the rest, shortly before
        the welcome here. The HAT does not send that again, so it is not waited for.
        """
        self._now_ms = now_ms
        if self.is_up and stored != self._stored:
            self._stored = stored
            if (stored.log_boot, stored.log_offset) > (self._log.boot, self._log.offset):
                self._log = LogReceiver(stored.log_boot, stored.log_offset)
            self._event_receiver.sequence = max(self._event_receiver.sequence, stored.event_sequence)
            self._say_acknowledge()

    def request(self, operation: Operation, timeout_ms: int, now_ms: int) -> int:
        """Ask the HAT for something; RequestEnded or RequestTimedOut with the id that is returned tells the outcome.

        Raises RequestsFullError when too many are outstanding.
        """
        self._now_ms = now_ms
        request_id = self._requester.add(operation, timeout_ms, now_ms)
        if self.is_up:
            self._say_requests()
        return request_id

    def type_console(self, data: bytes, now_ms: int) -> int:
        """Type on the node's console; return how many bytes were taken. ConsoleTaken tells when there is room again."""
        self._now_ms = now_ms
        count = self._typer.add(data)
        if self.is_up:
            self._say_requests()
        return count

    def send_update(self, stream: bytes, now_ms: int) -> None:
        """Send the stream of an update that the HAT has begun; empty ends it. UpdateProgressed tells how it goes."""
        self._now_ms = now_ms
        self._sender = UpdateSender(stream, now_ms) if stream else None
        if self.is_up:
            self._say_requests()

    @property
    def is_busy(self) -> bool:
        """True while a request, console input, an update or an adoption waits for the HAT's answer."""
        is_asked = self._requester.is_busy or self._typer.is_busy
        return is_asked or self._sender is not None or bool(self._handshake.adopting)

    def _say(self, frame: link_pb2.Frame, seal: Seal | None) -> None:
        self._output += _wire(frame, seal)
        self.counters.frames_sent += 1

    def _say_knock(self, after_ms: int) -> None:
        """Knock, unless that was done in the last `after_ms`."""
        if self._now_ms - self._knock_ms >= after_ms:
            self._knock_ms = self._now_ms
            self._say(_knock(self._handshake.nonce), None)

    def _say_welcome(self, hello: link_pb2.Hello, stored: StoredPositions, unix_ms: int) -> None:
        self._stored = stored
        self.version = min(PROTOCOL_MAX, hello.protocol_max)
        welcome = link_pb2.Welcome(
            version=self.version,
            protocol_min=PROTOCOL_MIN,
            protocol_max=PROTOCOL_MAX,
            session=hello.session,
            host_session=self._host_session,
            unix_ms=unix_ms,
            telemetry_period_ms=self._telemetry_period_ms,
            log_boot=stored.log_boot,
            log_offset=stored.log_offset,
            event_sequence=stored.event_sequence,
        )
        self._say(link_pb2.Frame(welcome=welcome), self._handshake.host_seal)
        self.is_up = True
        self._heard_ms = self._now_ms

    def _say_requests(self) -> None:
        for request in self._requester.due(self._now_ms):
            self._say(link_pb2.Frame(request=request), self._handshake.host_seal)
        console_input = self._typer.due(self._now_ms)
        if console_input is not None:
            self._say(link_pb2.Frame(console_input=console_input), self._handshake.host_seal)
        if self._sender is not None:
            for piece in self._sender.due(self._now_ms):
                self._say(link_pb2.Frame(update_data=piece), self._handshake.host_seal)

    def _say_acknowledge(self, *, log_resend: bool = False, event_resend: bool = False) -> None:
        self._said_ms = self._now_ms
        acknowledge = link_pb2.Acknowledge(
            log_boot=self._stored.log_boot,
            log_offset=self._stored.log_offset,
            event_sequence=self._stored.event_sequence,
        )
        if log_resend:
            acknowledge.log_resend = True
            acknowledge.resend_boot = self._log.boot
            acknowledge.resend_offset = self._log.offset
        if event_resend:
            acknowledge.event_resend = True
            acknowledge.resend_sequence = self._event_receiver.sequence
        self._say(link_pb2.Frame(acknowledge=acknowledge), self._handshake.host_seal)

    def _count_frames(self) -> None:
        reader, counters = self._reader, self.counters
        counters.frames_received += reader.frames
        reader.frames = 0
        if reader.bad_crc or reader.bad_cobs or reader.oversize:
            counters.errors["crc"] += reader.bad_crc
            counters.errors["cobs"] += reader.bad_cobs
            counters.errors["oversize"] += reader.oversize
            reader.bad_crc = reader.bad_cobs = reader.oversize = 0

    def _on_payload(self, payload: bytes) -> None:
        seal = self._handshake.hat_seal
        is_open = seal is not None and seal.opens(payload, len(payload))
        try:
            frame = link_pb2.Frame.FromString(payload)
        except DecodeError:
            self.counters.errors["malformed"] += 1
            return
        body = frame.WhichOneof("body")
        if is_open and self.is_up and body != "hello":
            self._heard_ms = self._now_ms
            if body == "log_record":
                record = frame.log_record
                if self._log.take_next(record, self._news):  # most are
                    self._log_missing.asked_ms = None
                else:
                    self._news.tell(self._on_log_record(record))
            else:
                self._on_body(frame, body)
        else:
            self._on_other(frame, payload, is_open=is_open)

    def _on_other(self, frame: link_pb2.Frame, payload: bytes, *, is_open: bool) -> None:
        """Take what is no part of a talk that is up with a HAT that has proved itself."""
        body = frame.WhichOneof("body")
        if body == "hello":
            self._on_any_hello(frame.hello, payload, is_open=is_open)
        elif body == "key_part" and (agreed := self._handshake.take_part(frame.key_part.secret)):
            self._news.tell([KeyAgreed(*agreed)])
        elif self._handshake.hat_seal is not None and not is_open:
            self.counters.errors["seal"] += 1
        elif not self.is_up or body not in _OF_STRANGERS:
            self.counters.errors["unexpected"] += 1
        else:
            self._heard_ms = self._now_ms
            self._on_body(frame, body)

    def _on_any_hello(self, hello: link_pb2.Hello, payload: bytes, *, is_open: bool) -> None:
        if is_open and hello.hat_id == self._hello.hat_id:  # again, within the talk
            self._on_hello(hello)
            return
        is_in_talk = self._handshake.hat_seal is not None and self.is_up
        if not is_in_talk and not _common_version(hello):
            self._refuse(hello, None)
            return
        if self._handshake.is_proved(hello, payload):
            self._on_hello(hello)
        elif is_in_talk:  # the HAT has restarted, or it is not the HAT: the one that proves itself may go on
            self.counters.errors["seal"] += 1
            self._say_knock(KNOCK_AGAIN_MS)
        elif self._handshake.knows(hello):
            self._on_unproven(hello)
        else:
            self._on_stranger(hello)

    def _on_unproven(self, hello: link_pb2.Hello) -> None:
        self._handshake.unproven += 1
        if self._handshake.unproven == UNPROVEN_HELLOS:
            self._hello = hello
            self._news.tell([Unproven(hello)])
        self._say_knock(KNOCK_AGAIN_MS)

    def _on_stranger(self, hello: link_pb2.Hello) -> None:
        self._handshake.drop_seals()
        self._take_up(hello)
        self._end_talk()
        self._news.tell([Stranger(hello)])

    def _on_body(self, frame: link_pb2.Frame, body: str | None) -> None:
        news: Sequence[LinkEvent] = ()
        match body:
            case "telemetry":
                news = [TelemetryReceived(frame.telemetry)]
            case "event":
                news = self._on_event(frame.event)
            case "reply":
                news = self._requester.take(frame.reply, self._now_ms)
            case "console_acknowledge":
                news = self._typer.take(frame.console_acknowledge, self._now_ms)
                self._say_requests()
            case "update_progress":
                news = self._on_update_progress(frame.update_progress)
            case _:
                self.counters.errors["unexpected"] += 1
        self._news.tell(news)

    def _on_update_progress(self, progress: link_pb2.UpdateProgress) -> Sequence[LinkEvent]:
        if self._sender is not None:
            self._sender.take(progress, self._now_ms)
            self._say_requests()
        return [UpdateProgressed(progress)]

    def _end_talk(self) -> None:
        self.is_up = False
        self.version = 0

    def _on_hello(self, hello: link_pb2.Hello) -> None:
        if hello.log_offset > OFFSET_MAX or hello.event_sequence > SEQUENCE_MAX:
            self.counters.errors["unexpected"] += 1
            return
        self._take_up(hello)
        if _common_version(hello):
            self._news.tell([HelloReceived(hello)])
        else:
            self._refuse(hello, self._handshake.host_seal)

    def _take_up(self, hello: link_pb2.Hello) -> None:
        """Note who speaks; give up what an earlier start of it was asked for."""
        self._heard_ms = self._now_ms
        is_new = (hello.session, hello.hat_id) != (self._hat_session, self._hello.hat_id)
        self._hello = hello
        if is_new:
            self._end_talk()
            self._lateness = Lateness()
            self._news.tell(self._requester.abandon())
            self._sender = None
            self._news.tell(self._typer.restart() if self._hat_session else [])
            self._hat_session = hello.session

    def _refuse(self, hello: link_pb2.Hello, seal: Seal | None) -> None:
        self._end_talk()
        refusal = link_pb2.Welcome(protocol_min=PROTOCOL_MIN, protocol_max=PROTOCOL_MAX, session=hello.session)
        self._say(link_pb2.Frame(welcome=refusal), seal)
        self._news.tell([Incompatible(hello)])

    def _on_log_record(self, record: link_pb2.LogRecord) -> Sequence[LinkEvent]:
        if record.offset > OFFSET_MAX or record.lost_bytes > LOST_BYTES_MAX:
            self.counters.errors["unexpected"] += 1
            return ()
        news = self._log.take(record)
        if news is not None:
            self._log_missing.asked_ms = None
            return news
        if self._log_missing.should_ask(self._now_ms):
            self._say_acknowledge(log_resend=True)
        return ()

    def _on_event(self, event: link_pb2.Event) -> Sequence[LinkEvent]:
        if event.sequence > SEQUENCE_MAX:
            self.counters.errors["unexpected"] += 1
            return ()
        news = self._event_receiver.take(event)
        if news is not None:
            self._event_missing.asked_ms = None
            return news
        if self._event_missing.should_ask(self._now_ms):
            self._say_acknowledge(event_resend=True)
        return ()


def _common_version(hello: link_pb2.Hello) -> bool:
    return min(PROTOCOL_MAX, hello.protocol_max) >= max(PROTOCOL_MIN, hello.protocol_min)


def _knock(nonce: bytes) -> link_pb2.Frame:
    knock = link_pb2.Knock(protocol_min=PROTOCOL_MIN, protocol_max=PROTOCOL_MAX, nonce=nonce)
    return link_pb2.Frame(knock=knock)


def _is_harmless(nonce: bytes) -> bool:
    """Tell whether a Knock with this nonce holds no Ctrl-C, which would stop a HAT whose firmware is about to start."""
    return CTRL_C not in _wire(_knock(nonce), None)


def _wire(frame: link_pb2.Frame, seal: Seal | None) -> bytes:
    payload = bytearray(frame.SerializeToString())
    size = len(payload)
    if seal is not None:
        payload += bytes(SEAL_SIZE)
        seal.put(payload, 0, size)
        size += SEAL_SIZE
    crc32_append(payload, 0, size, size)
    wire: bytes = cobs.encode(payload)
    return wire + b"\0"
