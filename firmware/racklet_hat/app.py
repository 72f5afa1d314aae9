"""The firmware: the tasks that join the board, the link, the gate and the log."""

import asyncio
import gc
import time
from array import array

from racklet_hat.rings import LOG  # first: see there

# isort: split

from racklet_hat import board as hardware
from racklet_hat import config
from racklet_hat.clock import Clock
from racklet_hat.limits import Limits
from racklet_hat.meter import Meter
from racklet_hat.power_gate import PowerGate
from racklet_hat.restore import Restore
from racklet_hat.uart_capture import UartCapture
from racklet_hat.update_duty import UpdateDuty
from racklet_hat.waveform import Waveform
from racklet_link.event_queue import EventQueue
from racklet_link.hat import HatLink
from racklet_link.kernels import const, copy, elapsed_ms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from racklet_boot.selector import Start
    from racklet_link.message import Message

_CONSOLE_DATA_MAX = const(64)
_KEY_SIZE = const(32)
_HELLO_RESET_CAUSE = const(3)
_HELLO_SUPPLY_STATE = const(4)
_HELLO_BOOT_CONTINUES = const(8)
_HELLO_BOARD = const(15)
_HELLO_FIRMWARE = const(17)
_HELLO_COUNTERS_CONTINUE = const(19)
_RESULT_UPDATE_REFUSED = const(20)
_REPLY_SUPPLY_STATE = const(2)
_REPLY_SUPPLY_UV = const(3)
_REPLY_SUPPLY_UA = const(4)
_REPLY_ID = const(0)
_REPLY_RESULT = const(1)
_REPLY_BEFORE_STATE = const(6)
_REPLY_LOWEST_UA = const(7)
_REPLY_DETAIL = const(8)
_SET_LIMITS_FAST_CURRENT_MA = const(8)
_RESET_CAUSE_POWER_ON = const(1)
_POWER_ACTION_ON = const(1)
_TELEMETRY_SUPPLY_STATE = const(3)
_TELEMETRY_INPUT_UV = const(15)
_TELEMETRY_LOG_HELD_BYTES = const(16)
_TELEMETRY_UART_LOST_BYTES = const(17)
_TELEMETRY_FRAMES_BAD = const(18)
_TELEMETRY_LOOP_MAX_MS = const(19)
_TELEMETRY_HEAP_FREE_BYTES = const(20)
_TELEMETRY_BOOT = const(21)
_SUPPLY_STATE_STARTING = const(2)
_SUPPLY_STATE_ON = const(3)
_BOOT_CAUSE_SUPPLY_ON = const(1)
_BOOT_CAUSE_HAT_START = const(2)
_EVENT_KIND_SUPPLY_STATE = const(1)
_EVENT_KIND_MONITOR_LOST = const(8)
_EVENT_KIND_MONITOR_BACK = const(9)
_EVENT_KIND_HAT_STARTED = const(10)
_EVENT_KIND_TASK_FAILED = const(11)
_EVENT_KIND_NODE_HALTED = const(12)
_EVENT_KIND_SUPPLY_RESTORED = const(13)
_EVENT_KIND_WAVEFORM = const(14)
_EVENT_KIND_OVER_CURRENT = const(2)
_EVENT_KIND_SUPPLY_STUCK_ON = const(7)
_RESULT_DONE = const(1)
_RESULT_INVALID = const(4)
_RESULT_NO_MONITOR = const(9)
_WAVEFORM_HALF = const(64)
_BY_POLICY = const(-1)  # instead of a request's id

_METER = const(2)  # the place of its task
_ALL_TURNED = const(15)  # a bit for each task
_TICK_MASK = const(0x3FFFFFFF)
_PASS_MS = const(5)  # between two passes, unless there is more to say; console and link have their turn in each
_METER_MS = const(20)  # 50 samples a second
_FIRST_MEASUREMENT_MS = const(25)  # an INA226 takes 21 ms
_LIGHTS_MS = const(100)
_TYPE_MAX = const(32)  # bytes in one turn: 5 ms take 57 at 115200 baud
_CHUNK_BYTES = const(64)  # as a USB packet
_CHUNKS_MAX = const(2)  # in one turn: the other tasks wait meanwhile
_FRAMES_MAX = const(5)  # 4 carry 1500000 baud, 5 would with cycles 10 % longer, 6 cost every eighth measurement
_HEAP_LOOKS = const(
    20
)  # turns of the lights: looking takes 9 ms, in which a line at 1500000 baud fills most of its ring
_PARTIAL_STALE_MS = const(100)  # a frame takes 6 ms over USB
_MONITOR_LOST_AFTER = const(3)  # samples
_IDENTIFY_MAX_MS = const(600_000)
_HALF_TURN = const(0x20000000)  # of the clock: what is less behind is past, what is more is to come


