"""A scripted node: boots, idles, works, shuts down, misbehaves. Pure: time comes in as microseconds."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from racklet_virtual.flood import LINE_BYTES, flood_text
from racklet_virtual.script import NodeState, Step, first_part, load_boot_text
from racklet_virtual.serial_line import SerialLine
from racklet_virtual.shell import Order, Shell

if TYPE_CHECKING:
    from collections.abc import Iterable

    from racklet_virtual.record import SentBoots

RESET_LOW_US = 100_000  # so long a node is in reset
SOFT_OFF_US = 100_000  # the request must be held this long
ORDERS_WHEN_UP = (Order.WORK, Order.REBOOT, Order.POWEROFF)  # a node that is not up cannot

_LINE_CAPACITY = 32 * 1024  # the longest reply is some kilobytes; echo beyond it is lost, as in a tty
_OUTPUT_CAPACITY = 64 * 1024  # nobody takes the output: the oldest is lost
_DMESG_LINES = 24
_FLOOD_BYTES = 64 * LINE_BYTES  # of one step
_MAX_TYPED_BYTES = 4096  # of one call; more is lost, as in a tty
_UP = (NodeState.IDLE, NodeState.WORKING)
_AMPERES = {
    NodeState.OFF: 0.0,
    NodeState.IDLE: 0.52,
    NodeState.WORKING: 1.15,
    NodeState.STOPPING: 0.60,
    NodeState.HALTED: 0.06,
    NodeState.HUNG: 0.68,
    NodeState.PANICKED: 0.48,
}


BAUDS = (115_200, 921_600, 1_500_000)  # what nodes are set to


class Habit(StrEnum):
    """What a node does at every boot."""

    NORMAL = "normal"
    HANG = "hang"  # in the kernel
    PANIC = "panic"  # when it should start init
    REBOOT_LOOP = "reboot-loop"  # from the kernel back to the start
    REFUSED = "refused"  # the loader refuses the image
    STUBBORN = "stubborn"  # ignores a soft power-off
    BUSY = "busy"  # works all the time
    FLOOD = "flood"  # sends at the full rate of its line, for ever


@dataclass(frozen=True, slots=True)
class Inrush:
    """What a node draws besides its load from when its supply is switched on: capacitors, disks, fans."""

    amperes: float = 0.0
    duration_us: int = 0


@dataclass(frozen=True, slots=True)
class NodeProfile:
    """How a node is. `speed` shortens the pauses, never the time on the wire."""

    name: str
    flavour: str = "raspi"
    habit: Habit = Habit.NORMAL
    baud: int = BAUDS[0]
    speed: float = 1.0
    seed: int = 0
    inrush: Inrush = Inrush()


class Sent(NamedTuple):
    """Bytes that left one after another from `start_ns` on; none of them when the line went low to stay there."""

    start_ns: int
    data: bytes


_SHUTDOWN = ("Racklet workload", "OpenSSH server", "network", "system log", "local file systems")


def _shutdown_steps(last_line: str, end: Step) -> list[Step]:
    steps = [Step(data=b"\r\nThe system is going down NOW!\r\n")]
    steps += [Step(180_000, f"[  OK  ] Stopped {name}.\r\n".encode()) for name in _SHUTDOWN]
    steps += [Step(300_000, f"reboot: {last_line}\r\n".encode()), end]
    return steps


def _panic_steps(reason: str) -> list[Step]:
    lines = (
        f"Kernel panic - not syncing: {reason}",
        "CPU: 0 PID: 1 Comm: swapper/0 Not tainted 6.1.0 #1",
        "Call trace:",
        " dump_backtrace+0xe4/0x140",
        " show_stack+0x20/0x30",
        " panic+0x178/0x35c",
        f"---[ end Kernel panic - not syncing: {reason} ]---",
    )
    return [Step(enters=NodeState.PANICKED), *(Step(2_000, line.encode() + b"\r\n") for line in lines)]


class ScriptedNode:
    """The node as its HAT sees it: a load on the rail, a UART, a soft-off input and a halted output."""

    def __init__(self, profile: NodeProfile, record: SentBoots) -> None:
        self.profile = profile
        self.record = record
        self.habit = profile.habit
        self.state = NodeState.OFF
        self.phase = ""
        self.starts = 0
        self._boot = load_boot_text(profile.flavour, profile.name)
        self._refusal = load_boot_text("refused", profile.name)
        self._random = random.Random(profile.seed)  # noqa: S311  variety
        self._load_scale = self._random.uniform(0.92, 1.08)
        self._load_amperes = 0.0
        self._line = SerialLine(profile.baud, _LINE_CAPACITY)
        self._steps: deque[Step] = deque()
        self._since_us = 0  # the last step ended
        self._started_us = 0
        self._flooded = 0  # bytes since it started
        self._swap_us: int | None = None  # from idle to work or back
        self._asked_us: int | None = None
        self._low_until_us = 0
        self._output: deque[Sent] = deque()
        self._output_bytes = 0
        self._shell = self._new_shell()

    @property
    def amperes(self) -> float:
        """The current it draws now."""
        return self._load_amperes * self._load_scale

    @property
    def halted(self) -> bool:
        """The halted output: it has shut down and waits for the cut."""
        return self.state is NodeState.HALTED

    @property
    def sending(self) -> bool:
        """True while bytes are on the wire."""
        return self._line.busy

    def power(self, *, on: bool, at_us: int) -> None:
        """The rail is good, or too low to run."""
        if on and self.state is NodeState.OFF:
            self._start(at_us)
        elif not on and self.state is not NodeState.OFF:
            self._become_silent(NodeState.OFF)
            self._put_out(Sent(at_us * 1000, b""))

    def ask_to_stop(self, *, asked: bool, at_us: int) -> None:
        """The soft-off input: asked while it is held low. A node that is not up ignores it."""
        if asked and self._asked_us is None:
            self._asked_us = at_us
        elif not asked:
            self._asked_us = None

    def type(self, data: bytes, at_us: int) -> None:
        """Bytes arrive on the console."""
        for byte in data[:_MAX_TYPED_BYTES]:
            if self.state not in _UP:
                return
            reaction = self._shell.type(byte, (at_us - self._started_us) // 1_000_000)
            self._line.put(reaction.output, at_us)
            if reaction.order is not None:
                self.obey(reaction.order, at_us)

    def obey(self, order: Order, at_us: int) -> None:
        """Do what a command, or a person with a fault to inject, asks for.

        Nothing happens when it is off or has halted, nor when it should work, reboot or stop but is not up.
        """
        able = _UP if order in ORDERS_WHEN_UP else (*_UP, NodeState.BOOTING, NodeState.STOPPING)
        if self.state not in able:
            return
        match order:
            case Order.WORK:
                self._enter(NodeState.WORKING, at_us)
            case Order.HANG:
                self._become_silent(NodeState.HUNG)
            case Order.PANIC:
                self._line.drop()
                self._play(_panic_steps("sysrq triggered crash"), NodeState.PANICKED, at_us)
            case Order.REBOOT:
                self._play(_shutdown_steps("Restarting system", Step(resets=True)), NodeState.STOPPING, at_us)
            case Order.POWEROFF:
                end = Step(enters=NodeState.HALTED)
                self._play(_shutdown_steps("Power down", end), NodeState.STOPPING, at_us)

    def set_habit(self, habit: Habit) -> None:
        """Choose what it does at every boot from the next one on."""
        self.habit = habit

    def reset(self, at_us: int, *, holds_low: bool = True) -> None:
        """Start again without a word, the supply unmoved. Nothing when it is off.

        A chip in reset holds its line low, unless a resistor on the board holds it high.
        """
        if self.state is not NodeState.OFF:
            self._become_silent(NodeState.OFF)
            self.record.mark_reset()
            if holds_low:
                self._low_until_us = at_us + RESET_LOW_US
                self._put_out(Sent(at_us * 1000, b""))
            self._start(at_us)

    def advance(self, at_us: int) -> None:
        """Play everything up to `at_us`."""
        self._send(at_us)
        while self._steps and (due_us := self._next_step_us()) <= at_us:
            self._take(self._steps.popleft(), due_us)
            self._send(at_us)
        if self._swap_us is not None and self._swap_us <= at_us:
            self._enter(NodeState.WORKING if self.state is NodeState.IDLE else NodeState.IDLE, at_us)
        if self._asked_us is not None and at_us - self._asked_us >= SOFT_OFF_US:
            self._stop_when_asked(at_us)

    def next_change_us(self) -> int | None:
        """When it next does something by itself, other than sending what waits."""
        times = [self._swap_us, self._next_step_us() if self._steps else None]
        if self._asked_us is not None and self.state in _UP and self.habit is not Habit.STUBBORN:
            times.append(self._asked_us + SOFT_OFF_US)
        return min((time_us for time_us in times if time_us is not None), default=None)

    def line_free_us(self) -> int | None:
        """When the last byte that waits will have left; None when none waits."""
        return self._line.free_us if self._line.busy else None

    def holds_low(self, at_us: int) -> bool:
        """Whether its line is low for longer than a character: it is in reset, or has no power."""
        return self.state is NodeState.OFF or at_us < self._low_until_us

    @property
    def went_low(self) -> bool:
        """Whether the newest that left is a line that stays low, which shall be told at once."""
        return bool(self._output) and not self._output[-1].data

    def take_output(self) -> list[Sent]:
        """Return what left since the last call."""
        output = list(self._output)
        self._output.clear()
        self._output_bytes = 0
        return output

    def delay(self, by_us: int) -> None:
        """Stall: its world was late, and a node never sends faster than its baud rate to catch up."""
        self._line.delay(by_us)
        self._since_us += by_us

    async def stop(self) -> None:
        """Nothing of it is outside."""

    def _new_shell(self) -> Shell:
        kernel = tuple(step.data.rstrip() for step in self._boot if step.data.startswith(b"["))
        return Shell(self.profile.name, kernel[-_DMESG_LINES:])

    def _start(self, at_us: int) -> None:
        self.starts += 1
        self._started_us = at_us
        self._flooded = 0
        self._shell = self._new_shell()
        self._line.drop()
        self._play(self._boot_steps(), NodeState.BOOTING, at_us)

    def _boot_steps(self) -> Iterable[Step]:
        boot = self._boot
        match self.habit:
            case Habit.HANG:
                return *first_part(boot, "kernel", 0.7), Step(enters=NodeState.HUNG)
            case Habit.PANIC:
                reason = "VFS: Unable to mount root fs on unknown-block(179,2)"
                return *first_part(boot, "kernel", 1.0), *_panic_steps(reason)
            case Habit.REBOOT_LOOP:
                return *first_part(boot, "kernel", 0.3), Step(200_000, resets=True)
            case Habit.REFUSED:
                return *self._refusal, Step(enters=NodeState.HUNG)
            case Habit.FLOOD:
                return Step(enters=NodeState.WORKING), self._flood_step()
            case Habit.NORMAL | Habit.STUBBORN | Habit.BUSY:
                return *boot, Step(enters=NodeState.IDLE)

    def _flood_step(self) -> Step:
        self._flooded += _FLOOD_BYTES
        return Step(data=flood_text(self.starts, self._flooded - _FLOOD_BYTES, _FLOOD_BYTES), floods=True)

    def _play(self, steps: Iterable[Step], state: NodeState, at_us: int) -> None:
        self._enter(state, at_us)
        self._steps = deque(steps)
        self._since_us = max(at_us, self._low_until_us, self._line.free_us if self._line.busy else 0)

    def _next_step_us(self) -> int:
        return self._since_us + round(self._steps[0].pause_us / self.profile.speed)

    def _take(self, step: Step, at_us: int) -> None:
        self._since_us = at_us
        if step.resets:
            self.reset(at_us)
            return
        self.phase = step.phase or self.phase
        if step.enters is not None:
            self._enter(step.enters, at_us)
        if step.amperes is not None:
            self._load_amperes = step.amperes
        if step.data:
            self._line.put(step.data, at_us)
            self._since_us = self._line.free_us
        if step.floods:
            self._steps.append(self._flood_step())

    def _enter(self, state: NodeState, at_us: int) -> None:
        self.state = NodeState.WORKING if self.habit is Habit.BUSY and state is NodeState.IDLE else state
        self.phase = "" if state is NodeState.BOOTING else state.value
        self._load_amperes = _AMPERES.get(self.state, self._load_amperes)
        self._swap_us = None
        if self.state in _UP and self.habit not in {Habit.BUSY, Habit.FLOOD}:
            low_s, high_s = (6.0, 20.0) if self.state is NodeState.IDLE else (3.0, 8.0)
            self._swap_us = at_us + round(self._random.uniform(low_s, high_s) * 1e6)

    def _stop_when_asked(self, at_us: int) -> None:
        if self.state in _UP and self.habit is not Habit.STUBBORN:
            self.obey(Order.POWEROFF, at_us)

    def _become_silent(self, state: NodeState) -> None:
        self._steps.clear()
        self._line.drop()
        self._enter(state, 0)

    def _send(self, at_us: int) -> None:
        start_ns = self._line.start_ns
        data = self._line.advance(at_us)
        if data:
            self.record.append(data)
            self._put_out(Sent(start_ns, data))

    def _put_out(self, sent: Sent) -> None:
        self._output.append(sent)
        self._output_bytes += len(sent.data)
        while self._output_bytes > _OUTPUT_CAPACITY:
            self._output_bytes -= len(self._output.popleft().data)
