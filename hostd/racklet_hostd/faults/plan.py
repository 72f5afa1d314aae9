"""What a script of faults comes to once its dice are thrown."""

from dataclasses import dataclass
from typing import NamedTuple

from racklet_hostd.doctor.phases import Phase
from racklet_hostd.faults.pattern import Pattern

_MS_PER_S = 1000
_SHOWN = 80  # characters of a pattern in a sentence


class Span(NamedTuple):
    """Once off, and on again: `off_ms` is None when that lasts until the run ends."""

    off_ms: int | None
    on_ms: int


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a plan.

    Attributes:
        number: its place in the script, from 1.
        node: the node's name.
        what: such as "cut", as the script says.
        spans: what its supply goes through; the last one's `on_ms` is 0.
        phase: the phase that a boot must have reached, if any.
        pattern: what a console line must show, if anything.
        delay_ms: how long after that, or after the run began.
    """

    number: int
    node: str
    what: str
    spans: tuple[Span, ...]
    phase: Phase | None
    pattern: Pattern | None
    delay_ms: int

    @property
    def is_open(self) -> bool:
        """Whether it lasts until the run ends."""
        return self.spans[-1].off_ms is None

    @property
    def deed(self) -> str:
        """What happens, for a person."""
        first = self.spans[0]
        if first.off_ms is None:
            return f"{self.what} until the end"
        if len(self.spans) == 1:
            return f"{self.what} for {seconds(first.off_ms)}"
        off, on = _range([span.off_ms or 0 for span in self.spans]), _range([span.on_ms for span in self.spans[:-1]])
        return f"{self.what} {len(self.spans)} times, off for {off}, on for {on}"

    @property
    def trigger(self) -> str:
        """When it happens, for a person."""
        parts = []
        if self.phase is not None:
            parts.append(f"a boot reaches {self.phase}")
        if self.pattern is not None:
            text = self.pattern.text
            shown = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
            parts.append(f"its console {'then ' if parts else ''}shows /{shown}/")
        if not parts:
            return f"{seconds(self.delay_ms)} after the begin"
        condition = " and ".join(parts)
        return f"{seconds(self.delay_ms)} after {condition}" if self.delay_ms else f"as soon as {condition}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will do. The same script and seed give the same plan."""

    name: str
    seed: int
    limit_ms: int
    faults: tuple[Fault, ...]

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes that it takes, in the order of the script."""
        return tuple(dict.fromkeys(fault.node for fault in self.faults))


def seconds(ms: int) -> str:
    """Return a time as people write it, such as "2.5 s"."""
    return f"{round(ms / _MS_PER_S, 3):g} s"


def _range(times_ms: list[int]) -> str:
    least, most = min(times_ms), max(times_ms)
    return seconds(least) if least == most else f"{seconds(least)} to {seconds(most)}"
