"""What one sync stores of one node, and what the index does not have of it yet."""

from dataclasses import dataclass, field

from racklet_hostd.store.boot_log import LogBatch
from racklet_hostd.store.database import Database
from racklet_hostd.store.rows import BootRow, NodeRow, Segment, SessionRow
from racklet_hostd.store.sessions import HatSession


@dataclass
class NodeBatch:
    """What one sync takes from a node.

    Attributes:
        logs: of each boot log that has something new.
        sessions: the HAT sessions that changed, and how they are once this is stored.
        node: the node's counters; its boots and bytes are brought up to date by `settle`.
        hats: where HATs that came were seen last.
        new_boots: how many of the boots are new, as `settle` finds out.
    """

    logs: list[LogBatch]
    sessions: list[tuple[HatSession, SessionRow]]
    node: NodeRow
    hats: dict[bytes, str]
    new_boots: int = 0

    def settle(self) -> None:
        """Count, once it is known what was written."""
        grown = lost = 0
        for batch in self.logs:
            before = batch.log.stored
            self.new_boots += before is None
            grown += batch.row.end - (before.end if before else 0)
            lost += batch.row.lost_bytes - (before.lost_bytes if before else 0)
        totals = self.node.totals
        self.node = self.node._replace(
            totals=totals._replace(
                boots=totals.boots + self.new_boots,
                log_bytes=totals.log_bytes + grown - lost,
                log_lost_bytes=totals.log_lost_bytes + lost,
            )
        )

    @property
    def written_bytes(self) -> int:
        """How much its files have grown."""
        writes = (batch.write for batch in self.logs if batch.segment is not None)
        return sum(len(write.blob) for write in writes if write is not None)


@dataclass
class Unindexed:
    """Rows of one node that are in the journal and not in the index, the newest of each."""

    boots: dict[int, BootRow] = field(default_factory=dict)
    segments: dict[tuple[int, int], Segment] = field(default_factory=dict)
    sessions: dict[int, SessionRow] = field(default_factory=dict)  # the one used last comes last

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.boots or self.sessions)

    def add_boot(self, row: BootRow, segment: Segment | None) -> None:
        """Take in a boot and the segment that was written, if one was."""
        self.boots[row.number] = row
        if segment is not None:
            self.segments[row.number, segment.start] = segment

    def add_session(self, row: SessionRow) -> None:
        """Take in a HAT session as the one used last."""
        self.sessions.pop(row.session, None)
        self.sessions[row.session] = row

    def add(self, batch: NodeBatch) -> None:
        """Take in what a sync stored."""
        for log in batch.logs:
            self.add_boot(log.row, log.segment)
        for _, session in batch.sessions:
            self.add_session(session)

    def save(self, database: Database, node: str) -> None:
        """Write into the index, within its transaction."""
        for boot in self.boots.values():
            database.save_boot(node, boot)
        for (number, _), segment in self.segments.items():
            database.save_segment(node, number, segment)
        for session in self.sessions.values():
            database.save_session(node, session)
