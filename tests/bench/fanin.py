"""What it costs to hear many HATs: hostd against the barest loops that read the same bytes."""

from __future__ import annotations

import asyncio
import os
import tempfile
import tty
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Self

from tests.bench.fanin_reader import ports
from tests.bench.measured import Measured, Reading, measured
from tests.bench.report import Report, Row
from tests.bench.wire import hello, telemetry

WAYS = ("hostd", "asyncio", "bare")  # ours, peer, limit
TIMEOUT_S = 15
LOOK_S = 0.05
US = 1e6
MS = 1e3
PERCENT = 100


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured. `rate_hz` is of each HAT; `quiet_s` is well below the 2.5 s after which a link is lost."""

    hats: int
    rate_hz: int
    rounds: int
    load_s: float
    quiet_s: float


FULL = Size(hats=50, rate_hz=20, rounds=3, load_s=1.0, quiet_s=0.6)
SMALLEST = Size(hats=2, rate_hz=20, rounds=1, load_s=0.2, quiet_s=0.1)


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU of one way of reading."""

    message_us: float
    quiet_ms_per_s: float
    more_us: float  # of a message, beyond what is spent when none comes

    @classmethod
    def median_of(cls, runs: list[Self]) -> Self:
        """Return the medians of what the runs cost."""
        return cls(*(median(getattr(run, name) for run in runs) for name in cls.__slots__))


class Cables:
    """A pty for each HAT, under the names that a reader opens."""

    def __init__(self, folder: Path, hats: int, opened: ExitStack) -> None:
        self._masters: list[int] = []
        (folder / "ports").mkdir(parents=True)
        for port in ports(folder, hats):
            master, slave = os.openpty()
            opened.callback(os.close, master)
            opened.callback(os.close, slave)  # kept open, so that a reader may come and go
            tty.setraw(slave)
            os.set_blocking(master, False)
            port.symlink_to(os.ttyname(slave))
            self._masters.append(master)

    def introduce(self) -> None:
        """Throw away what was heard, and let every HAT say Hello."""
        for number, master in enumerate(self._masters):
            with suppress(BlockingIOError):
                os.read(master, 1 << 16)
            os.write(master, hello(number))

    async def speak(self, frames: list[bytes], span_s: float) -> None:
        """Let the HATs say one frame each in turn, evenly spread over `span_s`."""
        loop = asyncio.get_running_loop()
        begin_s = loop.time()
        for index, frame in enumerate(frames):
            await asyncio.sleep(begin_s + span_s * index / len(frames) - loop.time())
            os.write(self._masters[index % len(self._masters)], frame)


@dataclass(slots=True)
class Reader:
    """One way of reading, at work on its own cables."""

    way: str
    process: Measured
    cables: Cables
    costs: list[Costs]


def run(size: Size) -> Report:
    """Measure the three ways in turn."""
    hostd, peer, bare = asyncio.run(_measure(size))
    total_hz = size.hats * size.rate_hz
    report = Report(
        f"fan-in: telemetry of {size.hats} HATs on ptys, {size.rate_hz} a second each",
        [
            "ours: hostd as it is, with sessions, nodes, store, API and pages. The others count bytes.",
            "peer: asyncio's add_reader and os.read. limit: os.read in a loop over epoll.",
            f"CPU of the reading process alone, system time included; the load is from another: {total_hz} frames a "
            f"second of {len(telemetry(1, 1))} bytes.",
            f"Medians of {size.rounds} rounds in turns, {size.load_s} s of load and {size.quiet_s} s of quiet each.",
        ],
    )

    def row(what: str, unit: str, figures: list[float]) -> Row:
        return Row(what, unit, *figures)

    ways = (hostd, peer, bare)
    at_rest_hz = [cost.quiet_ms_per_s / MS * PERCENT + size.hats * cost.more_us / US * PERCENT for cost in ways]
    report.sections.append(
        [
            row("all CPU, shared among the messages", "µs of CPU/message", [cost.message_us for cost in ways]),
            row("when no HAT speaks", "ms of CPU/s", [cost.quiet_ms_per_s for cost in ways]),
            row("what each message adds", "µs of CPU/message", [cost.more_us for cost in ways]),
            row(f"so {size.hats} HATs, one message a second each, take", "% of a core", at_rest_hz),
        ]
    )
    return report


async def _measure(size: Size) -> list[Costs]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="racklet-bench-")))
        opened = stack.enter_context(ExitStack())
        readers: list[Reader] = []
        for way in WAYS:
            cables = Cables(folder / way, size.hats, opened)
            process = await stack.enter_async_context(measured("fanin_reader", way, folder / way, size.hats))
            readers.append(Reader(way, process, cables, []))
        for turn in range(size.rounds):
            for reader in readers:
                reader.costs.append(await _run(reader, turn, size))
        return [Costs.median_of(reader.costs) for reader in readers]


async def _run(reader: Reader, turn: int, size: Size) -> Costs:
    await _introduce(reader, size.hats)
    rounds = round(size.load_s * size.rate_hz)
    first = turn * rounds + 1
    frames = [
        telemetry(first + index, (first + index) * 1000 // size.rate_hz)
        for index in range(rounds)
        for _ in range(size.hats)
    ]
    loop = asyncio.get_running_loop()
    begin_s, before = loop.time(), await reader.process.read()
    await reader.cables.speak(frames, size.load_s)
    after = await _until_read(reader, before, frames)
    end_s = loop.time()
    await asyncio.sleep(size.quiet_s)
    quiet = await reader.process.read()
    quiet_rate = (quiet.cpu_s - after.cpu_s) / (loop.time() - end_s)
    spent_s = after.cpu_s - before.cpu_s
    more_s = spent_s - quiet_rate * (end_s - begin_s)
    return Costs(spent_s / len(frames) * US, quiet_rate * MS, more_s / len(frames) * US)


async def _introduce(reader: Reader, hats: int) -> None:
    """Let the HATs say Hello until all are online and nothing is under way."""
    async with asyncio.timeout(TIMEOUT_S):
        last: Reading | None = None
        while True:
            reader.cables.introduce()
            await asyncio.sleep(LOOK_S)
            reading = await reader.process.read()
            if reading.state["online"] == hats and last is not None and last.state["online"] == hats:
                return
            last = reading


async def _until_read(reader: Reader, before: Reading, frames: list[bytes]) -> Reading:
    """Return the reading when everything that was sent has been read."""
    unit = "frames" if "frames" in before.state else "bytes"
    expected = before.state[unit] + (len(frames) if unit == "frames" else sum(map(len, frames)))
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            reading = await reader.process.read()
            if reading.state[unit] >= expected:
                return reading
            await asyncio.sleep(LOOK_S)
