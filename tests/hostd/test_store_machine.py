"""The store against a model: whatever is appended, synced, reopened and torn by a crash, reads back exactly."""

import shutil
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from racklet_hostd.store import BootCause, Store
from racklet_link.events import StoredPositions
from tests.hostd.store_rig import HAT, LIMITS, content, read_all

SIZES = st.integers(1, 700)
WHOLE = 10_000  # of a share
SMALL_SEGMENTS = replace(LIMITS, segment_bytes=1500, plain_bytes=200)


@dataclass
class Model:
    """What the store has to tell."""

    logs: dict[int, list[int | None]] = field(default_factory=dict)
    session: int = 1
    hat_boot: int = 0
    number: int = 0
    base: int = 0
    energy_uj: int = 0
    hat_energy_uj: int = 0
    events: list[int] = field(default_factory=list)

    def copy(self) -> Self:
        """Return the same again."""
        values = {**vars(self), "logs": {number: log[:] for number, log in self.logs.items()}}
        return self.__class__(**values | {"events": self.events[:]})

    @property
    def log(self) -> list[int | None]:
        """The bytes of the boot that runs; None for one that is lost."""
        return self.logs[self.number]

    @property
    def hat_offset(self) -> int:
        """Where the boot that runs stands in the HAT's counting."""
        return len(self.log) - self.base if self.number else 0


