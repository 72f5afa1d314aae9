"""A talk with a HAT over a port: its ticks and its bounds."""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from unittest.mock import patch

import pytest

from racklet.link.v1 import link_pb2
from racklet_hostd.clock import Clock, SystemClock
from racklet_hostd.hat_session import HELD_BACK_MS, KEPT_MS, READ_BUDGET_BYTES, HatNews, HatSession
from racklet_hostd.serial_port import FULL_BYTES
from racklet_link.events import HelloReceived, LogData, StoredPositions, TelemetryReceived
from racklet_link.host import HostLink
from tests.bench.wire import KEY, HatSeal, unseal
from tests.hostd.rig import until


class Line:
    """The HAT's side of a pty."""

    def __init__(self) -> None:
        self.master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self.master, False)
        self.path = Path(os.ttyname(self._slave))
        self._heard = b""
        self._seal = HatSeal(1)
        self._records = 0

    def close(self) -> None:
        os.close(self.master)
        os.close(self._slave)

    def bodies(self) -> list[str]:
        """Return what was said to the HAT since the last call."""
        with suppress(BlockingIOError):
            self._heard += os.read(self.master, 1 << 16)
        *frames, self._heard = self._heard.split(b"\0")
        said = [link_pb2.Frame.FromString(unseal(frame + b"\0")) for frame in frames if frame]
        for frame in said:
            self._seal.hear(frame)
        return [str(frame.WhichOneof("body")) for frame in said]

    def hello(self) -> bytes:
        """Return the Hello that answers what was heard last."""
        return self._seal.hello()

    def frame(self, frame: link_pb2.Frame) -> bytes:
        """Return a frame of the talk."""
        return self._seal.seal(frame)

    def console(self, count: int) -> bytes:
        """Return the frames of so many records of the console that come next."""
        first = self._records
        self._records += count
        return b"".join(
            self.frame(link_pb2.Frame(log_record=link_pb2.LogRecord(boot=1, offset=448 * number, data=b"x" * 448)))
            for number in range(first, first + count)
        )


@pytest.fixture
def line() -> Iterator[Line]:
    with closing(Line()) as line:
        yield line


class StandingClock(Clock):
    """Goes on when it is told to."""

    now_ms = 1_000_000

    def monotonic_ms(self) -> int:
        return self.now_ms

    def unix_ms(self) -> int:
        return self.now_ms


@asynccontextmanager
async def talking(
    line: Line, clock: Clock | None = None, told: list[HatNews] | None = None
) -> AsyncIterator[HatSession]:
    """Serve the line with a session that welcomes whoever says Hello; all it tells goes to `told`."""
    clock = clock or SystemClock()

    def take(news: HatNews) -> None:
        if isinstance(news, HelloReceived):
            session.link.welcome(StoredPositions(), 0, clock.monotonic_ms())
        if told is not None:
            told.append(news)

    session = HatSession("node-1", 1000, clock, take, lambda _: KEY)
    await session.open(line.path)
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(session.serve())
        try:
            yield session
        finally:
            serving.cancel()


async def test_a_hat_is_knocked_for_again_and_again(line: Line) -> None:
    heard: list[str] = []
    async with talking(line):
        await until(lambda: heard.extend(line.bodies()) or len(heard) >= 3)
    assert set(heard) == {"knock"}


async def test_a_hat_that_is_welcome_is_kept_alive(line: Line) -> None:
    heard: list[str] = []
    async with talking(line) as session:
        await until(lambda: "knock" in line.bodies())
        os.write(line.master, line.hello())
        await until(lambda: session.link.is_up)
        await until(lambda: heard.extend(line.bodies()) or heard.count("acknowledge") >= 2)


async def test_a_request_is_sent_again_until_it_is_answered(line: Line) -> None:
    heard: list[str] = []
    async with talking(line) as session:
        await until(lambda: "knock" in line.bodies())
        os.write(line.master, line.hello())
        await until(lambda: session.link.is_up)
        answer = session.request(link_pb2.Identify(duration_ms=5), 700)
        await until(lambda: heard.extend(line.bodies()) or heard.count("request") >= 2)
        assert "no final answer in time" in str(await answer)


