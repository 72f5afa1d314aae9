"""How far a node has come in its boot, guessed from its console's last lines."""

import re
from enum import IntEnum


class Stage(IntEnum):
    """Steps of a boot, in the order they come. UNKNOWN is a node that was running before anybody looked."""

    UNKNOWN = 0
    FIRMWARE = 1
    KERNEL = 2
    SERVICES = 3
    READY = 4
    HALTED = 5
    PANIC = 6


_KERNEL_LINE = re.compile(r"\[ *\d+\.\d{6}\]|Starting kernel|Booting Linux")
_BEGUN_KERNEL_LINE = re.compile(r"(\[[ \d.]*)?")  # of which no more has come yet
_SIGNS = (
    (re.compile(r"Kernel panic - not syncing"), Stage.PANIC),
    (re.compile(r"reboot: (Power down|System halted)"), Stage.HALTED),
    (re.compile(r"login: *$|^[^ ]*[$#] *$"), Stage.READY),
    (re.compile(r"^\[ *(OK|FAILED) *\]|systemd\[1\]"), Stage.SERVICES),
    (_KERNEL_LINE, Stage.KERNEL),
    (re.compile(r"^MESS:|^U-Boot |^NOTICE: +BL|^Read start|UEFI"), Stage.FIRMWARE),
)


class StageWatch:
    """The stage of one node, kept up with `see`. Within a boot a stage is never left for an earlier one."""

    def __init__(self) -> None:
        self.stage = Stage.UNKNOWN
        self._boot: str | None = None

    def see(self, boot: str, last_line: str) -> Stage:
        """Return the stage after `last_line` of `boot` (a resource name; empty before the first boot)."""
        if boot != self._boot:
            self.stage = Stage.UNKNOWN if self._boot is None else Stage.FIRMWARE
            self._boot = boot
        self.stage = max(self.stage, self._sign(last_line))
        return self.stage

    def _sign(self, line: str) -> Stage:
        for pattern, stage in _SIGNS:
            if pattern.search(line):
                return stage
        is_after_kernel = self.stage is Stage.KERNEL and not _BEGUN_KERNEL_LINE.fullmatch(line)
        return Stage.SERVICES if is_after_kernel else Stage.UNKNOWN
