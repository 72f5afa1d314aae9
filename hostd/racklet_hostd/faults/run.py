"""A run of faults as pure logic: time and what was seen go in; deeds, and what to tell of them, come out.

How one node's supply is taken and given back is the table of `hold.Hold`, how one fault goes its way that of
`course.CourseState`. A node is wanted off while any of its faults wants that, and no fault wants anything once the run
has ended: so all that was taken is then given back, and a deed that is under way is waited for first.

| the run   | ends when                                                                                   |
|-----------|---------------------------------------------------------------------------------------------|
| by itself | every fault is over                                                                         |
| at `limit`| `limit_ms` after its begin: faults until the end are over, others broken off                |
| by `end`  | its caller left, or hostd shuts down                                                        |
| is over   | after that, once nothing is taken and nothing is under way; there are no orders any more    |
"""

from collections import deque
from collections.abc import Collection
from typing import NamedTuple

from racklet_hostd.doctor.phases import Phase
from racklet_hostd.faults.course import Course, CourseState
from racklet_hostd.faults.hold import Deed, Hold, HoldState, Outcome
from racklet_hostd.faults.plan import Plan, seconds
from racklet_hostd.model import SupplyState

_SHOWN = 100  # characters of a line in a step
STEPS_LIMIT = 1000  # that nobody took; the oldest go


class Order(NamedTuple):
    """A deed to be done to a node. `FaultRun.finished` ends it."""

    node: str
    deed: Deed


class Step(NamedTuple):
    """Something that happened. `fault` is its number in the plan, 0 when it concerns none."""

    kind: str
    node: str
    message: str
    fault: int = 0


