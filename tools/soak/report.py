"""The soak's account as a person reads it, and whether it holds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from tools.soak.chaos import Diary
    from tools.soak.ledger import Account, Lost

MIB = 1 << 20
_MAY_GROW_BYTES = 24 * MIB  # of hostd within one life: caches fill; a leak at this load is far more
_WARM_SAMPLES = 10  # of hostd's memory: it has opened everything by then
# A ring that overflowed tells so when it is heard again, with the time of the last byte it dropped.
_AFTER_OUTAGE_MS = 5_000
_BEFORE_OUTAGE_MS = 1_000


@dataclass(frozen=True, slots=True)
class NodeAccount:
    """The accounts of one node's boots, the gaps in them, and what is wrong beside; "" when nothing."""

    node: str
    boots: Sequence[Account]
    losses: Sequence[Lost]
    problem: str


def print_report(
    console: Console, nodes: Sequence[NodeAccount], diary: Diary, memory: Mapping[int, Sequence[int]]
) -> bool:
    """Print the account; return whether every byte is accounted for, every gap has its cause, and memory is flat."""
    table = Table("node", title="Every byte that was sent, and where it is")
    for heading in ("boots", "sent", "stored", "in gaps", "in gaps of unknown size"):
        table.add_column(heading, justify="right")
    table.add_column("")
    problems = []
    for node in nodes:
        found = _problems(node, diary)
        problems += [f"{node.node}: {problem}" for problem in found]
        table.add_row(node.node, *_figures(node.boots), "[bold red]WRONG[/]" if found else "[green]even[/]")
    table.add_section()
    table.add_row("all", *_figures([boot for node in nodes for boot in node.boots]), "")
    console.print(table)
    gaps: Counter[str] = sum((boot.gaps for node in nodes for boot in node.boots), Counter())
    _print_counts(console, "What was done", diary.counts)
    _print_counts(console, "Gaps, by reason", gaps)
    growth = max((max(life) - life[_WARM_SAMPLES] for life in memory.values() if len(life) > _WARM_SAMPLES), default=0)
    most = max((max(life) for life in memory.values()), default=0)
    console.print(
        f"hostd took at most {most / MIB:.0f} MiB in {len(memory)} lives, and grew by at most {growth / MIB:.1f} MiB."
    )
    if growth > _MAY_GROW_BYTES:
        problems.append(f"hostd grew by {growth / MIB:.0f} MiB in one life")
    for problem in problems:
        console.print(f"[bold red]{problem}[/]")
    if not problems:
        console.print("Every byte is accounted for, and every gap has its cause.")
    return not problems


def _figures(boots: Sequence[Account]) -> list[str]:
    told = sum(boot.told.total() for boot in boots)
    untold = sum(boot.untold.total() for boot in boots)
    sent = sum(boot.sent for boot in boots)
    stored = sum(boot.stored for boot in boots)
    return [f"{len(boots)}", *(f"{count:,}" for count in (sent, stored, told, untold))]


def _problems(node: NodeAccount, diary: Diary) -> list[str]:
    problems = [f"boot {number}: {boot.problem}" for number, boot in enumerate(node.boots, 1) if boot.problem]
    if node.problem:
        problems.append(node.problem)
    restarts = sum(loss.reason == "hat_restart" for loss in node.losses)
    if restarts > diary.resets[node.node]:
        problems.append(f"{restarts} gaps tell of an MCU's restart, and it was reset {diary.resets[node.node]} times")
    problems += [
        f"a gap of {loss.count} bytes, {loss.reason}, that nothing explains"
        for loss in node.losses
        if loss.reason != "hat_restart" and not _is_explained(loss, node.node, diary)
    ]
    return problems


def _is_explained(loss: Lost, node: str, diary: Diary) -> bool:
    """Tell whether the ring overflowed while nobody could empty it, or the HAT had to find the baud rate.

    A virtual HAT that the computer gave no time for 13 ms overruns the UART's ring: the account shows that it knows how
    many bytes that cost.
    """
    if loss.reason in {"uart_overrun", "baud_detection"}:
        return True
    return loss.reason == "ring_full" and any(
        outage.start_ms - _BEFORE_OUTAGE_MS <= loss.at_ms <= outage.end_ms + _AFTER_OUTAGE_MS
        for outage in diary.outages.get(node, [])
    )


def _print_counts(console: Console, title: str, counts: Mapping[str, int]) -> None:
    told = ", ".join(f"{what} {count} times" for what, count in sorted(counts.items())) or "none"
    console.print(f"{title}: {told}.")
