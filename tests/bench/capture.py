"""What it costs to store a console, and what is lost: hostd against conserver, ser2net and pyserial-asyncio."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench.capture_feed import RECORD_BYTES, record_data
from tests.bench.capture_ways import DEBIAN_PATH, FLOOR, HOSTD, PEERS, Way
from tests.bench.process import cpu_s, running, until
from tests.bench.report import Report, Row
from tests.conftest import ROOT

TIMEOUT_S = 60
LOOK_S = 0.02
STALLED_S = 1.0  # without growth: nothing more is coming
MEGA = 1e6
MS = 1e3
USB_BYTES = 128  # what Linux's cdc_acm reads from a full-speed port at once: two packets
UNIT_BYTES = 896  # whole records, and whole pieces of USB_BYTES
BUSY = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: sum(range(10000))"


@dataclass(frozen=True, slots=True)
class Load:
    """How a node speaks.

    Attributes:
        rate: bytes a second, 0 for as fast as the line takes them.
        size: how many bytes.
        write_bytes: how many the port's driver hands on at once.
        is_busy: beside busy cores.
    """

    name: str
    rate: int
    size: int
    write_bytes: int
    is_busy: bool = False


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    rounds: int
    loads: list[Load]


def _paced(name: str, rate: int, span_s: float, write_bytes: int = USB_BYTES, *, is_busy: bool = False) -> Load:
    return Load(name, rate, _whole(rate * span_s), write_bytes, is_busy)


def _whole(size: float) -> int:
    return max(1, int(size) // UNIT_BYTES) * UNIT_BYTES


FULL = Size(
    rounds=3,
    loads=[
        _paced("11.5 kB/s", 11_500, 4.0),
        _paced("150 kB/s", 150_000, 4.0),
        _paced("150 kB/s, cores busy", 150_000, 4.0, is_busy=True),
        _paced("150 kB/s, whole records", 150_000, 4.0, RECORD_BYTES),
        _paced("150 kB/s, whole records, cores busy", 150_000, 4.0, RECORD_BYTES, is_busy=True),
        Load("as fast as it goes", 0, _whole(4_000_000), RECORD_BYTES),
    ],
)
SMALLEST = Size(
    rounds=1,
    loads=[
        _paced("150 kB/s, cores busy", 150_000, 0.1, is_busy=True),
        Load("as fast as it goes", 0, _whole(100_000), RECORD_BYTES),
    ],
)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one load cost one way."""

    cpu_ms_per_mb: float
    mb_per_s: float


@dataclass(slots=True)
class Station:
    """A way at work on its own pty."""

    way: Way
    folder: Path
    pids: list[int]
    feed: asyncio.subprocess.Process
    said: int = 0  # bytes

    async def say(self, load: Load) -> Cost:
        """Let the node speak, and measure until all of it is stored or nothing comes any more."""
        assert self.feed.stdin is not None
        assert self.feed.stdout is not None
        begin_s, begin_cpu_s = time.monotonic(), cpu_s(*self.pids)
        self.feed.stdin.write(f"{load.rate} {load.size}\n".encode())
        async with asyncio.timeout(TIMEOUT_S):
            if not await self.feed.stdout.readline():
                raise RuntimeError("the feed ended; what it said is above")
        self.said += load.size
        end_s = await self._stored_s()
        megabytes = load.size / MEGA
        spent_s = cpu_s(*self.pids) - begin_cpu_s
        return Cost(spent_s * MS / megabytes, megabytes / (end_s - begin_s))

    async def _stored_s(self) -> float:
        """Return when the last byte was stored. A HAT knows it; a file has to be looked at."""
        path = self.folder / "stored"
        size, grown_s = -1, time.monotonic()
        while self.way.feed == "raw" and size < self.said and time.monotonic() - grown_s < STALLED_S:
            now = path.stat().st_size
            if now != size:
                size, grown_s = now, time.monotonic()
            await asyncio.sleep(LOOK_S)
        return grown_s

    @property
    def lost(self) -> int:
        """How many bytes were said and are not stored in their place."""
        return _lost(self.said, self.way.stored(self.folder))


