"""The phases of a boot, recognised by the lines that each of them prints."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from racklet_hostd.doctor.lines import Line
from racklet_hostd.doctor.needles import Needles

TIMELINE_LIMIT = 64  # phases of one boot; a node that resets itself for ever goes on in the last


class Phase(StrEnum):
    """Phases in the order they come. UNKNOWN lasts until the first line that tells."""

    UNKNOWN = "unknown"
    ROM = "rom"
    FIRMWARE = "firmware"
    TF_A = "tf-a"
    U_BOOT = "u-boot"
    KERNEL = "kernel"
    INIT = "init"
    LOGIN = "login"
    HALTED = "halted"


RANK = {phase: rank for rank, phase in enumerate(Phase)}

# A newer Raspberry Pi EEPROM puts the seconds since its start before each line.
_SECONDS = rb"(?: {0,3}\d{1,4}\.\d\d )?"
# What each phase prints, at a line's start and anywhere in it (the console is handed over in mid-line at times).
# No sign may end in `$` or look ahead: a line is also looked at before it has ended.
_STARTS = {
    Phase.HALTED: rb"reboot: (?:Power down|System halted)",
    Phase.LOGIN: rb"[\w.-]{1,64} login:|[\w.-]{1,64}@[\w.-]{1,64}:[^ ]{1,80}[#$] ",
    Phase.INIT: rb"\[ {0,2}(?:OK|FAILED|DEPEND) {0,2}\]|INIT: version |Begin: Loading essential|racklet-init:",
    Phase.KERNEL: rb"Starting kernel |Linux version \d|EFI stub: |Uncompressing Linux",
    Phase.U_BOOT: rb"U-Boot \d{4}\.|Hit any key to stop autoboot",
    Phase.TF_A: rb"[DIE]/TC:",
    Phase.FIRMWARE: (
        rb"MESS:\d|Raspberry Pi Bootcode|Read File: |Starting start\w{0,8}\.elf|UEFI firmware \(|BdsDxe: "
        rb"|>>Start (?:PXE|HTTP)|U-Boot [ST]PL \d|loader: "
    ),
    Phase.ROM: (
        rb"(?:" + _SECONDS + rb"(?:RPi: BOOT|BOOTMODE: |Boot mode: |SD HOST: |Read [\w.-]{1,64} bytes |NETWORK: "
        rb"|NET_BOOT: |Firmware: [0-9a-f]{40}|bootrom: ))"
    ),
}
_ANYWHERE = {
    Phase.HALTED: (rb"\] reboot: (?:Power down|System halted)",),
    Phase.INIT: (rb"Run /[\w./-]{1,80} as init process", rb"systemd\[1\]:"),
    Phase.KERNEL: (rb"\[ {0,5}\d{1,7}\.\d{6}\]", rb"Booting Linux on physical CPU"),
    Phase.TF_A: (rb"NOTICE: {1,4}BL(?:1|2|31):", rb"INFO: {1,7}BL(?:1|2|31):"),
}
# What tells that the node was reset: these lead back from the kernel and what comes after it.
_RESETS = {
    Phase.U_BOOT: rb"U-Boot \d{4}\.\d\d\S{0,40} \(",
    Phase.TF_A: rb"NOTICE: {1,4}BL(?:1|2|31): v",
    Phase.FIRMWARE: rb"Raspberry Pi Bootcode|UEFI firmware \(version|U-Boot [ST]PL \d",
    Phase.ROM: rb"(?:" + _SECONDS + rb"(?:RPi: BOOT|Read start\w{0,8}\.elf bytes |bootrom: reset))",
}
# What each sign above cannot do without, one for each way to say it; a test holds them together.
_START_NEEDLES: dict[Phase, tuple[bytes, ...]] = {
    Phase.HALTED: (b"reboot: ",),
    Phase.LOGIN: (b" login:", b"@"),
    Phase.INIT: (
        *(b"OK", b"FAILED", b"DEPEND", b"INIT: version ", b"Begin: Loading essential", b"racklet-init:"),
        *(b" as init process", b"systemd[1]:"),
    ),
    Phase.KERNEL: (
        *(b"Starting kernel ", b"Linux version ", b"EFI stub: ", b"Uncompressing Linux", b"["),
        b"Booting Linux on physical CPU",
    ),
    Phase.U_BOOT: (b"U-Boot ", b"Hit any key to stop autoboot"),
    Phase.TF_A: (b"/TC:", b"NOTICE: ", b"INFO: "),
    Phase.FIRMWARE: (
        *(b"MESS:", b"Raspberry Pi Bootcode", b"Read File: ", b"Starting start", b"UEFI firmware ("),
        *(b"BdsDxe: ", b">>Start ", b"U-Boot ", b"loader: "),
    ),
    Phase.ROM: (
        *(b"RPi: BOOT", b"BOOTMODE: ", b"Boot mode: ", b"SD HOST: ", b"Read ", b"NETWORK: ", b"NET_BOOT: "),
        *(b"Firmware: ", b"bootrom: "),
    ),
}
_RESET_NEEDLES = (
    *(b"U-Boot ", b"NOTICE: ", b"Raspberry Pi Bootcode", b"UEFI firmware (version"),
    *(b"RPi: BOOT", b"Read start", b"bootrom: reset"),
)
_FAREWELL_NEEDLES = (b"ebooting in ", b"eboot: Restarting system")
_KERNEL_AGAIN_NEEDLES = (b"[    0.000000] ", b"Starting kernel ", b"EFI stub: ")
_FAREWELL = re.compile(rb"ebooting in \d{1,6} seconds|eboot: Restarting system")
_KERNEL_AGAIN = re.compile(rb"\[    0\.000000\] (?:Booting Linux|Linux version)|Starting kernel |EFI stub: ")

_Find = Callable[[bytes], re.Match[bytes] | None]


def _finds_from(phase: Phase) -> tuple[tuple[Phase, _Find], ...]:
    """Return what may end `phase`, latest phase first: one line may end one phase and begin another."""
    finds: list[tuple[Phase, _Find]] = []
    for later, start in _STARTS.items():
        if RANK[later] > RANK[phase]:
            finds.append((later, re.compile(start).match))
            finds += [(later, re.compile(sign).search) for sign in _ANYWHERE.get(later, ())]
    if RANK[phase] >= RANK[Phase.KERNEL]:
        finds += [(earlier, re.compile(sign).match) for earlier, sign in _RESETS.items()]
    return tuple(finds)


def _needles_from(phase: Phase, *, going_down: bool) -> Needles:
    later = (needle for each, needles in _START_NEEDLES.items() if RANK[each] > RANK[phase] for needle in needles)
    resets = _RESET_NEEDLES if RANK[phase] >= RANK[Phase.KERNEL] else ()
    reboots = _KERNEL_AGAIN_NEEDLES if going_down else _FAREWELL_NEEDLES
    return Needles((*later, *resets, *reboots))


_FINDS_FROM = {phase: _finds_from(phase) for phase in Phase}
_NEEDLES = {
    (phase, going_down): _needles_from(phase, going_down=going_down) for phase in Phase for going_down in (False, True)
}


@dataclass(frozen=True, slots=True)
class PhaseStart:
    """A phase of a boot.

    Attributes:
        phase: which.
        offset: of the first byte that tells of it.
        start_ms: unix time when that line began to come.
    """

    phase: Phase
    offset: int
    start_ms: int


class Timeline:
    """The phases of one boot, at most TIMELINE_LIMIT.

    They only go forward, for later phases print what looks like earlier ones; but for a reset.
    """

    def __init__(self) -> None:
        self.starts: list[PhaseStart] = []
        self.phase = Phase.UNKNOWN
        self._is_going_down = False

    @property
    def needles(self) -> Needles:
        """Texts one of which is in every line that can change anything here; others need not be seen."""
        return _NEEDLES[self.phase, self._is_going_down]

    def see(self, line: Line) -> None:
        """Take a line, or the beginning of one that has not ended."""
        for phase, find in _FINDS_FROM[self.phase]:
            if match := find(line.data):
                self._enter(phase, line, match.start())
                return
        if self._is_going_down:
            if match := _KERNEL_AGAIN.search(line.data):
                self._enter(Phase.KERNEL, line, match.start())
        elif _FAREWELL.search(line.data):
            self._is_going_down = True

    def _enter(self, phase: Phase, line: Line, position: int) -> None:
        self._is_going_down = phase is Phase.HALTED
        if len(self.starts) < TIMELINE_LIMIT:
            self.phase = phase
            self.starts.append(PhaseStart(phase, line.offset + position, line.at_ms))
