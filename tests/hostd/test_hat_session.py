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
from racklet_hostd.clock import SystemClock
from racklet_hostd.hat_session import HELD_BACK_MS, READ_BUDGET_BYTES, HatNews, HatSession
from racklet_hostd.serial_port import FULL_BYTES
from racklet_link.events import HelloReceived, StoredPositions
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


@pytest.fixture
def line() -> Iterator[Line]:
    with closing(Line()) as line:
        yield line


@asynccontextmanager
async def talking(line: Line) -> AsyncIterator[HatSession]:
    """Serve the line with a session that welcomes whoever says Hello."""

    def take(news: HatNews) -> None:
        if isinstance(news, HelloReceived):
            session.link.welcome(StoredPositions(), 0, SystemClock().monotonic_ms())

    session = HatSession("node-1", 1000, SystemClock(), take, lambda _: KEY)
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
