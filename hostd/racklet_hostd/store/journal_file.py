"""The journal's file: entries one behind the other, each durable once it is added.

An entry is a head of 32 bytes, little-endian, its rows and its bytes:

    magic     4  A5 'R' 'J' 01
    epoch     8  of the journal
    sequence  8  of the entry; it only grows
    rows      4  their length
    bytes     4  their length
    crc       4  CRC-32 of all of the entry but this

An emptied journal has another epoch and is written from the file's beginning again, over what was there: a flush into
blocks that a file has already costs half of one that adds blocks. The first thing that is no entry of the epoch ends
the journal. The epoch is random, so that no node can print what is taken for an entry. Each begins in a sector of its
own, so that writing one cannot tear the one before.
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from racklet_hostd.errors import StoreError
from racklet_hostd.store.segments import write_at

_MAGIC = b"\xa5RJ\x01"
_HEAD = struct.Struct("<4sQQII")
_CRC = struct.Struct("<I")
_SECTOR_BYTES = 512
# Room is made ahead, so that a flush seldom adds blocks: so much at a time, once the journal holds so much.
PREPARED_BYTES = 4 << 20
_PREPARED_FROM_BYTES = 256 << 10


class JournalEntry(NamedTuple):
    """What a sync put into the journal: its rows as JSON, and its bytes."""

    sequence: int
    rows: str
    blob: bytes


class JournalFile:
    """The file at `path`, which is made if it is not there. Every method raises StoreError when the disk fails."""

    def __init__(self, path: Path, epoch: int) -> None:
        self._path = path
        self._epoch = epoch
        self._end = 0
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._failure(error) from error

    def close(self) -> None:
        """Close it."""
        os.close(self._descriptor)

    def entries(self) -> Iterator[JournalEntry]:
        """Yield what is in it, oldest first, one at a time."""
        position = sequence = 0
        while found := self._entry(position, sequence):
            entry, position = found
            sequence = entry.sequence
            yield entry

    def add(self, entry: JournalEntry) -> None:
        """Add an entry and make it durable. When that fails, the next one takes its place."""
        rows = entry.rows.encode()
        head = _HEAD.pack(_MAGIC, self._epoch, entry.sequence, len(rows), len(entry.blob))
        crc = _CRC.pack(crc32(entry.blob, crc32(rows, crc32(head))))
        whole = b"".join((head, crc, rows, entry.blob))
        try:
            write_at(self._descriptor, self._end, whole)
            os.fdatasync(self._descriptor)
        except OSError as error:
            raise self._failure(error) from error
        self._end = _next_sector(self._end + len(whole))

    def prepare(self) -> None:
        """Make room ahead, if there is little: for between two syncs."""
        try:
            size = os.fstat(self._descriptor).st_size
            if self._end >= _PREPARED_FROM_BYTES and size - self._end < PREPARED_BYTES // 2:
                write_at(self._descriptor, size, bytes(PREPARED_BYTES))
                os.fdatasync(self._descriptor)
        except OSError as error:
            raise self._failure(error) from error

    def restart(self, epoch: int) -> None:
        """Begin anew: what is in the file counts no more."""
        self._epoch = epoch
        self._end = 0

    def _entry(self, position: int, sequence: int) -> tuple[JournalEntry, int] | None:
        """Return the entry at `position`, if it is sound and comes after `sequence`, and where the next one begins."""
        head = self._read(position, _HEAD.size + _CRC.size)
        if len(head) < _HEAD.size + _CRC.size:
            return None
        magic, epoch, number, rows_size, blob_size = _HEAD.unpack_from(head)
        if magic != _MAGIC or epoch != self._epoch or number <= sequence:
            return None
        start = position + len(head)
        body = self._read(start, rows_size + blob_size)
        if len(body) < rows_size + blob_size or head[_HEAD.size :] != _CRC.pack(crc32(body, crc32(head[: _HEAD.size]))):
            return None
        return JournalEntry(number, body[:rows_size].decode(), body[rows_size:]), _next_sector(start + len(body))

    def _read(self, position: int, size: int) -> bytes:
        try:
            left = os.fstat(self._descriptor).st_size - position  # a length that is damaged must not take memory
            return os.pread(self._descriptor, min(size, left), position) if left > 0 else b""
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> StoreError:
        return StoreError(f"{self._path}: {os.strerror(error.errno) if error.errno else error}")


def _next_sector(position: int) -> int:
    return -(-position // _SECTOR_BYTES) * _SECTOR_BYTES
