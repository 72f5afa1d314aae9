"""The HAT's end of the link: bytes and time in, frames and calls of duties out. No I/O, no waiting."""

from racklet_link import messages
from racklet_link.event_queue import EventQueue
from racklet_link.framing import FrameDecoder, FrameEncoder
from racklet_link.kernels import const, elapsed_ms, put_time
from racklet_link.log_ring import LogRing
from racklet_link.message import Message
from racklet_link.reply_cache import ReplyCache
from racklet_link.seal import agreed_key, talk_seals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array

    from racklet_link.ports import Duties
    from racklet_link.seal import Seal

_HELLO_EVERY_MS = const(1000)
_KEEPALIVE_EVERY_MS = const(1000)  # telemetry may be asked for more seldom than hostd waits for a sign of life
_LINK_LOST_AFTER_MS = const(2500)
_PROTOCOL_MAX = const(2)
_PROTOCOL_MIN = const(2)
_REPLIES_KEPT = const(8)
_RESEND_AFTER_MS = const(3000)
_TICK_MASK = const(0x3FFFFFFF)
_TELEMETRY_PERIOD_MAX_MS = const(60000)
_TELEMETRY_PERIOD_MIN_MS = const(50)
_FRAME_HELLO_TAG = const(10)
_FRAME_REPLY_TAG = const(42)
_FRAME_LOG_RECORD_TAG = const(50)
_FRAME_EVENT_TAG = const(58)
_FRAME_TELEMETRY_TAG = const(66)
_FRAME_CONSOLE_ACKNOWLEDGE_TAG = const(90)
_FRAME_UPDATE_PROGRESS_TAG = const(122)
_FRAME_WELCOME = const(2)
_FRAME_KNOCK = const(4)
_FRAME_REQUEST = const(6)
_FRAME_ACKNOWLEDGE = const(16)
_FRAME_CONSOLE_INPUT = const(18)
_FRAME_ADOPT = const(22)
_FRAME_KEY_PART_TAG = const(114)
_FRAME_UPDATE_DATA = const(28)
_HELLO_PROTOCOL_MIN = const(0)
_HELLO_PROTOCOL_MAX = const(1)
_HELLO_SESSION = const(2)
_HELLO_AT_MS = const(5)
_HELLO_BOOT = const(7)
_HELLO_LOG_BOOT = const(9)
_HELLO_LOG_OFFSET = const(10)
_HELLO_EVENT_SEQUENCE = const(12)
_HELLO_HAT_ID = const(13)
_HELLO_HAS_KEY = const(20)
_HELLO_NONCE = const(21)
_HELLO_LOG_RING_BYTES = const(27)
_HELLO_ID_BLOB = const(0)
_HELLO_NONCE_BLOB = const(3)
_KNOCK_NONCE = const(2)
_ADOPT_NONCE = const(0)
_KEY_PART_SECRET = const(0)
_NONCE_SIZE = const(16)
_KEY_SIZE = const(32)
_SEAL_SIZE = const(14)
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
_REQUEST_FORGET_KEY = const(9)
_REQUEST_BEGIN_UPDATE = const(11)
_REQUEST_FINISH_UPDATE = const(13)
_REQUEST_CONFIRM_UPDATE = const(15)
_REQUEST_ABORT_UPDATE = const(17)
_REQUEST_SELF_TEST = const(19)
_REPLY_ID = const(0)
_REPLY_RESULT = const(1)
_REPLY_DURATION_MS = const(5)
_RESULT_INVALID = const(4)
_RESULT_STALE = const(5)
_RESULT_DONE = const(1)
_RESULT_NOT_ADOPTED = const(11)
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
_UPDATE_DATA_OFFSET = const(0)
_UPDATE_DATA_DATA = const(1)


