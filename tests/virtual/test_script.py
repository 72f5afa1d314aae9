"""Boot texts and what becomes of them."""

from __future__ import annotations

import pytest

from racklet_virtual.script import FLAVOURS, BootTextError, Step, first_part, load_boot_text, parse_boot_text

EVERY_TEXT = (*FLAVOURS, "refused")


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_boot_text_ends_at_the_login_of_its_node(flavour: str) -> None:
    steps = load_boot_text(flavour, "node-7")
    assert steps[-1].data.endswith(b"\rnode-7 login: ")
    phases = [step.phase for step in steps if step.phase]
    assert phases[-3:] == ["kernel", "init", "login"]


@pytest.mark.parametrize("flavour", EVERY_TEXT)
def test_a_boot_text_is_modest_and_takes_some_seconds(flavour: str) -> None:
    steps = load_boot_text(flavour, "node-1")
    assert sum(len(step.data) for step in steps) < 25_000
    assert 1_500_000 < sum(step.pause_us for step in steps) < 12_000_000
    assert max(len(step.data) for step in steps) < 1024


@pytest.mark.parametrize("flavour", EVERY_TEXT)
def test_a_boot_text_says_its_phase_and_current_first(flavour: str) -> None:
    first = load_boot_text(flavour, "node-1")[0]
    assert first.phase
    assert first.amperes


def test_lines_get_cr_lf_unless_a_backslash_holds_it_back() -> None:
    assert [step.data for step in parse_boot_text(b"one\ntwo\\\n\n", "n")] == [b"one\r\n", b"two", b"\r\n"]


def test_kernel_lines_come_when_they_are_stamped() -> None:
    steps = parse_boot_text(b"[    0.500000] a\n[    0.750001] b\nplain\n", "n")
    assert [step.pause_us for step in steps] == [500_000, 250_001, 0]


def test_directives_set_phase_current_and_pause() -> None:
    steps = parse_boot_text(b"%phase kernel 0.75\n%pause 20\n", "n")
    assert steps == (Step(phase="kernel", amperes=0.75), Step(pause_us=20_000))


@pytest.mark.parametrize("line", [b"%", b"%phase kernel", b"%pause soon", b"%phase kernel much", b"%nap 5"])
def test_an_unknown_directive_is_named_by_its_line(line: bytes) -> None:
    with pytest.raises(BootTextError, match="line 2"):
        parse_boot_text(b"text\n" + line + b"\n", "n")


def test_the_first_part_ends_within_its_phase() -> None:
    steps = parse_boot_text(b"%phase a 1\n1\n%phase b 1\n2\n3\n4\n%phase c 1\n5\n", "n")
    assert [step.data for step in first_part(steps, "b", 0.5)][-1] == b"2\r\n"
    assert first_part(steps, "z", 0.5) == steps
