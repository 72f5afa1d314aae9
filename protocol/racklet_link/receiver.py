"""The receiving side of what a HAT sends reliably: each log byte and each event once, in order, losses told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from racklet.link.v1 import link_pb2
from racklet_link.events import BootStarted, Damage, EventReceived, LogData, LogGap
from racklet_link.limits import OFFSET_MAX

if TYPE_CHECKING:
    from racklet_link.events import LinkEvent
    from racklet_link.news import LinkNews

BOOTS_REMEMBERED = 16384  # more starts than a HAT's ring can hold unacknowledged
DRIFT_MS_EVERY = 10_000  # a HAT's clock may lose a millisecond in so many: 100 ppm, twice what its crystal does
RESEND_REQUEST_EVERY_MS = 250  # one round trip with a full window takes less


@dataclass(slots=True)
class Missing:
    """Says when to ask again for what is missing: at once, then every RESEND_REQUEST_EVERY_MS."""

    asked_ms: int | None = None

    def should_ask(self, now_ms: int) -> bool:
        """Tell whether to ask now; if so, the next time is later."""
        if self.asked_ms is not None and now_ms - self.asked_ms < RESEND_REQUEST_EVERY_MS:
            return False
        self.asked_ms = now_ms
        return True


class Lateness:
    """How late what a HAT tells comes, beside the least late of late: what it could not send, it had to hold back."""

    def __init__(self) -> None:
        self._least_ms: int | None = None  # of what our clock says less what the HAT's does
        self._drifted_ms = 0

    def of(self, hat_ms: int, now_ms: int) -> int:
        """Return how much later than others that is which the HAT tells of `hat_ms` and that came now."""
        late_ms = now_ms - hat_ms
        if self._least_ms is None:
            self._least_ms, self._drifted_ms = late_ms, now_ms
        drift_ms = (now_ms - self._drifted_ms) // DRIFT_MS_EVERY
        self._drifted_ms += drift_ms * DRIFT_MS_EVERY
        self._least_ms = min(self._least_ms + drift_ms, late_ms)
        return late_ms - self._least_ms


class LogReceiver:
    """Takes log records at (boot, offset) and passes on what continues there.

    Attributes:
        at_ms: the HAT's time of the newest record that `take_next` took; for whoever sets it to None to see whether
            there was one.
    """

    def __init__(self, boot: int, offset: int) -> None:
        self.boot = boot
        self.offset = offset
        self.at_ms: int | None = None
        self._first_boot = boot
        self._ends: dict[int, int] = {}  # how many bytes the newest BOOTS_REMEMBERED boots had

    def take_next(self, record: link_pb2.LogRecord, news: LinkNews) -> bool:
        """Tell the data of a record that goes on where the last one ended, as most do; False, and it is not taken."""
        offset, boot = self.offset, self.boot
        if record.offset != offset or record.boot != boot or record.lost_bytes or record.boot_cause:
            return False
        data = record.data
        if not data or offset > OFFSET_MAX:
            return False
        self.offset = offset + len(data)
        self.at_ms = at_ms = record.at_ms
        news.tell_data(boot, offset, at_ms, data, _damage(record))
        return True

    def take(self, record: link_pb2.LogRecord) -> list[LinkEvent] | None:
        """Return what is new in `record`; None when records before it are missing."""
        if record.boot_cause:
            return self._take_start(record)
        boot, known = record.boot, self.offset - record.offset
        if boot != self.boot or known < 0:
            return [] if boot < self.boot else None
        lost_bytes = record.lost_bytes
        if lost_bytes > known:
            lost = lost_bytes - known
            gap = LogGap(boot, self.offset, record.at_ms, lost, _gap_reason(record.gap_reason))
            self.offset += lost
            return [gap]
        data = record.data
        if len(data) > known:
            damage = None if known else _damage(record)
            news = LogData(boot, self.offset, record.at_ms, data[known:], damage)
            self.offset += len(news.data)
            return [news]
        return []

    def skip_to(self, boot: int, offset: int, at_ms: int) -> list[LinkEvent]:
        """Take up at the oldest byte that the HAT still holds; return what that leaves out."""
        skipped: list[LinkEvent] = []
        if boot > self.boot:
            skipped.append(
                BootStarted(boot, at_ms, link_pb2.BOOT_CAUSE_UNSPECIFIED, boot - self.boot - 1, lost_bytes=0)
            )
            self.boot, self.offset = boot, 0
        if boot == self.boot and offset > self.offset:
            skipped.append(LogGap(boot, self.offset, at_ms, offset - self.offset, "GAP_REASON_NOT_KEPT"))
            self.offset = offset
        return skipped

    def _take_start(self, record: link_pb2.LogRecord) -> list[LinkEvent] | None:
        """Take the start of a boot, which tells where the boot before it ended and what was lost between.

        The HAT speaks of what it dropped without an acknowledgement; some of that may have come all the same.
        """
        if record.boot <= self.boot:
            return []
        before = record.boot - 1 - record.lost_boots
        if (self.boot, self.offset) < (before, record.offset):
            return None
        news: list[LinkEvent] = []
        lost_boots = record.boot - 1 - self.boot
        lost_bytes = record.lost_bytes
        if before + 1 < self._first_boot:
            lost_bytes = 0  # not known: what came before this receiver may be part of it
        elif self.boot > before:
            lost_bytes -= self.offset + sum(end for boot, end in self._ends.items() if before < boot < self.boot)
            if lost_boots == 0 and lost_bytes > 0:
                news.append(LogGap(self.boot, self.offset, record.at_ms, lost_bytes, "GAP_REASON_RING_FULL"))
                self.offset += lost_bytes
                lost_bytes = 0
        self._ends[self.boot] = self.offset
        if lost_boots:
            self._ends[record.boot - 1] = lost_bytes  # of all that are lost: only sums are asked for
        while len(self._ends) > BOOTS_REMEMBERED:
            del self._ends[next(iter(self._ends))]
        self.boot, self.offset = record.boot, 0
        cause = record.boot_cause if record.boot_cause in link_pb2.BootCause.values() else 0
        start = BootStarted(record.boot, record.at_ms, link_pb2.BootCause.ValueType(cause), lost_boots, lost_bytes)
        return [*news, start]


def _damage(record: link_pb2.LogRecord) -> Damage | None:
    framing_errors, parity_errors, breaks = record.framing_errors, record.parity_errors, record.breaks
    return Damage(framing_errors, parity_errors, breaks) if framing_errors or parity_errors or breaks else None


def _gap_reason(reason: link_pb2.GapReason.ValueType) -> str:
    """Return the name of a reason; a later version may have others."""
    known = reason in link_pb2.GapReason.values()
    return link_pb2.GapReason.Name(reason if known else link_pb2.GAP_REASON_UNSPECIFIED)


class EventReceiver:
    """Takes events from a sequence number on."""

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence

    def take(self, event: link_pb2.Event) -> list[LinkEvent] | None:
        """Return the event if it is the next; None when events before it are missing."""
        if event.sequence < self.sequence:
            return []
        lost = event.sequence - self.sequence
        if lost > event.lost_before:
            return None
        self.sequence = event.sequence + 1
        return [EventReceived(event, lost)]