class HatLink:
    """What a HAT says and hears.

    | state | hears | says |
    |---|---|---|
    | alone | Knock, Welcome | Hello, every _HELLO_EVERY_MS and at each Knock |
    | incompatible | Knock, Welcome | Hello at each Knock |
    | up | everything | replies, how an update stands, events, telemetry, log records, in this order, and every second |

    It is alone at start and when nothing valid came for _LINK_LOST_AFTER_MS, incompatible when a Welcome had no version
    in common, and up when one named this session.

    With a key it hears nothing but Knock unless that is sealed, and seals what it says from the first Knock on. Without
    one it hears Adopt as well, and when it is up it answers requests, of which it only blinks, and says nothing else.

    `update_due` may be set at any time to tell how an update stands.
    `duties` does what requests ask for, and fills in what only the HAT knows.
    `receive` takes bytes, `poll` gives one frame at a time in `wire`: the line's pace is the only queue.
    """

    def __init__(self, session: int, log: LogRing, events: EventQueue, duties: "Duties") -> None:
        self.decoder = FrameDecoder()
        encoder = FrameEncoder()
        self.wire = encoder.wire
        self._frame = encoder.frame  # bound once: a method taken as a value is a heap object
        self._session = session
        self._log = log
        self._events = events
        self._duties = duties
        self._host_session = 0
        self.is_up = False
        self.version = 0  # of this talk; 0 before the first
        self.is_incompatible = False
        self.unexpected = 0  # good frames that made no sense here
        self.forged = 0  # good frames without the seal that they must have
        self._key = duties.load_key()
        self._offered_key = b""  # that hostd has not shown to have
        self._offered_ms = 0
        self._secret = b""
        self._key_part_due = False
        self._host_nonce = b""
        self._nonce = b""
        self._host_seal: "Seal | None" = None
        self._hat_seal: "Seal | None" = None
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
        self.update_due = False
        self._replies = ReplyCache(_REPLIES_KEPT)
        self._asked_id = 0  # of the request in `_heard` that is to be carried out
        self._heard = Message(messages.FRAME[1], 1)
        self._said = Message(max(messages.TELEMETRY[1], messages.HELLO[1]), messages.HELLO[2])

    def receive(self, data: "bytes | bytearray", size: int, now_ms: int) -> None:
        """Take the first `size` bytes of `data`, whatever they are."""
        self._now_ms = now_ms
        decoder = self.decoder
        decoder.feed(data, size)
        while (end := decoder.next_frame()) >= 0:
            self._on_payload(decoder.payload, end)
            if self._asked_id:  # here, and not where it was understood: a power request needs most of a chip's stack
                request_id, self._asked_id = self._asked_id, 0
                self._answer(request_id, self._execute(request_id, decoder.payload), 0)

    def poll(self, now_ms: int, turns: int) -> int:
        """Put the frame that is due next into `wire` and return its length; 0 when nothing is due."""
        self._now_ms = now_ms
        # This is asked hundreds of times a second: time spans stand here as `elapsed_ms` has them, without the call.
        if self.is_up and now_ms - self._alive_ms & _TICK_MASK > _LINK_LOST_AFTER_MS:
            self.is_up = False
            self._hello_due = True
        if self._offered_key and elapsed_ms(now_ms, self._offered_ms) > _LINK_LOST_AFTER_MS:
            self._offered_key = b""
            self._knocked(b"")
        if self._hat_seal is not None and self._hat_seal.is_used_up:
            self._knocked(b"")  # hostd knocks at a Hello without a seal
        if self._key_part_due:
            return self._say_key_part()
        if not self.is_up:
            alone = not self.is_incompatible and elapsed_ms(now_ms, self._hello_ms) >= _HELLO_EVERY_MS
            return self._say_hello(now_ms, turns) if self._hello_due or alone else 0
        self._resend_unheard(now_ms)
        size = self._poll_up(now_ms, turns)
        if size == 0 and now_ms - self._said_ms & _TICK_MASK >= _KEEPALIVE_EVERY_MS:
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
        if self._replies.is_due and self._replies.next_reply(said):
            return self._frame(said, _FRAME_REPLY_TAG, self._hat_seal)
        return self._poll_reports(now_ms, turns) if self._key else 0

    def _poll_reports(self, now_ms: int, turns: int) -> int:
        said = self._said
        if self._console_due or self.update_due:
            return self._say_console_acknowledge() if self._console_due else self._say_update_progress()
        if self._events.next_event(said):
            self._event_progress_ms = now_ms
            return self._frame(said, _FRAME_EVENT_TAG, self._hat_seal)
        if now_ms - self._telemetry_ms & _TICK_MASK >= self._telemetry_period_ms:
            return self._say_telemetry(now_ms, turns)
        if self._log.next_record(said, now_ms):
            self._log_progress_ms = now_ms
            return self._frame(said, _FRAME_LOG_RECORD_TAG, self._hat_seal)
        return 0

    def _say_hello(self, now_ms: int, turns: int) -> int:
        if not self._nonce:
            self._meet()
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
        slots[_HELLO_HAS_KEY] = bool(self._key or self._offered_key)
        slots[_HELLO_LOG_RING_BYTES] = len(self._log.ring)
        hello.put_bytes(_HELLO_HAT_ID, _HELLO_ID_BLOB, self._duties.hat_id)
        hello.put_bytes(_HELLO_NONCE, _HELLO_NONCE_BLOB, self._nonce)
        self._duties.fill_hello(hello)
        return self._frame(hello, _FRAME_HELLO_TAG, self._hat_seal)

    def _say_key_part(self) -> int:
        self._key_part_due = False
        part = self._said
        part.begin(messages.KEY_PART)
        part.put_bytes(_KEY_PART_SECRET, 0, self._secret)
        return self._frame(part, _FRAME_KEY_PART_TAG, None)

    def _say_console_acknowledge(self) -> int:
        self._console_due = False
        acknowledge = self._said
        acknowledge.begin(messages.CONSOLE_ACKNOWLEDGE)
        acknowledge.put_number(_CONSOLE_ACKNOWLEDGE_OFFSET, self._console_offset)
        return self._frame(acknowledge, _FRAME_CONSOLE_ACKNOWLEDGE_TAG, self._hat_seal)

    def _say_update_progress(self) -> int:
        self.update_due = False
        progress = self._said
        progress.begin(messages.UPDATE_PROGRESS)
        self._duties.fill_update(progress)
        return self._frame(progress, _FRAME_UPDATE_PROGRESS_TAG, self._hat_seal)

    def _say_telemetry(self, now_ms: int, turns: int) -> int:
        self._telemetry_ms = now_ms
        self._telemetry_sequence += 1
        telemetry = self._said
        telemetry.begin(messages.TELEMETRY)
        telemetry.slots[_TELEMETRY_SEQUENCE] = self._telemetry_sequence
        put_time(telemetry.slots, _TELEMETRY_AT_MS, turns, now_ms)
        self._duties.fill_telemetry(telemetry)
        return self._frame(telemetry, _FRAME_TELEMETRY_TAG, self._hat_seal)

    def _resend_unheard(self, now_ms: int) -> None:
        """Go back to what was sent and not acknowledged for too long."""
        if now_ms - self._log_progress_ms & _TICK_MASK > _RESEND_AFTER_MS:
            self._log_progress_ms = now_ms
            self._log.rewind(self._log.acked_boot, self._log.acked_offset)
        if now_ms - self._event_progress_ms & _TICK_MASK > _RESEND_AFTER_MS:
            self._event_progress_ms = now_ms
            self._events.rewind(self._events.acked_sequence)

    def _on_payload(self, buf: bytearray, end: int) -> None:
        seal = self._host_seal
        opened = seal is not None and seal.opens(buf, end)
        if opened:
            end -= _SEAL_SIZE
        frame = self._heard
        if not frame.unpack(messages.FRAME, buf, 0, end):
            self.decoder.bad_cobs += 1
            return
        slots = frame.slots
        if slots[_FRAME_KNOCK]:
            self._on_knock(buf, slots[_FRAME_KNOCK], slots[_FRAME_KNOCK + 1])
        elif slots[_FRAME_ADOPT]:
            self._on_adopt(buf, slots[_FRAME_ADOPT], slots[_FRAME_ADOPT + 1])
        elif not opened and (self._key or self._offered_key):
            self.forged += 1
        elif slots[_FRAME_WELCOME]:
            self._on_welcome(buf, slots[_FRAME_WELCOME], slots[_FRAME_WELCOME + 1])
        else:
            self._on_talk(buf, slots)

    def _on_talk(self, buf: bytearray, slots: "array[int]") -> None:
        if not self.is_up:
            self.unexpected += 1
        elif slots[_FRAME_ACKNOWLEDGE]:
            self._on_acknowledge(buf, slots[_FRAME_ACKNOWLEDGE], slots[_FRAME_ACKNOWLEDGE + 1])
        else:
            self._on_order(buf)

    def _on_order(self, buf: bytearray) -> None:
        slots = self._heard.slots
        if slots[_FRAME_REQUEST]:
            self._on_request(buf, slots[_FRAME_REQUEST], slots[_FRAME_REQUEST + 1])
        elif slots[_FRAME_CONSOLE_INPUT] and self._key:
            self._on_console_input(buf, slots[_FRAME_CONSOLE_INPUT], slots[_FRAME_CONSOLE_INPUT + 1])
        elif slots[_FRAME_UPDATE_DATA] and self._key:
            self._on_update_data(buf, slots[_FRAME_UPDATE_DATA], slots[_FRAME_UPDATE_DATA + 1])
        else:
            self.unexpected += 1

    def _on_knock(self, buf: bytearray, start: int, size: int) -> None:
        knock = self._heard
        if not knock.unpack(messages.KNOCK, buf, start, start + size):
            self.unexpected += 1
            return
        start = knock.slots[_KNOCK_NONCE]
        self._knocked(bytes(buf[start : start + knock.slots[_KNOCK_NONCE + 1]]))

    def _knocked(self, host_nonce: bytes) -> None:
        """Begin a talk anew: the next thing said is Hello, sealed for who made `host_nonce` if both have a key."""
        self.is_incompatible = False
        self.is_up = False
        self._hello_due = True
        self._host_nonce = host_nonce
        self._nonce = b""
        self._host_seal = self._hat_seal = None

    def _meet(self) -> None:
        """Make the seals of the talk that Hello is to begin."""
        self._nonce = self._duties.random(_NONCE_SIZE)
        key = self._offered_key or self._key
        if key and len(self._host_nonce) == _NONCE_SIZE:
            seals = talk_seals(key, self._host_nonce, self._nonce, self._duties.hat_id)
            self._host_seal, self._hat_seal = seals

    def _on_adopt(self, buf: bytearray, start: int, size: int) -> None:
        adopt = self._heard
        understood = adopt.unpack(messages.ADOPT, buf, start, start + size)
        if self._key or not understood or adopt.slots[_ADOPT_NONCE + 1] != _KEY_SIZE:
            self.unexpected += 1
            return
        if not self._offered_key:
            self._secret = self._duties.random(_KEY_SIZE)
        start = adopt.slots[_ADOPT_NONCE]
        self._offered_key = agreed_key(self._secret, bytes(buf[start : start + _KEY_SIZE]), self._duties.hat_id)
        self._offered_ms = self._now_ms
        self._key_part_due = True

    def _take_offered_key(self) -> None:
        """Keep the key that hostd has shown to have."""
        self._key = self._offered_key
        self._offered_key = self._secret = b""
        self._duties.keep_key(self._key)

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
        if self._offered_key:
            self._take_offered_key()
        if slots[_WELCOME_HOST_SESSION] != self._host_session:
            self._host_session = slots[_WELCOME_HOST_SESSION]
            self._replies.clear()
            self._console_offset = 0
        self.is_incompatible = False
        self.is_up = True
        self.version = slots[_WELCOME_VERSION]
        self._alive_ms = self._now_ms
        self._telemetry_period_ms = min(
            max(slots[_WELCOME_TELEMETRY_PERIOD_MS], _TELEMETRY_PERIOD_MIN_MS), _TELEMETRY_PERIOD_MAX_MS
        )
        self._telemetry_ms = self._now_ms - self._telemetry_period_ms
        if not self._key:
            return  # what a stranger says is stored is not
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
        if not self._key:
            return
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
        if self._replies.is_stale(request_id):
            self._answer(request_id, _RESULT_STALE, 0)
        else:
            self._asked_id = request_id

    def _execute(self, request_id: int, buf: bytearray) -> int:
        """Do what the request that was heard asks for; return the result."""
        heard = self._heard
        slots = heard.slots
        start = slots[_REQUEST_IDENTIFY]
        if start:
            understood = heard.unpack(messages.IDENTIFY, buf, start, start + slots[_REQUEST_IDENTIFY + 1])
            return self._duties.identify(slots[0]) if understood else _RESULT_INVALID
        if not self._key:
            return _RESULT_NOT_ADOPTED
        start = slots[_REQUEST_SET_POWER]
        if start == 0:
            return self._execute_setting(request_id, buf)
        if not heard.unpack(messages.SET_POWER, buf, start, start + slots[_REQUEST_SET_POWER + 1]):
            return _RESULT_INVALID
        return self._duties.set_power(request_id, slots[0], slots[1], slots[2], slots[3])

    def _execute_setting(self, request_id: int, buf: bytearray) -> int:
        heard = self._heard
        slots = heard.slots
        if slots[_REQUEST_SET_LIMITS]:
            slot, form = _REQUEST_SET_LIMITS, messages.SET_LIMITS
        elif slots[_REQUEST_SET_RESTORE]:
            slot, form = _REQUEST_SET_RESTORE, messages.SET_RESTORE
        elif slots[_REQUEST_FORGET_KEY]:
            return self._forget_key()
        else:
            return self._execute_rare(request_id, buf)
        start = slots[slot]
        if not heard.unpack(form, buf, start, start + slots[slot + 1]):
            return _RESULT_INVALID
        if slot == _REQUEST_SET_RESTORE:
            return self._duties.set_restore(slots[0], slots[1])
        return self._duties.set_limits(slots)

    def _forget_key(self) -> int:
        """Be a HAT without a key from the next Knock on; until then this talk's seals hold, for the reply."""
        self._key = b""
        self._duties.keep_key(b"")
        return _RESULT_DONE

    def _execute_rare(self, request_id: int, buf: bytearray) -> int:
        heard = self._heard
        start = heard.slots[_REQUEST_SELF_TEST]
        if start == 0:
            return self._execute_update(request_id, buf)
        if not heard.unpack(messages.SELF_TEST, buf, start, start + heard.slots[_REQUEST_SELF_TEST + 1]):
            return _RESULT_INVALID
        return self._duties.self_test(heard.slots[0])

    def _execute_update(self, request_id: int, buf: bytearray) -> int:
        heard = self._heard
        slots = heard.slots
        if slots[_REQUEST_FINISH_UPDATE]:
            return self._duties.finish_update(request_id)
        if slots[_REQUEST_CONFIRM_UPDATE]:
            return self._duties.confirm_update()
        if slots[_REQUEST_ABORT_UPDATE]:
            return self._duties.abort_update()
        start = slots[_REQUEST_BEGIN_UPDATE]
        size = slots[_REQUEST_BEGIN_UPDATE + 1]
        if start == 0 or not heard.unpack(messages.BEGIN_UPDATE, buf, start, start + size):
            return _RESULT_INVALID
        return self._duties.begin_update(slots, buf)

    def _on_update_data(self, buf: bytearray, start: int, size: int) -> None:
        heard = self._heard
        if not heard.unpack(messages.UPDATE_DATA, buf, start, start + size):
            self.unexpected += 1
            return
        self._alive_ms = self._now_ms
        self.update_due = True
        slots = heard.slots
        at = slots[_UPDATE_DATA_DATA]
        self._duties.take_update(slots[_UPDATE_DATA_OFFSET], buf, at, slots[_UPDATE_DATA_DATA + 1])

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