class App:
    """One start of the firmware, on one board."""

    def __init__(self, board: hardware.Board, start: "Start | None") -> None:
        self._board = board
        self._clock = Clock()
        self._clock.turn(time.ticks_ms())  # pyright: ignore[reportArgumentType] - milliseconds are an integer
        self._log = LOG
        self._events = EventQueue(config.EVENTS_KEPT)
        self._limits = Limits()
        self._waveform = Waveform()
        self._waveform_sequence = 0  # of its last event
        self._events.waveform = self._waveform.samples
        self._meter = Meter(board.monitor)
        board.monitor.alert_ma = self._limits.values[_SET_LIMITS_FAST_CURRENT_MA]
        self._meter.sample(self._clock.now_ms)  # before Hello, which tells whether its counters continue
        self._reset_cause = hardware.reset_cause()
        is_on = board.rail.is_set()
        # The latch and the monitor live on the input: when the monitor kept its settings only the USB power was away.
        lost = self._reset_cause == _RESET_CAUSE_POWER_ON and not board.monitor.was_set_up
        self._restore = Restore(board.load(hardware.RESTORE_FILE), lost, is_on)
        self._detail = 0  # of the next reply
        self._gate = PowerGate(board.rail, self._limits, self._report, self._finish, is_on)
        self._boot_continues = is_on
        self._capture = UartCapture(board.uart, self._log, self._report)
        self.hat_id = hardware.unique_id()
        update = UpdateDuty(start, self._clock.now_ms)
        self._update = update
        # What `HatLink` wants of an update is that one's duty.
        self.begin_update = update.begin
        self.take_update = update.take
        self.finish_update = update.finish
        self.confirm_update = update.confirm
        self.abort_update = update.abort
        self.fill_update = update.fill
        self._link = HatLink(hardware.new_session(), self._log, self._events, self)
        update.link = self._link
        self._chunk = bytearray(_CHUNK_BYTES)
        self._heard_ms = 0
        self._out_start = 0
        self._out_end = 0
        self._pause_ms = _PASS_MS
        self._typed = bytearray(_CONSOLE_DATA_MAX)
        self._typed_start = 0
        self._typed_end = 0
        self._identify_until_ms = -1
        self._loop_ms = self._clock.now_ms
        self._loop_max_ms = 0
        self._heap_free = 0
        self._heap_looks = 0
        self._monitor_lost = False
        self._was_halted = False
        self._repl_wanted = False
        # By their numbers, which events tell, with their periods; a pass turns those without one in any case.
        # Bound once: a method taken as a value is a heap object.
        self._tasks = (
            (self._turn_console, 0),
            (self._turn_link, 0),
            (self._turn_meter, _METER_MS),
            (self._turn_lights, _LIGHTS_MS),
        )
        self._report(_EVENT_KIND_HAT_STARTED, self._reset_cause, 0, 0)
        if is_on:
            self._capture.begin_boot(_BOOT_CAUSE_HAT_START, self._clock.now_ms, self._clock.turns)
        if not self._meter.valid:  # a monitor that kept its settings has measured, and the console waits
            time.sleep_ms(_FIRST_MEASUREMENT_MS)
        try:  # a request may come with the first frame, and without a measurement ON is refused
            self._turn_meter()
        except Exception:  # noqa: BLE001 - as in `run`
            self._report(_EVENT_KIND_TASK_FAILED, 0, 0, _METER)

    async def run(self) -> None:
        """Run until a person wants the REPL. A task that fails is reported; if it only fails, the watchdog resets.

        One loop turns all tasks, for a switch of asyncio takes a chip 0.2 ms. And it does so itself: from here down a
        power request takes most of a chip's stack.
        """
        clock = self._clock
        tasks = self._tasks
        turned_ms = array("i", (clock.now_ms,) * len(tasks))
        turned = 0  # a bit for each task that has done its work since the watchdog was fed
        self._board.feed_watchdog()  # from here on: a task that never does its work once ends the firmware as well
        while not self._repl_wanted:
            clock.turn(time.ticks_ms())  # pyright: ignore[reportArgumentType] - milliseconds are an integer
            now_ms = clock.now_ms
            for task in range(len(tasks)):
                turn, period_ms = tasks[task]
                if now_ms - turned_ms[task] & _TICK_MASK < period_ms:
                    continue
                turned_ms[task] = now_ms
                try:
                    turn()
                    turned |= 1 << task
                except Exception:  # noqa: BLE001 - protection and capture must not end with one task, whatever fails
                    self._report(_EVENT_KIND_TASK_FAILED, 0, 0, task)
            if turned == _ALL_TURNED and not self._update.is_over(now_ms):
                turned = 0
                self._board.feed_watchdog()
            await asyncio.sleep_ms(self._pause_ms)  # pyright: ignore[reportAttributeAccessIssue] - MicroPython has it

    def _turn_console(self) -> None:
        """Take what the node sent, and type what waits, no faster than the UART can send it."""
        self._listen()
        waiting = self._typed_end - self._typed_start
        if waiting:
            if waiting > _TYPE_MAX:
                waiting = _TYPE_MAX
            self._typed_start += self._board.uart.write(self._typed, self._typed_start, waiting)

    def _listen(self) -> None:
        clock = self._clock
        is_supplied = self._gate.state in (_SUPPLY_STATE_STARTING, _SUPPLY_STATE_ON)
        self._capture.turn(clock.now_ms, clock.turns, is_supplied)

    def _turn_link(self) -> None:
        """Hear what waits, say what is due."""
        now_ms = self._clock.now_ms
        span_ms = elapsed_ms(now_ms, self._loop_ms)
        self._loop_ms = now_ms
        if span_ms > self._loop_max_ms:
            self._loop_max_ms = span_ms
        self._pause_ms = _PASS_MS
        self._hear(now_ms)
        if self._repl_wanted:
            return
        if self._update.turn(now_ms, self._gate.request_id != 0):
            self._board.restart()
        for count in range(_FRAMES_MAX):
            if not self._say(now_ms):
                return
            if count & 1:
                self._listen()  # two frames take 3 ms
        self._pause_ms = 0

    def _hear(self, now_ms: int) -> None:
        usb = self._board.usb
        link = self._link
        chunk = self._chunk
        for _ in range(_CHUNKS_MAX):
            count = usb.read(chunk)
            if count == 0:
                break
            link.receive(chunk, count, now_ms)
            self._heard_ms = now_ms
            if link.decoder.wants_repl:
                self._repl_wanted = True
                return
        if elapsed_ms(now_ms, self._heard_ms) > _PARTIAL_STALE_MS:
            link.decoder.drop_partial()

    def _say(self, now_ms: int) -> bool:
        """Write a frame, or what is left of one; False when nothing is due or the port takes no more."""
        link = self._link
        if self._out_start == self._out_end:
            self._out_start = 0
            self._out_end = link.poll(now_ms, self._clock.turns)
        if self._out_end == 0:
            return False
        start = self._out_start
        self._out_start = self._board.usb.write(link.wire, start, self._out_end)
        if self._out_start == self._out_end:
            return True
        if self._out_start > start:  # it is full, and sends its 256 bytes in 0.3 ms
            self._pause_ms = 0
        return False

    def _turn_meter(self) -> None:
        """Measure, let the gate act, and tell when the monitor goes or comes back."""
        meter = self._meter
        now_ms = self._clock.now_ms
        valid = meter.sample(now_ms)
        monitor = meter.monitor
        if valid:
            self._trace(monitor.supply_uv, monitor.supply_ua)
        alerted = self._board.rail.take_alert() or (valid and monitor.alerted)
        self._gate.step(monitor.supply_uv, monitor.supply_ua, monitor.temperature_mc, valid, now_ms, alerted)
        if valid and self._monitor_lost:
            self._monitor_lost = False
            self._report(_EVENT_KIND_MONITOR_BACK, 0, 0, 0)
        elif meter.failures >= _MONITOR_LOST_AFTER and not self._monitor_lost:
            self._monitor_lost = True
            self._report(_EVENT_KIND_MONITOR_LOST, int(meter.nonsense), 0, meter.failures)
        halted = self._board.rail.is_halted()
        if halted and not self._was_halted:
            self._report(_EVENT_KIND_NODE_HALTED, 0, 0, 0)
        self._was_halted = halted

    def _trace(self, supply_uv: int, supply_ua: int) -> None:
        """Keep the sample for a waveform; queue one that is complete, and begin anew once it is stored."""
        waveform = self._waveform
        events = self._events
        if waveform.after == _WAVEFORM_HALF:
            if events.oldest > self._waveform_sequence:
                waveform.clear()
        elif waveform.add(supply_uv, supply_ua):
            self._waveform_sequence = events.next_sequence + 1
            self._report(_EVENT_KIND_WAVEFORM, -waveform.before, waveform.oldest, waveform.about)
            self._report(_EVENT_KIND_WAVEFORM, 0, 0, waveform.about)

    def _turn_restore(self) -> None:
        """Switch on what the restore policy wants on, and keep what the next loss of power needs to know."""
        restore = self._restore
        board = self._board
        gate = self._gate
        now_ms = self._clock.now_ms
        wanted = restore.step(board.input_uv(), gate.state, board.rail.is_set(), now_ms)
        if wanted and gate.request(_BY_POLICY, _POWER_ACTION_ON, 0, 0, 0, now_ms) != _RESULT_NO_MONITOR:
            restore.lost = False
            self._report(_EVENT_KIND_SUPPLY_RESTORED, restore.kept[0], 0, 0)
        if restore.is_new:
            restore.is_new = False
            board.save(hardware.RESTORE_FILE, restore.kept)

    def _turn_lights(self) -> None:
        """Status: on while the link is up, else blinking. Identify: blinking fast. The restore policy is as slow."""
        self._turn_restore()
        self.look_at_heap()
        now_ms = self._clock.now_ms
        slow = now_ms >> 9 & 1
        identify = self._identify_until_ms >= 0
        if identify and elapsed_ms(now_ms, self._identify_until_ms) < _HALF_TURN:  # the time has come
            self._identify_until_ms = -1
            identify = False
        self._board.light(self._link.is_up or bool(slow), identify and bool(now_ms >> 7 & 1))

    def look_at_heap(self) -> None:
        """Look how much heap is free, now and then, at a moment at which the node's line is quiet."""
        if self._heap_looks:
            self._heap_looks -= 1
        elif self._capture.is_quiet(self._clock.now_ms):
            self._heap_looks = _HEAP_LOOKS
            self._heap_free = gc.mem_free()

    def _report(self, kind: int, value: int, limit: int, detail: int) -> None:
        clock = self._clock
        if kind == _EVENT_KIND_SUPPLY_STATE and value == _SUPPLY_STATE_STARTING:
            self._capture.begin_boot(_BOOT_CAUSE_SUPPLY_ON, clock.now_ms, clock.turns)
        elif _EVENT_KIND_OVER_CURRENT <= kind <= _EVENT_KIND_SUPPLY_STUCK_ON:
            self._waveform.trip(self._events.next_sequence)
        if kind == _EVENT_KIND_SUPPLY_STATE:
            self._restore.follow(value)
        self._events.put(kind, clock.now_ms, clock.turns, self._log.boot, value, limit, detail)

    def _finish(self, request_id: int, result: int, duration_ms: int) -> None:
        self._link.finish(request_id, result, duration_ms)

    # The duties of `HatLink`.

    def load_key(self) -> bytes:
        """Return the key that the HAT shares with its hostd."""
        key = bytes(self._board.load(hardware.KEY_FILE))
        return key if len(key) == _KEY_SIZE else b""

    def keep_key(self, key: bytes) -> None:
        """Keep the key in the flash."""
        self._board.save(hardware.KEY_FILE, key)

    def random(self, size: int) -> bytes:
        """Return random bytes."""
        return hardware.random(size)

    def set_power(self, request_id: int, action: int, grace_ms: int, force: int, off_ms: int) -> int:
        """Begin a power transaction."""
        result = self._gate.request(request_id, action, grace_ms, force, off_ms, self._clock.now_ms)
        self._detail = self._gate.invalid_field
        if result != _RESULT_INVALID:
            self._restore.lost = False  # somebody decides
        return result

    def identify(self, duration_ms: int) -> int:
        """Blink the identify LED for so long."""
        if not 0 <= duration_ms <= _IDENTIFY_MAX_MS:
            self._detail = 1
            return _RESULT_INVALID
        self._identify_until_ms = (self._clock.now_ms + duration_ms) & 0x3FFFFFFF
        return _RESULT_DONE

    def set_limits(self, slots: "array[int]") -> int:
        """Replace the protection limits."""
        self._detail = self._limits.take(slots)
        if self._detail:
            return _RESULT_INVALID
        self._meter.arm(self._limits.values[_SET_LIMITS_FAST_CURRENT_MA])
        return _RESULT_DONE

    def set_restore(self, policy: int, delay_ms: int) -> int:
        """Replace the restore policy."""
        self._detail = self._restore.set(policy, delay_ms)
        return _RESULT_INVALID if self._detail else _RESULT_DONE

    def self_test(self, step: int) -> int:
        """Test a part of the HAT. What does it is loaded when it is first wanted."""
        from racklet_hat.self_test import run  # noqa: PLC0415 - see above

        self._listen()
        result, self._detail = run(step, self._board)
        self._capture.forget()
        return result

    def fill_hello(self, hello: "Message") -> None:
        """Tell who this is."""
        hello.slots[_HELLO_RESET_CAUSE] = self._reset_cause
        hello.slots[_HELLO_SUPPLY_STATE] = self._gate.state
        hello.slots[_HELLO_BOOT_CONTINUES] = self._boot_continues
        hello.slots[_HELLO_COUNTERS_CONTINUE] = self._meter.continues
        hello.put_bytes(_HELLO_BOARD, 1, config.BOARD)
        hello.put_bytes(_HELLO_FIRMWARE, 2, config.FIRMWARE)
        self._update.fill_hello(hello, _HELLO_FIRMWARE)

    def fill_reply(self, reply: "Message") -> None:
        """Tell the supply as measured, of a power transaction what it did, of a refusal the field."""
        gate = self._gate
        slots = reply.slots
        slots[_REPLY_SUPPLY_STATE] = gate.state
        if self._meter.valid:
            slots[_REPLY_SUPPLY_UV] = gate.supply_uv
            slots[_REPLY_SUPPLY_UA] = gate.supply_ua
        if slots[_REPLY_RESULT] == _RESULT_UPDATE_REFUSED:
            slots[_REPLY_DETAIL] = self._update.refusal
        elif self._detail:
            slots[_REPLY_DETAIL] = self._detail
            self._detail = 0
        elif slots[_REPLY_ID] == gate.told_id:
            slots[_REPLY_BEFORE_STATE] = gate.before_state
            slots[_REPLY_LOWEST_UA] = gate.lowest_ua
            slots[_REPLY_DETAIL] = gate.detail

    def fill_telemetry(self, telemetry: "Message") -> None:
        """Tell the newest measurement and how the firmware is doing."""
        slots = telemetry.slots
        self._meter.fill(slots)
        slots[_TELEMETRY_SUPPLY_STATE] = self._gate.state
        slots[_TELEMETRY_INPUT_UV] = self._board.input_uv()
        slots[_TELEMETRY_LOG_HELD_BYTES] = self._log.held_bytes
        slots[_TELEMETRY_UART_LOST_BYTES] = self._log.uart_lost_bytes
        slots[_TELEMETRY_FRAMES_BAD] = self._link.decoder.bad_frames + self._link.forged
        slots[_TELEMETRY_LOOP_MAX_MS] = self._loop_max_ms
        slots[_TELEMETRY_HEAP_FREE_BYTES] = self._heap_free
        slots[_TELEMETRY_BOOT] = self._log.boot
        self._loop_max_ms = 0

    def set_clock(self, unix_ms: int) -> None:
        """Set the board's clock. It comes with a Welcome, and request ids may begin again with that."""
        if not self._gate.request_id:
            self._gate.told_id = 0
        self._board.set_clock(unix_ms)

    def type_console(self, buf: bytearray, start: int, size: int) -> int:
        """Take console input when what was taken before is typed; return how many bytes."""
        if self._typed_start < self._typed_end:
            return 0
        size = min(size, _CONSOLE_DATA_MAX)
        copy(self._typed, 0, buf, start, size)
        self._typed_start = 0
        self._typed_end = size
        return size


def main(start: "Start | None" = None) -> None:
    """Run the firmware; return when a person wants the REPL. `start` says which slot it is in, if it is in one."""
    board = hardware.Board()
    app = App(board, start)
    gc.collect()
    app.look_at_heap()
    asyncio.run(app.run())
    board.give_to_person()
