"""The index of the state folder. Only this module knows SQLite.

One connection writes, in the thread that syncs; another reads, so that no reader waits for the disk.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import astuple
from pathlib import Path
from typing import Any

from racklet_hostd.errors import StoreError
from racklet_hostd.store.journal_file import JournalEntry
from racklet_hostd.store.model import BootCause, Event, NodeTotals
from racklet_hostd.store.rows import BootRow, EventRow, NodeRow, Segment, SegmentName, SessionRow
from racklet_hostd.store.schema import SCHEMA_VERSION, VERSIONS
from racklet_link.events import StoredPositions

APPLICATION_ID = 0x7261636B  # "rack", for file(1)
MAX_INTEGER = (1 << 63) - 1
SESSIONS_KEPT = 16  # of a node: HATs that may come back to its slot without having restarted
HATS_KEPT = 1024  # of the rack: more than it has slots
BUSY_TIMEOUT_S = 5.0  # somebody looks into the file with another program
WAL_KEPT_BYTES = 8 << 20

_BOOT = "number, start_ms, last_byte_ms, end, lost_bytes, from_supply_on, dropped"
_EVENT = "sequence, node, at_ms, kind, message, lost_before, about, first_index, samples"
_SESSION = "hat_id, log_boot, log_offset, event_sequence, boot, energy_uj, charge_uc"


class Database:
    """The tables, as rows go in and come out.

    Every method raises StoreError when SQLite cannot do it. Methods that save or forget work inside a transaction.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writing = threading.Lock()
        with self._translated():
            self._writer = _connect(path)
            try:
                self._prepare()
                self._reader = _connect(path)
            except (sqlite3.Error, StoreError):
                self._writer.close()
                raise

    def close(self) -> None:
        """Close both connections."""
        self._reader.close()
        self._writer.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is saved inside, durably and as a whole, or nothing of it."""
        with self._writing, self._translated():
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._writer.execute("COMMIT")
            finally:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")

    def save_node(self, node: NodeRow) -> None:
        """Add or replace a node."""
        self._save("nodes", (node.name, node.next_boot, *node.totals))

    def save_boot(self, node: str, boot: BootRow) -> None:
        """Add or replace a boot."""
        self._save("boots", (node, *boot))

    def save_segment(self, node: str, boot: int, segment: Segment) -> None:
        """Add or replace a segment of a boot."""
        self._save("segments", (node, boot, *segment.row()))

    def save_session(self, node: str, row: SessionRow) -> None:
        """Add or replace a session as the one used last; forget the oldest."""
        (used,) = self._writer.execute("SELECT coalesce(max(used), 0) FROM sessions WHERE node = ?", (node,)).fetchone()
        head = (node, row.session, used + 1, row.hat_id)
        self._save("sessions", (*head, *astuple(row.positions), row.boot, row.energy_uj, row.charge_uc))
        self._writer.execute(
            "DELETE FROM sessions WHERE node = ?1 AND used <="
            " (SELECT used FROM sessions WHERE node = ?1 ORDER BY used DESC LIMIT 1 OFFSET ?2)",
            (node, SESSIONS_KEPT),
        )

    def save_event(self, row: EventRow) -> None:
        """Add an event."""
        *event, about, first_index, samples = astuple(row.event)
        self._save("events", (*event, row.hat_session, row.hat_sequence, about, first_index, samples))

    def save_journal(self, entry: JournalEntry) -> None:
        """Add to the journal."""
        self._save("journal", entry)

    def forget_journal(self) -> None:
        """Empty the journal."""
        self._writer.execute("DELETE FROM journal")

    def journal(self) -> Iterator[JournalEntry]:
        """Yield what is in the journal, oldest first, one at a time."""
        with self._translated():
            rows = self._reader.execute("SELECT sequence, rows, bytes FROM journal ORDER BY sequence")
            yield from map(JournalEntry._make, rows)

    def save_counter(self, name: str, value: int) -> None:
        """Set one of the rack's counters."""
        self._save("counters", (name, value))

    def save_energy_mark(self, node: str, boot: int, offset: int, energy_uj: int) -> None:
        """Add a mark, unless the boot has one at that offset."""
        self._writer.execute(
            "INSERT OR IGNORE INTO energy_marks VALUES (?, ?, ?, ?)", (node, boot, offset, min(energy_uj, MAX_INTEGER))
        )

    def forget_energy_marks(self, node: str) -> None:
        """Remove the marks of a node's boots that are older than all that are kept."""
        self._writer.execute(
            "DELETE FROM energy_marks WHERE node = ?1 AND boot < (SELECT min(number) FROM boots WHERE node = ?1)",
            (node,),
        )

    def forget_events(self, count: int) -> None:
        """Remove the oldest events."""
        self._writer.execute(
            "DELETE FROM events WHERE sequence IN (SELECT sequence FROM events ORDER BY sequence LIMIT ?)", (count,)
        )

    def forget_boot(self, node: str, number: int) -> None:
        """Remove a boot; its segments go one by one."""
        self._writer.execute("DELETE FROM boots WHERE node = ? AND number = ?", (node, number))

    def forget_segment(self, node: str, boot: int, start: int) -> None:
        """Remove a segment."""
        self._writer.execute("DELETE FROM segments WHERE node = ? AND boot = ? AND start = ?", (node, boot, start))

    def oldest_boot(self, node: str) -> tuple[int, int, list[Segment]] | None:
        """Return the oldest boot's number, its last byte's time and its segments, as the transaction sees them."""
        query = "SELECT number, last_byte_ms FROM boots WHERE node = ? ORDER BY number LIMIT 1"
        for number, last_byte_ms in self._writer.execute(query, (node,)).fetchall():
            return number, last_byte_ms, _segments(self._writer, node, number)
        return None

    def node(self, name: str) -> NodeRow | None:
        """Return a node."""
        rows = self._rows("SELECT * FROM nodes WHERE name = ?", name)
        return NodeRow(name, rows[0][1], NodeTotals(*rows[0][2:])) if rows else None

    def session(self, node: str, session: int) -> SessionRow | None:
        """Return a HAT session of a node."""
        rows = self._rows(f"SELECT {_SESSION} FROM sessions WHERE node = ? AND session = ?", node, session)  # noqa: S608
        for hat_id, log_boot, log_offset, event_sequence, *rest in rows:
            return SessionRow(session, hat_id, StoredPositions(log_boot, log_offset, event_sequence), *rest)
        return None

    def newest_session(self, node: str, hat_id: bytes) -> SessionRow | None:
        """Return the session of a HAT that was used last at a node."""
        query = "SELECT session FROM sessions WHERE node = ? AND hat_id = ? ORDER BY used DESC LIMIT 1"
        rows = self._rows(query, node, hat_id)
        return self.session(node, rows[0][0]) if rows else None

    def save_hat(self, hat_id: bytes, node: str) -> None:
        """Set where a HAT was seen last; forget those that were not seen for the longest time."""
        self._save("hats", (hat_id, node))
        newest = "SELECT rowid FROM hats ORDER BY rowid DESC LIMIT ?"
        self._writer.execute(f"DELETE FROM hats WHERE rowid NOT IN ({newest})", (HATS_KEPT,))  # noqa: S608

    def hats(self) -> dict[bytes, str]:
        """Return where each HAT was seen last; those seen last come last."""
        return dict(self._rows("SELECT hat_id, node FROM hats ORDER BY rowid"))

    def adoptions(self) -> list[tuple[bytes, str, bytes, int, str]]:
        """Return id, node, key, time and author of every adoption."""
        return self._rows("SELECT hat_id, node, key, at_ms, who FROM adoptions")

    def save_adoption(self, row: tuple[bytes, str, bytes, int, str]) -> None:
        """Add or replace the adoption of a HAT."""
        self._save("adoptions", row)

    def forget_adoption(self, hat_id: bytes) -> None:
        """Remove the adoption of a HAT."""
        self._writer.execute("DELETE FROM adoptions WHERE hat_id = ?", (hat_id,))

    def boots(self, node: str, before: int, limit: int) -> list[BootRow]:
        """Return at most `limit` boots with numbers below `before`, newest first."""
        query = f"SELECT {_BOOT} FROM boots WHERE node = ? AND number < ? ORDER BY number DESC LIMIT ?"  # noqa: S608
        rows = self._rows(query, node, min(before, MAX_INTEGER), limit)
        return [
            BootRow(number, start_ms, last_byte_ms, end, lost_bytes, BootCause(cause), dropped)
            for number, start_ms, last_byte_ms, end, lost_bytes, cause, dropped in rows
        ]

    def energy_marks(self, node: str, boot: int) -> list[tuple[int, int]]:
        """Return the offsets of a boot that have marks, and the energy at each."""
        return self._rows("SELECT offset, energy_uj FROM energy_marks WHERE node = ? AND boot = ?", node, boot)

    def segments(self, node: str, boot: int) -> list[Segment]:
        """Return the segments of a boot, by offset."""
        with self._translated():
            return _segments(self._reader, node, boot)

    def segment_files(self, node: str) -> dict[SegmentName, int]:
        """Return the size of every segment file of a node."""
        rows = self._rows("SELECT boot, start, frames IS NOT NULL, size FROM segments WHERE node = ?", node)
        return {SegmentName(node, boot, start, bool(compressed)): size for boot, start, compressed, size in rows}

    def boot_at(self, node: str, unix_ms: int) -> int | None:
        """Return the number of the newest boot that began by then."""
        query = "SELECT max(number) FROM boots WHERE node = ? AND start_ms <= ?"
        found: int | None = self._rows(query, node, unix_ms)[0][0]
        return found

    def oldest_number(self, node: str) -> int | None:
        """Return the number of the oldest boot."""
        found: int | None = self._rows("SELECT min(number) FROM boots WHERE node = ?", node)[0][0]
        return found

    def boot_count(self, node: str) -> int:
        """Return the number of boots that are kept of a node."""
        return int(self._rows("SELECT count(*) FROM boots WHERE node = ?", node)[0][0])

    def event_count(self) -> int:
        """Return the number of events that are kept."""
        return int(self._rows("SELECT count(*) FROM events")[0][0])

    def counter(self, name: str) -> int:
        """Return one of the rack's counters; 0 when it was never set."""
        return int(self._rows("SELECT coalesce(max(value), 0) FROM counters WHERE name = ?", name)[0][0])

    def hat_event(self, node: str, hat_session: int, hat_sequence: int) -> Event | None:
        """Return the event that has this place at its HAT."""
        where = "WHERE node = ? AND hat_session = ? AND hat_sequence = ?"
        return next(self._events(where, node, hat_session, hat_sequence), None)

    def events_before(self, node: str | None, before: int, limit: int) -> Iterator[Event]:
        """Return at most `limit` events below sequence `before`, newest first."""
        return self._node_events(node, "sequence < ? ORDER BY sequence DESC LIMIT ?", min(before, MAX_INTEGER), limit)

    def events_since(self, node: str | None, sequence: int, limit: int) -> Iterator[Event]:
        """Return at most `limit` events from `sequence` on, oldest first."""
        return self._node_events(node, "sequence >= ? ORDER BY sequence LIMIT ?", min(sequence, MAX_INTEGER), limit)

    def _node_events(self, node: str | None, condition: str, *values: int) -> Iterator[Event]:
        if node is None:
            return self._events(f"WHERE {condition}", *values)
        return self._events(f"WHERE node = ? AND {condition}", node, *values)

    def _events(self, where: str, *values: str | int) -> Iterator[Event]:
        return (Event(*row) for row in self._rows(f"SELECT {_EVENT} FROM events {where}", *values))  # noqa: S608

    def _save(self, table: str, row: tuple[str | int | bytes | None, ...]) -> None:
        self._writer.execute(f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608

    def _rows(self, query: str, *values: str | int | bytes) -> list[tuple[Any, ...]]:
        with self._translated():
            return self._reader.execute(query, values).fetchall()

    def _prepare(self) -> None:
        """Bring the tables to this version, one by one; refuse a file of a newer one."""
        (version,) = self._writer.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise StoreError(f"{self._path} was written by a newer racklet-hostd (format {version}); update this one")
        self._writer.execute("PRAGMA journal_mode = WAL")
        for number, way in enumerate(VERSIONS[version:], start=version + 1):
            self._writer.executescript(
                f"BEGIN IMMEDIATE; {way} PRAGMA application_id = {APPLICATION_ID};"
                f"PRAGMA user_version = {number}; COMMIT;"
            )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}") from error


def _connect(path: Path) -> sqlite3.Connection:
    with suppress(OSError):  # SQLite will say it better
        path.touch(mode=0o600)
        path.chmod(0o600)  # it holds the keys of HATs; what SQLite lays beside it is as private
    connection = sqlite3.connect(path, BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_KEPT_BYTES}")
    return connection


def _segments(connection: sqlite3.Connection, node: str, boot: int) -> list[Segment]:
    query = "SELECT start, end, size, seed, latest_ms, frames FROM segments WHERE node = ? AND boot = ? ORDER BY start"
    return [Segment.of_row(*row) for row in connection.execute(query, (node, boot))]