async def test_a_port_that_brings_too_much_is_left_unread_for_a_while(line: Line) -> None:
    async with talking(line) as session:
        port = session._port
        assert port is not None
        for _ in range(READ_BUDGET_BYTES // 1024):
            assert not port._is_paused
            session._receive(bytes(1024))
        assert port._is_paused
        await until(lambda: "knock" in line.bodies())
        os.write(line.master, line.hello())
        await until(lambda: not port._is_paused)
        await until(lambda: session.link.is_up)
        assert session._budget_bytes > 0


async def test_what_follows_comes_soon_when_it_was_held_back_or_an_answer_is_awaited(line: Line) -> None:
    async with talking(line) as session:
        much, little = bytes(FULL_BYTES), bytes(100)
        with patch.object(HostLink, "receive", lambda link, *_: setattr(link, "log_lag_ms", lag_ms) or []):
            lag_ms = HELD_BACK_MS - 1
            assert not session._receive(much)
            lag_ms = HELD_BACK_MS
            assert session._receive(much)
            assert not session._receive(little)  # a full terminal has more: the node said nothing since
        session.request(link_pb2.Identify(duration_ms=5), 700)
        assert session._receive(little)


class Flood:
    """A node that says much, on a clock that stands."""

    def __init__(self, line: Line, session: HatSession, clock: StandingClock, told: list[HatNews]) -> None:
        self._line = line
        self._session = session
        self._clock = clock
        self._told = told
        start = link_pb2.LogRecord(boot=1, boot_cause=link_pb2.BOOT_CAUSE_SUPPLY_ON)
        session._receive(line.frame(link_pb2.Frame(log_record=start)))
        told.clear()

    def bring(self, records: int, after_ms: int = 80) -> int:
        """Let so many records come; return of how many it was told then."""
        return self.bring_bytes(self._line.console(records), after_ms)

    def bring_bytes(self, data: bytes, after_ms: int = 80) -> int:
        self._clock.now_ms += after_ms
        self._session._receive(data)
        told = sum(len(news.data) for news in self._told if isinstance(news, LogData))
        self._told[:] = [news for news in self._told if not isinstance(news, LogData)]
        return told // 448


@asynccontextmanager
async def flooding(line: Line) -> AsyncIterator[tuple[HatSession, Flood, list[HatNews]]]:
    clock, told = StandingClock(), list[HatNews]()
    async with talking(line, clock, told) as session:
        await until(lambda: "knock" in line.bodies())
        session._receive(line.hello())
        yield session, Flood(line, session, clock, told), told


async def test_of_a_node_that_says_much_it_is_told_when_that_is_worth_a_sync(line: Line) -> None:
    async with flooding(line) as (session, flood, _):
        assert [flood.bring(24) for _ in range(3)] == [0, 0, 72]
        assert session.link.unacknowledged_bytes == 72 * 448
        assert [flood.bring(24) for _ in range(2)] == [24, 24]  # the sync has not ended
        session.link.acknowledge(StoredPositions(1, 120 * 448, 1), SystemClock().monotonic_ms())
        assert [flood.bring(24) for _ in range(3)] == [0, 0, 72]


async def test_of_a_node_that_says_little_it_is_told_at_once(line: Line) -> None:
    async with flooding(line) as (_, flood, _):
        assert [flood.bring(2), flood.bring(8, after_ms=100)] == [2, 8]


async def test_what_is_no_console_is_told_at_once_with_all_before_it(line: Line) -> None:
    async with flooding(line) as (_, flood, told):
        assert flood.bring(24) == 0
        before = line.console(8)
        telemetry = line.frame(link_pb2.Frame(telemetry=link_pb2.Telemetry(sequence=1)))
        assert flood.bring_bytes(before + telemetry + line.console(8)) == 40
        assert [type(news) for news in told] == [TelemetryReceived]


async def test_when_a_node_falls_silent_what_it_said_last_is_told(line: Line) -> None:
    async with flooding(line) as (_, flood, _):
        assert [flood.bring(24), flood.bring(0)] == [0, 24]


async def test_nothing_waits_for_long(line: Line) -> None:
    async with flooding(line) as (session, flood, _):
        with patch.object(HostLink, "log_ring_bytes", 1 << 20):
            waited_ms = 0
            while flood.bring(12) == 0:
                waited_ms += 80
            assert KEPT_MS <= waited_ms < KEPT_MS + 80  # until the look then
            assert session.link.unacknowledged_bytes > 0


async def test_whoever_waits_for_an_answer_does_not_wait_for_more(line: Line) -> None:
    async with flooding(line) as (session, flood, _):
        assert flood.bring(24) == 0
        session.request(link_pb2.Identify(duration_ms=5), 700)
        assert [flood.bring(24), flood.bring(24)] == [48, 24]


async def test_a_sync_of_everything_takes_what_waits(line: Line) -> None:
    async with flooding(line) as (session, flood, told):
        assert flood.bring(24) == 0
        session.take_kept()
        assert sum(len(news.data) for news in told if isinstance(news, LogData)) == 24 * 448


async def test_what_waits_when_the_cable_is_pulled_is_told() -> None:
    line = Line()
    async with flooding(line) as (session, flood, told):
        assert flood.bring(24) == 0
        line.close()
        assert session._port is not None
        await session._port.wait_closed()
        await until(lambda: session._port is None)
        assert sum(len(news.data) for news in told if isinstance(news, LogData)) == 24 * 448
