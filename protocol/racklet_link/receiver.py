"""The receiving side of what a HAT sends reliably: each log byte and each event once, in order, losses told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from racklet.link.v1 import link_pb2
from racklet_link.events import BootStarted, Damage, EventReceived, LogData, LogGap

if TYPE_CHECKING:
    from racklet_link.events import LinkEvent

BOOTS_REMEMBERED = 8192  # more starts than a HAT's ring can hold unacknowledged
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


class LogReceiver:
    """Takes log records at (boot, offset) and passes on what continues there."""

    def __init__(self, boot: int, offset: int) -> None:
        self.boot = boot
        self.offset = offset
        self._first_boot = boot
        self._ends: dict[int, int] = {}  # how many bytes the newest BOOTS_REMEMBERED boots had

    def take(self, record: link_pb2.LogRecord) -> list[LinkEvent] | None:
        """Return what is new in `record`; None when records before it are missing."""
        if record.boot_cause:
            return self._take_start(record)
        if (record.boot, record.offset) > (self.boot, self.offset):
            return None
        if record.boot < self.boot:
            return []
        known = self.offset - record.offset
        if record.lost_bytes > known:
            lost = record.lost_bytes - known
            gap = LogGap(self.boot, self.offset, record.at_ms, lost, _gap_reason(record.gap_reason))
            self.offset += lost
            return [gap]
        if len(record.data) > known:
            damage = None if known else _damage(record)
            data = LogData(self.boot, self.offset, record.at_ms, record.data[known:], damage)
            self.offset += len(data.data)
            return [data]
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
    damage = Damage(record.framing_errors, record.parity_errors, record.breaks)
    return damage if any(damage) else None


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
