"""Pauses that end together."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racklet_hostd.bell import MOMENT_MS, Moments, ShuttingDownError
from tests.hostd.rig import until

HOUR_MS = 3_600_000


class Turns(asyncio.SelectorEventLoop):
    """An event loop whose time passes only when nobody has anything to do, and then at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1_000.0

    def time(self) -> float:
        return self.now_s

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self.now_s = max(self.now_s, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(10, 500)), min_size=1, max_size=30))
def test_a_pause_is_never_too_short_and_at_most_a_moment_too_long(pauses: list[tuple[int, int]]) -> None:
    moments, ends_ms = Moments(), set()

    async def pause(start_ms: int, span_ms: int) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(start_ms / 1000)
        begin_ms = loop.time() * 1000
        await moments.pause(span_ms)
        end_ms = loop.time() * 1000
        assert span_ms - 1e-3 <= end_ms - begin_ms <= span_ms + MOMENT_MS + 1e-3
        ends_ms.add(round(end_ms, 3))

    async def main() -> None:
        await asyncio.gather(*(pause(*each) for each in pauses))

    with asyncio.Runner(loop_factory=Turns) as runner:
        runner.run(main())
    assert all(end_ms % MOMENT_MS == 0 for end_ms in ends_ms)
    assert moments.waiters == 0


async def test_all_who_wait_are_let_go_at_once_when_hostd_goes_and_nobody_waits_after_that() -> None:
    moments = Moments()
    waiting = asyncio.gather(*(moments.pause(HOUR_MS) for _ in range(3)), return_exceptions=True)
    await until(lambda: moments.waiters == 3)
    moments.close()
    assert [type(end) for end in await waiting] == [ShuttingDownError] * 3
    with pytest.raises(ShuttingDownError):
        await moments.pause(HOUR_MS)


async def test_who_leaves_leaves_no_timer_behind() -> None:
    moments = Moments()
    for _ in range(10):
        waiting = asyncio.gather(*(moments.pause(HOUR_MS + span_ms) for span_ms in range(0, 100, 5)))
        await until(lambda: moments.waiters == 20)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    timers = [timer for timer in asyncio.get_running_loop()._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
    assert moments.waiters == 0
    assert not [timer for timer in timers if timer.when() > asyncio.get_running_loop().time() + HOUR_MS / 2000]
