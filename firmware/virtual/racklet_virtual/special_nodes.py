"""Which nodes of a rack are not as the others, as `--node N=HABIT` tells."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from racklet_virtual.node import Habit

if TYPE_CHECKING:
    from collections.abc import Iterable

QEMU = "qemu"
NODE_HELP = f"What a node does at every boot: {', '.join(Habit)}; or {QEMU}: it is a real Linux in QEMU. Repeatable."


class SpecialNodeError(ValueError):
    """A word is not as expected; the message says how."""


@dataclass(frozen=True, slots=True)
class SpecialNodes:
    """The habits of nodes by number, and the numbers of those that are QEMU machines."""

    habits: dict[int, Habit] = field(default_factory=dict)
    qemu: frozenset[int] = frozenset()


def parse_special_nodes(words: Iterable[str], nodes: int) -> SpecialNodes:
    """Read words such as `3=qemu` and `node-2=hang`; of two for a node the last holds. Raises SpecialNodeError."""
    kinds: dict[int, str] = {}
    for word in words:
        number, _, kind = word.partition("=")
        number = number.removeprefix("node-")
        if not number.isdecimal() or not 1 <= int(number) <= nodes or kind not in (*Habit, QEMU):
            known = ", ".join((*Habit, QEMU))
            raise SpecialNodeError(f"expected N=HABIT with N from 1 to {nodes} and HABIT of {known}, not {word!r}")
        kinds[int(number)] = kind
    return SpecialNodes(
        {number: Habit(kind) for number, kind in kinds.items() if kind != QEMU},
        frozenset(number for number, kind in kinds.items() if kind == QEMU),
    )
