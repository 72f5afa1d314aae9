"""How much of the chip's stack the firmware takes: MicroPython refuses a call that would leave too little of it."""

from __future__ import annotations

from pathlib import Path

from racklet.link.v1 import link_pb2
from racklet_bundle.lms_tree import LmsTree
from racklet_emulator.firmware_files import compile_module
from racklet_emulator.image import flash_image
from racklet_emulator.parts import find_parts
from tests.chip.conftest import MakeHat
from tools.chip_host import ChipHost
from tools.chip_update import bundle_for_chip
from tools.firmware_build import CHIP
from tools.hat_files import hat_files

# MicroPython 1.26, ports/rp2: PICO_STACK_SIZE in CMakeLists.txt, MICROPY_STACK_CHECK_MARGIN in mpconfigport.h.
STACK_BYTES = 8_192 - 256
MARGIN_BYTES = 1_000
TREE = LmsTree(5, 3, bytes(range(16)), bytes(32))
# Runs the firmware as a slot does, but that it tells the most stack that was in use as heap_free_bytes. It is looked at
# in the functions that the log ring's longest chains of calls end in. `_refusal` begins a power request:
# until its end noise comes that the boot before has to get, and no room in the ring is left for it.
WATCH = """
import micropython
import sys
import time

sys.path[:] = ["/slots/a", ".frozen"]
from racklet_hat import config
config.LOG_RING_BYTES = 2048
from racklet_hat import app
from racklet_hat.power_gate import PowerGate
from racklet_hat.rings import LOG
from racklet_link.log_ring import LogRing
sys.path[:] = ["", ".frozen", "/lib"]

used = [0]
refusal = PowerGate._refusal

def watched(function):
    def look(self, *at):
        used[0] = max(used[0], micropython.stack_use())
        return function(self, *at)
    return look

def late_refusal(self, *args):
    time.sleep_ms(20)
    for now_ms in range(0, 100 * config.LOG_RING_BYTES // 32, 100):
        LOG.append(bytes(32), 32, now_ms, 0)
    while LOG.held_bytes < config.LOG_RING_BYTES:
        LOG.append(b"y", 1, now_ms, 0)
    return refusal(self, *args)

def told(self):
    self._heap_free = used[0]

PowerGate._refusal = late_refusal
for name in ("_at", "_record_ms", "_record_size", "_record_turns", "_remove_oldest"):
    setattr(LogRing, name, watched(getattr(LogRing, name)))
app.App.look_at_heap = told
"""


def test_a_power_request_from_a_slot_leaves_a_thousand_bytes_of_stack_with_a_full_ring_and_a_line_that_sends(
    make_hat: MakeHat, image: bytes, tmp_path: Path, figures: list[str]
) -> None:
    assert image  # skips as that does
    source, watch = tmp_path / "watch.py", tmp_path / "watch.mpy"
    source.write_text(WATCH)
    compile_module(source, watch, CHIP)
    files = hat_files(bundle_for_chip("1.0.0", 1, TREE, 0), [TREE.public_key], "hat-a", CHIP)
    files |= {watch.name: watch.read_bytes(), "main.py": b"import watch\n" + files["main.py"]}
    host = ChipHost(make_hat(image=flash_image(find_parts().micropython.read_bytes(), files)))
    assert host.greet().slot == 1

    begun_ns = host.hat.chip.now_ns
    host.hat.chip.receive([(begun_ns + 100_000 * index, ord("x")) for index in range(2_000)])
    assert host.switch(link_pb2.POWER_ACTION_ON).result == link_pb2.RESULT_DONE
    host.run_ms(500)

    used = host.telemetry[-1].heap_free_bytes
    figures.append(f"the stack of a power request from a slot: {used:,} bytes of {STACK_BYTES:,}")
    assert used > 3_000, "it was not looked at"
    assert used <= STACK_BYTES - MARGIN_BYTES
    assert not any(event.kind == link_pb2.EVENT_KIND_TASK_FAILED for event in host.events)
