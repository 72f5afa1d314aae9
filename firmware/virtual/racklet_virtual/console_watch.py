"""What the console of a Linux node tells of its state. Pure."""

from __future__ import annotations

from enum import Enum


class Sign(Enum):
    """What was seen."""

    KERNEL = "kernel"
    INIT = "init"
    LOGIN = "login"
    PANIC = "panic"


class ConsoleWatch:
    """Looks for signs in a stream, in chunks of any size."""

    def __init__(self, node_name: str) -> None:
        self._signs = {
            Sign.KERNEL: b"Booting Linux on physical CPU",
            Sign.INIT: b" as init process",
            Sign.LOGIN: node_name.encode() + b" login: ",
            Sign.PANIC: b"Kernel panic - not syncing",
        }
        self._kept = max(map(len, self._signs.values())) - 1
        self._tail = b""

    def feed(self, data: bytes) -> list[Sign]:
        """Take what comes next; return the signs that it completes, in their order."""
        text = self._tail + data
        found: list[tuple[int, Sign]] = []
        for sign, words in self._signs.items():
            end = 0
            while (start := text.find(words, end)) >= 0:
                end = start + len(words)
                if end > len(self._tail):  # else it was told before
                    found.append((end, sign))
        self._tail = text[-self._kept :]
        return [sign for _, sign in sorted(found, key=lambda each: each[0])]
