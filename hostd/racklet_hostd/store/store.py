"""The state folder: `index.sqlite3` for lookups, `logs/` for the bytes of boot logs, `audit/` for the audit log.

What a sync stores becomes valid all at once, with one entry in the journal: its rows and bytes stand there, see
`journal`. So a crash at any moment leaves the folder as after some sync that was complete, and perhaps bytes beyond,
which are cut.
"""

from collections.abc import Collection, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Self

from racklet_hostd.clock import SystemClock
from racklet_hostd.errors import StoreError
from racklet_hostd.store.adoptions import Adoptions
from racklet_hostd.store.audit import AuditLog
from racklet_hostd.store.boot_log import LogBatch
from racklet_hostd.store.database import Database
from racklet_hostd.store.energy_marks import EnergyMark, EnergyMarks
from racklet_hostd.store.events import EventBatch, EventStore
from racklet_hostd.store.folder_lock import FolderLock
from racklet_hostd.store.hat_counters import HatPlaces
from racklet_hostd.store.journal import Journal
from racklet_hostd.store.model import LogFailure, StoreLimits, SyncReport
from racklet_hostd.store.node_batch import NodeBatch
from racklet_hostd.store.node_store import NodeStore
from racklet_hostd.store.rows import Segment
from racklet_hostd.store.segments import SegmentFolder, is_disk_full
from racklet_hostd.store.upkeep import Upkeep

_NodeBatches = list[tuple[NodeStore, NodeBatch]]