class StoreMachine(RuleBasedStateMachine):
    """One node of a store, and what should be in it: now, and after a crash."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.folder = self.root / "0"
        self.runs = 0
        self.model = Model()
        self.counter = 0
        self.newest_event = 0
        self.open()
        self.remember_durable()

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.store.close()
        shutil.rmtree(self.root)

    def open(self) -> None:
        """Open the store, and let the HAT take up its session."""
        self.store = Store.open(self.folder, SMALL_SEGMENTS)
        self.node = self.store.node("node-1")
        self.attach(boot_continues=False)

    def attach(self, *, boot_continues: bool) -> StoredPositions:
        return self.node.attach(self.model.session, HAT, boot_continues=boot_continues)

    def begin(self, cause: BootCause) -> None:
        """Begin the model's boot, if it has one, or find that it has begun."""
        log = self.node.begin_boot(self.model.hat_boot, 1000, cause=cause, lost_boots=0)
        assert log.number == self.model.number
        self.log = log

    def remember_durable(self) -> None:
        """Keep the folder as it is after a complete sync, and the model with it."""
        self.durable = self.model.copy()
        shutil.rmtree(self.root / "durable", ignore_errors=True)
        shutil.copytree(self.folder, self.root / "durable")

    def fresh_bytes(self, size: int) -> bytes:
        """Return bytes that are unlike all before."""
        self.counter += 1
        return (b"<%d>" % self.counter * size)[:size]

    @initialize()
    def first_boot(self) -> None:
        self.boot()

    @rule()
    def boot(self) -> None:
        self.model.hat_boot += 1
        self.model.number = max(self.model.logs, default=0) + 1
        self.model.logs[self.model.number] = []
        self.model.base = 0
        self.begin(BootCause.SUPPLY_ON)

    @rule(boot_continues=st.booleans())
    def restart_hat(self, *, boot_continues: bool) -> None:
        self.model.session += 1
        self.model.hat_energy_uj = 0
        self.attach(boot_continues=boot_continues)
        if boot_continues:
            self.model.number = max(self.model.logs)
            self.model.base = len(self.model.log)
            self.model.hat_boot = 1
            self.begin(BootCause.FOUND_RUNNING)
        else:
            self.model.hat_boot = 0
            self.boot()

    @rule(size=SIZES)
    def append(self, size: int) -> None:
        data = self.fresh_bytes(size)
        self.log.append(self.model.hat_offset, 2000, data)
        self.model.log.extend(data)

    @rule(back=st.integers(0, 2000), size=SIZES)
    def append_with_overlap(self, back: int, size: int) -> None:
        offset = max(0, self.model.hat_offset - back)
        data = self.fresh_bytes(size)
        self.log.append(offset, 2000, data)
        self.model.log.extend(data[self.model.hat_offset - offset :])

    @rule(skipped=st.integers(1, 1000), size=SIZES)
    def append_behind_a_hole(self, skipped: int, size: int) -> None:
        data = self.fresh_bytes(size)
        self.log.append(self.model.hat_offset + skipped, 2000, data)
        self.model.log.extend([None] * skipped)
        self.model.log.extend(data)

    @rule(lost=st.integers(0, 1000))
    def append_gap(self, lost: int) -> None:
        self.log.append_gap(self.model.hat_offset, 2000, lost, "ring_full")
        self.model.log.extend([None] * lost)

    @rule(energy_uj=st.integers(-50, 1000))
    def add_energy(self, energy_uj: int) -> None:
        told = max(0, self.model.hat_energy_uj + energy_uj)
        self.model.energy_uj += max(0, told - self.model.hat_energy_uj)
        self.model.hat_energy_uj = max(self.model.hat_energy_uj, told)
        assert self.node.add_energy(self.model.session, told) == self.model.energy_uj

    @rule()
    def record_event(self) -> None:
        event = self.store.events.append("node-1", 1000, "test", "")
        assert event.sequence > self.newest_event
        self.newest_event = event.sequence
        self.model.events.append(event.sequence)

    @rule(idle_too=st.booleans())
    def sync(self, *, idle_too: bool) -> None:
        self.store.sync(idle_too=idle_too)
        report = self.store.sync()
        assert (report.failures, report.index_problem) == ((), "")
        assert report.positions["node-1"] == StoredPositions(self.model.hat_boot, self.model.hat_offset, 1)
        self.remember_durable()

    @rule()
    def tend(self) -> None:
        """Compress what can be, and find it so after a crash as well."""
        assert self.store.tend(0) == ""
        self.store.sync()
        self.remember_durable()

    @precondition(lambda self: self.durable.number)
    @rule(data=st.data())
    def crash_while_tending(self, data: st.DataObject) -> None:
        """Crash before the index took over the compressed files, written in part, or before the others went."""
        self.store.sync()
        self.runs += 1
        before, crashed = self.root / f"{self.runs}-before", self.root / str(self.runs)
        shutil.copytree(self.folder, before)
        assert self.store.tend(0) == ""
        self.store.close()
        is_taken_over = data.draw(st.booleans(), "the index took over")
        first, second = (self.folder, before) if is_taken_over else (before, self.folder)
        shutil.copytree(first, crashed)
        for path in sorted((second / "logs").rglob("*.log*")):
            there = crashed / path.relative_to(second)
            if not there.exists():
                size = (
                    path.stat().st_size if is_taken_over else data.draw(st.integers(0, path.stat().st_size), "written")
                )
                there.write_bytes(path.read_bytes()[:size])
        self.folder = crashed
        self.open()
        assert not {path.name + ".zst" for path in crashed.rglob("*.log")} & {
            path.name for path in crashed.rglob("*.zst")
        }
        self.begin(cause=BootCause.FOUND_RUNNING)
        self.remember_durable()

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.open()
        self.begin(BootCause.FOUND_RUNNING)
        self.remember_durable()

    @precondition(lambda self: self.durable.number)
    @rule(data=st.data(), is_committed=st.booleans())
    def crash(self, data: st.DataObject, *, is_committed: bool) -> None:
        """Crash in the middle of a sync: its files are written in part, its commit was reached or not."""
        self.store.sync()
        self.runs += 1
        crashed = self.root / str(self.runs)
        shutil.copytree(self.folder, crashed)
        self.store.close()
        if not is_committed:
            for path in crashed.glob("index.sqlite3*"):
                path.unlink()
            for path in (self.root / "durable").glob("index.sqlite3*"):
                shutil.copy(path, crashed)
            self.tear_journal(crashed / "journal", data)
            self.model = self.durable.copy()
        self.tear(crashed, data)
        self.folder = crashed
        self.open()
        assert self.node.positions() == StoredPositions(self.model.hat_boot, self.model.hat_offset, 1)
        assert self.node.energy_uj == self.model.energy_uj
        self.begin(BootCause.FOUND_RUNNING)
        self.remember_durable()

    def tear_journal(self, path: Path, data: st.DataObject) -> None:
        """Leave of the newest entry any part, and in the place of the others what was there before."""
        after = path.read_bytes()
        before = (self.root / "durable" / "journal").read_bytes().ljust(len(after), b"\0")
        changed = [place for place, (old, new) in enumerate(zip(before, after, strict=False)) if old != new]
        # A share, since checksums and the journal's random epoch leave now these bytes as they were, now those.
        share = data.draw(st.integers(0, WHOLE - 1), "share of the journal's bytes that reached the disk")
        count = len(changed) * share // WHOLE
        torn = bytearray(before)
        for place in changed[:count]:
            torn[place] = after[place]
        path.write_bytes(torn)

    def tear(self, crashed: Path, data: st.DataObject) -> None:
        """Leave of what was not flushed any part: that is all that the index has in its journal, if at all."""
        with closing(sqlite3.connect(crashed / "index.sqlite3")) as index:
            rows = index.execute("SELECT boot || '-' || start || '.log', size FROM segments WHERE frames IS NULL")
            flushed = {str(name): int(size) for name, size in rows}
        for path in sorted((crashed / "logs").rglob("*.log")):
            valid = flushed.get(path.name, 0)
            torn = bytearray(path.read_bytes()[valid:])
            del torn[data.draw(st.integers(0, len(torn)), "bytes that reached the disk") :]
            if torn and data.draw(st.booleans(), "the last of them did not"):
                torn[-len(torn) // 2 :] = bytes(len(torn[-len(torn) // 2 :]))
            path.write_bytes(path.read_bytes()[:valid] + torn)

    @rule(data=st.data())
    def read_somewhere(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.model.logs)))
        log = self.model.logs[number]
        offset = data.draw(st.integers(0, len(log) + 5))
        found = self.node.boot_log(number).read(offset, data.draw(st.integers(1, 3000)))
        assert not found or found[0].offset == offset
        assert content(found) == log[offset : offset + len(content(found))]

    @invariant()
    def everything_reads_back(self) -> None:
        boots = self.node.boots(None, 1000)
        assert [boot.number for boot in boots] == sorted(self.model.logs, reverse=True)
        for boot in boots:
            log = self.model.logs[boot.number]
            assert (boot.end, boot.lost_bytes) == (len(log), log.count(None))
            assert content(read_all(self.node.boot_log(boot.number), max_bytes=1000)) == log
        assert [event.sequence for event in self.store.events.since(0, 1000)] == self.model.events


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
