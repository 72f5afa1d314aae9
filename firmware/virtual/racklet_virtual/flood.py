"""Console output that tells of every byte where it belongs, for checkers that look for a lost one. Pure.

A line has 64 bytes and names itself: the start of the node it belongs to (4 hex digits), its number (8), filling.
"""

from __future__ import annotations

import re

LINE_BYTES = 64
_FILLING = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/"
_FILLING_BYTES = LINE_BYTES - len(b"0000 00000000 \r\n")
_HEAD = re.compile(rb"\r\n([0-9a-f]{4}) ([0-9a-f]{8}) ")


def flood_text(start: int, offset: int, count: int) -> bytes:
    """Return the `count` bytes from `offset` on that a node sends after its `start`th start, at most 65535."""
    first, skipped = divmod(offset, LINE_BYTES)
    last = (offset + count + LINE_BYTES - 1) // LINE_BYTES
    return b"".join(_line(start, line) for line in range(first, last))[skipped : skipped + count]


def flood_place(data: bytes) -> tuple[int, int] | None:
    """Return the start and the offset that the first byte of `data` belongs to; None when it names no line."""
    head = _HEAD.search(data)
    if head is None:
        return None
    return int(head[1], 16), int(head[2], 16) * LINE_BYTES - head.start() - len(b"\r\n")


def _line(start: int, line: int) -> bytes:
    turned = line % len(_FILLING)
    filling = (_FILLING[turned:] + _FILLING[:turned])[:_FILLING_BYTES]
    return b"%04x %08x %b\r\n" % (start, line, filling)
