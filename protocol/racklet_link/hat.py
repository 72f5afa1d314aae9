"""The HAT's end of the link: bytes and time in, frames and calls of duties out. No I/O, no waiting."""

from racklet_link import messages
from racklet_link.event_queue import EventQueue
from racklet_link.framing import FrameDecoder, FrameEncoder
from racklet_link.kernels import const, elapsed_ms, put_time
from racklet_link.log_ring import LogRing
from racklet_link.message import Message
from racklet_link.reply_cache import ReplyCache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from racklet_link.ports import Duties

_HELLO_EVERY_MS = const(1000)
_KEEPALIVE_EVERY_MS = const(1000)  # telemetry may be asked for more seldom than hostd waits for a sign of life
_LINK_LOST_AFTER_MS = const(2500)
_PROTOCOL_MAX = const(1)
_PROTOCOL_MIN = const(1)
_REPLIES_KEPT = const(8)
_RESEND_AFTER_MS = const(3000)
_TELEMETRY_PERIOD_MAX_MS = const(60000)
_TELEMETRY_PERIOD_MIN_MS = const(50)
_FRAME_HELLO_TAG = const(10)
_FRAME_REPLY_TAG = const(42)
_FRAME_LOG_RECORD_TAG = const(50)
_FRAME_EVENT_TAG = const(58)
_FRAME_TELEMETRY_TAG = const(66)
_FRAME_CONSOLE_ACKNOWLEDGE_TAG = const(90)
_FRAME_WELCOME = const(2)
_FRAME_KNOCK = const(4)
_FRAME_REQUEST = const(6)
_FRAME_ACKNOWLEDGE = const(16)
_FRAME_CONSOLE_INPUT = const(18)
_HELLO_PROTOCOL_MIN = const(0)
_HELLO_PROTOCOL_MAX = const(1)
_HELLO_SESSION = const(2)
_HELLO_AT_MS = const(5)
_HELLO_BOOT = const(7)
_HELLO_LOG_BOOT = const(9)
_HELLO_LOG_OFFSET = const(10)
_HELLO_EVENT_SEQUENCE = const(12)
_WELCOME_VERSION = const(0)
_WELCOME_SESSION = const(3)
_WELCOME_HOST_SESSION = const(4)
_WELCOME_UNIX_MS = const(5)
_WELCOME_TELEMETRY_PERIOD_MS = const(7)
_WELCOME_LOG_BOOT = const(8)
_WELCOME_LOG_OFFSET = const(9)
_WELCOME_EVENT_SEQUENCE = const(11)
_REQUEST_ID = const(0)
_REQUEST_SET_POWER = const(1)
_REQUEST_IDENTIFY = const(3)
_REQUEST_SET_LIMITS = const(5)
_REQUEST_SET_RESTORE = const(7)
_REQUEST_SELF_TEST = const(9)
_REPLY_ID = const(0)
_REPLY_RESULT = const(1)
_REPLY_DURATION_MS = const(5)
_RESULT_INVALID = const(4)
_RESULT_STALE = const(5)
_TELEMETRY_SEQUENCE = const(0)
_TELEMETRY_AT_MS = const(1)
_ACKNOWLEDGE_LOG_BOOT = const(0)
_ACKNOWLEDGE_LOG_OFFSET = const(1)
_ACKNOWLEDGE_EVENT_SEQUENCE = const(3)
_ACKNOWLEDGE_LOG_RESEND = const(4)
_ACKNOWLEDGE_RESEND_BOOT = const(5)
_ACKNOWLEDGE_RESEND_OFFSET = const(6)
_ACKNOWLEDGE_EVENT_RESEND = const(8)
_ACKNOWLEDGE_RESEND_SEQUENCE = const(9)
_CONSOLE_INPUT_OFFSET = const(0)
_CONSOLE_INPUT_DATA = const(2)
_CONSOLE_ACKNOWLEDGE_OFFSET = const(0)


