"""The heap after load is the heap before: nothing that the firmware does again and again keeps memory."""

from __future__ import annotations

from racklet.link.v1 import link_pb2
from racklet_virtual.node import Habit
from tests.chip.conftest import MakeHat
from tests.chip.host import ChipHost

LOAD_MS = 4_000


def lowest_free(host: ChipHost, duration_ms: int) -> int:
    """Run under load; return the most heap that was free at the end of it, garbage of one period aside."""
    first = len(host.telemetry)
    end_ms = host.hat.now_ms + duration_ms
    while host.hat.now_ms < end_ms:
        host.run_ms(100)
        host.ask(link_pb2.Identify(duration_ms=50))
    return max(telemetry.heap_free_bytes for telemetry in host.telemetry[first:][-4:])


def test_the_heap_after_load_is_that_of_its_start(make_hat: MakeHat, figures: list[str]) -> None:
    host = ChipHost(make_hat(habit=Habit.FLOOD))
    host.greet()
    assert host.switch(link_pb2.POWER_ACTION_ON).result == link_pb2.RESULT_DONE
    start = lowest_free(host, 600)
    end = lowest_free(host, LOAD_MS)
    figures.append(f"heap free: {start:,} bytes at the start, {end:,} after {LOAD_MS / 1000:g} s of load")
    assert host.gaps == []
    assert end == start
