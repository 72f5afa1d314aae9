"""What one sync stores of one node."""

from collections.abc import Container
from dataclasses import dataclass, field, replace

from racklet_hostd.store.boot_log import LogBatch
from racklet_hostd.store.database import Database
from racklet_hostd.store.model import NodeTotals, StoreLimits
from racklet_hostd.store.retention import Retirement
from racklet_hostd.store.rows import NodeRow, SessionRow
from racklet_hostd.store.sessions import HatSession


@dataclass
class NodeBatch:
    """What one sync takes from a node, and what it throws away of it.

    Attributes:
        logs: of each boot log that has something new.
        sessions: the HAT sessions that changed, and how they are once this is stored.
        node: the node's counters; its boots and bytes are brought up to date by `save`.
        retirement: what is thrown away, as `save` finds out.
        hats: where HATs that came were seen last.
    """

    logs: list[LogBatch]
    sessions: list[tuple[HatSession, SessionRow]]
    node: NodeRow
    retirement: Retirement
    hats: dict[bytes, str] = field(default_factory=dict)

    def save(self, database: Database, limits: StoreLimits, in_use: Container[int]) -> None:
        """Write into the index, within its transaction, and throw away what is beyond the limits."""
        name = self.node.name
        for batch in self.logs:
            database.save_boot(name, batch.row)
            self.retirement.boots += batch.log.stored is None
            if batch.segment is not None and batch.write is not None:
                database.save_segment(name, batch.row.number, batch.segment)
                self.retirement.size += batch.segment.size - batch.write.position
        for _, row in self.sessions:
            database.save_session(name, row)
        for hat_id, node in self.hats.items():
            database.save_hat(hat_id, node)
        self.retirement.apply(database, name, limits, in_use)
        self.node = replace(self.node, totals=self._totals())
        database.save_node(self.node)

    def _totals(self) -> NodeTotals:
        totals = self.node.totals
        grown = lost = 0
        for batch in self.logs:
            before = batch.log.stored
            grown += batch.row.end - (before.end if before else 0)
            lost += batch.row.lost_bytes - (before.lost_bytes if before else 0)
        return NodeTotals(
            energy_uj=totals.energy_uj,
            boots=totals.boots + sum(batch.log.stored is None for batch in self.logs),
            log_bytes=totals.log_bytes + grown - lost,
            log_lost_bytes=totals.log_lost_bytes + lost,
            retired_boots=totals.retired_boots + len(self.retirement.retired),
            retired_bytes=totals.retired_bytes + self.retirement.log_bytes,
            charge_uc=totals.charge_uc,
        )
