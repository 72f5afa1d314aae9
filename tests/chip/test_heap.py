"""The heap after load is the heap before: a short form of `just account chip-minute`."""

from __future__ import annotations

from pathlib import Path

from tools.account.chip_minute import load

LOAD_MS = 4_000


def test_the_heap_after_load_is_that_of_its_start(image: bytes, tmp_path: Path, figures: list[str]) -> None:
    assert image  # skips as that does
    seen = load(tmp_path, LOAD_MS)
    figures.append(
        f"heap free after a collection: {seen.free_before:,} bytes at the start, {seen.free_after:,} after"
        f" {seen.load_ms / 1000:.1f} s of load"
    )
    assert seen.free_after == seen.free_before
    assert (seen.gaps, seen.log_bytes > LOAD_MS * 10, seen.requests > LOAD_MS / 200) == (0, True, True)
