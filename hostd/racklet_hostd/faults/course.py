"""How far one fault of a run has come."""

from enum import Enum, auto

from racklet_hostd.doctor.phases import Phase
from racklet_hostd.faults.plan import Fault


class CourseState(Enum):
    """WAITING for its trigger, then for its DELAY; then its node shall be OFF and ON in turn, until it is OVER."""

    WAITING = auto()
    DELAY = auto()
    OFF = auto()
    ON = auto()
    OVER = auto()


class Course:
    """One fault under way.

    A time off counts from when the supply was cut, a time on from when it is measured to be on; `supply` tells of both.

    Attributes:
        problem: why the fault did not run as written; "" when it did, or is not over.
        begin_ms: when it began to want the supply off, the last time.
        due_ms: when time alone changes something; None when it does not.
    """

    def __init__(self, fault: Fault, now_ms: int) -> None:
        self.fault = fault
        self.state = CourseState.WAITING
        self.problem = ""
        self.due_ms: int | None = None
        self.begin_ms = now_ms
        self._span = 0
        self._is_armed = fault.phase is None
        if fault.phase is None and fault.pattern is None:
            self._trigger(now_ms)

    @property
    def is_in_its_middle(self) -> bool:
        """Whether it has begun with its node and not ended."""
        return self.state in {CourseState.OFF, CourseState.ON}

    def see_boot(self) -> None:
        """Take note that a boot began: no phase of it is reached."""
        self._is_armed = self.fault.phase is None

    def see_phase(self, phase: Phase, now_ms: int) -> bool:
        """Take note that the boot has reached a phase; return whether that triggers."""
        if self.state is not CourseState.WAITING or phase is not self.fault.phase:
            return False
        self._is_armed = True
        if self.fault.pattern is not None:
            return False
        self._trigger(now_ms)
        return True

    def see_line(self, line: str, now_ms: int) -> bool:
        """Take a line of the console; return whether it triggers."""
        pattern = self.fault.pattern
        if self.state is not CourseState.WAITING or not self._is_armed or pattern is None or not pattern.is_in(line):
            return False
        self._trigger(now_ms)
        return True

    def supply(self, *, is_on: bool, since_ms: int) -> None:
        """Take note of how the supply is, and since when; from then on, time counts, when that is as wanted."""
        span = self.fault.spans[self._span]
        if self.due_ms is not None:
            return
        if self.state is CourseState.OFF and not is_on and span.off_ms is not None:
            self.due_ms = since_ms + span.off_ms
        elif self.state is CourseState.ON and is_on:
            self.due_ms = since_ms + span.on_ms

    def tick(self, now_ms: int) -> bool:
        """Let time pass; return whether that changed something."""
        if self.due_ms is None or now_ms < self.due_ms:
            return False
        self.due_ms = None
        if self.state is CourseState.ON:
            self._span += 1
        if self.state is CourseState.OFF:
            is_last = self._span == len(self.fault.spans) - 1
            self.state = CourseState.OVER if is_last else CourseState.ON
        else:
            self.state = CourseState.OFF
            self.begin_ms = now_ms
        return True

    def fail(self, problem: str) -> bool:
        """End it; return whether it was not over."""
        if self.state is CourseState.OVER:
            return False
        self.state, self.due_ms, self.problem = CourseState.OVER, None, problem
        return True

    def end(self, why: str) -> None:
        """The run ends."""
        if self.state is CourseState.OFF and self.fault.is_open:
            self.state, self.due_ms = CourseState.OVER, None
        elif self.is_in_its_middle:
            self.fail(f"was broken off: {why}")
        else:
            self.fail(f"never came to its turn: {why}")

    def _trigger(self, now_ms: int) -> None:
        self.state = CourseState.DELAY
        self.due_ms = now_ms + self.fault.delay_ms
