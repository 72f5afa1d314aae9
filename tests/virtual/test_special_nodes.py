"""What `--node N=HABIT` means."""

from __future__ import annotations

import pytest

from racklet_virtual.node import Habit
from racklet_virtual.special_nodes import SpecialNodeError, SpecialNodes, parse_special_nodes


def test_habits_and_machines_are_told_apart() -> None:
    special = parse_special_nodes(["3=qemu", "node-2=hang"], 5)
    assert special == SpecialNodes({2: Habit.HANG}, frozenset({3}))


def test_the_last_word_for_a_node_holds() -> None:
    assert parse_special_nodes(["3=qemu", "3=panic"], 5) == SpecialNodes({3: Habit.PANIC})
    assert parse_special_nodes(["3=panic", "3=qemu"], 5) == SpecialNodes(qemu=frozenset({3}))


@pytest.mark.parametrize("word", ["", "3", "=qemu", "0=qemu", "6=qemu", "3=Qemu", "x=qemu", "-1=hang", "3=", "3=qemu "])
def test_another_word_is_explained(word: str) -> None:
    with pytest.raises(SpecialNodeError, match=r"expected N=HABIT with N from 1 to 5 and HABIT of normal, .*qemu, not"):
        parse_special_nodes([word], 5)
