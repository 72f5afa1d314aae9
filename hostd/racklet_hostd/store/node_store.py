"""What is stored of one node."""

from racklet_hostd.store.boot_log import BootLog
from racklet_hostd.store.model import BootSummary, NodeTotals, StoredPositions


class NodeStore:
    """The boots, the HAT sessions and the counters of one node."""

    name: str
    totals: NodeTotals

    @property
    def newest(self) -> BootLog | None:
        """The newest boot."""
        raise NotImplementedError

    @property
    def energy_uj(self) -> int:
        """Energy the node took, as far as it is durable: what may be published, since it never goes back."""
        raise NotImplementedError

    def attach(self, hello_session: int, hat_id: bytes, boot_continues: bool) -> StoredPositions:  # noqa: FBT001
        """Take up a HAT session and return what is durable of it: 0, 0, 1 when it is new."""
        raise NotImplementedError

    def positions(self) -> StoredPositions:
        """Return what is durable of the session that was attached last."""
        raise NotImplementedError

    def begin_boot(self, hat_boot: int, start_ms: int, *, from_supply_on: bool, lost_boots: int) -> BootLog:
        """Return the log of the session's boot `hat_boot`, which begins unless it has begun already."""
        raise NotImplementedError

    def hat_boot_log(self, hat_boot: int) -> BootLog | None:
        """Return the log of the attached session's boot `hat_boot`; None when it was not begun or is long stored."""
        raise NotImplementedError

    def boot_log(self, number: int) -> BootLog:
        """Return the log of boot `number`; raise NoSuchBootError."""
        raise NotImplementedError

    def boots(self, before: int | None, limit: int) -> list[BootSummary]:
        """Return at most `limit` boots with numbers below `before`, newest first."""
        raise NotImplementedError

    def add_energy(self, session: int, energy_uj: int) -> int:
        """Fold in the energy counter of a HAT session; return the node's total, which is durable after the next sync."""
        raise NotImplementedError
