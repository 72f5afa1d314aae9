"""The heap of an emulated chip before a minute of load, and behind it: what is kept is the same, to the byte.

Real are MicroPython, the firmware and hostd's end of the link; time is the chip's. The load is a console that sends
without a pause, telemetry five times a second, a request every 100 ms, what a person types, and a supply that goes off
and on.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from racklet.link.v1 import link_pb2
from racklet_emulator.firmware_files import compiled_firmware
from racklet_emulator.hat import EmulatedHat
from racklet_emulator.image import flash_image
from racklet_emulator.parts import find_parts
from racklet_virtual.hardware import HatHardware
from racklet_virtual.node import Habit, NodeProfile
from racklet_virtual.record import SentBoots
from tools.account.verdict import print_verdict
from tools.chip_host import ChipHost

if TYPE_CHECKING:
    from rich.console import Console

_MINUTE_MS: Final = 60_000
_ROUND_MS: Final = 2_000  # of load, between two boots
_IDLE_MS: Final = 1_000
_TYPED: Final = b"echo what a person types\n"
# The firmware, but that it collects garbage before it looks how much heap is free, and looks more often.
_MAIN: Final = b"""
import micropython
micropython.kbd_intr(-1)
import gc
from racklet_hat import app
look = app.App.look_at_heap
def look_at_heap(self):
    if self._heap_looks > 2:
        self._heap_looks = 2
    if not self._heap_looks and self._capture.is_quiet(self._clock.now_ms):
        gc.collect()
    look(self)
app.App.look_at_heap = look_at_heap
app.main()
"""


@dataclass(frozen=True)
class Loaded:
    """What was seen: free heap in bytes after a collection, the load, and how much of the log came and was lost."""

    free_before: int
    free_after: int
    load_ms: int
    log_bytes: int
    gaps: int
    requests: int
    telemetry: int


def load(folder: Path, load_ms: int) -> Loaded:
    """Run a HAT under load for so long. Raises EmulatorUnavailableError."""
    image = flash_image(find_parts().micropython.read_bytes(), compiled_firmware() | {"main.py": _MAIN})
    hardware = HatHardware(NodeProfile("node-1", habit=Habit.FLOOD), SentBoots(folder), seed=1)
    with EmulatedHat(image, hardware) as hat:
        host = ChipHost(hat)
        host.greet()
        before = _free_when_idle(host)
        begun_ms = hat.now_ms
        while hat.now_ms < begun_ms + load_ms:
            _do(host, link_pb2.POWER_ACTION_ON)
            _work(host, hat.now_ms + _ROUND_MS)
            _do(host, link_pb2.POWER_ACTION_FORCE_OFF)
        took_ms = hat.now_ms - begun_ms
        return Loaded(
            free_before=before,
            free_after=_free_when_idle(host),
            load_ms=took_ms,
            log_bytes=sum(map(len, host.log.values())),
            gaps=len(host.gaps),
            requests=len(host.replies),
            telemetry=len(host.telemetry),
        )


def _work(host: ChipHost, until_ms: int) -> None:
    while host.hat.now_ms < until_ms:
        host.run_ms(100)
        host.ask(link_pb2.Identify(duration_ms=50))
        host.link.type_console(_TYPED, host.hat.now_ms)


def _do(host: ChipHost, action: link_pb2.PowerAction.ValueType) -> None:
    reply = host.switch(action)
    if reply.result != link_pb2.RESULT_DONE:
        raise RuntimeError(f"the HAT refused: {reply}")


def _free_when_idle(host: ChipHost) -> int:
    """Let the HAT tell all it has to tell; return what it says is free then."""
    host.run_ms(_IDLE_MS)
    return host.telemetry[-1].heap_free_bytes


def account(console: Console) -> bool:
    """Run it, print it, and tell whether it held."""
    with tempfile.TemporaryDirectory() as folder:
        began_s = time.monotonic()
        seen = load(Path(folder), _MINUTE_MS)
        took_s = time.monotonic() - began_s
    console.print(
        f"{seen.load_ms / 1000:.1f} s on the emulated chip, in {took_s:.0f} s here: {seen.log_bytes:,} bytes of"
        f" console, {seen.requests} requests, {seen.telemetry} telemetry messages."
    )
    kept = f"{seen.free_before:,} bytes free before, {seen.free_after:,} after"
    promises = [
        ("the heap after a minute of load is that of its start", kept, seen.free_after == seen.free_before),
        ("and nothing of the console was lost", f"{seen.gaps} gaps", seen.gaps == 0),
    ]
    return print_verdict(console, promises)
