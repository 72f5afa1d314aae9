"""Packs a folder as an initramfs for Linux, uncompressed. The same folder gives the same bytes, whoever packs it."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

_MAGIC = "070701"  # cpio's "newc", the one that Linux reads: a header of hexadecimal fields, the name, the data
_END = "TRAILER!!!"


def pack(folder: Path) -> bytes:
    """Return the archive of everything in `folder`, owned by root and without times."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    entries = [_entry(number, folder / name, name) for number, name in enumerate(names, 1)]
    return b"".join((*entries, _record(0, 0, _END, b"")))


def _entry(number: int, path: Path, name: str) -> bytes:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return _record(number, stat.S_IFLNK | 0o777, name, bytes(path.readlink()))
    if stat.S_ISDIR(mode):
        return _record(number, stat.S_IFDIR | 0o755, name, b"")
    return _record(number, stat.S_IFREG | (0o755 if mode & stat.S_IXUSR else 0o644), name, path.read_bytes())


def _record(number: int, mode: int, name: str, data: bytes) -> bytes:
    """Return one entry. Header with name, and data, are each padded to four bytes."""
    links = 1
    owner = group = modified = device = 0
    fields = (number, mode, owner, group, links, modified, len(data), device, device, device, device, len(name) + 1, 0)
    head = (_MAGIC + "".join(f"{field:08X}" for field in fields) + name).encode() + b"\0"
    return _padded(head) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(pack(Path(sys.argv[1])))
