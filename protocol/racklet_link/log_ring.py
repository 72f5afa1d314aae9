"""The HAT's ring of console bytes: what the node sent and hostd has not stored yet."""

from array import array

from racklet_link import messages
from racklet_link.kernels import (
    const,
    copy,
    log_bytes,
    log_drop,
    log_free,
    log_grow,
    log_next,
    log_rest_after,
    log_room,
    log_take,
    put_time,
)
from racklet_link.message import Message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_LOG_RECORD_BOOT = const(0)
_LOG_RECORD_OFFSET = const(1)
_LOG_RECORD_AT_MS = const(3)
_LOG_RECORD_LOST_BYTES = const(5)
_LOG_RECORD_GAP_REASON = const(7)
_LOG_RECORD_BOOT_CAUSE = const(8)
_LOG_RECORD_LOST_BOOTS = const(9)
_LOG_RECORD_DATA = const(10)
_LOG_RECORD_FRAMING_ERRORS = const(12)
_GAP_REASON_RING_FULL = const(1)

# What the kernels keep of a ring; `kernels_log` says what these are.
_SIZE = const(0)
_HEAD = const(1)
_HELD = const(2)
_SENT = const(3)
_OPEN = const(4)
_OPEN_MS = const(5)

_JOB_POS = const(0)
_JOB_NOW_MS = const(5)
_JOB_TURNS = const(6)
_RING_FULL = const(-1)  # of what `log_take` returns
_FREED_MAX = const(0x3FFFFFFF)

# A record in the ring: size and kind (2 bytes), time (4 bytes), `size` bytes. It never runs around the ring's end:
# less room there than a head, or a head of kind WRAP, means that the next record stands at the start.
_RECORD_HEAD = const(6)
_WRAP = const(0)
_DATA = const(1)
_BOOT = const(2)  # one byte: the cause
_LOST = const(3)  # five bytes: how many bytes are lost, and why
_DAMAGED = const(4)  # three counts of two bytes, of framing errors, parity errors and breaks; then bytes as in _DATA
_COUNTS = const(6)
_ZEROS = b"\0\0\0\0\0\0"


