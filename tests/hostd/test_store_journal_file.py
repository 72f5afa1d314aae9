"""The journal's file: what was added is there, whatever a crash left of the entry that was being written."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from racklet_hostd.errors import StoreError
from racklet_hostd.store.journal_file import PREPARED_BYTES, JournalEntry, JournalFile
from tests.hostd.test_store_disk import file_size_limit

EPOCH = 77
FACTS = st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=1500)), max_size=5)
per_example = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def entries_of(facts: list[tuple[str, bytes]], first: int = 1) -> list[JournalEntry]:
    return [JournalEntry(sequence, rows, blob) for sequence, (rows, blob) in enumerate(facts, start=first)]


def written(path: Path, entries: list[JournalEntry], epoch: int = EPOCH) -> bytes:
    """Write over what is there, as a journal of this epoch; return the file's bytes."""
    with closing(JournalFile(path, epoch)) as file:
        for entry in entries:
            file.add(entry)
    return path.read_bytes()


def read(path: Path, epoch: int = EPOCH) -> list[JournalEntry]:
    with closing(JournalFile(path, epoch)) as file:
        return list(file.entries())


@per_example
@given(facts=FACTS)
def test_what_was_added_is_read_in_order(tmp_path: Path, facts: list[tuple[str, bytes]]) -> None:
    (tmp_path / "journal").unlink(missing_ok=True)
    entries = entries_of(facts)
    written(tmp_path / "journal", entries)
    assert read(tmp_path / "journal") == entries
    assert read(tmp_path / "journal", EPOCH + 1) == []


@per_example
@given(older=FACTS, kept=FACTS, torn=st.tuples(st.text(max_size=20), st.binary(max_size=1500)), data=st.data())
def test_an_entry_that_was_not_written_whole_is_left_out_and_all_before_it_are_there(
    tmp_path: Path,
    older: list[tuple[str, bytes]],
    kept: list[tuple[str, bytes]],
    torn: tuple[str, bytes],
    data: st.DataObject,
) -> None:
    """The blocks hold what an earlier journal left there, and any part of the entry may have reached the disk."""
    path = tmp_path / "journal"
    path.unlink(missing_ok=True)
    written(path, entries_of(older), EPOCH - 1)
    entries = entries_of(kept)
    before = written(path, entries)
    after = written(path, [*entries, *entries_of([torn], len(entries) + 1)])
    before += bytes(len(after) - len(before))
    changed = [place for place, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
    missing = data.draw(st.sets(st.sampled_from(changed), min_size=1), "bytes that did not reach the disk")
    path.write_bytes(bytes(before[place] if place in missing else new for place, new in enumerate(after)))
    assert read(path) == entries


@pytest.mark.parametrize("damaged", range(3))
def test_damage_ends_the_journal_before_the_damaged_entry(tmp_path: Path, damaged: int) -> None:
    path = tmp_path / "journal"
    entries = entries_of([("rows", b"x" * 400)] * 3)
    sound = written(path, entries)
    for byte in range(32 + 4 + 400):
        blob = bytearray(sound)
        blob[512 * damaged + byte] ^= 0x10
        path.write_bytes(blob)
        assert read(path) == entries[:damaged]


def test_a_length_that_is_damaged_does_not_take_memory(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    blob = bytearray(written(path, entries_of([("rows", b"x")])))
    blob[24:28] = b"\xff\xff\xff\xff"
    path.write_bytes(blob)
    assert read(path) == []


def test_an_emptied_journal_is_written_over_and_what_is_left_behind_counts_no_more(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with closing(JournalFile(path, EPOCH)) as file:
        for entry in entries_of([("long", b"y" * 5000)] * 3):
            file.add(entry)
        size = path.stat().st_size
        file.restart(EPOCH + 1)
        assert list(file.entries()) == []
        fresh = entries_of([("short", b"z")], 9)
        file.add(fresh[0])
        assert list(file.entries()) == fresh
    assert path.stat().st_size == size
    assert read(path, EPOCH + 1) == fresh


def test_an_entry_takes_the_place_of_one_that_failed(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    first, failed, last = entries_of([("1", b"x" * 100), ("2", b"x" * 5000), ("3", b"z" * 10)])
    with closing(JournalFile(path, EPOCH)) as file:
        file.add(first)
        with file_size_limit(2000), pytest.raises(StoreError, match="journal: File too large"):
            file.add(failed)
        assert list(file.entries()) == [first]
        file.add(last)
        assert list(file.entries()) == [first, last]


def test_an_entry_whose_flush_failed_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be on the disk all the same: then it is told before the one that came after it, or not at all."""
    path = tmp_path / "journal"
    first, failed, last = entries_of([("1", b"x" * 100), ("2", b"x" * 5000), ("3", b"z" * 10)])

    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    with closing(JournalFile(path, EPOCH)) as file:
        file.add(first)
        with monkeypatch.context() as patched:
            patched.setattr(os, "fdatasync", broken)
            with pytest.raises(StoreError, match="Input/output error"):
                file.add(failed)
        file.add(last)
    assert read(path) == [first, last]


def test_room_is_made_ahead_once_the_journal_is_in_use(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with closing(JournalFile(path, EPOCH)) as file:
        file.prepare()
        assert path.stat().st_size == 0
        entries = entries_of([("", bytes(400_000))])
        file.add(entries[0])
        file.prepare()
        size = path.stat().st_size
        assert size >= PREPARED_BYTES
        file.prepare()
        assert path.stat().st_size == size
        assert list(file.entries()) == entries


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    with pytest.raises(StoreError, match="journal: Is a directory"):
        JournalFile(tmp_path / "journal", EPOCH)
