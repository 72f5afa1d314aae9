"""What it costs to keep boot logs durably: hostd's store against SQLite and against plain writes."""

from __future__ import annotations

import os
import re
import resource
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from unittest.mock import patch

import zstandard

from racklet_hostd.store import BootCause, BootLog, Store, StoreLimits
from tests.bench.measure import interleaved
from tests.bench.report import Report, Row
from tests.conftest import ROOT

TEXTS = ROOT / "firmware" / "virtual" / "racklet_virtual" / "boot_texts"
RECORD_BYTES = 448  # of text that comes in bursts, which a HAT gathers
SECOND_BYTES = 1000
SYNCED_BYTES = 100_000  # of a boot at most between two syncs: more than a HAT holds
MS = 1e3
MB = 1e6


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured. `boot_bytes` is the length of the log of which the size on disk is told."""

    nodes: int
    seconds: int
    rounds: int
    boot_bytes: int


FULL = Size(nodes=1000, seconds=60, rounds=3, boot_bytes=4 << 20)
SMALLEST = Size(nodes=2, seconds=2, rounds=1, boot_bytes=200_000)

Work = Callable[[Path, Size], float]


def run(size: Size) -> Report:
    """Measure all ways in turn."""
    report = Report(
        f"storage: {size.nodes} nodes at {SECOND_BYTES / 1000:g} kB/s, made durable each second",
        [
            "ours: hostd's Store: append, sync, tend. limit: the bare bytes to open files, without any flush.",
            "peer: SQLite, synchronous FULL, a row for each record, a transaction for each second.",
            f"Text of boots in records of {RECORD_BYTES} bytes at most. CPU of this process, system time included.",
            "What flushing adds: limit is the same Store with every flush of files and index left out.",
            "What compressing adds, and size: limit is zstd level 1 over the bare text. Short boots: those texts,",
            f"each in a file of its own. A long boot: them all for {size.boot_bytes:,} bytes, with random digits.",
            f"Medians of {size.rounds} rounds in turns of {size.seconds} s of logs each, as fast as they are taken.",
        ],
    )
    ways: dict[str, Work] = {"store": _store, "sqlite": _sqlite, "bare": _bare, "unflushed": _unflushed}
    with tempfile.TemporaryDirectory(prefix="racklet-bench-", dir=ROOT / ".cache") as name:
        spent = interleaved(size.rounds, {way: _in_folder(work, Path(name), size) for way, work in ways.items()})
        texts = [path.read_bytes() for path in sorted(TEXTS.iterdir())]
        turns = 1 + size.boot_bytes // sum(map(len, texts))
        short = _shrink(Path(name) / "short", texts * turns)
        long = _shrink(Path(name) / "long", [_varied(b"".join(texts), turns)])
    all_bytes = size.nodes * size.seconds * SECOND_BYTES
    cost = {way: cpu_s * MS / (all_bytes / MB) for way, cpu_s in spent.items()}
    unit = "ms of CPU/MB"
    report.sections.append(
        [
            Row("appended and synced", unit, cost["store"], cost["sqlite"], cost["bare"]),
            Row("what flushing adds to it", unit, cost["store"], None, cost["unflushed"]),
        ]
    )
    report.sections.append(
        [
            row
            for kind, shrunk in (("short boots", short), ("a long boot", long))
            for row in (
                Row(f"{kind}: what compressing adds", unit, shrunk.store_ms, None, shrunk.zstd_ms),
                Row(f"{kind}: size", "bytes/byte", shrunk.store_size, shrunk.sqlite_size, shrunk.zstd_size),
            )
        ]
    )
    return report


def _in_folder(work: Work, parent: Path, size: Size) -> Callable[[], float]:
    def measured() -> float:
        with tempfile.TemporaryDirectory(dir=parent) as folder:
            return work(Path(folder), size)

    return measured


def _text() -> bytes:
    return b"".join(path.read_bytes() for path in sorted(TEXTS.iterdir()))


def _varied(text: bytes, turns: int) -> bytes:
    """Return the text so many times, each time with other digits: no line comes twice, as times and addresses do."""
    chance = Random(1)
    return b"".join(re.sub(rb"[0-9]", lambda _: b"%d" % chance.randrange(10), text) for _ in range(turns))


def _records(text: bytes, node: int, second: int) -> Iterator[bytes]:
    """Yield what a node says in one second."""
    begin = (node * 7919 + second * SECOND_BYTES) % (len(text) - SECOND_BYTES)
    for start in range(begin, begin + SECOND_BYTES, RECORD_BYTES):
        yield text[start : min(start + RECORD_BYTES, begin + SECOND_BYTES)]


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _begun_log(store: Store, name: str) -> BootLog:
    node = store.node(name)
    node.attach(1, b"hat", boot_continues=False)
    return node.begin_boot(1, 0, cause=BootCause.SUPPLY_ON, lost_boots=0)


def _store(folder: Path, size: Size) -> float:
    with closing(Store.open(folder, StoreLimits())) as store:
        return _fill(store, size)


def _unflushed(folder: Path, size: Size) -> float:
    with _no_flush(), closing(Store.open(folder, StoreLimits())) as store:
        store._database._writer.execute("PRAGMA synchronous = OFF")
        return _fill(store, size)


def _fill(store: Store, size: Size) -> float:
    text = _text()
    logs = [_begun_log(store, f"node-{number}") for number in range(size.nodes)]
    store.sync()
    begin_s = _cpu_s()
    for second in range(size.seconds):
        for number, log in enumerate(logs):
            for record in _records(text, number, second):
                log.append(log.end, second * 1000, record)
        report = store.sync()
        if report.failures or report.index_problem or (problem := store.tend(second * 1000)):
            raise RuntimeError(f"not stored: {report} {problem}")
    return _cpu_s() - begin_s


@contextmanager
def _no_flush() -> Iterator[None]:
    with patch.object(os, "fdatasync", lambda _: None), patch.object(os, "fsync", lambda _: None):
        yield


@contextmanager
def _table(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as index:
        index.execute("PRAGMA journal_mode = WAL")
        index.execute("PRAGMA synchronous = FULL")
        index.execute(
            "CREATE TABLE log (node INTEGER, offset INTEGER, at_ms INTEGER, data BLOB, PRIMARY KEY (node, offset))"
            " WITHOUT ROWID"
        )
        yield index


def _sqlite(folder: Path, size: Size) -> float:
    text = _text()
    with _table(folder / "log.sqlite3") as index:
        offsets = [0] * size.nodes
        begin_s = _cpu_s()
        for second in range(size.seconds):
            rows = []
            for number in range(size.nodes):
                for record in _records(text, number, second):
                    rows.append((number, offsets[number], second * 1000, record))
                    offsets[number] += len(record)
            index.execute("BEGIN IMMEDIATE")
            index.executemany("INSERT INTO log VALUES (?, ?, ?, ?)", rows)
            index.execute("COMMIT")
        return _cpu_s() - begin_s


def _bare(folder: Path, size: Size) -> float:
    text = _text()
    with ExitStack() as opened:
        files = [os.open(folder / str(number), os.O_WRONLY | os.O_CREAT) for number in range(size.nodes)]
        for file in files:
            opened.callback(os.close, file)
        begin_s = _cpu_s()
        for second in range(size.seconds):
            for number, file in enumerate(files):
                os.write(file, b"".join(_records(text, number, second)))
        return _cpu_s() - begin_s


@dataclass(frozen=True, slots=True)
class Shrunk:
    """What it takes to keep whole boots: milliseconds of CPU for each megabyte of log, and bytes for each byte."""

    store_ms: float
    zstd_ms: float
    store_size: float
    zstd_size: float
    sqlite_size: float


def _shrink(folder: Path, logs: list[bytes]) -> Shrunk:
    """Keep the logs of boots that have ended."""
    all_bytes = sum(map(len, logs))
    begin_s = _cpu_s()
    zstd_bytes = sum(len(zstandard.ZstdCompressor(level=1).compress(text)) for text in logs)
    zstd_s = _cpu_s() - begin_s
    store_s, store_bytes = _compressed_by_store(folder / "state", logs)
    to_ms = MS / (all_bytes / MB)
    return Shrunk(
        store_s * to_ms,
        zstd_s * to_ms,
        store_bytes / all_bytes,
        zstd_bytes / all_bytes,
        _sqlite_bytes(folder / "size.sqlite3", logs) / all_bytes,
    )


def _compressed_by_store(folder: Path, logs: list[bytes]) -> tuple[float, int]:
    """Return the CPU it took to compress, and the bytes on disk."""
    limits = StoreLimits(journal_bytes=0)
    folder.parent.mkdir()
    with closing(Store.open(folder, limits)) as store:
        node = store.node("node-1")
        node.attach(1, b"hat", boot_continues=False)
        for number, text in enumerate([*logs, b"the newest boot stays as it is"], start=1):
            log = node.begin_boot(number, 0, cause=BootCause.SUPPLY_ON, lost_boots=0)
            for start in range(0, len(text), RECORD_BYTES):
                log.append(start, start // 11, text[start : start + RECORD_BYTES])
                if start % SYNCED_BYTES < RECORD_BYTES:
                    store.sync()
        store.sync()
    with closing(Store.open(folder, limits)) as store:
        store.node("node-1")
        spent_s, kept = 0.0, -1
        while kept != (kept := _file_bytes(folder)):
            begin_s = _cpu_s()
            store.tend(0)
            spent_s += _cpu_s() - begin_s
        return spent_s, kept


def _file_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "logs" / "node-1").iterdir())


def _sqlite_bytes(path: Path, logs: list[bytes]) -> int:
    with _table(path) as index:
        index.executemany(
            "INSERT INTO log VALUES (?, ?, ?, ?)",
            (
                (number, start, start // 11, text[start : start + RECORD_BYTES])
                for number, text in enumerate(logs)
                for start in range(0, len(text), RECORD_BYTES)
            ),
        )
        index.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.stat().st_size
