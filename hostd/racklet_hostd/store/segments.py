"""The files of the boot logs. Nothing else touches their bytes.

`logs/NODE/BOOT-START.log` holds the records of a boot from offset START on. A file only grows. How far it is valid the
index tells: what lies beyond was being written when hostd ended, was never acknowledged, and is cut. One that grows no
more becomes `BOOT-START.log.zst`: the same pieces as in `packing`, in frames that `zstd -d` reads. Which of the two
counts, again the index tells; the other goes.
"""

import errno
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from racklet_hostd.store.rows import SegmentName

# Flushing files side by side lets the filesystem commit its journal once for several of them.
FLUSHES_AT_ONCE = 8


class SegmentWrite(NamedTuple):
    """Records to write into a segment.

    Attributes:
        name: the segment's.
        position: where its valid bytes end.
        seed: of its checksums.
        blob: the records.
        latest_ms: the latest time of its records, these included.
    """

    name: SegmentName
    position: int
    seed: int
    blob: bytes
    latest_ms: int

    @property
    def end(self) -> int:
        """Where its valid bytes end then."""
        return self.position + len(self.blob)


class SegmentFolder:
    """The folder of the segment files. `segment_bytes` is the size from which one is followed by a new one."""

    def __init__(self, folder: Path, segment_bytes: int) -> None:
        self.segment_bytes = segment_bytes
        self._folder = folder
        self._flushers = ThreadPoolExecutor(FLUSHES_AT_ONCE, "flush")
        self._unflushed: set[SegmentName] = set()
        folder.mkdir(mode=0o700, exist_ok=True)
        flush_folder(folder.parent)

    def close(self) -> None:
        """End the threads."""
        self._flushers.shutdown()

    def is_empty(self) -> bool:
        """Whether no node has ever written here."""
        return next(self._folder.iterdir(), None) is None

    def require_free(self, size: int) -> None:
        """Raise OSError when the disk has less than `size` bytes left."""
        status = os.statvfs(self._folder)
        if status.f_bavail * status.f_frsize < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._folder))

    def tidy(self, node: str, sizes: Mapping[SegmentName, int]) -> None:
        """Cut the files of `node` back to `sizes`, and remove those that have none."""
        folder = self._folder / node
        if not folder.exists():
            folder.mkdir(mode=0o700)
            flush_folder(self._folder)
        valid = {_file_name(name): size for name, size in sizes.items()}
        for entry in os.scandir(folder):
            if entry.name not in valid:
                os.unlink(entry.path)  # noqa: PTH108  a scan's entry is a text
            elif entry.stat().st_size > valid[entry.name]:
                os.truncate(entry.path, valid[entry.name])

    def create(self, name: SegmentName, blob: bytes) -> None:
        """Write a whole file, durable after `flush`. Raises OSError; what is left then goes with the next `tidy`."""
        descriptor = os.open(self._path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            write_at(descriptor, 0, blob)
        finally:
            os.close(descriptor)
        self._unflushed.add(name)

    def write(self, writes: Iterable[SegmentWrite]) -> list[OSError | None]:
        """Write; return for each why its bytes are not there, or None. They are durable after `flush`."""
        return [self._write(write) for write in writes]

    def flush(self) -> dict[SegmentName, OSError]:
        """Make durable what was written since the last call; return the files for which that failed."""
        names, self._unflushed = list(self._unflushed), set()
        results = zip(names, self._flushers.map(self._flush, names), strict=True)
        failed = {name: error for name, error in results if error is not None}
        for node in {name.node for name in names}:
            flush_folder(self._folder / node)
        return failed

    def read(self, name: SegmentName, position: int, size: int) -> bytes:
        """Return the bytes from `position` to `size`; fewer when the file has lost its end, b"" when it is gone."""
        try:
            descriptor = os.open(self._path(name), os.O_RDONLY)
            try:
                return os.pread(descriptor, size - position, position)
            finally:
                os.close(descriptor)
        except OSError:
            return b""  # the reader says "damaged", whatever the disk has to say

    def remove(self, names: Iterable[SegmentName]) -> None:
        """Remove files. One that stays for any reason goes with the next `tidy`."""
        for name in names:
            try:
                os.unlink(self._path(name))  # noqa: PTH108  as `_path` says
            except OSError:
                continue

    def _path(self, name: SegmentName) -> str:
        return f"{self._folder}/{name.node}/{_file_name(name)}"  # a Path would cost more than to write the file

    def _write(self, write: SegmentWrite) -> OSError | None:
        try:
            descriptor = os.open(self._path(write.name), os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                write_at(descriptor, write.position, write.blob)
            finally:
                os.close(descriptor)
        except OSError as error:
            return error
        self._unflushed.add(write.name)
        return None

    def _flush(self, name: SegmentName) -> OSError | None:
        try:
            descriptor = os.open(self._path(name), os.O_WRONLY)
            try:
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            return error
        return None


def is_disk_full(error: OSError) -> bool:
    """Whether the disk, the quota or the allowed file size is used up."""
    return error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def _file_name(name: SegmentName) -> str:
    return f"{name.boot}-{name.start}.log{'.zst' if name.is_compressed else ''}"


def write_at(descriptor: int, position: int, blob: bytes) -> None:
    """Write `blob` at `position`. A failure leaves nothing that takes up space."""
    end, rest = position, memoryview(blob)
    try:
        while rest:
            written = os.pwrite(descriptor, rest, end)
            rest = rest[written:]
            end += written
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, position)
        raise


def flush_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
