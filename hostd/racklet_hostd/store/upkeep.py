"""What the store does when nobody waits for it: closed segments are compressed, what is too old goes.

A closed segment gets no more bytes: another one follows it, or its boot has ended. It is compressed in four steps: its
new file is written and flushed, the index takes it over, readers are sent there, its old file is removed. A crash after
any of them leaves one file that the index knows, and the other goes when the store is opened.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from racklet_hostd.errors import StoreError
from racklet_hostd.store.compression import compressed
from racklet_hostd.store.database import Database
from racklet_hostd.store.model import StoreLimits
from racklet_hostd.store.node_store import NodeStore
from racklet_hostd.store.rows import Segment, SegmentName
from racklet_hostd.store.segments import SegmentFolder, is_disk_full

# At once, so that the next sync need not wait long: here 50 ms, a Raspberry Pi takes about four times as long. It is
# what 1,000 nodes write in 4 s.
COMPRESSED_AT_ONCE_BYTES = 4 << 20
COMPRESSED_AT_ONCE_FILES = 8  # each is flushed by itself
AGE_PERIOD_MS = 3_600_000  # ages are counted in days
_DAY_MS = 86_400_000


class _Change(NamedTuple):
    node: NodeStore
    boot: int
    before: Segment
    after: Segment


class Upkeep:
    """Keeps the files of all nodes small. It works between two syncs, never beside one."""

    def __init__(self, database: Database, files: SegmentFolder, limits: StoreLimits) -> None:
        self._database = database
        self._files = files
        self._log_days = limits.log_days
        self._next_age_ms = 0

    def compress(self, nodes: Iterable[NodeStore]) -> str:
        """Compress some closed segments; return "", or why not all that were tried, for a person."""
        problem = ""
        changes: list[_Change] = []
        for node, boot, segment in self._closed(nodes):
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
        return self._take_over(changes) or problem

    def retire_old(self, nodes: Iterable[NodeStore], now_ms: int) -> str:
        """Once an hour, throw away what is older than the limit; return "", or why it stays, for a person."""
        if not self._log_days or now_ms < self._next_age_ms:
            return ""
        self._next_age_ms = now_ms + AGE_PERIOD_MS
        cutoff_ms = now_ms - self._log_days * _DAY_MS
        batches = [(node, node.take_older(cutoff_ms)) for node in nodes]
        try:
            with self._database.transaction():
                for node, batch in batches:
                    node.save(batch)
        except StoreError as error:
            return str(error)
        for node, batch in batches:
            node.commit(batch)
        return ""

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
        """Write the compressed file; None when that is of no use. Raises OSError."""
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
