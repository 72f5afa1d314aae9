"""Prints how large the firmware is: `python firmware/size.py [--check]`.

Weighs every module as the RP2040 has it (armv6m) and runs the firmware for a moment on a 32-bit MicroPython, whose
objects are as large as the HAT's, with parts that do nothing: once with the code in a ROMFS image, from which it is
executed in place, and once in files, from which it is loaded to the heap. With --check the exit code is 1 when a budget
is exceeded.
"""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from mpremote.romfs import make_romfs  # type: ignore[import-untyped]
from rich.console import Console
from rich.table import Table

from racklet_emulator.firmware_files import CHIP_KERNELS, compile_module, compiled_firmware, hat_modules

ROOT = Path(__file__).parent.parent
MICROPYTHON32 = ROOT / ".cache" / "micropython32" / "micropython"
FLASH_BUDGET = 120 * 1024  # bytes of files
UART_BUFFERS = 2 * 33  # of machine.UART, both ways, as racklet_hat.board asks for them
RAM_BUDGET = 116 * 1024  # bytes of heap after start, rings and machine code included

# A `machine` whose parts do nothing and whose power monitor does not answer.
IDLE_MACHINE = """
class Pin:
    IN = OUT = OPEN_DRAIN = PULL_DOWN = PULL_UP = IRQ_FALLING = 0
    def irq(self, *args, **options): pass
    def __init__(self, *args, **options): pass
    def value(self, level=0): return 0
class UART(Pin):
    def init(self, **options): pass
class I2C(Pin):
    def readfrom_mem_into(self, *args): raise OSError(5)
    def writeto_mem(self, *args): raise OSError(5)
class ADC(Pin):
    def read_u16(self): return 0
class WDT(Pin):
    def feed(self): WDT.fed()
class RTC(Pin):
    def datetime(self, when): pass
PWRON_RESET = 1
WDT_RESET = 3
class Memory(dict):
    def __getitem__(self, address): return 0
mem32 = Memory()
def unique_id(): return bytes(8)
def reset_cause(): return 1
"""

# An `rp2` whose DMA moves nothing.
IDLE_RP2 = """
class DMA:
    channel = count = 0
    registers = memoryview(bytes(64))
    def config(self, **options): pass
    def pack_ctrl(self, **fields): return 0
"""

# Runs the firmware until it feeds the watchdog, when every task had its turn; then tells the heap of code and of
# objects. What the HAT's MicroPython has in flash anyway, asyncio for one, is imported before.
MEASURE = """
import gc, sys, os, select, time, asyncio, asyncio.event, asyncio.stream, array, binascii, micropython, uctypes, vfs
import machine, rp2
IMAGE = None
if IMAGE:
    with open(IMAGE, "rb") as file:
        image = file.read()
    vfs.mount(vfs.VfsRom(memoryview(image)), "/rom")
    sys.path.insert(0, "/rom")
def used():
    gc.collect()
    return gc.mem_alloc()
before = used()
from racklet_link import kernels_hollow  # stands for the kernels that a HAT has, of which this computer has others
after = used()
from racklet_link import kernels_micropython
before += used() - after
from racklet_hat import app, board
code = used() - before
def measure():
    print(code, used() - before - code, file=sys.stderr)  # the link speaks on stdout
    sys.exit()
machine.WDT.fed = measure
app.main()
"""


def chip_kernel_names() -> list[str]:
    """Return the names of the kernels that the chip's module has."""
    module = (ROOT / "protocol" / "chip" / "module.c").read_text()
    return re.findall(r"^    ADD\((\w+)\);$", module, re.MULTILINE)


def heap_when_running(folder: Path, *, from_rom: bool) -> tuple[int, int]:
    """Return the bytes of heap that code and objects take once the firmware runs, without machine code."""
    modules = folder / ("rom" if from_rom else "files")
    for source in hat_modules():
        parent = "" if source.name == "main.py" else source.parent.name
        compile_module(source, modules / parent / f"{source.stem}.mpy", "x86")
    hollow = folder / "kernels_hollow.py"
    hollow.write_text("\n".join(f"def {name}(): pass" for name in chip_kernel_names()))
    compile_module(hollow, modules / "racklet_link" / "kernels_hollow.mpy", "x86")
    (folder / "machine.py").write_text(IDLE_MACHINE)
    (folder / "rp2.py").write_text(IDLE_RP2)
    measure = MEASURE
    if from_rom:
        image = folder / "rom.img"
        with contextlib.redirect_stdout(io.StringIO()):  # it lists the files
            image.write_bytes(make_romfs(str(modules), mpy_cross=None))
        measure = MEASURE.replace("IMAGE = None", f"IMAGE = {str(image)!r}")
    done = subprocess.run(  # noqa: S603 - our own command
        [MICROPYTHON32, "-X", "heapsize=1M", "-c", measure],
        env={"MICROPYPATH": f"{folder}:{folder if from_rom else modules}:.frozen"},
        check=True,
        capture_output=True,
    )
    code, objects = done.stderr.split()
    return int(code), int(objects)


def main() -> int:
    """Print the tables; return the exit code."""
    console = Console()
    table = Table("module", title="Flash: the firmware compiled for armv6m")
    table.add_column("bytes", justify="right")
    total = 0
    with tempfile.TemporaryDirectory() as name:
        for path, content in compiled_firmware().items():
            total += len(content)
            table.add_row(path, f"{len(content):,}")
        kernels = CHIP_KERNELS.stat().st_size  # loaded to the heap wherever the file lies
        table.add_section()
        table.add_row(f"all, of a budget of {FLASH_BUDGET:,}", f"{total:,}")
        console.print(table)
        if not MICROPYTHON32.exists():
            console.print("RAM: not measured, there is no 32-bit MicroPython here: run tools/micropython32")
            return 0
        in_rom = heap_when_running(Path(name, "x86"), from_rom=True)
        in_files = heap_when_running(Path(name, "x86"), from_rom=False)
    sums = [sum(heap) + kernels + UART_BUFFERS for heap in (in_rom, in_files)]
    ram = Table("heap of the running firmware, bytes", title="RAM, measured on a 32-bit MicroPython")
    ram.add_column("code in ROMFS", justify="right")
    ram.add_column("code in files", justify="right")
    ram.add_row("functions and tables, and of files the bytecode", f"{in_rom[0]:,}", f"{in_files[0]:,}")
    ram.add_row("machine code of the kernels", f"{kernels:,}", f"{kernels:,}")
    ram.add_row("rings, buffers, tasks", f"{in_rom[1]:,}", f"{in_files[1]:,}")
    ram.add_row("the UART's own buffers", f"{UART_BUFFERS:,}", f"{UART_BUFFERS:,}")
    ram.add_section()
    ram.add_row(f"all, of a budget of {RAM_BUDGET:,} in ROMFS", *(f"{size:,}" for size in sums))
    console.print(ram)
    exceeded = total > FLASH_BUDGET or sums[0] > RAM_BUDGET
    return 1 if exceeded and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