class FaultRun:
    """One run of a plan; without a plan it only gives back the nodes that are `owed`.

    Attributes:
        why_ended: why it ended; "" while it has not.
    """

    def __init__(self, plan: Plan | None, now_ms: int, owed: Collection[str] = ()) -> None:
        self.why_ended = "" if plan else "hostd was started again"
        self._courses = [Course(fault, now_ms) for fault in plan.faults] if plan else []
        self._limit_ms = plan.limit_ms if plan else 0
        self._end_ms = now_ms + self._limit_ms
        self._holds = {node: Hold() for node in plan.nodes} if plan else {node: Hold(HoldState.OFF) for node in owed}
        self._supplies = dict.fromkeys(self._holds, SupplyState.ON)
        self._left: dict[str, str] = {}
        self._orders: list[Order] = []
        self._steps: deque[Step] = deque(maxlen=STEPS_LIMIT)

    @property
    def is_over(self) -> bool:
        """Whether it has ended and owes nothing."""
        return bool(self.why_ended) and not self._orders and all(hold.is_out for hold in self._holds.values())

    @property
    def problems(self) -> list[str]:
        """What did not go as the plan says, as sentences without their full stops."""
        failed = [f"fault {course.fault.number} {course.problem}" for course in self._courses if course.problem]
        return failed + list(self._left.values())

    @property
    def kept_nodes(self) -> list[str]:
        """The nodes that nobody else has taken."""
        return [node for node, hold in self._holds.items() if hold.state is not HoldState.GONE]

    def is_wanted(self, order: Order) -> bool:
        """Whether an order still stands."""
        hold = self._holds[order.node]
        return hold.under_way is order.deed and hold.state is not HoldState.GONE

    def due_ms(self) -> int | None:
        """Return when time alone changes something; None when it does not."""
        dues = [course.due_ms for course in self._courses] + [hold.due_ms for hold in self._holds.values()]
        dues.append(None if self.why_ended else self._end_ms)
        return min((due_ms for due_ms in dues if due_ms is not None), default=None)

    def take_orders(self) -> list[Order]:
        """Return what there is to do, once. Each is to be `finished`, also one that is not wanted any more."""
        orders, self._orders = self._orders, []
        return orders

    def take_steps(self) -> list[Step]:
        """Return what has happened since the last call."""
        steps = list(self._steps)
        self._steps.clear()
        return steps

    def see_boot(self, node: str) -> None:
        """Take note that a boot of a node began."""
        for course in self._of(node):
            course.see_boot()

    def see_phase(self, node: str, phase: Phase, now_ms: int) -> None:
        """Take note that the newest boot of a node has reached a phase."""
        for course in self._of(node):
            if course.see_phase(phase, now_ms):
                self._tell_trigger(course, f"{node} has reached {phase}")
        self.tick(now_ms)

    def wants_lines(self, node: str) -> bool:
        """Whether a line of the node's console may trigger something."""
        return any(course.fault.pattern and course.state is CourseState.WAITING for course in self._of(node))

    def see_line(self, node: str, line: str, now_ms: int) -> None:
        """Take a whole line of a node's console."""
        for course in self._of(node):
            if course.see_line(line, now_ms):
                self._tell_trigger(course, f"{node} shows {_shown(line)}")
        self.tick(now_ms)

    def see_supply(self, node: str, supply: SupplyState) -> None:
        """Take note of a supply as last reported."""
        self._supplies[node] = supply

    def release(self, node: str, why: str, now_ms: int) -> None:
        """Let somebody else have a node: nothing more is done to it."""
        if self._holds[node].state is not HoldState.FREE:
            self._left[node] = f"{node} was taken and is not given back: {why}"
        self._holds[node].release()
        self._tell("released", node, f"{node} is let go: {why}")
        self._fail(node, why)
        self.tick(now_ms)

    def end(self, why: str, now_ms: int) -> None:
        """End it, unless it has ended, and give back what it took."""
        self._end(why)
        self.tick(now_ms)

    def tick(self, now_ms: int) -> None:
        """Let time pass."""
        while self._move(now_ms):
            pass

    def finished(self, order: Order, outcome: Outcome, now_ms: int, words: str = "") -> None:
        """Take how an order ended; `words` say why it was not done."""
        node = order.node
        deed = self._holds[node].finished(outcome, now_ms)
        if deed is Deed.CUT:
            self._cut_ended(node, outcome, words)
        elif deed is Deed.RAISE:
            self._raise_ended(node, outcome, words)
        elif deed is Deed.SETTLE and outcome is not Outcome.DONE:
            self._tell("failed", node, f"the disk does not take that {node} is restored ({words}); it is tried again")
        self.tick(now_ms)

    def _of(self, node: str) -> list[Course]:
        return [course for course in self._courses if course.fault.node == node]

    def _cut_ended(self, node: str, outcome: Outcome, words: str) -> None:
        if outcome is Outcome.DONE:
            self._tell("off", node, f"{node} is off")
            return
        for course in self._of(node):
            if course.is_in_its_middle:
                self._fail_course(course, f"could not cut {node}: {words}")

    def _raise_ended(self, node: str, outcome: Outcome, words: str) -> None:
        if outcome is Outcome.DONE:
            self._supplies[node] = SupplyState.ON
        if outcome is Outcome.TRIPPED:
            self._left[node] = f"{node} is not switched on again: {words}"
            self._tell("failed", node, self._left[node])
            self._fail(node, words)
        elif outcome is not Outcome.DONE:
            self._tell("failed", node, f"{node} could not be switched on again ({words}); it is tried again")
        elif any(course.is_in_its_middle for course in self._of(node)):
            self._tell("on", node, f"{node} is on")
        else:
            self._tell("restored", node, f"{node} is on again, as it was")

    def _move(self, now_ms: int) -> bool:
        """Do what there is to do at this moment; return whether there may be more."""
        self._end_in_time(now_ms)
        has_moved = False
        for course in self._courses:
            has_moved |= course.tick(now_ms)
        for node in self._holds:
            has_moved |= self._move_node(node, now_ms)
        return has_moved

    def _end_in_time(self, now_ms: int) -> None:
        if self.why_ended:
            return
        if all(course.state is CourseState.OVER for course in self._courses):
            self.why_ended = "every fault has had its turn"
        elif now_ms >= self._end_ms:
            self._end(f"the script's limit of {seconds(self._limit_ms)} is reached")

    def _end(self, why: str) -> None:
        if self.why_ended:
            return
        self.why_ended = why
        for course in self._courses:
            course.end(why)

    def _move_node(self, node: str, now_ms: int) -> bool:
        hold, courses = self._holds[node], self._of(node)
        wants_off = any(course.state is CourseState.OFF for course in courses)
        if wants_off and hold.state in {HoldState.FREE, HoldState.ON} and self._supplies[node] is not SupplyState.ON:
            word = self._supplies[node].name.lower().replace("_", " ")
            self._fail(node, f"the supply of {node} is {word}, so there is nothing to take")
            return True
        kept = any(course.is_in_its_middle for course in courses)
        deed = hold.next_deed(off=wants_off, kept=kept, now_ms=now_ms)
        if deed is not None:
            self._orders.append(Order(node, deed))
        if hold.state in {HoldState.OFF, HoldState.ON}:
            is_on = hold.state is HoldState.ON
            for course in courses:
                course.supply(is_on=is_on, since_ms=now_ms if is_on else max(hold.cut_ms, course.begin_ms))
        dues = [course.due_ms for course in courses if course.due_ms is not None]
        return bool(dues) and min(dues) <= now_ms

    def _fail(self, node: str, problem: str) -> None:
        for course in self._of(node):
            self._fail_course(course, problem)

    def _fail_course(self, course: Course, problem: str) -> None:
        if course.fail(f"failed: {problem}"):
            self._tell("failed", course.fault.node, f"fault {course.fault.number} failed: {problem}", course)

    def _tell_trigger(self, course: Course, what: str) -> None:
        fault = course.fault
        when = f"in {seconds(fault.delay_ms)}" if fault.delay_ms else "now"
        self._tell("triggered", fault.node, f"fault {fault.number} ({fault.deed}) {when}, since {what}", course)

    def _tell(self, kind: str, node: str, message: str, course: Course | None = None) -> None:
        self._steps.append(Step(kind, node, message, course.fault.number if course else 0))


def _shown(line: str) -> str:
    text = "".join(char if char.isprintable() else " " for char in line.strip())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
