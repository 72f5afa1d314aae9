"""The audit log: what was asked of hostd and what came of it, durable and in a chain of hashes."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from racklet_hostd.store.audit_chain import NOTE, ROTATED, AuditEntry, BrokenLineError, ChainCheck, Sealed
from racklet_hostd.store.audit_files import AuditFiles, lines

log = logging.getLogger(__name__)

FILES_KEPT = 8  # each of an eighth of the log's size; the oldest goes as a whole
BACKLOG = 1000  # entries that wait for a disk that does not take them; further ones are lost, and counted
PATIENCE_S = 2.0  # for a disk that hangs; then what was asked is done before it is on the disk
BATCH = 64  # entries in one write: a disk that takes nothing is tried again with no more


class AuditVerdict(NamedTuple):
    """What a look at the whole log came to. `problem` is "" when it is whole."""

    problem: str
    first_sequence: int
    last_sequence: int
    last_hash: str


class AuditLog:
    """Appends in the event loop's thread, writes in one of its own, and reads in any.

    A disk that does not take entries stops nobody: they wait, and `problem` tells; it is "" when all is well.
    `size_limit` in bytes is kept by throwing the oldest file away, which the log tells of.
    """

    def __init__(self, folder: Path, size_limit: int, unix_ms: Callable[[], int]) -> None:
        self.problem = ""
        self._files = AuditFiles(folder)
        self._file_limit = size_limit // FILES_KEPT
        self._unix_ms = unix_ms
        self._lock = Lock()  # guards what follows
        self._pending: deque[AuditEntry] = deque()  # bounded by _append
        self._sequence = self._files.sequence
        self._lost = 0
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="audit")
        self._next_write = self._writer.submit(self._write)  # at most one that has not begun
        if self._files.torn_bytes:
            self.append(NOTE, method="torn", arguments={"cut_bytes": self._files.torn_bytes})

    def append(self, kind: str, **fields: Any) -> int:  # noqa: ANN401  the fields of AuditEntry
        """Append an entry; return its sequence, or 0 when it is lost. It is durable soon."""
        sequence, _ = self._append(kind, fields)
        return sequence

    async def record(self, kind: str, **fields: Any) -> int:  # noqa: ANN401  likewise
        """Append an entry and wait until it is durable, but not for a disk that does not take it, or hangs.

        Cancelling does not undo it.
        """
        sequence, written = self._append(kind, fields)
        try:
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.shield(asyncio.wrap_future(written))
        except TimeoutError:
            log.warning("audit log", extra={"problem": "the disk hangs", "entry": sequence})
        return sequence

    def entries(self, before: int | None, limit: int) -> list[AuditEntry]:
        """Return up to `limit` entries, newest first, older than the sequence `before`. Blocks; raises OSError."""
        found: list[AuditEntry] = []
        for path in reversed(self._files.paths()):
            if before is not None and int(path.stem) >= before:
                continue
            found += reversed([entry for entry in _readable(path) if before is None or entry.sequence < before])
            if len(found) >= limit:
                break
        return found[:limit]

    def verify(self) -> AuditVerdict:
        """Read everything. Blocks, and nothing is written meanwhile; raises OSError."""
        return self._writer.submit(self._verify).result()

    def close(self) -> None:
        """Write what waits, and end."""
        self._writer.submit(self._write).result()
        self._writer.shutdown()
        self._files.close()

    def _append(self, kind: str, fields: Mapping[str, Any]) -> tuple[int, Future[None]]:
        with self._lock:
            sequence = 0
            if len(self._pending) < BACKLOG:
                self._sequence += 1
                sequence = self._sequence
                self._pending.append(AuditEntry(sequence, self._unix_ms(), kind, **fields))
            else:
                self._lost += 1
            if self._next_write.running() or self._next_write.done():
                self._next_write = self._writer.submit(self._write)
            return sequence, self._next_write

    def _write(self) -> None:
        """Write what waits; what the disk does not take waits on."""
        try:
            self._write_pending()
            if self._files.size >= self._file_limit:
                self._rotate()
        except OSError as error:
            problem = f"the audit log cannot be written: {error.strerror}"
            level = logging.DEBUG if self.problem else logging.ERROR
            log.log(level, "audit log", extra={"problem": problem, "waiting": len(self._pending)})
            self.problem = problem
        else:
            self.problem = ""

    def _write_pending(self) -> None:
        while batch := self._waiting():
            previous = self._files.hash
            sealed: list[Sealed] = []
            for entry in batch:
                sealed.append(Sealed.seal(entry, previous))
                previous = sealed[-1].hash
            self._files.append(sealed)
            with self._lock:
                for _ in batch:
                    self._pending.popleft()
                lost, self._lost = self._lost, 0
            if lost:
                self._note("lost", {"entries": lost})

    def _waiting(self) -> list[AuditEntry]:
        with self._lock:
            return list(islice(self._pending, BATCH))

    def _rotate(self) -> None:
        self._files.begin_file()
        for path in self._files.paths()[:-FILES_KEPT]:
            last = self._files.last_of(path)
            about = {"last_sequence": last.entry.sequence, "last_hash": last.hash} if last else {}
            self._note(ROTATED, {"file": path.name, **about})
            self._write_pending()
            path.unlink()

    def _note(self, what: str, arguments: Mapping[str, Any]) -> None:
        with self._lock:
            self._sequence += 1
            self._pending.append(AuditEntry(self._sequence, self._unix_ms(), NOTE, method=what, arguments=arguments))

    def _verify(self) -> AuditVerdict:
        check = ChainCheck()
        for path in self._files.paths():
            for number, line in enumerate(lines(path), 1):
                check.feed(line, f"{path.name}:{number}")
        check.end(self._files.sequence, self._files.hash)
        first = check.first.entry.sequence if check.first else 0
        return AuditVerdict(check.problem, first, self._files.sequence, self._files.hash)


def _readable(path: Path) -> list[AuditEntry]:
    found = []
    try:
        for line in lines(path):
            try:
                found.append(Sealed.parse(line).entry)
            except BrokenLineError:  # `verify` is who tells
                continue
    except FileNotFoundError:  # thrown away in this moment
        return []
    return found
