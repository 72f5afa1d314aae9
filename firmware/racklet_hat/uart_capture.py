"""What the node's UART received, on its way into the boot log: losses, line errors, the baud rate, resets."""

from array import array

from racklet_hat import config
from racklet_hat.baud_search import GARBAGE, WAIT, BaudSearch
from racklet_link.kernels import const, elapsed_ms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from racklet_hat.ports import NodeUart, Report
    from racklet_link.log_ring import LogRing

_BOOT_CAUSE_HAT_START = const(2)
_BOOT_CAUSE_BREAK = const(3)
_BOOT_CAUSE_BOOTLOADER = const(4)
_EVENT_KIND_BAUD_RATE = const(20)
_GAP_REASON_UART_OVERRUN = const(2)
_GAP_REASON_BAUD_DETECTION = const(3)

# What stands above the byte in an entry. RP2040 data sheet 4.2.8: UARTDR.
_SOUND_MAX = const(255)
_FRAMING = const(0x100)
_BREAK = const(0x400)
_OVERRUN = const(0x800)

_MARGIN = const(128)  # entries next to the one that is being overwritten: they may go while they are read
_READABLE = const(3968)  # the others: config.UART_ENTRIES - _MARGIN
_KEPT_OF_LAP = const(512)  # entries that are given up beyond the lost ones, so that the next step does not lose again
_TOTAL_MASK = const(0x7FFFFFF)  # what `NodeUart.total` counts modulo
_HALF_OF_TOTALS = const(0x4000000)
_STEPS = const(64)  # in one turn: a line that sends nothing but garbage takes no more from the other tasks
_WINDOW = const(32)
_HOLD_MS = const(40)  # for a line's start, or a rate, to become clear: any byte can be given a time within 50 ms
_BREAK_MS = const(20)  # no UART's character lasts so long, and no reset is so short
_LAPPED = const(-2)  # of what `LogRing.take` returns
_UNDECIDED = const(2)  # likewise; more is a banner
_RUNNING = const(127)  # more than there are banners: a node that was running has shown them all
_DOUBT = const(24 * 8)  # each damaged byte counts 8, each sound one takes 1 away

_POS = const(0)
_END = const(1)
_BEGINS_LINE = const(4)
_NOW_MS = const(5)
_TURNS = const(6)


