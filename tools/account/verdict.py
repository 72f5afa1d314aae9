"""The table at the end of an account: what is promised, what was seen, whether that holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

Promise = tuple[str, str, bool]


def print_verdict(console: Console, promises: Sequence[Promise], title: str | None = None) -> bool:
    """Print the promises; tell whether all of them held."""
    table = Table("promise", "seen", "", title=title)
    for promise, seen, held in promises:
        table.add_row(promise, seen, "[green]ok[/]" if held else "[bold red]FAILED[/]")
    console.print(table)
    return all(held for *_, held in promises)
