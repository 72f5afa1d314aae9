"""The truth about what a node sent: every byte of every boot, on disk, for checkers to compare with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

MAX_BOOTS = 64
MAX_BOOT_BYTES = 4 * 1024 * 1024
_MAX_RESETS = 1024


@dataclass(slots=True)
class SentBoot:
    """What a node sent from one switching on of its supply to the next."""

    number: int
    started_us: int
    path: Path
    sent_bytes: int = 0
    recorded_bytes: int = 0  # less than sent_bytes only beyond MAX_BOOT_BYTES
    resets: list[int] = field(default_factory=list)  # offsets at which the node started again by itself


class SentBoots:
    """The newest `MAX_BOOTS` boots of one node, a file each; older ones are deleted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._boots: list[SentBoot] = []
        self._file: BinaryIO | None = None
        self.count = 0
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def boots(self) -> tuple[SentBoot, ...]:
        """The boots that are kept, oldest first."""
        return tuple(self._boots)

    def begin_boot(self, at_us: int) -> None:
        """Start the record of a new boot."""
        self.close()
        self.count += 1
        path = self._folder / f"boot-{self.count:04}.log"
        self._file = path.open("wb")
        self._boots.append(SentBoot(self.count, at_us, path))
        while len(self._boots) > MAX_BOOTS:
            self._boots.pop(0).path.unlink(missing_ok=True)

    def append(self, data: bytes) -> None:
        """Add bytes that left the node. Bytes before the first boot are not kept."""
        if self._file is None:
            return
        boot = self._boots[-1]
        boot.sent_bytes += len(data)
        boot.recorded_bytes += self._file.write(data[: MAX_BOOT_BYTES - boot.recorded_bytes])

    def mark_reset(self) -> None:
        """Note that the node starts again while its supply stays on."""
        if self._boots and len(self._boots[-1].resets) < _MAX_RESETS:
            self._boots[-1].resets.append(self._boots[-1].sent_bytes)

    def read(self, boot: SentBoot) -> bytes:
        """Return what a kept boot recorded."""
        if self._file is not None:
            self._file.flush()
        return boot.path.read_bytes()

    def close(self) -> None:
        """Flush and close the newest file. Nothing more is recorded until the next boot."""
        if self._file is not None:
            self._file.close()
            self._file = None
