"""What the store does when nobody waits for it: bring the index up to date, keep to the limits, compress.

A closed segment gets no more bytes: another one follows it, or its boot has ended. It is compressed in four steps: its
new file is written and flushed, the index takes it over, readers are sent there, its old file is removed. A crash after
any of them leaves one file that the index knows, and the other goes when the store is opened.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from racklet_hostd.errors import StoreError
from racklet_hostd.store.compression import compressed
from racklet_hostd.store.database import Database
from racklet_hostd.store.journal import Journal
from racklet_hostd.store.model import StoreLimits
from racklet_hostd.store.node_store import NodeStore
from racklet_hostd.store.rows import Segment, SegmentName
from racklet_hostd.store.segments import SegmentFolder, is_disk_full

# At once, so that the next sync need not wait long: here 15 ms, a Raspberry Pi takes about four times as long, and a
# HAT at 1.5 Mbaud has room for 200 ms. It is what 1,000 nodes write in a second.
COMPRESSED_AT_ONCE_BYTES = 1 << 20
COMPRESSED_AT_ONCE_FILES = 8  # each is flushed by itself
JOURNALED_TURNS = 60  # a minute: retention and compression are that late, and a start after a crash does as much again
AGE_PERIOD_MS = 3_600_000  # ages are counted in days
_DAY_MS = 86_400_000


class _Change(NamedTuple):
    node: NodeStore
    boot: int
    before: Segment
    after: Segment

    @property
    def file(self) -> SegmentName:
        """The new file."""
        return SegmentName(self.node.name, self.boot, self.before.start, is_compressed=True)


class Upkeep:
    """Keeps the files of all nodes small. It works between two syncs, never beside one."""

    def __init__(self, database: Database, journal: Journal, files: SegmentFolder, limits: StoreLimits) -> None:
        self._database = database
        self._journal = journal
        self._files = files
        self._limits = limits
        self._next_age_ms = 0
        self._journaled_bytes = 0  # since the index was up to date
        self._journaled_turns = 0
        self._has_closed = True  # perhaps: only what is in the index is closed

    def compress(self, nodes: Iterable[NodeStore]) -> str:
        """Compress some closed segments; return "", or why not all that were tried, for a person."""
        if not self._has_closed:
            return ""
        problem = ""
        changes: list[_Change] = []
        self._has_closed = False
        for node, boot, segment in self._closed(nodes):
            self._has_closed = True
            try:
                after = self._write(node.name, boot, segment)
            except OSError as error:
                problem = str(error)
                if is_disk_full(error):
                    break
                after = None
            if after is None:
                node.leave_plain(boot, segment)
            else:
                changes.append(_Change(node, boot, segment, after))
        failed = self._files.flush() if changes else {}
        sound = [change for change in changes if change.file not in failed]
        return self._take_over(sound) or "; ".join(str(error) for error in failed.values()) or problem

    def note_journaled(self, size: int) -> None:
        """Take note of a sync that put so many bytes into the journal."""
        self._journaled_bytes += size

    def index(self, nodes: Iterable[NodeStore], now_ms: int, *, is_last: bool) -> str:
        """Bring the index up to date when that is due, or for the last time; return "", or what failed, for a person.

        Retention by size and number is done then, and once an hour by age.
        """
        self._journaled_turns += self._journaled_bytes > 0
        is_aging = bool(self._limits.log_days) and now_ms >= self._next_age_ms
        nodes = [node for node in nodes if node.is_unindexed or is_aging]
        if not (is_last or is_aging or self._is_due or any(node.is_over_limits for node in nodes)):
            return self._prepare()
        cutoff_ms = now_ms - self._limits.log_days * _DAY_MS if is_aging else 0
        problem = self._flush()
        try:
            with self._database.transaction():
                retirements = [(node, node.save_index(cutoff_ms)) for node in nodes]
                self._journal.forget()
        except StoreError as error:
            return str(error)
        self._journal.restart()
        for node, retirement in retirements:
            node.commit_index(retirement)
        self._journaled_bytes = self._journaled_turns = 0
        self._has_closed = True
        self._next_age_ms = now_ms + AGE_PERIOD_MS if is_aging else self._next_age_ms
        return problem

    def _prepare(self) -> str:
        try:
            self._journal.prepare()
        except StoreError as error:
            return str(error)
        return ""

    @property
    def _is_due(self) -> bool:
        return self._journaled_bytes > self._limits.journal_bytes or self._journaled_turns >= JOURNALED_TURNS

    def _flush(self) -> str:
        """Flush the files; one that fails gets its bytes once more, since the system may have dropped them."""
        if not self._files.flush():
            return ""
        failed = self._journal.rewrite() | self._files.flush()
        return "; ".join(str(error) for error in failed.values())

    def _closed(self, nodes: Iterable[NodeStore]) -> Iterator[tuple[NodeStore, int, Segment]]:
        files = size = 0
        for node in nodes:
            for boot, segment in node.closed_segments(COMPRESSED_AT_ONCE_FILES - files):
                yield node, boot, segment
                files += 1
                size += segment.size
                if size >= COMPRESSED_AT_ONCE_BYTES:
                    return
            if files == COMPRESSED_AT_ONCE_FILES:
                return

    def _write(self, node: str, boot: int, segment: Segment) -> Segment | None:
        """Write the compressed file; None when the segment is damaged. Raises OSError."""
        name = SegmentName(node, boot, segment.start)
        found = compressed(self._files.read(name, 0, segment.size), segment)
        if found is None:
            return None
        blob, after = found
        self._files.create(name._replace(is_compressed=True), blob)
        return after

    def _take_over(self, changes: list[_Change]) -> str:
        if not changes:
            return ""
        try:
            with self._database.transaction():
                for change in changes:
                    self._database.save_segment(change.node.name, change.boot, change.after)
        except StoreError as error:
            return str(error)
        for change in changes:
            change.node.replace_segment(change.boot, change.before, change.after)
        self._files.remove(SegmentName(change.node.name, change.boot, change.before.start) for change in changes)
        return ""