class UartCapture:
    """Moves entries from the UART's ring to the log ring. Call `turn` more often than the UART's ring fills.

    Entries wait in the UART's ring while something about them is not clear yet, at most _HOLD_MS, or for as long as a
    break lasts:
    - while the rate is searched, 32 characters, which are a gap when they turn out to be garbage;
    - what may become a boot loader's banner: a boot begins with it when this one had shown that banner or a later one;
    - a break: once it has lasted _BREAK_MS with the supply on it is a reset, and the next byte begins a boot. A shorter
      one is a damaged byte. Without the supply the line is low, and that means nothing.
    """

    def __init__(self, uart: "NodeUart", log: "LogRing", report: "Report") -> None:
        self._uart = uart
        self._log = log
        self._report = report
        self._total = uart.total
        self._job = array("i", (0, 0, 0, 0, 1, 0, 0))
        self._pos = uart.total()
        self._seen = self._pos  # what had come when this turn began
        self._passed = self._pos  # while a rate is searched: entries before this may go into the log
        self._heard_ms = 0
        self._shown = _RUNNING  # the banner that this boot showed last
        self._in_reset = False
        self._doubt = 0
        self._rate = config.NODE_BAUD or config.NODE_BAUDS[0]  # that was told last
        self._listens_at = self._rate
        self._search = BaudSearch((config.NODE_BAUD,) if config.NODE_BAUD else config.NODE_BAUDS)
        uart.set_baud(self._rate)

    def begin_boot(self, cause: int, now_ms: int, turns: int) -> None:
        """Begin a boot, with the next byte that comes; what came before belongs to the boot before."""
        self._heard_ms = now_ms - _HOLD_MS - 1
        self._seen = self._uart.total()
        self.turn(now_ms, turns, False)
        self._begin(cause, now_ms, turns)
        if cause == _BOOT_CAUSE_HAT_START:
            self._shown = _RUNNING

    def forget(self) -> None:
        """Take what came since the last turn for nothing."""
        self._seen = self._uart.total()
        self._drop(self._waiting(self._seen))

    def is_quiet(self, now_ms: int) -> bool:
        """Tell whether nothing came for a while."""
        return elapsed_ms(now_ms, self._heard_ms) > _HOLD_MS

    def turn(self, now_ms: int, turns: int, is_supplied: bool) -> None:
        """Take what came until now. What comes meanwhile is for the next turn, else a busy line would never let go."""
        total = self._total()
        if total != self._seen:
            self._seen = total
            self._heard_ms = now_ms
        elif total == self._pos:
            return
        for _ in range(_STEPS):
            if not self._step(now_ms, turns, is_supplied):
                return

    def _step(self, now_ms: int, turns: int, is_supplied: bool) -> bool:
        """Take some of what waits; False when nothing does, or it must wait."""
        waiting = self._seen - self._pos & _TOTAL_MASK
        if waiting == 0 or waiting > _HALF_OF_TOTALS:  # more was given up than had come
            return False
        if waiting > _READABLE:
            self._skip(waiting - config.UART_ENTRIES + _KEPT_OF_LAP, _GAP_REASON_UART_OVERRUN, now_ms, turns)
            return True
        entry = self._uart.ring[self._pos % config.UART_ENTRIES]
        if entry > _SOUND_MAX or self._search.is_on:
            return self._step_doubtful(waiting, entry, now_ms, turns, is_supplied)
        return self._take(waiting, now_ms, turns)

    def _step_doubtful(self, waiting: int, entry: int, now_ms: int, turns: int, is_supplied: bool) -> bool:
        """Do the same when the next entry has something wrong, or the rate is searched."""
        held_ms = elapsed_ms(now_ms, self._heard_ms)
        if entry & _BREAK and waiting == 1 and is_supplied and self._break_lasts(held_ms):
            return False
        if self._search.is_on:
            waiting = self._judged(waiting, held_ms > _HOLD_MS, now_ms, turns)
            if waiting == 0:
                return False
        if entry > _SOUND_MAX:
            return self._take_damaged(entry, now_ms, turns, is_supplied)
        return self._take(waiting, now_ms, turns)

    def _break_lasts(self, held_ms: int) -> bool:
        """Tell whether the line is low since the newest entry, a break; when it was for long, that is a reset."""
        if not self._uart.is_low():
            return False
        if held_ms >= _BREAK_MS:
            self._in_reset = True
            self._drop(1)
        return True

    def _take(self, waiting: int, now_ms: int, turns: int) -> bool:
        """Move the sound bytes at the front into the log."""
        if self._in_reset:
            self._begin(_BOOT_CAUSE_BREAK, now_ms, turns)
        job = self._job
        job[_POS] = pos = self._pos
        job[_END] = pos + waiting
        job[_NOW_MS] = now_ms
        job[_TURNS] = turns
        ring = self._uart.ring
        why = self._log.take(job, ring, config.UART_ENTRIES, config.BANNERS, self._total, _READABLE)
        self._pos = job[_POS] & _TOTAL_MASK
        if self._doubt:
            self._doubt = max(self._doubt - job[_POS] + pos, 0)
        if why == 0:
            return self._pos != self._seen
        if why == _LAPPED:
            self._seen = self._total()
        elif why == _UNDECIDED:
            held_ms = elapsed_ms(now_ms, self._heard_ms)
            job[_BEGINS_LINE] = held_ms <= _HOLD_MS
            return held_ms > _HOLD_MS
        elif why > _UNDECIDED:
            if self._shown >= why:
                self._begin(_BOOT_CAUSE_BOOTLOADER, now_ms, turns)
            self._shown = why
            job[_BEGINS_LINE] = 0
        return True

    def _take_damaged(self, entry: int, now_ms: int, turns: int, is_supplied: bool) -> bool:
        """Deal with an entry that something is wrong with."""
        log = self._log
        if self._is_lapped():
            return True
        if entry & _OVERRUN:  # the UART's own buffer was full before this byte: nobody counted, so it is at least one
            self._uart.ring[self._pos % config.UART_ENTRIES] = entry & ~_OVERRUN
            log.lose(1, _GAP_REASON_UART_OVERRUN, now_ms, turns)
            return True
        self._drop(1)
        self._job[_BEGINS_LINE] = 1  # noise often stands right before a boot's first byte
        if entry & _BREAK and (self._in_reset or not is_supplied):
            return True
        if self._in_reset:
            self._begin(_BOOT_CAUSE_BREAK, now_ms, turns)
        error = 2 if entry & _BREAK else 0 if entry & _FRAMING else 1
        log.append_damaged(entry & 255, error, now_ms, turns)
        self._doubt += 8
        if self._doubt > _DOUBT:
            self._doubt = 0
            self._search.doubt()
        return True

    def _judged(self, waiting: int, is_quiet: bool, now_ms: int, turns: int) -> int:
        """Return how many of the entries that wait may go into the log while the rate is searched."""
        passed = self._waiting(self._passed)
        if 0 < passed <= waiting:
            return passed
        search = self._search
        count = waiting if waiting < _WINDOW else _WINDOW
        damaged = 0
        for at in range(self._pos, self._pos + count):
            damaged += self._uart.ring[at % config.UART_ENTRIES] > _SOUND_MAX
        verdict = search.judge(count, damaged, is_quiet)
        if verdict == WAIT:
            return 0
        if verdict == GARBAGE:
            if search.rate != self._listens_at:
                self._listens_at = search.rate
                self._uart.set_baud(search.rate)
                count = self._waiting(self._uart.total())
            self._skip(count, _GAP_REASON_BAUD_DETECTION, now_ms, turns)
            return 0
        if not search.is_on and search.rate != self._rate:
            self._report(_EVENT_KIND_BAUD_RATE, search.rate, 0, self._rate)
            self._rate = search.rate
        self._passed = self._pos + count & _TOTAL_MASK
        return count

    def _begin(self, cause: int, now_ms: int, turns: int) -> None:
        self._log.begin_boot(cause, now_ms, turns)
        self._shown = 0
        self._in_reset = False
        self._job[_BEGINS_LINE] = 1
        if cause != _BOOT_CAUSE_BOOTLOADER:  # that was read, so the rate is right
            self._search.begin()

    def _skip(self, count: int, reason: int, now_ms: int, turns: int) -> None:
        self._log.lose(count, reason, now_ms, turns)
        self._drop(count)
        self._job[_BEGINS_LINE] = 1

    def _drop(self, count: int) -> None:
        self._pos = self._pos + count & _TOTAL_MASK

    def _waiting(self, upto: int) -> int:
        return upto - self._pos & _TOTAL_MASK

    def _is_lapped(self) -> bool:
        """Tell whether what was just read may have been overwritten meanwhile. None of it is in the log yet."""
        total = self._total()
        if self._waiting(total) <= _READABLE:
            return False
        self._seen = total
        return True
