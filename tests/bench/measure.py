"""Runs that take turns, and their medians."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median

_NS_PER_US = 1000


def interleaved(rounds: int, runs: Mapping[str, Callable[[], float]]) -> dict[str, float]:
    """Let each run take its turn, `rounds` times over; return the median of what each returned."""
    results: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            results[name].append(run())
    return {name: median(values) for name, values in results.items()}


def cpu_us(work: Callable[[], object], span_ms: int) -> float:
    """Return the microseconds of CPU that one call takes, measured over at least `span_ms` of them."""
    calls = 1
    while True:
        start_ns = time.process_time_ns()
        for _ in range(calls):
            work()
        spent_us = (time.process_time_ns() - start_ns) / _NS_PER_US
        if spent_us >= span_ms * _NS_PER_US:
            return spent_us / calls
        calls *= 2
