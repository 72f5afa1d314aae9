"""Updates of an emulated chip over the link, each with its power cut at another write of the flash: what starts then.

Unlike in `update-cuts` all of it is the chip's: MicroPython for the RP2040 with its littlefs, through a flash that is
torn in the middle of a page or a sector, and the link. A cut takes some 20 s of the computer, so a sample is taken.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.table import Table

from racklet_bundle.bundle import Bundle  # noqa: TC001 - a data class holds it
from racklet_bundle.lms_tree import LmsTree
from racklet_emulator.chip import Cut
from racklet_emulator.hat import EmulatedHat, OutOfTimeError
from racklet_emulator.parts import find_parts
from racklet_virtual.hardware import HatHardware
from racklet_virtual.node import NodeProfile
from racklet_virtual.record import SentBoots
from tools.account.verdict import print_verdict
from tools.chip_host import ChipHost
from tools.chip_update import Course, bundle_for_chip, flashed_image, update

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from racklet.link.v1 import link_pb2
    from tools.chip_update import PlannedCut

CUTS: Final = 24
_FINISHING: Final = 10  # writes behind the last byte: the state that names the slot, its trial, the confirmation
_SETTLE_MS: Final = 500  # until the HAT has written what it keeps of its adoption, which is no part of the update
_OLD, _NEW = "1", "2"
_RIGHT_AFTER = {(_OLD, False), (_NEW, True), (_NEW, False)}  # firmware, and whether it is on probation


@dataclass(frozen=True)
class Chip:
    """A HAT with the old firmware, and the update that it gets."""

    flash: bytes
    bundle: Bundle

    @classmethod
    def made(cls) -> Chip:
        """Return one with a key of the moment. Raises EmulatorUnavailableError."""
        tree = LmsTree(5, 3, secrets.token_bytes(16), secrets.token_bytes(32))
        old = bundle_for_chip(_OLD, 0, tree, 0)
        return cls(flashed_image(find_parts(), old, tree.public_key), bundle_for_chip(_NEW, 1, tree, 1))

    def update(self, sending: Sequence[PlannedCut] = (), finishing: Sequence[PlannedCut] = ()) -> Course:
        """Update it from the start, with these cuts, and reset it then: the last start is of what was confirmed."""
        with tempfile.TemporaryDirectory() as folder:
            hardware = HatHardware(NodeProfile("node-1"), SentBoots(Path(folder)), seed=1)
            with EmulatedHat(self.flash, hardware) as hat:
                host = ChipHost(hat)
                host.greet()
                host.run_ms(_SETTLE_MS)
                course = update(host, self.bundle, sending, finishing)
                hat.reset()
                course.starts.append(host.greet())
                return course


def account(console: Console) -> bool:
    """Run it, print it, and tell whether it held."""
    chip = Chip.made()
    whole = chip.update()
    console.print(
        f"An update without a cut: {whole.head_ms:,} ms to check the signature, {whole.send_ms / 1000:.1f} s to bring"
        f" {chip.bundle.manifest.size:,} bytes with {whole.sending_operations} writes of the flash,"
        f" {whole.check_ms:,} ms to check all of it."
    )
    ways = list(Cut)
    behind = [(number, ways[number % len(ways)]) for number in range(1, _FINISHING + 1)]
    count = CUTS - len(behind)
    among = [(1 + index * whole.sending_operations // count, ways[index % len(ways)]) for index in range(count)]
    jobs = [([cut], []) for cut in among] + [([], [cut]) for cut in behind]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        courses = list(pool.map(lambda job: _course(chip, *job), jobs))
    table = Table("the write that was cut", "way", "started with then", "and after the update")
    for (sending, finishing), course in zip(jobs, courses, strict=True):
        [(number, way)] = sending or finishing
        where = f"{number} of {whole.sending_operations}" if sending else f"{number} after the last byte"
        table.add_row(where, way.value, _described(course.after_cuts), _described(course.starts))
    console.print(table)
    started = [course for course in courses if course.starts and _standings(course) <= _RIGHT_AFTER]
    ended = [course for course in courses if _is_confirmed(course)]
    promises = [
        ("after a cut the HAT starts into a slot that verifies", f"{len(started)} of {CUTS}", len(started) == CUTS),
        ("and the update succeeds then", f"{len(ended)} of {CUTS}", len(ended) == CUTS),
    ]
    return print_verdict(console, promises)


def _course(chip: Chip, sending: Sequence[PlannedCut], finishing: Sequence[PlannedCut]) -> Course:
    """Return how the update went; one without a start when the HAT was not heard of again."""
    try:
        return chip.update(sending, finishing)
    except OutOfTimeError:
        return Course()


def _standings(course: Course) -> set[tuple[str, bool]]:
    return {(start.firmware, start.on_probation) for start in course.starts}


def _is_confirmed(course: Course) -> bool:
    return bool(course.starts) and course.starts[-1].firmware == _NEW and not course.starts[-1].on_probation


def _described(starts: Sequence[link_pb2.Hello]) -> str:
    if not starts:
        return "nothing"
    start = starts[-1]
    standing = ", on probation" if start.on_probation else ""
    return f"{start.firmware} in slot {'ab'[start.slot - 1]}{standing}"
