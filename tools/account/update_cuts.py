"""An update whose power is cut at every write of the flash, in three ways: what runs then, and whether it can go on.

Real are the selector, the updater, both bundles (this checkout's firmware, signed with a key of the moment), and
MicroPython with its littlefs. The flash is modelled: sectors that are erased, pages whose bits are cleared, and a power
cut that leaves a page or sector as it was, half done, or with some bits changed and others not.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.table import Table

from racklet_bundle.lms_tree import LmsTree
from racklet_virtual.firmware_process import find_micropython
from tools.account.verdict import print_verdict
from tools.firmware_build import COMPUTER, ROOT, build, signed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

WAYS: Final = ("not done", "half done", "garbled")
_DRIVER = Path(__file__).parent / "micropython" / "update_cuts.py"
_MODULES = ("firmware/virtual/micropython", "firmware", "protocol")
_WANTED_CUTS = 1000
_PROMISES_AFTER = {("1", "confirmed"), ("2", "probation"), ("2", "confirmed")}
_LINE_WORDS = 4


@dataclass(frozen=True)
class Cut:
    """One cut: its write, the way, and what ran then. `slot` is FAILED when nothing did, or no update after that."""

    number: int
    way: str
    slot: str
    version: str
    standing: str


class Cutter:
    """Makes cuts. An update takes `writes`, each of which can be cut in each of WAYS."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        tree = LmsTree(5, 3, secrets.token_bytes(16), secrets.token_bytes(32))
        self._key = tree.public_key
        next_key = LmsTree(5, 3, secrets.token_bytes(16), secrets.token_bytes(32)).public_key
        for leaf, name in enumerate(("old", "new")):
            bundle = build(COMPUTER, version=str(leaf + 1), security_version=leaf)
            if name == "new":  # so that the keys are replaced within the update as well
                bundle = replace(bundle, manifest=replace(bundle.manifest, keys=(self._key, next_key)))
            manifest = bundle.manifest.encode()
            bundle = signed(bundle, tree.identity, tree.sign(leaf, secrets.token_bytes(32), manifest))
            (folder / name).mkdir()
            (folder / name / "stream").write_bytes(bundle.stream)
            sizes = f"{len(manifest)} {len(bundle.signature)} {bundle.manifest.size}"
            (folder / name / "sizes").write_text(sizes)
        self.writes = int(self._run(-1, 1, 0)[0].split()[1])

    def cuts(self, way: int, first: int, step: int) -> list[Cut]:
        """Cut at every `step`th write from `first` on."""
        lines = [line.split(maxsplit=_LINE_WORDS - 1) for line in self._run(first, step, way)[1:]]
        return [Cut(int(line[0]), WAYS[way], *(line[1:] + [""] * 3)[:3]) for line in lines if line[0].isdecimal()]

    def _run(self, first: int, step: int, way: int) -> list[str]:
        folders = [str(self._folder / name) for name in ("old", "new")]
        command = [str(find_micropython()), "-X", "heapsize=16M", str(_DRIVER), *folders]
        path = ":".join([*(str(ROOT / module) for module in _MODULES), ".frozen"])
        done = subprocess.run(  # noqa: S603 - our own command
            [*command, self._key.hex(), str(first), str(step), str(way)],
            env={"MICROPYPATH": path, "PATH": os.environ.get("PATH", os.defpath)},
            capture_output=True,
            text=True,
            check=False,
        )
        if not done.stdout.startswith("writes "):
            raise RuntimeError(done.stdout + done.stderr)
        return done.stdout.splitlines()


def account(console: Console) -> bool:
    """Run it, print it, and tell whether it held."""
    processes = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(processes) as pool:
        cutter = Cutter(Path(folder))
        jobs = [(way, first, processes) for way in range(len(WAYS)) for first in range(processes)]
        cuts = [cut for some in pool.map(lambda job: cutter.cuts(*job), jobs) for cut in some]
    table = Table("the write that was cut", "cuts", "old firmware", "new, on probation", "new", "failed")
    for way in WAYS:
        table.add_row(way, *map(str, _tally([cut for cut in cuts if cut.way == way])))
    console.print(table)
    good = [cut for cut in cuts if (cut.version, cut.standing) in _PROMISES_AFTER]
    wanted = cutter.writes * len(WAYS)
    promises = [
        (f"every write of an update is cut in {len(WAYS)} ways", f"{len(cuts)} cuts", len(cuts) == wanted),
        (f"at least {_WANTED_CUTS} cuts", f"{cutter.writes} pages and sectors written", len(cuts) >= _WANTED_CUTS),
        ("the HAT starts into a slot that verifies", f"{len(good)} times", len(good) == wanted),
        ("and the next update succeeds", f"{len(good)} times", len(good) == wanted),
    ]
    return print_verdict(console, promises)


def _tally(cuts: Sequence[Cut]) -> tuple[int, ...]:
    found = Counter((cut.version, cut.standing) for cut in cuts)
    kinds = [found[kind] for kind in (("1", "confirmed"), ("2", "probation"), ("2", "confirmed"))]
    return (len(cuts), *kinds, len(cuts) - sum(kinds))