class HatLink:
    """What a HAT says and hears.

    | state | hears | says |
    |---|---|---|
    | alone | Knock, Welcome | Hello, every _HELLO_EVERY_MS and at each Knock |
    | incompatible | Knock, Welcome | Hello at each Knock |
    | up | everything | replies, events, telemetry, log records, in this order, and at least every second |

    It is alone at start and when nothing valid came for _LINK_LOST_AFTER_MS, incompatible when a Welcome had no version
    in common, and up when one named this session.

    `duties` does what requests ask for, and fills in what only the HAT knows.
    `receive` takes bytes, `poll` gives one frame at a time in `wire`: the line's pace is the only queue.
    """

    def __init__(self, session: int, log: LogRing, events: EventQueue, duties: "Duties") -> None:
        self.decoder = FrameDecoder(self._on_payload)
        encoder = FrameEncoder()
        self.wire = encoder.wire
        self._seal = encoder.seal  # bound once: a method taken as a value is a heap object
        self._session = session
        self._log = log
        self._events = events
        self._duties = duties
        self._host_session = 0
        self.is_up = False
        self.is_incompatible = False
        self.unexpected = 0  # good frames that made no sense here
        self._now_ms = 0
        self._alive_ms = 0
        self._hello_due = True
        self._hello_ms = 0
        self._said_ms = 0
        self._telemetry_period_ms = 0
        self._telemetry_ms = 0
        self._telemetry_sequence = 0
        self._log_progress_ms = 0
        self._event_progress_ms = 0
        self._console_offset = 0
        self._console_due = False
        self._replies = ReplyCache(_REPLIES_KEPT)
        self._heard = Message(messages.FRAME[1], 1)
        self._said = Message(messages.TELEMETRY[1], messages.HELLO[2])

    def receive(self, data: "bytes | bytearray", size: int, now_ms: int) -> None:
        """Take the first `size` bytes of `data`, whatever they are."""
        self._now_ms = now_ms
        self.decoder.feed(data, size)

    def poll(self, now_ms: int, turns: int) -> int:
        """Put the frame that is due next into `wire` and return its length; 0 when nothing is due."""
        self._now_ms = now_ms
        if self.is_up and elapsed_ms(now_ms, self._alive_ms) > _LINK_LOST_AFTER_MS:
            self.is_up = False
            self._hello_due = True
        if not self.is_up:
            alone = not self.is_incompatible and elapsed_ms(now_ms, self._hello_ms) >= _HELLO_EVERY_MS
            return self._say_hello(now_ms, turns) if self._hello_due or alone else 0
        self._resend_unheard(now_ms)
        size = self._poll_up(now_ms, turns)
        if size == 0 and elapsed_ms(now_ms, self._said_ms) >= _KEEPALIVE_EVERY_MS:
            size = self._say_console_acknowledge()  # it may be told at any time
        if size:
            self._said_ms = now_ms
        return size

    def finish(self, request_id: int, result: int, duration_ms: int) -> None:
        """Give the final result of a request that was pending. One of an earlier host session interests nobody."""
        if self._replies.is_pending(request_id):
            self._answer(request_id, result, duration_ms)

    def _answer(self, request_id: int, result: int, duration_ms: int) -> None:
        reply = self._said
        reply.begin(messages.REPLY)
        reply.slots[_REPLY_ID] = request_id
        reply.slots[_REPLY_RESULT] = result
        reply.slots[_REPLY_DURATION_MS] = duration_ms
        self._duties.fill_reply(reply)
        self._replies.put(reply)

    def _poll_up(self, now_ms: int, turns: int) -> int:
        said = self._said
        seal = self._seal
        if self._replies.next_reply(said):
            return seal(said, _FRAME_REPLY_TAG)
        if self._console_due:
            return self._say_console_acknowledge()
        if self._events.next_event(said):
            self._event_progress_ms = now_ms
            return seal(said, _FRAME_EVENT_TAG)
        if elapsed_ms(now_ms, self._telemetry_ms) >= self._telemetry_period_ms:
            return self._say_telemetry(now_ms, turns)
        if self._log.next_record(said, now_ms):
            self._log_progress_ms = now_ms
            return seal(said, _FRAME_LOG_RECORD_TAG)
        return 0

    def _say_hello(self, now_ms: int, turns: int) -> int:
        self._hello_due = False
        self._hello_ms = now_ms
        hello = self._said
        hello.begin(messages.HELLO)
        slots = hello.slots
        slots[_HELLO_PROTOCOL_MIN] = _PROTOCOL_MIN
        slots[_HELLO_PROTOCOL_MAX] = _PROTOCOL_MAX
        slots[_HELLO_SESSION] = self._session
        put_time(slots, _HELLO_AT_MS, turns, now_ms)
        slots[_HELLO_BOOT] = self._log.boot
        slots[_HELLO_LOG_BOOT] = self._log.acked_boot
        hello.put_number(_HELLO_LOG_OFFSET, self._log.acked_offset)
        slots[_HELLO_EVENT_SEQUENCE] = self._events.acked_sequence
        self._duties.fill_hello(hello)
        return self._seal(hello, _FRAME_HELLO_TAG)

    def _say_console_acknowledge(self) -> int:
        self._console_due = False
        acknowledge = self._said
        acknowledge.begin(messages.CONSOLE_ACKNOWLEDGE)
        acknowledge.put_number(_CONSOLE_ACKNOWLEDGE_OFFSET, self._console_offset)
        return self._seal(acknowledge, _FRAME_CONSOLE_ACKNOWLEDGE_TAG)

    def _say_telemetry(self, now_ms: int, turns: int) -> int:
        self._telemetry_ms = now_ms
        self._telemetry_sequence += 1
        telemetry = self._said
        telemetry.begin(messages.TELEMETRY)
        telemetry.slots[_TELEMETRY_SEQUENCE] = self._telemetry_sequence
        put_time(telemetry.slots, _TELEMETRY_AT_MS, turns, now_ms)
        self._duties.fill_telemetry(telemetry)
        return self._seal(telemetry, _FRAME_TELEMETRY_TAG)

    def _resend_unheard(self, now_ms: int) -> None:
        """Go back to what was sent and not acknowledged for too long."""
        log = self._log
        if elapsed_ms(now_ms, self._log_progress_ms) > _RESEND_AFTER_MS:
            self._log_progress_ms = now_ms
            log.rewind(log.acked_boot, log.acked_offset)
        if elapsed_ms(now_ms, self._event_progress_ms) > _RESEND_AFTER_MS:
            self._event_progress_ms = now_ms
            self._events.rewind(self._events.acked_sequence)

    def _on_payload(self, buf: bytearray, end: int) -> None:
        frame = self._heard
        if not frame.unpack(messages.FRAME, buf, 0, end):
            self.decoder.bad_cobs += 1
            return
        slots = frame.slots
        if slots[_FRAME_KNOCK]:
            self._hello_due = True
            self.is_incompatible = False
            self.is_up = False
        elif slots[_FRAME_WELCOME]:
            self._on_welcome(buf, slots[_FRAME_WELCOME], slots[_FRAME_WELCOME + 1])
        elif not self.is_up:
            self.unexpected += 1
        elif slots[_FRAME_ACKNOWLEDGE]:
            self._on_acknowledge(buf, slots[_FRAME_ACKNOWLEDGE], slots[_FRAME_ACKNOWLEDGE + 1])
        elif slots[_FRAME_REQUEST]:
            self._on_request(buf, slots[_FRAME_REQUEST], slots[_FRAME_REQUEST + 1])
        elif slots[_FRAME_CONSOLE_INPUT]:
            self._on_console_input(buf, slots[_FRAME_CONSOLE_INPUT], slots[_FRAME_CONSOLE_INPUT + 1])
        else:
            self.unexpected += 1

    def _on_welcome(self, buf: bytearray, start: int, size: int) -> None:
        welcome = self._heard
        slots = welcome.slots
        understood = welcome.unpack(messages.WELCOME, buf, start, start + size)
        if not understood or slots[_WELCOME_SESSION] != self._session:
            self.unexpected += 1
            return
        if not _PROTOCOL_MIN <= slots[_WELCOME_VERSION] <= _PROTOCOL_MAX:
            self.is_incompatible = True
            self.is_up = False
            return
        if slots[_WELCOME_HOST_SESSION] != self._host_session:
            self._host_session = slots[_WELCOME_HOST_SESSION]
            self._replies.clear()
            self._console_offset = 0
        self.is_incompatible = False
        self.is_up = True
        self._alive_ms = self._now_ms
        self._telemetry_period_ms = min(
            max(slots[_WELCOME_TELEMETRY_PERIOD_MS], _TELEMETRY_PERIOD_MIN_MS), _TELEMETRY_PERIOD_MAX_MS
        )
        self._telemetry_ms = self._now_ms - self._telemetry_period_ms
        self._duties.set_clock(welcome.number(_WELCOME_UNIX_MS))
        boot = slots[_WELCOME_LOG_BOOT]
        offset = welcome.number(_WELCOME_LOG_OFFSET)
        self._log.acknowledge(boot, offset)
        self._log.rewind(boot, offset)
        self._events.acknowledge(slots[_WELCOME_EVENT_SEQUENCE])
        self._events.rewind(slots[_WELCOME_EVENT_SEQUENCE])
        self._log_progress_ms = self._event_progress_ms = self._now_ms

    def _on_acknowledge(self, buf: bytearray, start: int, size: int) -> None:
        acknowledge = self._heard
        if not acknowledge.unpack(messages.ACKNOWLEDGE, buf, start, start + size):
            self.unexpected += 1
            return
        self._alive_ms = self._now_ms
        slots = acknowledge.slots
        log = self._log
        boot, offset = log.acked_boot, log.acked_offset
        log.acknowledge(slots[_ACKNOWLEDGE_LOG_BOOT], acknowledge.number(_ACKNOWLEDGE_LOG_OFFSET))
        if log.acked_boot != boot or log.acked_offset != offset:
            self._log_progress_ms = self._now_ms
        sequence = self._events.acked_sequence
        self._events.acknowledge(slots[_ACKNOWLEDGE_EVENT_SEQUENCE])
        if self._events.acked_sequence != sequence:
            self._event_progress_ms = self._now_ms
        if slots[_ACKNOWLEDGE_LOG_RESEND]:
            log.rewind(slots[_ACKNOWLEDGE_RESEND_BOOT], acknowledge.number(_ACKNOWLEDGE_RESEND_OFFSET))
        if slots[_ACKNOWLEDGE_EVENT_RESEND]:
            self._events.rewind(slots[_ACKNOWLEDGE_RESEND_SEQUENCE])

    def _on_request(self, buf: bytearray, start: int, size: int) -> None:
        request = self._heard
        if not request.unpack(messages.REQUEST, buf, start, start + size) or request.slots[_REQUEST_ID] <= 0:
            self.unexpected += 1
            return
        self._alive_ms = self._now_ms
        request_id = request.slots[_REQUEST_ID]
        if self._replies.repeat(request_id):
            return
        if not self._replies.has_room():
            self.unexpected += 1
            return
        stale = self._replies.is_stale(request_id)
        self._answer(request_id, _RESULT_STALE if stale else self._execute(request_id, buf), 0)

    def _execute(self, request_id: int, buf: bytearray) -> int:
        """Do what the request that was heard asks for; return the result."""
        heard = self._heard
        slots = heard.slots
        if slots[_REQUEST_SET_POWER]:
            slot, form = _REQUEST_SET_POWER, messages.SET_POWER
        elif slots[_REQUEST_IDENTIFY]:
            slot, form = _REQUEST_IDENTIFY, messages.IDENTIFY
        elif slots[_REQUEST_SET_LIMITS]:
            slot, form = _REQUEST_SET_LIMITS, messages.SET_LIMITS
        else:
            return self._execute_rare(buf)
        start = slots[slot]
        if not heard.unpack(form, buf, start, start + slots[slot + 1]):
            return _RESULT_INVALID
        if slot == _REQUEST_SET_POWER:
            return self._duties.set_power(request_id, slots[0], slots[1], slots[2], slots[3])
        return self._duties.identify(slots[0]) if slot == _REQUEST_IDENTIFY else self._duties.set_limits(slots)

    def _execute_rare(self, buf: bytearray) -> int:
        heard = self._heard
        slots = heard.slots
        is_test = slots[_REQUEST_SELF_TEST] != 0
        slot, form = (
            (_REQUEST_SELF_TEST, messages.SELF_TEST) if is_test else (_REQUEST_SET_RESTORE, messages.SET_RESTORE)
        )
        start = slots[slot]
        if start == 0 or not heard.unpack(form, buf, start, start + slots[slot + 1]):
            return _RESULT_INVALID
        return self._duties.self_test(slots[0]) if is_test else self._duties.set_restore(slots[0], slots[1])

    def _on_console_input(self, buf: bytearray, start: int, size: int) -> None:
        console_input = self._heard
        if not console_input.unpack(messages.CONSOLE_INPUT, buf, start, start + size):
            self.unexpected += 1
            return
        self._alive_ms = self._now_ms
        self._console_due = True
        known = self._console_offset - console_input.number(_CONSOLE_INPUT_OFFSET)
        size = console_input.slots[_CONSOLE_INPUT_DATA + 1]
        if 0 <= known < size:  # a repeat may bring bytes that were taken, and new ones behind them
            start = console_input.slots[_CONSOLE_INPUT_DATA] + known
            self._console_offset += self._duties.type_console(buf, start, size - known)
