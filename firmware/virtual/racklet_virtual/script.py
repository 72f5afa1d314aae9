"""What a scripted node plays: steps of text, pauses, phases and states; and the boot texts on disk.

A boot text is a text file. Lines are sent with CR LF, `%NAME%` stands for the node's name, a backslash at a line's end
holds the CR LF back. Lines of these forms are not sent:

    %phase NAME AMPERES     the node enters a phase and draws so much from here on
    %pause MILLISECONDS     nothing is sent for so long

Kernel lines come at the times they are stamped with.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from itertools import pairwise


class NodeState(StrEnum):
    """What a node is doing."""

    OFF = "off"
    BOOTING = "booting"
    IDLE = "idle"
    WORKING = "working"
    STOPPING = "stopping"
    HALTED = "halted"
    HUNG = "hung"
    PANICKED = "panicked"


@dataclass(frozen=True, slots=True)
class Step:
    """After a pause: enter a phase or state, draw another current, send bytes. In this order.

    A step that floods is followed by another one.
    """

    pause_us: int = 0
    data: bytes = b""
    phase: str | None = None
    amperes: float | None = None
    enters: NodeState | None = None
    resets: bool = False
    floods: bool = False


FLAVOURS = ("raspi", "uboot", "uefi")
"""The boot texts that end in a login. There is one more, `refused`: a loader that does not start a changed image."""

_KERNEL_STAMP = re.compile(rb"^\[ *(\d+)\.(\d{6})\] ")
_PHASE = re.compile(rb"%phase ([a-z-]+) (\d+\.?\d*)")
_PAUSE = re.compile(rb"%pause (\d+)")
_MAX_STAMP_PAUSE_US = 2_000_000


class BootTextError(ValueError):
    """A boot text holds a line that starts with % and means nothing."""


def load_boot_text(flavour: str, node_name: str) -> tuple[Step, ...]:
    """Read a boot text and return its steps for a node."""
    file = resources.files("racklet_virtual") / "boot_texts" / f"{flavour}.txt"
    return parse_boot_text(file.read_bytes(), node_name)


def parse_boot_text(text: bytes, node_name: str) -> tuple[Step, ...]:
    """Return the steps of a boot text. Raises BootTextError."""
    steps: list[Step] = []
    stamp_us = 0
    for number, line in enumerate(text.replace(b"%NAME%", node_name.encode()).removesuffix(b"\n").split(b"\n"), 1):
        if line.startswith(b"%"):
            steps.append(_parse_directive(line, number))
            continue
        data = line[:-1] if line.endswith(b"\\") else line + b"\r\n"
        pause_us, stamp_us = _stamp_pause(line, stamp_us)
        steps.append(Step(pause_us=pause_us, data=data))
    return tuple(steps)


def _parse_directive(line: bytes, number: int) -> Step:
    if match := _PHASE.fullmatch(line):
        return Step(phase=match[1].decode("ascii"), amperes=float(match[2]))
    if match := _PAUSE.fullmatch(line):
        return Step(pause_us=int(match[1]) * 1000)
    raise BootTextError(f"line {number}: expected %phase NAME AMPERES or %pause MILLISECONDS")


def _stamp_pause(line: bytes, last_us: int) -> tuple[int, int]:
    match = _KERNEL_STAMP.match(line)
    if match is None:
        return 0, last_us
    stamp_us = int(match[1]) * 1_000_000 + int(match[2])
    return max(0, min(stamp_us - last_us, _MAX_STAMP_PAUSE_US)), stamp_us


def first_part(steps: tuple[Step, ...], phase: str, share: float) -> tuple[Step, ...]:
    """Return the steps up to the given share of a phase; all steps when there is no such phase."""
    starts = [index for index, step in enumerate(steps) if step.phase is not None] + [len(steps)]
    for start, end in pairwise(starts):
        if steps[start].phase == phase:
            return steps[: start + max(1, round((end - start) * share))]
    return steps
