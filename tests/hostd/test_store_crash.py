"""kill -9: no byte that was reported durable is lost, no counter goes back."""

import subprocess
import sys
from pathlib import Path

from racklet_hostd.store import NodeStore
from tests.conftest import ROOT
from tests.hostd.store_rig import HAT, SESSION, data_of, opened, read_all

WRITER = """
import sys
from pathlib import Path
from tests.hostd.store_rig import HAT, SESSION, LIMITS, fill
from racklet_hostd.store import BootCause, Store

store = Store.open(Path(sys.argv[1]), LIMITS)
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
    boot += log.end > 20_000
"""


def test_all_that_was_reported_is_there_after_every_kill(tmp_path: Path) -> None:
    for lines in (1, 25, 3, 40, 9):
        boot, offset, energy_uj, sequence = report_of_killed_writer(tmp_path, lines)
        with opened(tmp_path) as store:
            node = store.node("node-1")
            stored = node.attach(SESSION, HAT, boot_continues=False)
            assert (stored.log_boot, stored.log_offset) >= (boot, offset)
            assert node.energy_uj >= energy_uj
            assert store.events.list(None, None, 1)[0].sequence >= sequence
            check_bytes(node)


def check_bytes(node: NodeStore) -> None:
    for boot in node.boots(None, 1000):
        expected = b"".join(b"%07d " % offset for offset in range(0, boot.end, 8))
        assert data_of(read_all(node.boot_log(boot.number))) == expected


def report_of_killed_writer(folder: Path, lines: int) -> tuple[int, ...]:
    """Run the writer, kill it in the middle of whatever it does after some lines; return what it reported last."""
    command = [sys.executable, "-c", WRITER, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as writer:
        assert writer.stdout is not None
        reports = [writer.stdout.readline() for _ in range(lines)]
        writer.kill()
        reports += writer.stdout
    return tuple(map(int, reports[-1].split()))
