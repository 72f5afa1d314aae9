"""The scripted node, minute by minute, in no time."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from racklet_virtual.flood import flood_text
from racklet_virtual.node import Habit, NodeProfile, ScriptedNode
from racklet_virtual.record import SentBoots
from racklet_virtual.script import FLAVOURS, NodeState
from racklet_virtual.shell import Order

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECOND_US = 1_000_000
BYTES_PER_SECOND = 11_520


class Desk:
    """A node on a table, and a clock that is turned by hand."""

    def __init__(
        self, record: SentBoots, habit: Habit = Habit.NORMAL, flavour: str = "raspi", speed: float = 1.0
    ) -> None:
        self.record = record
        self.node = ScriptedNode(NodeProfile("node-1", flavour, habit, speed=speed), self.record)
        self.at_us = 0
        self.output = b""

    def power(self, *, on: bool) -> None:
        if on:
            self.record.begin_boot(self.at_us)
        self.node.power(on=on, at_us=self.at_us)

    def run(self, seconds: float, step_us: int = 10_000) -> bytes:
        before = len(self.output)
        end_us = self.at_us + round(seconds * SECOND_US)
        while self.at_us < end_us:
            self.at_us = min(end_us, self.at_us + step_us)
            self.node.advance(self.at_us)
            self.output += b"".join(sent.data for sent in self.node.take_output())
        return self.output[before:]

    def run_until(self, *states: NodeState, limit_s: float = 30) -> None:
        end_us = self.at_us + round(limit_s * SECOND_US)
        while self.node.state not in states:
            assert self.at_us < end_us, f"still {self.node.state}"
            self.run(0.01)

    def type(self, text: bytes) -> bytes:
        self.node.type(text, self.at_us)
        return self.run(1)


@pytest.fixture
def record(tmp_path: Path) -> Iterator[SentBoots]:
    with closing(SentBoots(tmp_path)) as record:
        yield record


def booted(record: SentBoots, habit: Habit = Habit.NORMAL) -> Desk:
    desk = Desk(record, habit)
    desk.power(on=True)
    desk.run_until(NodeState.IDLE, NodeState.WORKING)
    return desk


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_node_boots_to_its_login(record: SentBoots, flavour: str) -> None:
    desk = Desk(record, flavour=flavour)
    desk.power(on=True)
    phases = []
    while desk.node.state is not NodeState.IDLE:
        desk.run(0.01)
        if desk.node.phase not in phases:
            phases.append(desk.node.phase)
    assert phases[-4:] == ["kernel", "init", "login", "idle"]
    assert desk.output.endswith(b"node-1 login: ")
    assert 5 * SECOND_US < desk.at_us < 20 * SECOND_US


def test_a_node_never_sends_faster_than_its_line(record: SentBoots) -> None:
    desk = Desk(record)
    desk.power(on=True)
    while desk.node.state is not NodeState.IDLE:
        assert len(desk.run(0.1)) <= 0.1 * BYTES_PER_SECOND + 2


def test_the_record_is_exactly_what_was_sent(record: SentBoots) -> None:
    desk = booted(record)
    desk.type(b"root\rx\rhelp\r")
    assert desk.record.read(desk.record.boots[-1]) == desk.output
    assert desk.record.boots[-1].sent_bytes == len(desk.output)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)
@given(st.lists(st.integers(100, 400_000), min_size=1, max_size=10))
def test_the_size_of_the_steps_changes_no_byte(record: SentBoots, steps_us: list[int]) -> None:
    coarse, fine = Desk(record), Desk(record)
    for desk in (coarse, fine):
        desk.power(on=True)
    for step_us in steps_us:
        coarse.run(4 / len(steps_us), step_us)
    fine.run(4, 5_000)
    end_us = max(coarse.at_us, fine.at_us)
    for desk in (coarse, fine):
        desk.run((end_us - desk.at_us) / SECOND_US)
    assert coarse.output == fine.output


def test_a_higher_speed_shortens_the_pauses(record: SentBoots) -> None:
    desk = Desk(record, speed=20)
    desk.power(on=True)
    desk.run_until(NodeState.IDLE)
    assert desk.at_us < 3 * SECOND_US


def test_a_cut_ends_everything_at_once(record: SentBoots) -> None:
    desk = Desk(record)
    desk.power(on=True)
    desk.run(2)
    desk.power(on=False)
    assert desk.run(5) == b""
    assert desk.node.amperes == 0
    assert desk.node.next_change_us() is None


def test_current_follows_what_the_node_does(record: SentBoots) -> None:
    desk = booted(record)
    idle = desk.node.amperes
    desk.node.obey(Order.WORK, desk.at_us)
    assert desk.node.amperes > 1.8 * idle
    desk.node.obey(Order.POWEROFF, desk.at_us)
    desk.run_until(NodeState.HALTED)
    assert 0.05 < desk.node.amperes < 0.07


def test_a_node_works_now_and_then(record: SentBoots) -> None:
    desk = booted(record)
    desk.run_until(NodeState.WORKING)
    desk.run_until(NodeState.IDLE)


def test_a_held_request_shuts_down(record: SentBoots) -> None:
    desk = booted(record)
    desk.node.ask_to_stop(asked=True, at_us=desk.at_us)
    desk.run(0.2)
    assert desk.node.state is NodeState.STOPPING
    desk.run_until(NodeState.HALTED)
    assert desk.node.halted
    assert b"going down" in desk.output
    assert desk.output.endswith(b"reboot: Power down\r\n")


def test_a_short_request_is_ignored(record: SentBoots) -> None:
    desk = booted(record)
    desk.node.ask_to_stop(asked=True, at_us=desk.at_us)
    desk.run(0.09)
    desk.node.ask_to_stop(asked=False, at_us=desk.at_us)
    desk.run(1)
    assert desk.node.state in (NodeState.IDLE, NodeState.WORKING)


def test_a_request_during_the_boot_counts_once_the_node_is_up(record: SentBoots) -> None:
    desk = Desk(record)
    desk.power(on=True)
    desk.node.ask_to_stop(asked=True, at_us=0)
    desk.run(2)
    assert desk.node.state is NodeState.BOOTING
    desk.run_until(NodeState.HALTED)


def test_a_stubborn_node_ignores_the_request(record: SentBoots) -> None:
    desk = booted(record, Habit.STUBBORN)
    desk.node.ask_to_stop(asked=True, at_us=desk.at_us)
    desk.run(2)
    assert desk.node.state in (NodeState.IDLE, NodeState.WORKING)


def test_a_hung_node_is_silent_and_keeps_its_current(record: SentBoots) -> None:
    desk = booted(record)
    desk.node.obey(Order.HANG, desk.at_us)
    desk.node.ask_to_stop(asked=True, at_us=desk.at_us)
    assert desk.type(b"root\r") == b""
    assert desk.node.amperes > 0.5


def test_a_panic_prints_why_and_stays(record: SentBoots) -> None:
    desk = booted(record)
    desk.node.obey(Order.PANIC, desk.at_us)
    assert b"Kernel panic - not syncing: sysrq" in desk.run(1)
    assert desk.node.state is NodeState.PANICKED
    assert desk.run(10) == b""


def test_a_reboot_starts_again_within_the_same_boot_record(record: SentBoots) -> None:
    desk = booted(record)
    desk.node.obey(Order.REBOOT, desk.at_us)
    desk.run_until(NodeState.BOOTING)
    desk.run_until(NodeState.IDLE)
    [boot] = desk.record.boots
    assert desk.node.starts == 2
    assert desk.output[boot.resets[0] :].endswith(b"node-1 login: ")
    assert desk.output[: boot.resets[0]].endswith(b"Restarting system\r\n")


def test_a_silent_reset_starts_again_at_once(record: SentBoots) -> None:
    desk = booted(record)
    desk.node.reset(desk.at_us)
    assert desk.node.state is NodeState.BOOTING


@pytest.mark.parametrize(
    ("habit", "state", "text"),
    [
        (Habit.HANG, NodeState.HUNG, b"] "),
        (Habit.PANIC, NodeState.PANICKED, b"Unable to mount root"),
        (Habit.REFUSED, NodeState.HUNG, b"Bad Data Hash"),
        (Habit.BUSY, NodeState.WORKING, b"login: "),
    ],
)
def test_a_habit_shows_at_every_boot(record: SentBoots, habit: Habit, state: NodeState, text: bytes) -> None:
    desk = Desk(record, habit)
    for _ in range(2):
        desk.power(on=True)
        desk.run_until(state)
        assert text in desk.run(1) + desk.output
        desk.power(on=False)
        desk.run(0.1)


def test_a_reboot_loop_never_ends(record: SentBoots) -> None:
    desk = Desk(record, Habit.REBOOT_LOOP)
    desk.power(on=True)
    desk.run(20, step_us=50_000)
    assert desk.node.starts >= 3
    assert b"login" not in desk.output


def test_the_console_answers(record: SentBoots) -> None:
    desk = booted(record)
    assert desk.type(b"root\r").endswith(b"Password: ")
    assert desk.type(b"\r").endswith(b"root@node-1:~# ")
    assert b"Welcome" not in desk.type(b"dmesg\r")
    desk.type(b"poweroff\r")
    desk.run_until(NodeState.HALTED)


def test_typing_while_it_boots_is_lost(record: SentBoots) -> None:
    desk = Desk(record)
    desk.power(on=True)
    desk.node.type(b"root\r", 0)
    desk.run_until(NodeState.IDLE)
    assert desk.output.endswith(b"login: ")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.sampled_from([*Order, *NodeState]),
            st.binary(max_size=30),
            st.integers(1, 3_000_000),
        ),
        max_size=30,
    )
)
def test_whatever_happens_the_record_is_what_was_sent(
    record: SentBoots, story: list[Order | bytes | int | str]
) -> None:
    desk = booted(record)
    for turn in story:
        if isinstance(turn, Order):
            desk.node.obey(turn, desk.at_us)
        elif isinstance(turn, bytes):
            desk.node.type(turn, desk.at_us)
        elif isinstance(turn, int):
            desk.run(turn / SECOND_US, 100_000)
        else:
            desk.node.power(on=turn != NodeState.OFF, at_us=desk.at_us)
    desk.run(1)
    assert desk.record.read(desk.record.boots[-1]) == desk.output


def test_a_flood_fills_the_line_and_tells_of_every_byte_where_it_belongs(record: SentBoots) -> None:
    desk = Desk(record, Habit.FLOOD)
    desk.power(on=True)
    first = desk.run(1)
    assert BYTES_PER_SECOND - 2 <= len(first) <= BYTES_PER_SECOND
    assert first == flood_text(1, 0, len(first))
    desk.power(on=False)
    desk.power(on=True)
    second = desk.run(1)
    assert second == flood_text(2, 0, len(second))
