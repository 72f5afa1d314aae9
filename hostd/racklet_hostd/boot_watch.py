"""The boot doctor at work: on a boot log that is stored, and on the one that is growing."""

from racklet_hostd.doctor.diagnosis import BATCH_MS, Diagnosis, Finding
from racklet_hostd.doctor.phases import Phase, PhaseStart
from racklet_hostd.doctor.signatures import SignatureTable
from racklet_hostd.event_log import EventLog
from racklet_hostd.phase_energy import PhaseEnergy
from racklet_hostd.store import BEFORE_LOG, BootCause, BootLog, Chunk

CATCH_UP_BYTES = 256 << 10  # of what is stored already, about 20 ms; a boot's beginning and what came last
_READ_BYTES = 64 << 10


class LogDiagnosis:
    """The diagnosis of one boot log, and how far it has read.

    Attributes:
        log: the boot log.
        diagnosis: what it tells up to here.
        skipped_bytes: how many bytes were left out, since there were too many at once.
    """

    def __init__(self, log: BootLog, table: SignatureTable) -> None:
        self.log = log
        self.diagnosis = Diagnosis(table, log.start_ms, is_from_start=log.cause is not BootCause.FOUND_RUNNING)
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
        self.diagnosis.look()

    def follow(self, data: bytes) -> bool:
        """Take `data`, which was just appended to the log; what else is new in it is read.

        Return whether any of it was looked at.
        """
        end = self.log.end
        if end - self._offset != len(data) or self._is_broken:
            self.catch_up(CATCH_UP_BYTES)
            return True
        is_looked_at = self.diagnosis.feed(self._offset, self.log.last_byte_ms, data)
        self._offset = end
        return is_looked_at

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

    What streams is looked at as Diagnosis.feed says, and with each `listen` or `look`.
    """

    def __init__(self, node: str, events: EventLog, table: SignatureTable, energy: PhaseEnergy) -> None:
        self._node = node
        self._events = events
        self._table = table
        self._energy = energy
        self._phases_told = 0
        self._now: LogDiagnosis | None = None

    @property
    def phase(self) -> Phase | None:
        """The phase that the newest boot has reached, as far as it was looked at; None before there is one."""
        return None if self._now is None else self._now.diagnosis.phase

    @property
    def phases(self) -> tuple[int, list[PhaseStart]]:
        """The number of the newest boot and the phases that it went through; 0 before there is one."""
        if self._now is None:
            return 0, []
        return self._now.log.number, list(self._now.diagnosis.phases)

    @property
    def findings(self) -> list[str]:
        """The ids of what was found in the newest boot."""
        return [] if self._now is None else [finding.signature for finding in self._now.diagnosis.findings]

    def take_up(self, log: BootLog | None) -> None:
        """Go on with a log whose findings, so far, are told: what a hostd before this one stored."""
        if log is None or (self._now is not None and self._now.log is log):
            return
        self._now = self._begin(log)
        self._now.catch_up(CATCH_UP_BYTES)
        self._now.diagnosis.take_news()
        self._tell_energy(self._now)

    def follow(self, log: BootLog | None, data: bytes) -> bool:
        """Take `data`, which was just appended to `log`; b"" when it was something else than bytes.

        Like `listen` and `look`, return whether phase or findings have changed.
        """
        if log is None:
            return False
        is_new = self._now is None or self._now.log is not log
        if self._now is None or is_new:
            self._now = self._begin(log)
            self._energy.begin(log.number, BEFORE_LOG, log.start_ms)
        phase = self._now.diagnosis.phase
        return (self._now.follow(data) and self._has_news(self._now, phase)) or is_new

    def listen(self, now_ms: int, since_ms: int) -> bool:
        """Take note that the node is on and said nothing until now; it was heard since `since_ms`."""
        if self._now is None or now_ms - self._now.log.last_byte_ms < BATCH_MS:
            return False
        phase = self._now.diagnosis.phase
        self._now.diagnosis.listen(now_ms, since_ms)
        return self._has_news(self._now, phase)

    def look(self) -> bool:
        """Look at what has streamed until now."""
        if self._now is None:
            return False
        phase = self._now.diagnosis.phase
        self._now.diagnosis.look()
        return self._has_news(self._now, phase)

    def meter(self, at_ms: int, energy_uj: int) -> None:
        """Take the node's energy counter at a unix time."""
        self._energy.sample(at_ms, energy_uj)

    @property
    def newest_energy_uj(self) -> int | None:
        """The node's energy counter as metered last; None before the first time."""
        return self._energy.newest_uj

    def _begin(self, log: BootLog) -> LogDiagnosis:
        self._phases_told = 0
        return LogDiagnosis(log, self._table)

    def _tell_energy(self, now: LogDiagnosis) -> None:
        phases = now.diagnosis.phases
        for start in phases[self._phases_told :]:
            self._energy.begin(now.log.number, start.offset, start.start_ms)
        self._phases_told = len(phases)

    def _has_news(self, now: LogDiagnosis, phase: Phase) -> bool:
        self._tell_energy(now)
        news = now.diagnosis.take_news()
        for finding in news:
            self._events.record(self._node, finding.at_ms, "finding", _sentence(finding, now.log.number))
        return bool(news) or now.diagnosis.phase is not phase


def _sentence(finding: Finding, boot: int) -> str:
    place = f"{finding.signature} in boot {boot}, phase {finding.phase}, offset {finding.offset}"
    return f"{place}: {finding.meaning} The line: {finding.line}"
