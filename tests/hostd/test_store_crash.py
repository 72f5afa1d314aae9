"""kill -9: no byte that was reported durable is lost, no counter goes back."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from racklet_hostd.store import GapPiece, NodeStore
from tests.conftest import ROOT
from tests.hostd.store_rig import HAT, SESSION, data_of, opened, read_all

WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
from tests.hostd.store_rig import HAT, SESSION, LIMITS, fill
from racklet_hostd.store import BootCause, Store

# Small segments, so that there is always something to compress; the index is brought up to date now and then.
limits = replace(LIMITS, segment_bytes=4000, plain_bytes=1000, journal_bytes=9000, log_days=int(sys.argv[2]))
store = Store.open(Path(sys.argv[1]), limits)
now_ms = 1000
node = store.node("node-1")
stored = node.attach(SESSION, HAT, boot_continues=False)
boot = stored.log_boot or 1
energy_uj = node.energy_uj
while True:
    log = node.begin_boot(boot, 1000, cause=BootCause.SUPPLY_ON, lost_boots=0)
    fill(log, 3000)
    energy_uj = node.add_energy(SESSION, energy_uj + 7)
    event = store.events.append("node-1", 1000, "test", "")
    stored = store.sync().positions["node-1"]
    print(stored.log_boot, stored.log_offset, node.energy_uj, event.sequence, flush=True)
    now_ms += 3_600_000
    problem = store.tend(now_ms)
    assert not problem, problem
    boot += log.end > 20_000
"""


@pytest.mark.parametrize("log_days", [0, 1])
def test_all_that_was_reported_is_there_after_every_kill(tmp_path: Path, log_days: int) -> None:
    for lines in (1, 25, 3, 40, 9):
        boot, offset, energy_uj, sequence = report_of_killed_writer(tmp_path, lines, log_days)
        with opened(tmp_path) as store:
            node = store.node("node-1")
            stored = node.attach(SESSION, HAT, boot_continues=False)
            assert (stored.log_boot, stored.log_offset) >= (boot, offset)
            assert node.energy_uj >= energy_uj
            assert store.events.list(None, None, 1)[0].sequence >= sequence
            check_bytes(node)
            check_files(tmp_path)
    assert list((tmp_path / "logs" / "node-1").glob("*.zst"))
    with opened(tmp_path) as store:
        assert bool(store.node("node-1").totals.retired_boots) is bool(log_days)


def check_bytes(node: NodeStore) -> None:
    """What is kept is as it was written; only the oldest boot may have lost its beginning, to retention."""
    numbers = [boot.number for boot in node.boots(None, 1000)]
    assert numbers == list(range(numbers[0], numbers[-1] - 1, -1))
    for boot in node.boots(None, 1000):
        expected = b"".join(b"%07d " % offset for offset in range(0, boot.end, 8))
        first, *others = read_all(node.boot_log(boot.number))
        if isinstance(first, GapPiece):
            assert (boot.number, first.reason) == (numbers[-1], "retention")
            assert data_of(others) == expected[first.end :]
        else:
            assert data_of([first, *others]) == expected


def check_files(folder: Path) -> None:
    """There is no file that the index does not know, nor one that it does in another form."""
    with closing(sqlite3.connect(folder / "index.sqlite3")) as index:
        rows = index.execute(
            "SELECT boot || '-' || start || '.log' || CASE WHEN frames IS NULL THEN '' ELSE '.zst' END FROM segments"
        )
        known = {str(name) for (name,) in rows}
    assert {path.name for path in (folder / "logs" / "node-1").iterdir()} == known


def report_of_killed_writer(folder: Path, lines: int, log_days: int) -> tuple[int, ...]:
    """Run the writer, kill it in the middle of whatever it does after some lines; return what it reported last."""
    command = [sys.executable, "-c", WRITER, str(folder), str(log_days)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as writer:
        assert writer.stdout is not None
        reports = [writer.stdout.readline() for _ in range(lines)]
        writer.kill()
        reports += writer.stdout
    return tuple(map(int, reports[-1].split()))
