"""The kernels of the log ring for everything but a HAT's chip, which has them in C: the same anywhere Python runs.

They do what is done with every record of the node's bytes. `log_ring` says what a ring holds and does all the rest.

`marks` holds: the ring's size, where the oldest record stands, bytes of the ring in use, how many of these lie before
the cursor, where the record stands that may still grow, or -1, and when it was begun.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable

    LogTake = Callable[[array[int], bytearray, array[int], array[int], int, bytes, Callable[[], int], int], int]
    LogNext = Callable[[array[int], bytearray, array[int], int, int], int]

_SIZE, _HEAD, _HELD, _SENT, _OPEN, _OPEN_MS = range(6)
_POS, _END, _TO, _TO_END, _BEGINS_LINE, _NOW_MS, _TURNS = range(7)
_HEAD_SIZE = 6
_COUNTS = 6
_DATA, _BOOT, _LOST, _DAMAGED = range(1, 5)
_LOG_DATA_MAX = 448
_CHUNK_MS = 40
_TICK_MASK = 0x3FFFFFFF
_TOTAL_MASK = 0x7FFFFFF
_AT_MS = 3
_RECORD_DATA = 10


def log_taker(take_entries: "Callable[[array[int], array[int], int, bytearray, bytes], int]") -> "LogTake":
    """Return the kernel `log_take` that copies with this form of `take_entries`."""

    def log_take(  # noqa: PLR0913, PLR0917 - as on the HAT, where a tuple would cost heap
        marks: "array[int]",
        log: bytearray,
        job: "array[int]",
        ring: "array[int]",
        ring_size: int,
        banners: bytes,
        total: "Callable[[], int]",
        most: int,
    ) -> int:
        """Move entries of a UART's ring into the log ring; return why it ended, as `take_entries` does.

        `job` is as there, and has the time behind: milliseconds and turns. Where in the log to put bytes is not the
        caller's to say. -1: the log ring has no room, or its next record stands at its start. -2: `total()`, how many
        entries have come, was more than `most` beyond the first: some were overwritten while they were read. They, and
        those read with them, are not in the log.
        """
        why = 0
        while why == 0 and job[_POS] != job[_END]:
            room = log_room(marks, log, job[_NOW_MS])
            if room == 0 and _begin(marks, log, job[_NOW_MS], job[_TURNS]):
                room = log_room(marks, log, job[_NOW_MS])
            room = min(room, marks[_SIZE] - marks[_HELD])
            if room == 0:
                return -1
            pos = job[_POS]
            begins_line = job[_BEGINS_LINE]
            job[_TO] = _place(marks, marks[_HELD])
            job[_TO_END] = job[_TO] + room
            why = take_entries(job, ring, ring_size, log, banners)
            if total() - pos & _TOTAL_MASK > most:
                job[_POS] = pos
                job[_BEGINS_LINE] = begins_line
                return -2
            log_grow(marks, log, job[_POS] - pos)
        return why

    return log_take


def log_room(marks: "array[int]", log: bytearray, now_ms: int) -> int:
    """Return how many bytes the open record can take; 0 when a new one is due."""
    at = marks[_OPEN]
    if at < 0 or marks[_SENT] == marks[_HELD] or (now_ms - marks[_OPEN_MS]) & _TICK_MASK > _CHUNK_MS:
        return 0
    end = _place(marks, marks[_HELD])
    if end == 0:  # the record ends where the ring does
        return 0
    by_size = _LOG_DATA_MAX - _record_size(log, at) + (_COUNTS if log[at + 1] >> 4 == _DAMAGED else 0)
    return min(by_size, marks[_SIZE] - end)


def log_grow(marks: "array[int]", log: bytearray, count: int) -> None:
    """Add `count` bytes, which stand behind it, to the open record."""
    at = marks[_OPEN]
    grown = _record_size(log, at) + count
    log[at] = grown & 255
    log[at + 1] = log[at + 1] & 0xF0 | grown >> 8
    marks[_HELD] += count


def log_teller(put_time: "Callable[[array[int], int, int, int], None]") -> "LogNext":
    """Return the kernel `log_next` that stores a time with this form of `put_time`."""

    def log_next(marks: "array[int]", log: bytearray, slots: "array[int]", now_ms: int, turns: int) -> int:
        """Put time and data of the record at the cursor into the slots of a LogRecord and move on; return its bytes.

        0 when everything was sent but what may still grow, -1 when the record is none of sound bytes alone.
        """
        if marks[_SENT] == marks[_HELD]:
            return 0
        at = _place(marks, marks[_SENT])
        size = _record_size(log, at)
        if at == marks[_OPEN] and (size == 0 or log_room(marks, log, now_ms)):
            return 0
        if log[at + 1] >> 4 != _DATA:
            return -1
        turns -= turns - (log[at + 5] >> 6) & 3  # a record has their last two bits, and is no older than four of them
        at_ms = log[at + 2] | log[at + 3] << 8 | log[at + 4] << 16 | (log[at + 5] & 63) << 24
        put_time(slots, _AT_MS, turns, at_ms)
        slots[_RECORD_DATA] = at + _HEAD_SIZE
        slots[_RECORD_DATA + 1] = size
        marks[_SENT] += _HEAD_SIZE + size
        if marks[_SENT] < marks[_HELD]:
            marks[_SENT] += log_rest_after(marks, log, _place(marks, marks[_SENT]))
        return size

    return log_next


def log_free(marks: "array[int]", log: bytearray, count: int) -> int:
    """Free the oldest records of sound bytes, as far as `count` bytes reach; return how many bytes they were."""
    freed = 0
    while marks[_HELD]:
        at = marks[_HEAD]
        size = _record_size(log, at)
        if log[at + 1] >> 4 != _DATA or freed + size > count:
            break
        freed += size
        log_drop(marks, log)
    return freed


def log_drop(marks: "array[int]", log: bytearray) -> None:
    """Free the oldest record, whatever its kind. There is one."""
    at = marks[_HEAD]
    if marks[_OPEN] == at:
        marks[_OPEN] = -1
    _pass(marks, _HEAD_SIZE + _record_size(log, at))
    if marks[_HELD]:
        _pass(marks, log_rest_after(marks, log, marks[_HEAD]))


def log_bytes(log: bytearray, at: int) -> int:
    """Return how many of the node's bytes the record at `at` stands for; 0 when it starts a boot."""
    kind = log[at + 1] >> 4
    if kind == _BOOT:
        return 0
    if kind != _LOST:
        return _record_size(log, at) - (_COUNTS if kind == _DAMAGED else 0)
    at += _HEAD_SIZE
    return log[at] | log[at + 1] << 8 | log[at + 2] << 16 | log[at + 3] << 24


