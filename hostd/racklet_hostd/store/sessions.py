"""The sessions of the HATs that hung on one node: how a HAT's counting maps to the node's."""

from dataclasses import dataclass, field

from racklet_hostd.store.boot_log import BootLog
from racklet_hostd.store.rows import SessionRow
from racklet_link.events import StoredPositions

_UNTOLD = -1  # in a row
NOTHING_STORED = StoredPositions(log_boot=0, log_offset=0, event_sequence=1)


@dataclass
class HatSession:
    """One run of a HAT's microcontroller, as far as the node's store has to know it.

    Attributes:
        session: the number the HAT chose.
        hat_id: the HAT's unique id.
        stored: what is durable, in the session's own counting.
        logs: the boot logs by the HAT's boot numbers, from `stored.log_boot` on.
        event_sequence: events below this number are recorded.
        energy_uj: the energy that the HAT told last; None when nothing that it told counts here.
        charge_uc: the charge, likewise.
        is_dirty: there is something that no sync has stored.
        has_energy: there is energy that no sync has stored, which can wait.
        left_at: where the newest log stood, in the HAT's counting, when another session was attached; None while
            this one is.
    """

    session: int
    hat_id: bytes
    stored: StoredPositions = NOTHING_STORED
    logs: dict[int, BootLog] = field(default_factory=dict)
    event_sequence: int = 1
    energy_uj: int | None = None
    charge_uc: int | None = None
    is_dirty: bool = False
    has_energy: bool = False
    left_at: int | None = None

    @classmethod
    def load(cls, row: SessionRow, log: BootLog | None) -> "HatSession":
        """Return a stored session; `log` is the one of its newest boot, if that is still kept."""
        session = cls(row.session, row.hat_id, row.positions, {}, row.positions.event_sequence)
        session.energy_uj, session.charge_uc = _told(row.energy_uj), _told(row.charge_uc)
        if log is not None:
            session.logs[row.positions.log_boot] = log
            session.left_at = row.positions.log_offset
        return session

    @property
    def newest_boot(self) -> int:
        """The HAT's number of its newest boot; 0 before the first."""
        return max(self.logs, default=self.stored.log_boot)

    def resume(self) -> None:
        """Become the attached session: bytes follow at the end of the newest log, whoever wrote there meanwhile."""
        if self.left_at is not None:
            log = self.logs[self.newest_boot]
            log.base = log.end - self.left_at
            self.left_at = None

    def leave(self) -> None:
        """Make room for another session."""
        if self.logs:
            log = self.logs[self.newest_boot]
            self.left_at = log.end - log.base

    def row(self) -> SessionRow:
        """Return the session as it is once all its logs are stored."""
        if not self.logs:
            positions = StoredPositions(self.stored.log_boot, self.stored.log_offset, self.event_sequence)
            return SessionRow(self.session, self.hat_id, positions, 0, *self._counters())
        log = self.logs[self.newest_boot]
        offset = log.end - log.base if self.left_at is None else self.left_at
        positions = StoredPositions(self.newest_boot, offset, self.event_sequence)
        return SessionRow(self.session, self.hat_id, positions, log.number, *self._counters())

    def _counters(self) -> tuple[int, int]:
        energy_uj = _UNTOLD if self.energy_uj is None else self.energy_uj
        return energy_uj, _UNTOLD if self.charge_uc is None else self.charge_uc

    def commit(self, row: SessionRow) -> None:
        """Take in that `row` is durable, and let go of the logs that the HAT will not come back to."""
        self.stored = row.positions
        self.logs = {boot: log for boot, log in self.logs.items() if boot >= row.positions.log_boot}


def _told(value: int) -> int | None:
    return None if value == _UNTOLD else value