def run(size: Size) -> Report:
    """Measure all ways in turn."""
    missing = [way.package for way in PEERS if way.command and not shutil.which(way.command, path=DEBIAN_PATH)]
    peers = [way for way in PEERS if way.package not in missing]
    found = {load.name: asyncio.run(_measure(size, load, [HOSTD, FLOOR, *peers])) for load in size.loads}
    report = Report(
        "capture: what a node's console says, stored on disk",
        [
            "ours: racklet-hostd as it is. The HAT speaks the link; in the end all is acknowledged, so durable.",
            "peer: as named. conserver and pyserial-asyncio write files; ser2net's client does, and counts as well.",
            "A bare loop: os.read and os.write over epoll.",
            "limit: what no program can leave out that keeps hostd's promise, with hostd's number of wake-ups: read,",
            "take frame, seal and record apart with the C libraries, append to one file, flush it, acknowledge.",
            f"All get the same console at one pace on ptys, {USB_BYTES} bytes at once: so Linux's cdc_acm reads, two",
            "packets, of an adapter and of a HAT alike. Other drivers hand on 64 bytes (CH341) to 512 (FTDI).",
            f"Whole records: {RECORD_BYTES} bytes at once, as a HAT puts together.",
            "CPU of the capturing processes alone, system time included, from the first byte until all is stored.",
            f"Cores busy: beside {os.cpu_count()} processes that do nothing but count.",
            "Lost: said and not on the disk in its place, in all rounds. Only at the last rate does the node wait.",
            f"Medians of {size.rounds} rounds in turns, by processes that began with the first of them.",
            "What hostd does once a minute, indexing and compressing what has ended, is in `just bench storage`.",
            *(f"{package} is not installed, so its rows are missing: apt install {package}" for package in missing),
        ],
    )
    lost: Counter[str] = Counter()
    for load in size.loads:
        costs, lost_with_it = found[load.name]
        report.sections.append(list(_rows(load, costs)))
        lost.update(lost_with_it)
    ours, limit = lost[HOSTD.name], lost[FLOOR.name]
    report.sections.append(
        [Row(f"lost, ours and {peer.name}", "bytes", ours, lost[peer.name], limit) for peer in peers]
    )
    return report


def _rows(load: Load, costs: dict[str, Cost]) -> Iterator[Row]:
    ours, limit = costs.pop(HOSTD.name), costs.pop(FLOOR.name)
    for peer, cost in costs.items():
        what = f"{load.name}: ours and {peer}"
        yield Row(what, "ms of CPU/MB", ours.cpu_ms_per_mb, cost.cpu_ms_per_mb, limit.cpu_ms_per_mb)
    if not load.rate:
        for peer, cost in costs.items():
            what = f"{load.name}: ours and {peer}"
            yield Row(what, "MB/s", ours.mb_per_s, cost.mb_per_s, limit.mb_per_s, more_is_better=True)


async def _measure(size: Size, load: Load, ways: list[Way]) -> tuple[dict[str, Cost], dict[str, int]]:
    """Return what a load costs each of the ways, and how many bytes each of them lost."""
    costs: dict[str, list[Cost]] = {way.name: [] for way in ways}
    with tempfile.TemporaryDirectory(prefix="racklet-bench-") as name:
        folder = Path(name)
        for way in ways:
            (folder / way.name).mkdir()
        async with AsyncExitStack() as started:
            stations = [await started.enter_async_context(_station(way, folder / way.name, load)) for way in ways]
            for _ in range(size.rounds):
                async with _busy_cores(folder / "busy.log", load):
                    for station in stations:
                        costs[station.way.name].append(await station.say(load))
        return {way: _median(found) for way, found in costs.items()}, {each.way.name: each.lost for each in stations}


def _median(costs: list[Cost]) -> Cost:
    return Cost(median(cost.cpu_ms_per_mb for cost in costs), median(cost.mb_per_s for cost in costs))


@asynccontextmanager
async def _station(way: Way, folder: Path, load: Load) -> AsyncIterator[Station]:
    port = folder / "port"
    feed = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.capture_feed", way.feed, str(port), str(load.write_bytes)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        start_new_session=True,  # as the process that is measured
    )
    assert feed.stdin is not None
    try:
        await until(port.exists)
        async with way.start(folder, port) as pids:
            yield Station(way, folder, pids, feed)
    finally:
        feed.stdin.close()
        with suppress(ProcessLookupError):
            feed.kill()
        await feed.wait()


@asynccontextmanager
async def _busy_cores(log: Path, load: Load) -> AsyncIterator[None]:
    async with AsyncExitStack() as busy:
        for _ in range((os.cpu_count() or 1) if load.is_busy else 0):
            await busy.enter_async_context(running(sys.executable, "-c", BUSY, log=log))
        yield


def _lost(said: int, stored: bytes) -> int:
    """Return how many of so many bytes are not stored in their order; what is stored too much counts as well."""
    lost = place = 0
    for number in range(said // RECORD_BYTES):
        expected = record_data(number)
        if stored.startswith(expected, place):
            place += len(expected)
            continue
        found = stored.find(expected, place)
        if found < 0:
            lost += len(expected)
        else:
            lost += max(0, found - place)
            place = found + len(expected)
    return lost + len(stored) - place
