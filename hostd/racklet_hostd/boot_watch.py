"""The boot doctor at work: on a boot log that is stored, and on the one that is growing."""

from racklet_hostd.doctor.diagnosis import Diagnosis, Finding
from racklet_hostd.doctor.signatures import known_signatures
from racklet_hostd.event_log import EventLog
from racklet_hostd.store import BootCause, BootLog, Chunk

CATCH_UP_BYTES = 256 << 10  # of what is stored already, about 20 ms; a boot's beginning and what came last
_READ_BYTES = 64 << 10


class LogDiagnosis:
    """The diagnosis of one boot log, and how far it has read.

    Attributes:
        log: the boot log.
        diagnosis: what it tells up to here.
        skipped_bytes: how many bytes were left out, since there were too many at once.
    """

    def __init__(self, log: BootLog) -> None:
        self.log = log
        self.diagnosis = Diagnosis(
            known_signatures(), log.start_ms, is_from_start=log.cause is not BootCause.FOUND_RUNNING
        )
        self.skipped_bytes = 0
        self._offset = 0
        self._is_broken = False

    def catch_up(self, most_bytes: int) -> None:
        """Read what the log has grown by; when that is more than `most_bytes`, its first and its last part.

        Raises NoSuchBootError when retention took the boot.
        """
        end = self.log.end
        if end - self._offset > most_bytes:
            self._read(self._offset + most_bytes // 2)
            self.skipped_bytes += max(0, end - most_bytes // 2 - self._offset)
            self._offset = max(self._offset, end - most_bytes // 2)
            self._is_broken = True
        self._read(end)

    def follow(self, data: bytes) -> None:
        """Take `data`, which was just appended to the log; what else is new in it is read."""
        if self.log.end - self._offset != len(data) or self._is_broken:
            self.catch_up(CATCH_UP_BYTES)
            return
        self.diagnosis.feed(self._offset, self.log.last_byte_ms, data)
        self._offset = self.log.end

    def _read(self, end: int) -> None:
        while self._offset < end and (pieces := self.log.read(self._offset, _READ_BYTES)):
            for piece in pieces:
                if not isinstance(piece, Chunk):
                    self._is_broken = True
                    continue
                if self._is_broken:
                    self.diagnosis.break_off(piece.at_ms)  # what was lost may have come until now
                    self._is_broken = False
                self.diagnosis.feed(piece.offset, piece.at_ms, piece.data)
            self._offset = pieces[-1].end


class BootWatch:
    """Follows a node's newest boot log; each finding becomes an event.

    Raises ConfigError when the table of signatures is wrong.
    """

    def __init__(self, node: str, events: EventLog) -> None:
        self._node = node
        self._events = events
        self._now: LogDiagnosis | None = None
        known_signatures()

    def take_up(self, log: BootLog | None) -> None:
        """Go on with a log whose findings, so far, are told: what a hostd before this one stored."""
        if log is None or (self._now is not None and self._now.log is log):
            return
        self._now = LogDiagnosis(log)
        self._now.catch_up(CATCH_UP_BYTES)
        self._now.diagnosis.take_news()

    def follow(self, log: BootLog | None, data: bytes) -> None:
        """Take `data`, which was just appended to `log`; b"" when it was something else than bytes."""
        if log is None:
            return
        if self._now is None or self._now.log is not log:
            self._now = LogDiagnosis(log)
        self._now.follow(data)
        self._tell(self._now)

    def listen(self, now_ms: int, since_ms: int) -> None:
        """Take note that the node is on and said nothing until now; it was heard since `since_ms`."""
        if self._now is not None:
            self._now.diagnosis.listen(now_ms, since_ms)
            self._tell(self._now)

    def _tell(self, now: LogDiagnosis) -> None:
        for finding in now.diagnosis.take_news():
            self._events.record(self._node, finding.at_ms, "finding", _sentence(finding, now.log.number))


def _sentence(finding: Finding, boot: int) -> str:
    place = f"{finding.signature} in boot {boot}, phase {finding.phase}, offset {finding.offset}"
    return f"{place}: {finding.meaning} The line: {finding.line}"
