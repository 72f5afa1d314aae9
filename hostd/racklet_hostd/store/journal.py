"""The journal: what syncs have stored and the index does not have yet.

To flush every file and to change every row at every sync costs much: with a thousand nodes it would be a thousand
flushes a second. So a sync writes the files without flushing them, and puts the same bytes with the rows that belong to
them into the index's table `journal`, as one entry: one transaction, one flush for the whole rack. Between two syncs,
now and then, the files are flushed, the rows go into their tables, and the journal is emptied. After a crash all of its
entries are carried out again; whatever of that was on the disk already stays as it is.
"""

import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from racklet_hostd.errors import StoreError
from racklet_hostd.store.database import Database
from racklet_hostd.store.model import NodeTotals
from racklet_hostd.store.node_batch import NodeBatch, Unindexed
from racklet_hostd.store.rows import BootRow, NodeRow, Segment, SegmentName, SessionRow
from racklet_hostd.store.segments import SegmentFolder, SegmentWrite, is_disk_full
from racklet_link.events import StoredPositions


def entry_of(batches: Iterable[NodeBatch]) -> tuple[str, bytes]:
    """Return what a sync puts into the journal: its rows as JSON, and its bytes."""
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
    return json.dumps(rows, separators=(",", ":")), b"".join(blobs)


def rewrite(database: Database, files: SegmentFolder) -> dict[SegmentName, OSError]:
    """Write the bytes in the journal into their files again; return the files that did not take them, and why."""
    failed: dict[SegmentName, OSError] = {}
    for node in _entries(database):
        for write in node.writes:
            for error in files.write([write]):
                if error is not None:
                    failed[write.name] = error
    return failed


def replay(database: Database, files: SegmentFolder) -> None:
    """Bring files and index to where the journal is, and empty it.

    What a file does not take is read as damage, but for a full disk: somebody can mend that.

    Raises:
        StoreError: the disk is full, or the index cannot be written.
    """
    for error in rewrite(database, files).values():
        if is_disk_full(error):
            raise StoreError(f"what was acknowledged last cannot be written into the boot logs: {error}") from error
    files.flush()
    with database.transaction():
        for node in _entries(database):
            node.rows.save(database, node.row.name)
            database.save_node(node.row)
        database.forget_journal()


class _Entry(NamedTuple):
    """What the journal says of one node at one sync."""

    row: NodeRow
    rows: Unindexed
    writes: list[SegmentWrite]


def _entries(database: Database) -> Iterator[_Entry]:
    """Yield everything in the journal, oldest first."""
    for text, blob in database.journal():
        at = 0
        for (name, next_boot, totals), logs, sessions in json.loads(text):
            rows, writes = Unindexed(), []
            for boot, values, position, size in logs:
                segment = None if values is None else Segment(*values)
                rows.add_boot(BootRow(*boot), segment)
                if segment is not None:
                    file = SegmentName(name, boot[0], segment.start)
                    writes.append(SegmentWrite(file, position, segment.seed, blob[at : at + size], segment.latest_ms))
                    at += size
            for session, hat_id, positions, *values in sessions:
                rows.add_session(SessionRow(session, bytes.fromhex(hat_id), StoredPositions(*positions), *values))
            yield _Entry(NodeRow(name, next_boot, NodeTotals(*totals)), rows, writes)


def _session_values(row: SessionRow) -> tuple[object, ...]:
    at = row.positions
    place = (at.log_boot, at.log_offset, at.event_sequence)
    return row.session, row.hat_id.hex(), place, row.boot, row.energy_uj, row.charge_uc
