"""The receiving side of what a HAT sends reliably: each log byte and each event once, in order, losses told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from racklet.link.v1 import link_pb2
from racklet_link.events import BootStarted, EventReceived, LogData, LogGap

if TYPE_CHECKING:
    from racklet_link.events import LinkEvent

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
            gap = LogGap(self.boot, self.offset, record.at_ms, lost, link_pb2.GapReason.Name(record.gap_reason))
            self.offset += lost
            return [gap]
        if len(record.data) > known:
            data = LogData(self.boot, self.offset, record.at_ms, record.data[known:])
            self.offset += len(data.data)
            return [data]
        return []

    def skip_to(self, boot: int, offset: int, at_ms: int) -> list[LinkEvent]:
        """Take up at the oldest byte that the HAT still holds; return what that leaves out."""
        skipped: list[LinkEvent] = []
        if boot > self.boot:
            skipped.append(BootStarted(boot, at_ms, from_supply_on=False, lost_boots=boot - self.boot - 1, lost_bytes=0))
            self.boot, self.offset = boot, 0
        if boot == self.boot and offset > self.offset:
            skipped.append(LogGap(boot, self.offset, at_ms, offset - self.offset, "GAP_REASON_NOT_KEPT"))
            self.offset = offset
        return skipped

    def _take_start(self, record: link_pb2.LogRecord) -> list[LinkEvent] | None:
        if record.boot <= self.boot:
            return []
        before = record.boot - 1 - record.lost_boots
        if (before, record.offset) != (self.boot, self.offset):
            return None
        self.boot, self.offset = record.boot, 0
        from_supply_on = record.boot_cause == link_pb2.BOOT_CAUSE_SUPPLY_ON
        return [
            BootStarted(
                record.boot,
                record.at_ms,
                from_supply_on=from_supply_on,
                lost_boots=record.lost_boots,
                lost_bytes=record.lost_bytes,
            )
        ]


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
