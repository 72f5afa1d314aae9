"""Prints how much of each pure module its own test file covers, by branches: `python tools/coverage.py`.

The exit code is 1 when a module is covered in part, or has no test file of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent.parent
PARTS = {
    "protocol/racklet_link": "tests/protocol",
    "firmware/racklet_hat": "tests/firmware",
    "firmware/racklet_boot": "tests/update",
}
NOT_COUNTED = {
    "__init__",
    "app",  # runs on MicroPython only: the virtual rack's tests run it
    "board",  # likewise
    "config",  # numbers
    "constant",  # what MicroPython's compiler has
    "events",  # data classes
    "kernels_micropython",  # machine code, held by the conformance tests
    "messages",  # generated
    "self_test",  # drives the board's pins: the virtual rack's tests run it
    "ports",  # for type checkers
    "rings",  # runs on MicroPython only, which knows addresses: the tests of the virtual rack and the chip run it
    "power_monitor",  # what the drivers share: their tests run it
}
# The other interpreter's branch cannot be taken here.
CONFIGURATION = """
[run]
branch = true
[report]
exclude_also = else:  # MicroPython
"""


@dataclass(frozen=True)
class Pair:
    """A module and the one test file that is to cover it."""

    module: Path
    tests: Path


@dataclass(frozen=True)
class Outcome:
    """What a pair came to: the share that is covered, and what is missing or went wrong."""

    pair: Pair
    percent: float
    remark: str


def pairs() -> list[Pair]:
    """Return every pure module with its test file."""
    found = []
    for sources, tests in PARTS.items():
        for module in sorted((ROOT / sources).glob("*.py")):
            has_code = module.stem != "limits" or "racklet_hat" in sources  # the link's limits are numbers
            if module.stem not in NOT_COUNTED and has_code:
                found.append(Pair(module, ROOT / tests / f"test_{module.stem}.py"))
    return found


def measure(pair: Pair, folder: Path) -> Outcome:
    """Run the tests of a pair, and nothing else."""
    if not pair.tests.exists():
        return Outcome(pair, 0.0, f"there is no {pair.tests.relative_to(ROOT)}")
    begin = folder / f"{pair.module.parent.name}-{pair.module.stem}"
    configuration, data, report = begin.with_suffix(".ini"), begin.with_suffix(".data"), begin.with_suffix(".json")
    configuration.write_text(CONFIGURATION)
    coverage = [sys.executable, "-m", "coverage"]
    files = [f"--rcfile={configuration}", f"--data-file={data}"]
    examples = ["-m", "not hypothesis"]  # what only random input reaches is reached by luck
    pytest = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header", *examples, str(pair.tests)]
    run = subprocess.run(  # noqa: S603 - our own command
        [*coverage, "run", *files, f"--include={pair.module}", *pytest],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode != 0:
        return Outcome(pair, 0.0, (run.stdout + run.stderr).strip().splitlines()[-1])
    subprocess.run([*coverage, "json", "-q", *files, "-o", str(report)], cwd=ROOT, check=True)  # noqa: S603 - likewise
    covered = json.loads(report.read_text())["files"][str(pair.module.relative_to(ROOT))]
    lines = [str(line) for line in covered["missing_lines"]]
    branches = [f"{begin}→{end if end > 0 else 'end'}" for begin, end in covered["missing_branches"]]
    return Outcome(pair, covered["summary"]["percent_covered"], ", ".join([*lines, *branches]))


def main() -> int:
    """Print the table; return the exit code."""
    table = Table(title="Branch coverage, each module by its own tests")
    table.add_column("module", no_wrap=True)
    table.add_column("tests", no_wrap=True)
    table.add_column("%", justify="right")
    table.add_column("missing")
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(os.cpu_count()) as runs:
        outcomes = list(runs.map(lambda pair: measure(pair, Path(name)), pairs()))
    for outcome in outcomes:
        style = None if outcome.percent == 100 else "bold"  # noqa: PLR2004 - all of it
        module, tests = outcome.pair.module, outcome.pair.tests
        shown = int(outcome.percent * 10) / 10  # 99.96 is not 100
        row = (f"{module.parent.name}/{module.stem}", tests.name, f"{shown:g}", outcome.remark)
        table.add_row(*row, style=style)
    Console().print(table)
    return int(any(outcome.percent < 100 for outcome in outcomes))  # noqa: PLR2004 - likewise


if __name__ == "__main__":
    sys.exit(main())