class LogRing:
    """Console bytes in a fixed ring, as records with (boot, offset) and time.

    Three positions matter. Everything before `acked` is stored by hostd and freed. From there to the cursor it was
    sent, and can be sent again by `rewind`. From the cursor on it waits for `next_record`. When the ring is full the
    oldest record goes. What went is told by up to three records in its place: the gap in the boot that was being
    read, the start of the newest boot whose start is gone, and the gap in that.
    """

    def __init__(self, size: int) -> None:
        self.ring = bytearray(size)
        self._marks = array("i", (size, 0, 0, 0, -1, 0))
        self.boot = 0  # the position at the end: what the next byte gets
        self.offset = 0
        self._head_boot = 0  # the position of the oldest record
        self._head_offset = 0
        self.acked_boot = 0  # where hostd is; differs from the head only while a loss is to be told
        self.acked_offset = 0
        self._cursor_boot = 0
        self._cursor_offset = 0
        self._told = 3  # how many of the three records about the loss lie before the cursor
        self._lost_before = 0  # bytes lost at the acked position
        self._start_lost = False  # the head's boot lost its start…
        self._lost_after = 0  # …and this many bytes behind it
        self._lost_boots = 0  # boots between that are lost as a whole…
        self._lost_boots_bytes = 0  # …and the bytes they had
        self._loss_cause = 0
        self._loss_ms = 0
        self._loss_turns = 0
        self._turns = 0
        self.uart_lost_bytes = 0

    @property
    def held_bytes(self) -> int:
        """Bytes of the ring in use."""
        return self._marks[_HELD]

    def begin_boot(self, cause: int, now_ms: int, turns: int) -> None:
        """Begin the next boot: offsets count from 0 again."""
        self.ring[self._add(_BOOT, 1, now_ms, turns)] = cause
        self.boot += 1
        self.offset = 0

    def append(self, data: "bytes | bytearray", size: int, now_ms: int, turns: int) -> None:
        """Add the first `size` bytes of `data`. Drops the oldest records when there is no room."""
        start = 0
        while start < size:
            count = self.make_room(size - start, now_ms, turns)
            copy(self.ring, self.end(), data, start, count)
            self.grow(count)
            start += count

    def take(
        self,
        job: "array[int]",
        ring: "array[int]",
        ring_size: int,
        banners: bytes,
        total: "Callable[[], int]",
        most: int,
    ) -> int:
        """Add entries of a UART's ring; return why that ended, as `log_take` does. Drops the oldest records for it."""
        self._turns = job[_JOB_TURNS]
        while True:
            pos = job[_JOB_POS]
            why = log_take(self._marks, self.ring, job, ring, ring_size, banners, total, most)
            self.offset += job[_JOB_POS] - pos
            if why != _RING_FULL:
                return why
            self.make_room(1, job[_JOB_NOW_MS], job[_JOB_TURNS])

    def append_damaged(self, byte: int, error: int, now_ms: int, turns: int) -> None:
        """Add a byte that came with an error: 0 framing, 1 parity, 2 break."""
        if (
            self._marks[_OPEN] < 0
            or self.ring[self._marks[_OPEN] + 1] >> 4 != _DAMAGED
            or log_room(self._marks, self.ring, now_ms) == 0
        ):
            at = self._add(_DAMAGED, _COUNTS, now_ms, turns)
            copy(self.ring, at, _ZEROS, 0, _COUNTS)
        self.make_room(1, now_ms, turns)
        self.ring[self.end()] = byte
        self.grow(1)
        at = self._marks[_OPEN] + _RECORD_HEAD + 2 * error
        count = (self.ring[at] | self.ring[at + 1] << 8) + 1
        self.ring[at] = count & 255
        self.ring[at + 1] = count >> 8

    def make_room(self, wanted: int, now_ms: int, turns: int) -> int:
        """Return how many bytes, 1 to `wanted`, may be put into `ring` from `end()` on. `grow` adds them to the log."""
        count = log_room(self._marks, self.ring, now_ms)
        if count == 0:
            self._add(_DATA, 0, now_ms, turns)
            count = log_room(self._marks, self.ring, now_ms)
        if count > wanted:
            count = wanted
        self._drop_for(count)
        return count

    def grow(self, count: int) -> None:
        """Add `count` bytes that stand in `ring`, after `make_room` for as many or more."""
        log_grow(self._marks, self.ring, count)
        self.offset += count

    def end(self) -> int:
        """Return where in `ring` the next byte goes."""
        return self._at(self._marks[_HELD])

    def lose(self, count: int, reason: int, now_ms: int, turns: int) -> None:
        """Note that `count` bytes are lost here, for a GapReason."""
        at = self._add(_LOST, 5, now_ms, turns)
        for shift in (0, 8, 16, 24):
            self.ring[at] = count >> shift & 255
            at += 1
        self.ring[at] = reason
        self.offset += count
        self.uart_lost_bytes += count

    def next_record(self, record: Message, now_ms: int) -> bool:
        """Fill `record` with what is at the cursor and move on; False when everything was sent.

        A record that may still grow waits for 40 ms: few large frames cost both ends less than many small ones.
        """
        if (self._lost_before or self._start_lost) and self._tell_loss(record):
            return True
        marks = self._marks
        if marks[_SENT] == marks[_HELD]:
            return False
        record.begin(messages.LOG_RECORD)
        slots = record.slots
        size = log_next(marks, self.ring, slots, now_ms, self._turns)
        if size < 0:
            self._next_rare(record)
            return True
        if size == 0:
            return False
        slots[_LOG_RECORD_BOOT] = self._cursor_boot
        record.put_number(_LOG_RECORD_OFFSET, self._cursor_offset)
        record.blobs[0] = self.ring
        self._cursor_offset += size
        return True

    def _next_rare(self, record: Message) -> None:
        """Fill `record` with what is at the cursor and move on: a boot, a loss, or bytes of which some are damaged."""
        at = self._at(self._marks[_SENT])
        slots = record.slots
        kind = self.ring[at + 1] >> 4
        size = log_bytes(self.ring, at)
        slots[_LOG_RECORD_BOOT] = self._cursor_boot + 1 if kind == _BOOT else self._cursor_boot
        record.put_number(_LOG_RECORD_OFFSET, self._cursor_offset)
        self._put_record_time(slots, at)
        if kind == _BOOT:
            slots[_LOG_RECORD_BOOT_CAUSE] = self.ring[at + _RECORD_HEAD]
        elif kind == _LOST:
            record.put_number(_LOG_RECORD_LOST_BYTES, size)
            slots[_LOG_RECORD_GAP_REASON] = self.ring[at + _RECORD_HEAD + 4]
        else:
            record.blobs[0] = self.ring
            slots[_LOG_RECORD_DATA] = at + _RECORD_HEAD + _COUNTS
            slots[_LOG_RECORD_DATA + 1] = size
            for index in range(3):
                at += 2
                slots[_LOG_RECORD_FRAMING_ERRORS + index] = self.ring[at + 4] | self.ring[at + 5] << 8
        self._step()

    def acknowledge(self, boot: int, offset: int) -> None:
        """Free what lies before (boot, offset). A position beyond the end, or one that was passed, changes nothing."""
        if _before(self.boot, self.offset, boot, offset) or not _before(
            self.acked_boot, self.acked_offset, boot, offset
        ):
            return
        if self._loss_pending():
            if _before(boot, offset, self._head_boot, self._head_offset):
                self._acknowledge_loss(boot, offset)
                return
            self._forget_loss()
        while True:
            if boot == self._head_boot:
                self._free_bytes(offset - self._head_offset)
            if self._marks[_HELD] == 0 or not self._frees(boot, offset):
                break
            self._remove_oldest()
        self.acked_boot = self._head_boot
        self.acked_offset = self._head_offset

    def rewind(self, boot: int, offset: int) -> None:
        """Move the cursor back to (boot, offset), or to the oldest that is held."""
        self._marks[_SENT] = 0
        self._told = 0
        self._cursor_boot = self._head_boot
        self._cursor_offset = self._head_offset
        if self._loss_pending():
            if _before(boot, offset, self._head_boot, self._head_offset):
                return
            self._told = 3
        while self._marks[_SENT] < self._marks[_HELD]:
            at = self._at(self._marks[_SENT])
            if self.ring[at + 1] >> 4 == _BOOT:
                behind = _before(boot, offset, self._cursor_boot + 1, 0)
            else:
                behind = _before(boot, offset, self._cursor_boot, self._cursor_offset + log_bytes(self.ring, at))
            if behind:
                return
            self._step()

    def _add(self, kind: int, size: int, now_ms: int, turns: int) -> int:
        """Begin a record of `size` bytes at the end; return where these stand."""
        if self._marks[_OPEN] >= 0 and self._record_size(self._marks[_OPEN]) == 0:
            self._marks[_HELD] -= _RECORD_HEAD  # nothing came of that one
            if self._marks[_SENT] > self._marks[_HELD]:
                self._marks[_SENT] = self._marks[_HELD]
        at = self.end()
        grows = kind in (_DATA, _DAMAGED)
        needed = _RECORD_HEAD + size + grows
        if self._marks[_SIZE] - at < needed:
            self._drop_for(self._marks[_SIZE] - at)
            self._run_around(at)
            at = 0
        self._drop_for(needed)
        ring = self.ring
        ring[at] = size
        ring[at + 1] = kind << 4
        ring[at + 2] = now_ms & 255
        ring[at + 3] = now_ms >> 8 & 255
        ring[at + 4] = now_ms >> 16 & 255
        ring[at + 5] = now_ms >> 24 & 63 | (turns & 3) << 6
        self._marks[_HELD] += _RECORD_HEAD + size
        self._marks[_OPEN] = at if grows else -1
        self._marks[_OPEN_MS] = now_ms
        self._turns = turns
        return at + _RECORD_HEAD

    def _run_around(self, at: int) -> None:
        """Let the next record stand at the start of the ring, when nothing holds what is left behind `at`."""
        rest = self._marks[_SIZE] - at
        if self._marks[_HELD] == 0:
            self._marks[_HEAD] = 0
            return
        if rest >= _RECORD_HEAD:
            self.ring[at + 1] = _WRAP << 4
        if self._marks[_SENT] == self._marks[_HELD]:
            self._marks[_SENT] += rest
        self._marks[_HELD] += rest

    def _drop_for(self, count: int) -> None:
        while self._marks[_HELD] + count > self._marks[_SIZE]:
            self._drop_oldest()

    def _at(self, distance: int) -> int:
        """Return where the byte at `distance` behind the head stands."""
        at = self._marks[_HEAD] + distance
        return at - self._marks[_SIZE] if at >= self._marks[_SIZE] else at

    def _record_size(self, at: int) -> int:
        return self.ring[at] | (self.ring[at + 1] & 15) << 8

    def _put_record_time(self, slots: "array[int]", at: int) -> None:
        put_time(slots, _LOG_RECORD_AT_MS, self._record_turns(at), self._record_ms(at))

    def _record_turns(self, at: int) -> int:
        """Return the turns of the clock: a record holds their last two bits, and is no older than four of them."""
        return self._turns - (self._turns - (self.ring[at + 5] >> 6) & 3)

    def _record_ms(self, at: int) -> int:
        ring = self.ring
        return ring[at + 2] | ring[at + 3] << 8 | ring[at + 4] << 16 | (ring[at + 5] & 63) << 24

    def _step(self) -> None:
        """Move the cursor behind the record it stands at."""
        at = self._at(self._marks[_SENT])
        if self.ring[at + 1] >> 4 == _BOOT:
            self._cursor_boot += 1
            self._cursor_offset = 0
        else:
            self._cursor_offset += log_bytes(self.ring, at)
        self._marks[_SENT] += _RECORD_HEAD + self._record_size(at)
        if self._marks[_SENT] < self._marks[_HELD]:
            self._marks[_SENT] += log_rest_after(self._marks, self.ring, self._at(self._marks[_SENT]))

    def _remove_oldest(self) -> None:
        at = self._marks[_HEAD]
        if self.ring[at + 1] >> 4 == _BOOT:
            self._head_boot += 1
            self._head_offset = 0
        else:
            self._head_offset += log_bytes(self.ring, at)
        log_drop(self._marks, self.ring)
        if self._marks[_SENT] == 0:
            self._cursor_boot = self._head_boot
            self._cursor_offset = self._head_offset

    def _free_bytes(self, count: int) -> None:
        """Free the oldest records of sound bytes, as far as `count` bytes reach."""
        freed = log_free(self._marks, self.ring, min(count, _FREED_MAX))
        self._head_offset += freed
        if self._marks[_SENT] == 0:
            self._cursor_boot = self._head_boot
            self._cursor_offset = self._head_offset

    def _frees(self, boot: int, offset: int) -> bool:
        """Tell whether the oldest record ends at or before (boot, offset)."""
        if self.ring[self._marks[_HEAD] + 1] >> 4 == _BOOT:
            return not _before(boot, offset, self._head_boot + 1, 0)
        return not _before(boot, offset, self._head_boot, self._head_offset + log_bytes(self.ring, self._marks[_HEAD]))

    def _drop_oldest(self) -> None:
        at = self._marks[_HEAD]
        if self.ring[at + 1] >> 4 == _BOOT:
            if self._start_lost:
                self._lost_boots += 1
                self._lost_boots_bytes += self._lost_after
                self._lost_after = 0
            self._start_lost = True
            self._loss_cause = self.ring[at + _RECORD_HEAD]
        elif self._start_lost:
            self._lost_after += log_bytes(self.ring, at)
        else:
            self._lost_before += log_bytes(self.ring, at)
        self._loss_ms = self._record_ms(at)
        self._loss_turns = self._record_turns(at)
        self._remove_oldest()
        self._told = 3 if self._marks[_SENT] else 0

    def _loss_pending(self) -> bool:
        return self._lost_before > 0 or self._start_lost

    def _forget_loss(self) -> None:
        self._lost_before = 0
        self._start_lost = False
        self._lost_after = 0
        self._lost_boots = 0
        self._lost_boots_bytes = 0

    def _acknowledge_loss(self, boot: int, offset: int) -> None:
        """Shorten the loss to what lies behind (boot, offset)."""
        if boot == self.acked_boot:
            gone = offset - self.acked_offset
            self._lost_before = self._lost_before - gone if self._lost_before > gone else 0
        elif boot == self._head_boot:
            left = self._head_offset - offset
            self._forget_loss()
            self._lost_before = left
        else:
            return  # within a boot that is lost as a whole: hostd cannot be there
        self.acked_boot = boot
        self.acked_offset = offset

    def _tell_loss(self, record: Message) -> bool:
        """Fill `record` with the next of the three records about the loss that has something to tell."""
        record.begin(messages.LOG_RECORD)
        slots = record.slots
        put_time(slots, _LOG_RECORD_AT_MS, self._loss_turns, self._loss_ms)
        while self._told < 3:
            self._told += 1
            slots[_LOG_RECORD_BOOT] = self._head_boot
            if self._told == 1 and self._lost_before:
                slots[_LOG_RECORD_BOOT] = self.acked_boot
                record.put_number(_LOG_RECORD_OFFSET, self.acked_offset)
                record.put_number(_LOG_RECORD_LOST_BYTES, self._lost_before)
                slots[_LOG_RECORD_GAP_REASON] = _GAP_REASON_RING_FULL
                return True
            if self._told == 2 and self._start_lost:
                record.put_number(_LOG_RECORD_OFFSET, self.acked_offset + self._lost_before)
                slots[_LOG_RECORD_BOOT_CAUSE] = self._loss_cause
                slots[_LOG_RECORD_LOST_BOOTS] = self._lost_boots
                record.put_number(_LOG_RECORD_LOST_BYTES, self._lost_boots_bytes)
                return True
            if self._told == 3 and self._lost_after:
                record.put_number(_LOG_RECORD_LOST_BYTES, self._lost_after)
                slots[_LOG_RECORD_GAP_REASON] = _GAP_REASON_RING_FULL
                return True
        return False


def _before(boot: int, offset: int, other_boot: int, other_offset: int) -> bool:
    return boot < other_boot or (boot == other_boot and offset < other_offset)
