"""What many ports cost: opening them, and having them with nothing to hear."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench.capture_ways import DEBIAN_PATH
from tests.bench.measured import measured
from tests.bench.process import cpu_s, free_tcp_port, memory_mb, running, until
from tests.bench.report import Report, Row
from tests.bench.wire import adopt
from tests.conftest import ROOT

OPENERS = ("hostd", "asyncio", "bare")  # ours, peer, limit
TIMEOUT_S = 120  # conserver takes 45 s for 1,000 consoles
MS = 1e3
US = 1e6
HOSTD_CONFIG = """
[state]
folder = "{folder}/state"
[grpc]
socket = "{folder}/hostd.sock"
[http]
address = "127.0.0.1:0"
"""
HOSTD_NODE = '[[node]]\nname = "node-{number}"\nport = "{ports}/node-{number}"\n'
CONSERVER_CONFIG = """
config * {{ initdelay 0; }}
access * {{ trusted 127.0.0.1; }}
default * {{ master localhost; rw *; type device; baud 115200; parity none; options !ixon,!ixoff; timestamp ""; }}
"""
CONSERVER_NODE = "console node-{number} {{ device {ports}/node-{number}; logfile {folder}/log-{number}; }}\n"


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    opened: int
    nodes: int
    rounds: int
    settle_s: float
    quiet_s: float


FULL = Size(opened=500, nodes=1000, rounds=3, settle_s=3.0, quiet_s=5.0)
SMALLEST = Size(opened=3, nodes=3, rounds=1, settle_s=0.1, quiet_s=0.2)


@dataclass(frozen=True, slots=True)
class Rest:
    """A daemon that has nothing to do: how long its start took, its memory, and the CPU it uses."""

    start_s: float
    memory_mb: float
    cpu_ms_per_s: float


def run(size: Size) -> Report:
    """Measure all."""
    has_conserver = shutil.which("conserver", path=DEBIAN_PATH) is not None
    report = Report(
        f"ports: {size.opened} opened at once; {size.nodes} in one daemon",
        [
            "Opening ptys, ours: hostd's SerialPort; peer: plain pyserial-asyncio; limit: os.open and tty.setraw.",
            "Stall: how long at most nothing else in the process had its turn meanwhile.",
            "Daemons, ours: racklet-hostd; it starts until every HAT is online. Each HAT tells Telemetry every second,",
            "which is stored. peer: conserver; it starts until every console is up, and hears nothing after that.",
            f"CPU and memory of all its processes, {size.settle_s} s later, over {size.quiet_s} s.",
            "No HATs: not one of the ports is there, and hostd looks for them all the time.",
            f"Medians of {size.rounds} rounds of opening in turns.",
            *([] if has_conserver else ["conserver-server is not installed: apt install conserver-server"]),
        ],
    )
    opened, rests = asyncio.run(_measure(size, has_conserver=has_conserver))
    report.sections.append(
        [
            Row(f"opening {size.opened} ports", "ms", *(MS * took_us / US for took_us, _ in opened)),
            Row("stall of the event loop meanwhile", "ms", *(MS * stall_us / US for _, stall_us in opened)),
        ]
    )
    hostd, alone, conserver = rests
    for name, ours, peer in ((f"{size.nodes} HATs", hostd, conserver), (f"{size.nodes} nodes, no HATs", alone, None)):
        report.sections.append(
            [
                Row(f"{name}: start", "s", ours.start_s, peer and peer.start_s),
                Row(f"{name}: memory", "MB", ours.memory_mb, peer and peer.memory_mb),
                Row(f"{name}: CPU at rest", "ms/s", ours.cpu_ms_per_s, peer and peer.cpu_ms_per_s),
            ]
        )
    return report


async def _measure(
    size: Size, *, has_conserver: bool
) -> tuple[list[tuple[float, float]], tuple[Rest, Rest, Rest | None]]:
    with tempfile.TemporaryDirectory(prefix="racklet-bench-") as name:
        folder = Path(name)
        for part in ("ports", "none", "hostd", "alone", "conserver"):
            (folder / part).mkdir()
        async with _hats(folder / "ports", max(size.opened, size.nodes)):
            opened = await _open_in_turns(folder / "ports", size)
            conserver = await _conserver(folder / "conserver", folder / "ports", size) if has_conserver else None
            hostd = await _hostd(folder / "hostd", folder / "ports", size, "link up")
            alone = await _hostd(folder / "alone", folder / "none", size, "port does not open")
        return opened, (hostd, alone, conserver)


@asynccontextmanager
async def _hats(folder: Path, count: int) -> AsyncIterator[None]:
    hats = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.ports_hats", str(folder), str(count)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        start_new_session=True,  # as the processes that are measured
    )
    assert hats.stdin is not None
    assert hats.stdout is not None
    try:
        async with asyncio.timeout(TIMEOUT_S):
            if not await hats.stdout.readline():
                raise RuntimeError("the HATs ended; what they said is above")
        yield
    finally:
        hats.stdin.close()
        await hats.wait()


async def _open_in_turns(ports: Path, size: Size) -> list[tuple[float, float]]:
    """Return for each way how long opening took, and its stall, in microseconds."""
    found: dict[str, list[dict[str, int]]] = {way: [] for way in OPENERS}
    for _ in range(size.rounds):
        for way in OPENERS:
            async with measured("ports_opener", way, ports, size.opened) as opener:
                found[way].append((await opener.read()).state)
    return [
        (median(state["took_us"] for state in states), median(state["stall_us"] for state in states))
        for states in found.values()
    ]


async def _hostd(folder: Path, ports: Path, size: Size, ready: str) -> Rest:
    nodes = (HOSTD_NODE.format(number=number, ports=ports) for number in range(1, size.nodes + 1))
    config = folder / "racklet.toml"
    config.write_text("".join(nodes) + HOSTD_CONFIG.format(folder=folder), encoding="utf-8")
    log = folder / "log"
    adopt(folder / "state", {number: f"node-{number}" for number in range(1, size.nodes + 1)})
    begin_s = time.monotonic()
    async with running(sys.executable, "-m", "racklet_hostd", "--config", config, log=log) as process:
        return await _rest(process.pid, begin_s, size, lambda: log.read_text("utf-8").count(ready))


async def _conserver(folder: Path, ports: Path, size: Size) -> Rest:
    numbers = range(1, size.nodes + 1)
    nodes = (CONSERVER_NODE.format(number=number, ports=ports, folder=folder) for number in numbers)
    config = folder / "conserver.cf"
    config.write_text(CONSERVER_CONFIG.format() + "".join(nodes), encoding="utf-8")
    command = ("/usr/sbin/conserver", "-C", config, "-M", "127.0.0.1", "-p", free_tcp_port())
    begin_s = time.monotonic()
    async with running(*command, log=folder / "log") as process:
        return await _rest(process.pid, begin_s, size, lambda: sum(1 for _ in folder.glob("log-*")))


async def _rest(pid: int, begin_s: float, size: Size, count_ready: Callable[[], int]) -> Rest:
    await until(lambda: count_ready() >= size.nodes, TIMEOUT_S)
    start_s = time.monotonic() - begin_s
    await asyncio.sleep(size.settle_s)
    before_s, before_cpu_s = time.monotonic(), cpu_s(pid)
    await asyncio.sleep(size.quiet_s)
    spent_s = cpu_s(pid) - before_cpu_s
    return Rest(start_s, memory_mb(pid), MS * spent_s / (time.monotonic() - before_s))