class Store:
    """Everything that hostd keeps on disk.

    `sync` may run in a thread of its own while everything else goes on in others.

    Attributes:
        events: the events of the rack.
        audit: what was asked of hostd; it writes by itself, not with `sync`.
        adoptions: which HAT belongs to which node; likewise.
        energy_marks: where the nodes' energy counters stood in their boots.
    """

    def __init__(
        self,
        database: Database,
        journal: Journal,
        files: SegmentFolder,
        audit: AuditLog,
        limits: StoreLimits,
        opened: ExitStack,
    ) -> None:
        self.audit = audit
        self.events = EventStore(database, limits.events)
        self.energy_marks = EnergyMarks(database)
        self.adoptions = Adoptions(database)
        self._database = database
        self._journal = journal
        self._files = files
        self._limits = limits
        self._opened = opened
        self._nodes: dict[str, NodeStore] = {}
        self._places = HatPlaces(database)
        self._syncing = Lock()
        self._upkeep = Upkeep(database, journal, files, limits)

    @classmethod
    def open(cls, folder: Path, limits: StoreLimits) -> Self:
        """Open the state folder, and make it if it is not there.

        Raises:
            StoreLockedError: another hostd has it open.
            StoreError: it cannot be written, is damaged, or is of a newer version.
        """
        with ExitStack() as opened:
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                opened.callback(FolderLock(folder).close)
                files = SegmentFolder(folder / "logs", limits.segment_bytes)
                audit = AuditLog(folder / "audit", limits.audit_bytes, SystemClock().unix_ms)
                opened.callback(audit.close)
            except OSError as error:
                raise StoreError(f"the state folder {folder} cannot be used: {error.strerror}") from error
            opened.callback(files.close)
            index = folder / "index.sqlite3"
            if not index.exists() and not files.is_empty():
                raise StoreError(f"{folder} has boot logs but no {index.name}: bring that back, or move logs/ away")
            database = Database(index)
            opened.callback(database.close)
            journal = Journal(database, folder / "journal", files)
            opened.callback(journal.close)
            journal.replay()
            return cls(database, journal, files, audit, limits, opened.pop_all())

    def close(self) -> SyncReport:
        """Sync a last time and let go of the folder."""
        report = self.sync()
        with self._syncing:
            problem = self._upkeep.index(self._nodes.values(), 0, is_last=True)  # else the next run does it
        with suppress(StoreError):  # then the next run leaves some event numbers out
            self.events.close()
        self._opened.close()
        return report if report.index_problem else replace(report, index_problem=problem)

    def node(self, name: str) -> NodeStore:
        """Return what is stored of a node, always the same object. `name` is one that a config may have."""
        if name not in self._nodes:
            self._nodes[name] = NodeStore(name, self._database, self._files, self._limits, self._places)
        return self._nodes[name]

    def sync(self, *, idle_too: bool = True, names: Collection[str] | None = None) -> SyncReport:
        """Make durable what was appended before the call; block until it is.

        A node of which nothing is new but its energy is left out unless `idle_too`: its HAT tells it again. With
        `names` it is about these nodes alone, and those of which there are events.

        Bytes that the disk does not take are dropped and a gap is stored for them; the next sync tries again with the
        bytes that have come since. Nothing is raised: the report tells.
        """
        with self._syncing:
            marks = self.energy_marks.take()
            events = self.events.take()
            sequences = events.hat_sequences()
            marked = {mark.node for mark in marks}  # no mark may be ahead of the counter after a crash
            nodes = self._of(None if names is None else {*names, *sequences, *marked})
            batches = [
                (node, batch)
                for node in nodes
                if (batch := node.take(sequences.get(node.name, {}), idle_too=idle_too or node.name in marked))
            ]
            failures = self._write_logs(batches)
            problem = self._commit(batches, events, marks)
            positions = {node.name: node.positions() for node in nodes if node.is_attached}
            return SyncReport(positions, failures, problem)

    def tend(self, now_ms: int) -> str:
        """Do some of what can wait: the index, retention, compression. To be called between two syncs.

        Returns "", or for a person what did not succeed; what can be tried again will be. `now_ms` is the unix time.
        """
        with self._syncing:
            nodes = list(self._nodes.values())
            return self._upkeep.index(nodes, now_ms, is_last=False) or self._upkeep.compress(nodes)

    def _of(self, names: Collection[str] | None) -> list[NodeStore]:
        """Return the nodes of these names; None for all."""
        if names is None:
            return list(self._nodes.values())
        return [self._nodes[name] for name in names if name in self._nodes]

    def _write_logs(self, batches: _NodeBatches) -> tuple[LogFailure, ...]:
        failures: list[LogFailure] = []
        logs = [(node, log) for node, batch in batches for log in batch.logs if log.write is not None]
        for (node, log), error in zip(logs, self._write([log for _, log in logs]), strict=True):
            if error is not None:
                reason = "disk_full" if is_disk_full(error) else "disk_error"
                lost = node.drop(log, reason)
                failures.append(LogFailure(node.name, log.row.number, lost, reason, str(error)))
            elif log.write is not None:
                write = log.write
                log.segment = Segment(write.name.start, log.row.end, write.end, write.seed, write.latest_ms)
        return tuple(failures)

    def _write(self, logs: Sequence[LogBatch]) -> list[OSError | None]:
        """Return for each why its bytes are not there, or None."""
        wanted = 2 * sum(log.held_bytes for log in logs)  # in the files and in the journal
        try:
            self._files.require_free(wanted + self._limits.free_bytes_kept if logs else 0)
        except OSError as error:
            return [error] * len(logs)
        return self._files.write(log.write for log in logs if log.write is not None)

    def _commit(self, batches: _NodeBatches, events: EventBatch, marks: tuple[EnergyMark, ...]) -> str:
        """Make the batches valid; return "", or why the index did not take them."""
        size = 0
        taken = [batch for _, batch in batches]
        try:
            for batch in taken:
                batch.settle()
            if events or marks or any(batch.hats for batch in taken):
                with self._database.transaction():
                    size = self._journal.add(taken, in_index=True)
                    self._places.save(batch.hats for batch in taken)
                    self.events.save(events)
                    self.energy_marks.save(marks)
            elif taken:
                size = self._journal.add(taken, in_index=False)
        except StoreError as error:
            for node, batch in batches:
                node.put_back(batch)
            self.events.put_back()
            return str(error)
        for node, batch in batches:
            node.commit(batch)
        self.events.commit(events)
        self.energy_marks.commit(marks)
        self._upkeep.note_journaled(size)
        return ""
