"""The journal: what syncs have stored and the index does not have yet.

To flush every file and to change every row at every sync costs much: with a thousand nodes it would be a thousand
flushes a second. So a sync writes the files without flushing them, and puts the same bytes with the rows that belong to
them into the journal, as one entry: one flush for the whole rack. Between two syncs, now and then, the files are
flushed, the rows go into their tables, and the journal is emptied. After a crash all of its entries are carried out
again; whatever of that was on the disk already stays as it is.

An entry lies in the index's table `journal` when rows of other tables become valid with it, in one transaction, as
events do; else in a file, which costs a third. Its sequence tells where it belongs.
"""

import json
from collections.abc import Iterable, Iterator
from heapq import merge
from operator import attrgetter
from pathlib import Path
from secrets import randbits
from typing import NamedTuple

from racklet_hostd.errors import StoreError
from racklet_hostd.store.database import Database
from racklet_hostd.store.journal_file import JournalEntry, JournalFile
from racklet_hostd.store.model import NodeTotals
from racklet_hostd.store.node_batch import NodeBatch, Unindexed
from racklet_hostd.store.rows import BootRow, NodeRow, Segment, SegmentName, SessionRow
from racklet_hostd.store.segments import SegmentFolder, SegmentWrite, is_disk_full
from racklet_link.events import StoredPositions

_EPOCH = "journal_epoch"
_EPOCH_BITS = 63  # what SQLite stores


class Journal:
    """Both parts of the journal, and the segment files that it speaks of.

    Every method raises StoreError when the disk fails.
    """

    def __init__(self, database: Database, path: Path, files: SegmentFolder) -> None:
        self._database = database
        self._file = JournalFile(path, database.counter(_EPOCH))
        self._files = files
        self._sequence = 0
        self._next_epoch = 0

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def add(self, batches: Iterable[NodeBatch], *, in_index: bool) -> int:
        """Add an entry: to the index, within its transaction, or durably to the file; return its size."""
        self._sequence += 1
        entry = _entry_of(self._sequence, batches)
        if in_index:
            self._database.save_journal(entry)
        else:
            self._file.add(entry)
        return len(entry.rows) + len(entry.blob)

    def prepare(self) -> None:
        """Make room for what comes: for between two syncs."""
        self._file.prepare()

    def forget(self) -> None:
        """Empty the journal, within a transaction of the index; when that is done, `restart`."""
        self._next_epoch = randbits(_EPOCH_BITS)
        self._database.save_counter(_EPOCH, self._next_epoch)
        self._database.forget_journal()

    def restart(self) -> None:
        """Go on with the emptied journal."""
        self._file.restart(self._next_epoch)

    def rewrite(self) -> dict[SegmentName, OSError]:
        """Write its bytes into their files again; return the files that did not take them, and why."""
        failed: dict[SegmentName, OSError] = {}
        for node in self._notes():
            for write in node.writes:
                for error in self._files.write([write]):
                    if error is not None:
                        failed[write.name] = error
        return failed

    def replay(self) -> None:
        """Bring files and index to where the journal is, and empty it.

        What a file does not take is read as damage, but for a full disk: somebody can mend that.

        Raises:
            StoreError: the disk is full, or the index cannot be written.
        """
        for error in self.rewrite().values():
            if is_disk_full(error):
                raise StoreError(f"what was acknowledged last cannot be written into the boot logs: {error}") from error
        self._files.flush()
        with self._database.transaction():
            for node in self._notes():
                node.rows.save(self._database, node.row.name)
                self._database.save_node(node.row)
            self.forget()
        self.restart()

    def _notes(self) -> Iterator["_Note"]:
        """Yield everything in the journal, oldest first."""
        for entry in merge(self._database.journal(), self._file.entries(), key=attrgetter("sequence")):
            yield from _notes_in(entry)


class _Note(NamedTuple):
    """What the journal says of one node at one sync."""

    row: NodeRow
    rows: Unindexed
    writes: list[SegmentWrite]


def _notes_in(entry: JournalEntry) -> Iterator[_Note]:
    at = 0
    for (name, next_boot, totals), logs, sessions in json.loads(entry.rows):
        rows, writes = Unindexed(), []
        for boot, values, position, size in logs:
            segment = None if values is None else Segment(*values)
            rows.add_boot(BootRow(*boot), segment)
            if segment is not None:
                file, blob = SegmentName(name, boot[0], segment.start), entry.blob[at : at + size]
                writes.append(SegmentWrite(file, position, segment.seed, blob, segment.latest_ms))
                at += size
        for session, hat_id, positions, *values in sessions:
            rows.add_session(SessionRow(session, bytes.fromhex(hat_id), StoredPositions(*positions), *values))
        yield _Note(NodeRow(name, next_boot, NodeTotals(*totals)), rows, writes)


def _session_values(row: SessionRow) -> tuple[object, ...]:
    at = row.positions
    place = (at.log_boot, at.log_offset, at.event_sequence)
    return row.session, row.hat_id.hex(), place, row.boot, row.energy_uj, row.charge_uc


def _entry_of(sequence: int, batches: Iterable[NodeBatch]) -> JournalEntry:
    rows: list[object] = []
    blobs: list[bytes] = []
    for batch in batches:
        logs: list[object] = []
        for log in batch.logs:
            if log.segment is None or log.write is None:
                logs.append((log.row, None, 0, 0))
            else:
                logs.append((log.row, log.segment, log.write.position, len(log.write.blob)))
                blobs.append(log.write.blob)
        rows.append((batch.node, logs, [_session_values(row) for _, row in batch.sessions]))
    return JournalEntry(sequence, json.dumps(rows, separators=(",", ":")), b"".join(blobs))