def log_rest_after(marks: "array[int]", log: bytearray, at: int) -> int:
    """Return how many bytes at `at` hold no record because the next stands at the ring's start."""
    rest = marks[_SIZE] - at
    return rest if rest < _HEAD_SIZE or log[at + 1] >> 4 == 0 else 0


def _begin(marks: "array[int]", log: bytearray, now_ms: int, turns: int) -> bool:
    """Begin a record of sound bytes, unless it has to run around the ring's end or something has to go."""
    if marks[_OPEN] >= 0 and _record_size(log, marks[_OPEN]) == 0:
        return False  # one of which nothing came: rare
    at = _place(marks, marks[_HELD])
    if marks[_SIZE] - at <= _HEAD_SIZE or marks[_HELD] + _HEAD_SIZE >= marks[_SIZE]:
        return False
    log[at] = 0
    log[at + 1] = _DATA << 4
    log[at + 2] = now_ms & 255
    log[at + 3] = now_ms >> 8 & 255
    log[at + 4] = now_ms >> 16 & 255
    log[at + 5] = now_ms >> 24 & 63 | (turns & 3) << 6
    marks[_HELD] += _HEAD_SIZE
    marks[_OPEN] = at
    marks[_OPEN_MS] = now_ms
    return True


def _pass(marks: "array[int]", count: int) -> None:
    marks[_HEAD] = _place(marks, count)
    marks[_HELD] -= count
    marks[_SENT] = max(marks[_SENT] - count, 0)


def _place(marks: "array[int]", distance: int) -> int:
    """Return where the byte at `distance` behind the oldest record's start stands."""
    at = marks[_HEAD] + distance
    return at - marks[_SIZE] if at >= marks[_SIZE] else at


def _record_size(log: bytearray, at: int) -> int:
    return log[at] | (log[at + 1] & 15) << 8
