"""The state folder: `index.sqlite3` for lookups, `logs/` for the bytes of boot logs, `audit/` for the audit log.

What a sync stores becomes valid all at once, with the commit of the index, after the bytes are on the disk. So a crash
at any moment leaves the folder as after some sync that was complete, and perhaps bytes beyond, which are cut.
"""

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Lock
from typing import Self

from racklet_hostd.clock import SystemClock
from racklet_hostd.errors import StoreError
from racklet_hostd.store.audit import AuditLog
from racklet_hostd.store.boot_log import LogBatch
from racklet_hostd.store.database import Database
from racklet_hostd.store.energy_marks import EnergyMark, EnergyMarks
from racklet_hostd.store.events import EventBatch, EventStore
from racklet_hostd.store.folder_lock import FolderLock
from racklet_hostd.store.hat_counters import HatPlaces
from racklet_hostd.store.model import LogFailure, StoreLimits, SyncReport
from racklet_hostd.store.node_batch import NodeBatch
from racklet_hostd.store.node_store import NodeStore
from racklet_hostd.store.rows import Segment
from racklet_hostd.store.segments import SegmentFolder, is_disk_full

_NodeBatches = list[tuple[NodeStore, NodeBatch]]


class Store:
    """Everything that hostd keeps on disk.

    `sync` may run in a thread of its own while everything else goes on in others.

    Attributes:
        events: the events of the rack.
        audit: what was asked of hostd; it writes by itself, not with `sync`.
        energy_marks: where the nodes' energy counters stood in their boots.
    """

    def __init__(
        self, database: Database, files: SegmentFolder, audit: AuditLog, limits: StoreLimits, opened: ExitStack
    ) -> None:
        self.audit = audit
        self.events = EventStore(database, limits.events)
        self.energy_marks = EnergyMarks(database)
        self._database = database
        self._files = files
        self._limits = limits
        self._opened = opened
        self._nodes: dict[str, NodeStore] = {}
        self._places = HatPlaces(database)
        self._syncing = Lock()

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
            return cls(database, files, audit, limits, opened.pop_all())

    def close(self) -> SyncReport:
        """Sync a last time and let go of the folder."""
        report = self.sync()
        with suppress(StoreError):  # then the next run leaves some event numbers out
            self.events.close()
        self._opened.close()
        return report

    def node(self, name: str) -> NodeStore:
        """Return what is stored of a node, always the same object. `name` is one that a config may have."""
        if name not in self._nodes:
            self._nodes[name] = NodeStore(name, self._database, self._files, self._limits, self._places)
        return self._nodes[name]

    def sync(self) -> SyncReport:
        """Make durable what was appended before the call; block until it is.

        Bytes that the disk does not take are dropped and a gap is stored for them; the next sync tries again with the
        bytes that have come since. Nothing is raised: the report tells.
        """
        with self._syncing:
            marks = self.energy_marks.take()
            events = self.events.take()
            sequences = events.hat_sequences()
            taken = [(node, node.take(sequences.get(name, {}))) for name, node in list(self._nodes.items())]
            batches = [(node, batch) for node, batch in taken if batch is not None]
            failures = self._write_logs(batches)
            problem = self._commit(batches, events, marks)
            positions = {name: node.positions() for name, node in list(self._nodes.items()) if node.is_attached}
            return SyncReport(positions, failures, problem)

    def _write_logs(self, batches: _NodeBatches) -> tuple[LogFailure, ...]:
        failures: list[LogFailure] = []
        logs = [(node, log) for node, batch in batches for log in batch.logs if log.write is not None]
        for (node, log), result in zip(logs, self._write([log for _, log in logs]), strict=True):
            if isinstance(result, OSError):
                reason = "disk_full" if is_disk_full(result) else "disk_error"
                lost = node.drop(log, reason)
                failures.append(LogFailure(node.name, log.row.number, lost, reason, str(result)))
            elif log.write is not None:
                log.segment = Segment(log.write.name.start, log.row.end, result, log.write.seed)
        return tuple(failures)

    def _write(self, logs: Sequence[LogBatch]) -> list[int | OSError]:
        """Return each file's new size, or why its bytes are not on the disk."""
        wanted = sum(log.held_bytes for log in logs)
        try:
            self._files.require_free(wanted + self._limits.free_bytes_kept if logs else 0)
        except OSError as error:
            return [error] * len(logs)
        return self._files.write(log.write for log in logs if log.write is not None)

    def _commit(self, batches: _NodeBatches, events: EventBatch, marks: tuple[EnergyMark, ...]) -> str:
        """Make the batches valid; return "", or why the index did not take them."""
        try:
            with self._database.transaction():
                for node, batch in batches:
                    node.save(batch)
                self.events.save(events)
                self.energy_marks.save(marks)
        except StoreError as error:
            for node, batch in batches:
                node.put_back(batch)
            self.events.put_back()
            return str(error)
        for node, batch in batches:
            node.commit(batch)
        self.events.commit(events)
        self.energy_marks.commit(marks)
        return ""
