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

from racklet.link.v1 import link_pb2
from tests.bench.fanin_reader import ports
from tests.bench.measured import Measured, Reading, measured
from tests.bench.report import Report, Row
from tests.bench.wire import HatSeal, unseal
from tests.bench.wire import measured as telemetry

WAYS = ("hostd", "asyncio", "bare")  # ours, peer, limit
TIMEOUT_S = 15
LOOK_S = 0.05
US = 1e6
MS = 1e3
FRAME_BYTES = 22  # around a message: Frame, seal, checksum, stuffing
PERCENT = 100


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured. `rate_hz` is of each HAT; `quiet_s` is below the 2.5 s after which a link is lost."""

    hats: int
    rate_hz: int
    rounds: int
    load_s: float
    quiet_s: float


FULL = Size(hats=50, rate_hz=20, rounds=3, load_s=1.0, quiet_s=1.0)
SMALLEST = Size(hats=2, rate_hz=20, rounds=1, load_s=0.2, quiet_s=0.1)


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU of one way of reading."""

    message_us: float  # everything, shared among the messages
    quiet_ms_per_s: float  # when nobody speaks
    more_us: float  # what a message adds to that


class Cables:
    """A pty for each HAT, under the names that a reader opens."""

    def __init__(self, folder: Path, hats: int, opened: ExitStack) -> None:
        self._masters: list[int] = []
        self._seals = [HatSeal(number) for number in range(hats)]
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
        """Let every HAT say Hello, to the newest Knock that it heard."""
        for seal, master in zip(self._seals, self._masters, strict=True):
            heard = b""
            with suppress(BlockingIOError):
                heard = os.read(master, 1 << 16)
            for frame in filter(None, heard.split(b"\0")):
                seal.hear(link_pb2.Frame.FromString(unseal(frame + b"\0")))
            os.write(master, seal.hello())

    def frames(self, bodies: list[link_pb2.Telemetry]) -> list[bytes]:
        """Return the frames of what all HATs say in turn, each sealed by its own."""
        seals = self._seals
        return [seals[at % len(seals)].seal(link_pb2.Frame(telemetry=body)) for at, body in enumerate(bodies)]

    async def speak(self, frames: list[bytes], span_s: float) -> None:
        """Let the HATs say one frame each in turn, evenly spread over `span_s`."""
        loop = asyncio.get_running_loop()
        begin_s = loop.time()
        for index, frame in enumerate(frames):
            await asyncio.sleep(begin_s + span_s * index / len(frames) - loop.time())
            os.write(self._masters[index % len(self._masters)], frame)


@dataclass(frozen=True, slots=True)
class Load:
    """What one stretch of load cost."""

    messages: int
    span_s: float
    cpu_s: float


@dataclass(slots=True)
class Reader:
    """One way of reading, at work on its own cables."""

    process: Measured
    cables: Cables
    loaded: list[Load]
    quiet: list[float]  # seconds of CPU per second

    def costs(self) -> Costs:
        """Return the medians of all rounds."""
        quiet = median(self.quiet)
        message_s = median(load.cpu_s / load.messages for load in self.loaded)
        more_s = median((load.cpu_s - quiet * load.span_s) / load.messages for load in self.loaded)
        return Costs(message_s * US, quiet * MS, more_s * US)


def run(size: Size) -> Report:
    """Measure the three ways in turn."""
    ways = asyncio.run(_measure(size))
    frame_bytes = telemetry(1, 1).ByteSize() + FRAME_BYTES
    report = Report(
        f"fan-in: telemetry of {size.hats} HATs on ptys, {size.rate_hz} a second each",
        [
            "ours: hostd as it is, with sessions, nodes, store, API and pages. The others count bytes.",
            "peer: asyncio's add_reader and os.read. limit: os.read in a loop over epoll.",
            "CPU of the reading process alone, system time included. The load comes from another process:",
            f"{size.hats * size.rate_hz} frames a second of {frame_bytes} bytes, evenly spread.",
            f"Medians of {size.rounds} rounds in turns: {size.load_s} s of load for each, {size.quiet_s} s of quiet.",
        ],
    )

    def row(what: str, unit: str, figures: list[float]) -> Row:
        return Row(what, unit, *figures)

    at_rest = [PERCENT * (cost.quiet_ms_per_s / MS + size.hats * cost.more_us / US) for cost in ways]
    report.sections.append(
        [
            row("all CPU, shared among the messages", "µs of CPU/message", [cost.message_us for cost in ways]),
            row("when no HAT speaks", "ms of CPU/s", [cost.quiet_ms_per_s for cost in ways]),
            row("what each message adds", "µs of CPU/message", [cost.more_us for cost in ways]),
            row(f"so {size.hats} HATs, one message a second each, take", "% of a core", at_rest),
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
            readers.append(Reader(process, cables, [], []))
        for turn in range(size.rounds):
            for reader in reversed(readers):  # hostd last, so that its links are up while all is quiet
                reader.loaded.append(await _load(reader, turn, size))
            await _be_quiet(readers, size.quiet_s)
        return [reader.costs() for reader in readers]


async def _load(reader: Reader, turn: int, size: Size) -> Load:
    await _introduce(reader, size.hats)
    rounds = round(size.load_s * size.rate_hz)
    sequences = range(turn * rounds + 1, (turn + 1) * rounds + 1)
    bodies = [telemetry(sequence, sequence * 1000 // size.rate_hz) for sequence in sequences for _ in range(size.hats)]
    frames = reader.cables.frames(bodies)
    loop = asyncio.get_running_loop()
    begin_s, before = loop.time(), await reader.process.read()
    await reader.cables.speak(frames, size.load_s)
    after = await _until_read(reader, before, frames)
    return Load(len(frames), loop.time() - begin_s, after.cpu_s - before.cpu_s)


async def _be_quiet(readers: list[Reader], span_s: float) -> None:
    loop = asyncio.get_running_loop()
    begin_s, before = loop.time(), [await reader.process.read() for reader in readers]
    await asyncio.sleep(span_s)
    after = [await reader.process.read() for reader in readers]
    passed_s = loop.time() - begin_s
    for reader, earlier, later in zip(readers, before, after, strict=True):
        reader.quiet.append((later.cpu_s - earlier.cpu_s) / passed_s)


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
