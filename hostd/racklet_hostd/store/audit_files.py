"""The files of the audit log: `audit/FIRST.jsonl`, where FIRST is the sequence of its first entry."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from racklet_hostd.store.audit_chain import FIRST_HASH, BrokenLineError, Sealed

_SEQUENCE_DIGITS = 12  # so that names sort as their numbers


class AuditFiles:
    """The newest of them is open for appending. Every method may raise OSError; then nothing was appended.

    Attributes:
        sequence: of the newest entry; 0 when there is none.
        hash: the newest entry's.
        torn_bytes: what a writer that was killed left of its last line; it was cut at the opening.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sequence = 0
        self.hash = FIRST_HASH
        self.torn_bytes = 0
        folder.mkdir(mode=0o700, exist_ok=True)
        for path in reversed(self.paths()):
            newest = _newest_entry(path)
            if newest is not None:
                self.sequence, self.hash = newest.entry.sequence, newest.hash
                break
        paths = self.paths()
        if paths:
            self.torn_bytes = _cut_torn_line(paths[-1])
        self._open(paths[-1] if paths else self._path(self.sequence + 1))

    @property
    def size(self) -> int:
        """The length of the newest file in bytes."""
        return self._size

    def paths(self) -> list[Path]:
        """Return the files, the oldest first."""
        return sorted(self.folder.glob("*.jsonl"))

    def append(self, sealed: list[Sealed]) -> None:
        """Write entries and wait until the disk has them."""
        data = b"".join(entry.line() for entry in sealed)
        try:
            written = 0
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
            os.fsync(self._descriptor)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(data)
        self.sequence, self.hash = sealed[-1].entry.sequence, sealed[-1].hash

    def begin_file(self) -> None:
        """Go on in a new file."""
        path = self._path(self.sequence + 1)
        descriptor = self._descriptor
        self._open(path)
        os.close(descriptor)

    def last_of(self, path: Path) -> Sealed | None:
        """Return the last good entry of a file."""
        return _newest_entry(path)

    def close(self) -> None:
        """Close the newest file."""
        os.close(self._descriptor)

    def _path(self, sequence: int) -> Path:
        return self.folder / f"{sequence:0{_SEQUENCE_DIGITS}}.jsonl"

    def _open(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._descriptor).st_size
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def lines(path: Path) -> Iterator[bytes]:
    """Yield the whole lines of a file; what is being written has no end yet, and is left out."""
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield line


def _newest_entry(path: Path) -> Sealed | None:
    newest = None
    for line in lines(path):
        with suppress(BrokenLineError):
            newest = Sealed.parse(line)
    return newest


def _cut_torn_line(path: Path) -> int:
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        with path.open("r+b") as file:
            file.truncate(whole)
            os.fsync(file.fileno())
    return len(data) - whole
