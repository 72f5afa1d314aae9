"""The audit log's files: a chain in which every change shows, over kill -9, rotation and full disks."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racklet_hostd.store.audit import BACKLOG, FILES_KEPT, AuditLog
from racklet_hostd.store.audit_chain import FIRST_HASH, AuditEntry, BrokenLineError, ChainCheck, Sealed

SIZE = 64 << 10


@contextmanager
def opened(folder: Path, size_limit: int = SIZE) -> Iterator[AuditLog]:
    log = AuditLog(folder, size_limit, lambda: 1_790_000_000_000)
    try:
        yield log
    finally:
        log.close()


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def chain(count: int) -> list[bytes]:
    """Return the lines of a whole chain."""
    sealed: list[Sealed] = []
    for number in range(1, count + 1):
        previous = sealed[-1].hash if sealed else FIRST_HASH
        sealed.append(Sealed.seal(AuditEntry(number, number, "asked", node=f"node-{number}"), previous))
    return [each.line() for each in sealed]


def problem_of(lines: list[bytes], count: int) -> str:
    """Return what is wrong with what should be the chain of so many."""
    check = ChainCheck()
    for number, line in enumerate(lines, 1):
        check.feed(line, f"line {number}")
    last = Sealed.parse(chain(count)[-1])
    check.end(last.entry.sequence, last.hash)
    return check.problem


@given(st.integers(1, 12))
def test_a_whole_chain_is_good(count: int) -> None:
    assert problem_of(chain(count), count) == ""


@given(st.integers(1, 12), st.data())
def test_a_line_that_is_removed_doubled_or_moved_shows(count: int, data: st.DataObject) -> None:
    lines = chain(count)
    index = data.draw(st.integers(0, count - 1))
    assert problem_of(lines[:index] + lines[index + 1 :], count)
    assert problem_of([*lines[: index + 1], *lines[index:]], count)
    other = data.draw(st.integers(0, count - 1))
    if other != index:
        lines[index], lines[other] = lines[other], lines[index]
        assert problem_of(lines, count)


@given(st.integers(1, 8), st.data())
def test_a_byte_that_is_changed_shows(count: int, data: st.DataObject) -> None:
    lines = chain(count)
    index = data.draw(st.integers(0, count - 1))
    place = data.draw(st.integers(0, len(lines[index]) - 2))
    changed = bytearray(lines[index])
    changed[place] ^= data.draw(st.integers(1, 255))
    lines[index] = bytes(changed)
    try:
        same = Sealed.parse(lines[index]) == Sealed.parse(chain(count)[index])
    except BrokenLineError:
        same = False
    assert problem_of(lines, count) or same  # such as another case of a digit in an escape


def test_an_entry_with_another_content_and_a_hash_that_fits_it_shows_in_the_next_line() -> None:
    lines = chain(3)
    second = Sealed.parse(lines[1])
    forged = Sealed.seal(AuditEntry(2, 2, "asked", node="node-9"), second.previous)
    assert "line 3: entry 3 does not follow" in problem_of([lines[0], forged.line(), lines[2]], 3)


@pytest.mark.parametrize("line", [b"{}\n", b"[]\n", b"\xff\n", b"7\n", b'{"previous":7,"hash":"x"}\n', b"\0\0\n"])
def test_what_is_no_entry_is_said_so(line: bytes) -> None:
    with pytest.raises(BrokenLineError, match="it is no entry"):
        Sealed.parse(line)


async def test_entries_are_read_back_newest_first_also_by_a_later_hostd(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    with opened(folder) as log:
        assert await log.record("asked", who="uid 1", method="SetPower", node="node-1", arguments={"force": True}) == 1
        assert log.append("ended", asked=1, outcome="OK", duration_ms=12) == 2
    with opened(folder) as log:
        assert await log.record("asked") == 3
        entries = log.entries(None, 10)
        assert [entry.sequence for entry in entries] == [3, 2, 1]
        assert [entry.sequence for entry in log.entries(3, 1)] == [2]
        assert entries[2] == AuditEntry(
            1, 1_790_000_000_000, "asked", 0, "uid 1", "", "SetPower", "node-1", {"force": True}
        )
        verdict = log.verify()
    assert (verdict.problem, verdict.first_sequence, verdict.last_sequence) == ("", 1, 3)
    assert files(folder)[0].stat().st_mode & 0o777 == 0o600


async def test_what_was_recorded_is_on_the_disk_when_record_returns(tmp_path: Path) -> None:
    with opened(tmp_path / "audit", 1 << 20) as log:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(50):
                tasks.create_task(log.record("asked", node="node-1"))
        [path] = files(tmp_path / "audit")
        assert len(path.read_bytes().splitlines()) == 50


async def test_a_caller_that_is_cancelled_leaves_its_entry(tmp_path: Path) -> None:
    with opened(tmp_path / "audit") as log:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await log.record("asked")
        task.uncancel()
        await log.record("asked")
        assert log.verify()[:3] == ("", 1, 2)


@pytest.mark.parametrize("torn", [b"{", b'{"arguments":{},"ask', b"\0" * 40])
def test_a_torn_line_is_cut_with_a_note(tmp_path: Path, torn: bytes) -> None:
    folder = tmp_path / "audit"
    with opened(folder) as log:
        log.append("asked")
    with files(folder)[0].open("ab") as file:
        file.write(torn)
    with opened(folder) as log:
        log.append("asked")
        verdict = log.verify()
        note = log.entries(None, 10)[1]
    assert (verdict.problem, verdict.last_sequence) == ("", 3)
    assert (note.kind, note.method, note.arguments) == ("note", "torn", {"cut_bytes": len(torn)})


def test_a_line_that_was_changed_or_removed_while_hostd_was_away_shows(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    with opened(folder) as log:
        for _ in range(3):
            log.append("asked", node="node-1")
    lines = files(folder)[0].read_bytes().splitlines(keepends=True)
    for wrong, words in (
        ([lines[0], lines[2]], "000000000001.jsonl:2: entry 3 stands where entry 2 should"),
        ([lines[0].replace(b"node-1", b"node-2"), *lines[1:]], "000000000001.jsonl:1: it was changed"),
        (lines[1:], "entry 2 is the first, and nothing tells where those before went"),
    ):
        files(folder)[0].write_bytes(b"".join(wrong))
        with opened(folder) as log:
            assert words in log.verify().problem
            assert log.append("asked") == 4
        files(folder)[0].write_bytes(b"".join(lines))


def test_an_end_that_is_cut_off_shows_while_hostd_runs(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    with opened(folder) as log:
        log.append("asked")
        log.append("asked")
        assert log.verify().problem == ""
        path = files(folder)[0]
        path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
        assert log.verify().problem == "the log ends with entry 1, and entry 2 was written"


async def test_the_oldest_file_goes_when_the_log_is_full_and_the_chain_tells_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    with opened(folder, SIZE) as log:
        for number in range(400):
            await log.record("asked", node="node-1", arguments={"number": number})
        assert len(files(folder)) == FILES_KEPT
        assert sum(path.stat().st_size for path in files(folder)) < SIZE + (SIZE // FILES_KEPT)
        verdict = log.verify()
        oldest = log.entries(None, 100_000)[-1].sequence
        assert verdict.problem == ""
        assert verdict.first_sequence == oldest > 1
        files(folder)[0].unlink()
        assert "nothing tells where those before went" in log.verify().problem
    with opened(folder, SIZE) as log:
        assert log.verify().last_sequence >= verdict.last_sequence


async def test_a_disk_that_takes_nothing_stops_nobody_and_nothing_is_lost_when_it_takes_again(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with opened(folder) as log:
        await log.record("asked")
        resource.setrlimit(resource.RLIMIT_FSIZE, (files(folder)[0].stat().st_size + 20, hard))
        try:
            for _ in range(3):
                await log.record("asked")
            assert log.problem == "the audit log cannot be written: File too large"
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, ignored)
        await log.record("asked")
        assert (log.problem, log.verify()[:3]) == ("", ("", 1, 5))


async def test_a_disk_that_hangs_is_waited_for_a_while_only(tmp_path: Path) -> None:
    goes_on = threading.Event()
    with opened(tmp_path / "audit") as log:
        log._writer.submit(goes_on.wait)
        await log.record("asked")
        assert log.entries(None, 10) == []
        goes_on.set()
        await log.record("asked")
        assert log.verify()[:3] == ("", 1, 2)


async def test_beyond_the_backlog_entries_are_lost_and_counted(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with opened(folder, 8 << 20) as log:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))
        try:
            sequences = [log.append("asked") for _ in range(BACKLOG + 7)]
            await log.record("asked")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, ignored)
        assert sequences[-8:] == [BACKLOG, *[0] * 7]
        await log.record("asked")
        assert log.verify().problem == ""
        notes = [entry for entry in log.entries(None, 5) if entry.kind == "note"]
    assert [(note.method, note.arguments) for note in notes] == [("lost", {"entries": 9})]


def test_kill_nine_loses_nothing_that_was_recorded_and_leaves_a_whole_chain(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    program = f"""
import asyncio, pathlib, sys
from racklet_hostd.store.audit import AuditLog
log = AuditLog(pathlib.Path({str(folder)!r}), 1 << 20, lambda: 0)
async def main():
    while True:
        sequences = await asyncio.gather(*(log.record("asked", node="n" * 200) for _ in range(5)))
        print(sequences[-1], flush=True)
asyncio.run(main())
"""
    told = 0
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=os.environ) as process:
            assert process.stdout is not None
            for _ in range(20):
                told = int(process.stdout.readline())
            process.kill()
            told = max([told, *(int(line) for line in process.stdout.read().splitlines() if line)])
        with opened(folder) as log:
            verdict = log.verify()
            assert (verdict.problem, verdict.first_sequence) == ("", 1)
            assert verdict.last_sequence >= told
