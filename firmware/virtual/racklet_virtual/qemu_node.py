"""A node that is a real machine: Linux in QEMU. Its console is the HAT's UART, its power the supply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from racklet_virtual.attached_node import NodeRefusesError
from racklet_virtual.console_watch import ConsoleWatch, Sign
from racklet_virtual.marked_line import MarkedLine
from racklet_virtual.node import ORDERS_WHEN_UP, SOFT_OFF_US, Habit, NodeProfile, Sent
from racklet_virtual.qemu_process import QemuCalls, QemuProcess
from racklet_virtual.qmp import QmpEvent
from racklet_virtual.script import NodeState
from racklet_virtual.shell import Order

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from racklet_virtual.qemu_process import QemuImage
    from racklet_virtual.record import SentBoots

_LINE_CAPACITY = 256 * 1024  # more than a socket holds, which is all that is ever put at once
_OUTPUT_CAPACITY = 64 * 1024  # nobody takes the output: the oldest is lost
_READ_AHEAD_US = 50_000  # so much is taken before it leaves; then the machine waits for its UART, as boards do
_READ_EVERY_US = 5_000  # while it speaks; QEMU hands over byte by byte
_LOAD_EVERY_US = 250_000  # 25 ticks of the kernel's account of processor time
_MAX_TYPED_BYTES = 4096  # of one call; more is lost, as in a tty
_UP = (NodeState.IDLE, NodeState.WORKING)
_AGAIN_US = 3_000_000  # a getty that starts throws away what came on the line just then
_RUNNING = (*_UP, NodeState.BOOTING, NodeState.STOPPING)
_BUSY_LOAD = 0.5  # from here on a node that is up works
_IDLE_AMPERES = 0.45
_BUSY_AMPERES = 1.15
_HALTED_AMPERES = 0.06
_SHUT_DOWN = QmpEvent("SHUTDOWN", "guest-shutdown")


@dataclass(frozen=True, slots=True)
class QemuSurroundings:
    """What a QEMU node needs to live: `look` is called when it has something to tell, and advances it."""

    image: QemuImage
    folder: Path
    now_us: Callable[[], int]
    look: Callable[[], None]


class QemuNode:
    """The node as its HAT sees it. `profile` gives its name and baud rate; it has no habits.

    What it sends leaves at the baud rate; a machine that is ahead by 50 ms waits. `state` and `phase` follow what has
    left. The load is the processor time that QEMU takes, measured: from 0.45 A with none to 1.15 A with a whole core.
    """

    def __init__(self, profile: NodeProfile, record: SentBoots, surroundings: QemuSurroundings) -> None:
        self.profile = profile
        self.record = record
        self.state = NodeState.OFF
        self.phase = ""
        self.starts = 0
        self._around = surroundings
        self._process: QemuProcess | None = None
        self._dying: list[QemuProcess] = []  # killed, each gone in some milliseconds
        self._line = MarkedLine(profile.baud, _LINE_CAPACITY)  # a mark is a reset of the machine
        self._output = bytearray()
        self._left_ns = 0  # when the first of it did, at the latest
        self._watch = ConsoleWatch(profile.name)
        self._read_us: int | None = None  # None: the process tells when there is something to read
        self._load_us = 0  # to be measured next
        self._load = 0.0  # of a processor core
        self._processor_s = 0.0
        self._asked_us: int | None = None
        self._panic_us: int | None = None  # since when it is to panic
        self._end: tuple[NodeState, str] | None = None  # state and phase that it comes to once its last byte has left

    @property
    def amperes(self) -> float:
        """The current it draws now."""
        if self._process is None:
            return 0.0 if self.state is NodeState.OFF else _HALTED_AMPERES
        return _IDLE_AMPERES + self._load * (_BUSY_AMPERES - _IDLE_AMPERES)

    @property
    def halted(self) -> bool:
        """The halted output: the machine has shut down, and its last byte has left."""
        return self.state is NodeState.HALTED

    @property
    def sending(self) -> bool:
        """True while bytes are on the wire."""
        return self._line.free_us is not None

    @property
    def pid(self) -> int | None:
        """The process that is the machine now."""
        return None if self._process is None else self._process.pid

    def power(self, *, on: bool, at_us: int) -> None:
        """The rail is good: the machine starts. Or it is too low: the machine is killed, and says nothing more."""
        if on and self.state is NodeState.OFF:
            self._start(at_us)
        elif not on and self.state is not NodeState.OFF:
            self._kill()
            self._line.drop()
            self._enter(NodeState.OFF)

    def ask_to_stop(self, *, asked: bool, at_us: int) -> None:
        """The soft-off input: asked while it is held low. A node that is not up ignores it."""
        if asked and self._asked_us is None:
            self._asked_us = at_us
        elif not asked:
            self._asked_us = None

    def type(self, data: bytes, at_us: int) -> None:  # noqa: ARG002  the machine takes it when it likes
        """Bytes arrive on the console. What a machine that hangs has no room for is lost."""
        if self._process is not None:
            self._process.type(data[:_MAX_TYPED_BYTES])

    def obey(self, order: Order, at_us: int) -> None:
        """Do what a person with a fault to inject asks for; nothing where a scripted node does nothing."""
        process, able = self._process, self.state in _RUNNING
        if process is None or not (self._is_up if order in ORDERS_WHEN_UP else able):
            return
        match order:
            case Order.WORK:
                process.order("work")
            case Order.HANG:
                process.control.execute("stop", then=lambda: self._hang(process))
            case Order.PANIC:  # by magic SysRq: a break on the serial line, then a letter
                self._panic_us = at_us
                process.control.execute("chardev-send-break", id="console", then=lambda: process.type(b"c"))
            case Order.REBOOT | Order.POWEROFF:
                process.order(order.value)
                self._enter(NodeState.STOPPING)

    def set_habit(self, habit: Habit) -> None:
        """Only the normal one. Raises NodeRefusesError."""
        if habit is not Habit.NORMAL:
            raise NodeRefusesError(f"{self.profile.name} is a QEMU machine: it has no habit {habit.value}")

    def reset(self, at_us: int, *, holds_low: bool = True) -> None:  # noqa: ARG002  QEMU's line is never low in reset
        """Start again without a word, the supply unmoved. Nothing when it is off."""
        if self.state is NodeState.OFF:
            return
        self._panic_us = None
        if self._process is None:  # it has shut down
            self._line.drop()
            self.record.mark_reset()
            self._start(at_us)
            return
        self._process.control.execute("system_reset")
        if self.state is NodeState.HUNG:
            self._process.control.execute("cont")

    def advance(self, at_us: int) -> None:
        """Take what the machine says, send what the line lets pass, measure the load, hand on the wish to stop."""
        self._read(at_us)
        self._send(at_us)
        self._measure(at_us)
        if self._asked_us is not None and at_us - self._asked_us >= SOFT_OFF_US and self._is_up:
            self.obey(Order.POWEROFF, at_us)
        if self._panic_us is not None and at_us - self._panic_us >= _AGAIN_US:
            self.obey(Order.PANIC, at_us)

    def next_change_us(self) -> int | None:
        """When the machine is to be looked at, other than to send what waits."""
        if self._process is None:
            return None
        times = [self._load_us, self._read_us]
        if self._asked_us is not None and self._is_up:
            times.append(self._asked_us + SOFT_OFF_US)
        if self._panic_us is not None:
            times.append(self._panic_us + _AGAIN_US)
        return min(time_us for time_us in times if time_us is not None)

    def line_free_us(self) -> int | None:
        """When the last byte that waits will have left; None when none waits."""
        return self._line.free_us

    def holds_low(self, at_us: int) -> bool:  # noqa: ARG002  a reset of QEMU takes no time
        """Whether its line is low for longer than a character: it has no power."""
        return self.state is NodeState.OFF

    @property
    def went_low(self) -> bool:
        """Whether the newest that left is a line that stays low, which shall be told at once."""
        return False

    def take_output(self) -> list[Sent]:
        """Return what left since the last call."""
        data = bytes(self._output)
        self._output.clear()
        return [Sent(self._left_ns, data)] if data else []

    def delay(self, by_us: int) -> None:
        """Stall: its world was late, and a node never sends faster than its baud rate to catch up."""
        self._line.delay(by_us)

    async def stop(self) -> None:
        """Kill the machine. Returns when its process has gone, and those before it."""
        self._kill()
        for process in tuple(self._dying):
            await process.gone()

    @property
    def _is_up(self) -> bool:
        return self._process is not None and self.state in _UP

    def _start(self, at_us: int) -> None:
        around = self._around
        calls = QemuCalls(self._console_speaks, self._hear, self._ended)
        self._process = QemuProcess(around.image, self.profile.name, self.profile.baud, around.folder, calls)
        self._read_us = self._end = None
        self._load, self._processor_s, self._load_us = 0.0, 0.0, at_us + _LOAD_EVERY_US
        self.starts += 1
        self._enter(NodeState.BOOTING)

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._dying.append(self._process)
            self._process = None

    def _enter(self, state: NodeState) -> None:
        self.state = state
        self.phase = "" if state is NodeState.BOOTING else state.value
        if state not in _RUNNING:
            self._panic_us = None

    def _console_speaks(self) -> None:
        self._read_us = self._around.now_us()
        self._around.look()

    def _read(self, at_us: int) -> None:
        if self._process is None or self._read_us is None or at_us < self._read_us:
            return
        if (self._line.free_us or 0) - at_us <= _READ_AHEAD_US:
            data = self._process.read_console()
            if not data:
                self._read_us = None
                return
            self._line.put(data, at_us)
        self._read_us = at_us + _READ_EVERY_US

    def _send(self, at_us: int) -> None:
        first, *others = self._line.advance(at_us)
        self._leave(first)
        for data in others:
            self.record.mark_reset()
            self.starts += 1
            self._enter(NodeState.BOOTING)
            self._leave(data)
        if self._process is None and self._end is not None and not self.sending:
            self.state, self.phase = self._end
            self._end = None

    def _drain(self, process: QemuProcess) -> None:
        """Put all that a machine that stands still has said on the line: at most what a socket holds."""
        now_us = self._around.now_us()
        while data := process.read_console():
            self._line.put(data, now_us)
        self._read_us = None

    def _hang(self, process: QemuProcess) -> None:
        self._drain(process)
        self._enter(NodeState.HUNG)
        self._around.look()

    def _leave(self, data: bytes) -> None:
        if not data:
            return
        self.record.append(data)
        if not self._output:
            self._left_ns = self._around.now_us() * 1000
        self._output += data
        del self._output[:-_OUTPUT_CAPACITY]
        for sign in self._watch.feed(data):
            self._see(sign)

    def _see(self, sign: Sign) -> None:
        if self.state not in _RUNNING:
            return
        if sign is Sign.PANIC:
            self._enter(NodeState.PANICKED)
        elif self.state is NodeState.BOOTING and sign is Sign.LOGIN:
            self._enter(NodeState.IDLE)
        elif self.state is NodeState.BOOTING:
            self.phase = sign.value

    def _measure(self, at_us: int) -> None:
        if self._process is None or at_us < self._load_us:
            return
        spent_s = self._process.processor_s()
        elapsed_s = (at_us - self._load_us + _LOAD_EVERY_US) / 1e6
        self._load = min(1.0, max(0.0, (spent_s - self._processor_s) / elapsed_s))
        self._processor_s, self._load_us = spent_s, at_us + _LOAD_EVERY_US
        if self._is_up:
            self._enter(NodeState.WORKING if self._load >= _BUSY_LOAD else NodeState.IDLE)

    def _hear(self, event: QmpEvent) -> None:
        """QEMU tells of the machine. What the machine said before is in the console, all of it."""
        if event == _SHUT_DOWN:
            self._end = (NodeState.HALTED, NodeState.HALTED.value)
        elif event.name == "RESET" and self._process is not None:
            self._drain(self._process)
            if event.reason != "guest-reset":  # by the button: what was on its way is lost
                self._line.drop()
            self._line.mark()
            self._around.look()

    def _ended(self, process: QemuProcess) -> None:
        if process is not self._process:
            self._dying.remove(process)
            return
        self._drain(process)
        self._process = None
        if self._end is None:  # QEMU itself failed, or somebody ended it
            self._end = (NodeState.HUNG, process.complaint())
        self._around.look()
