"""The emulated chip: a Pico in a process of its own, which runs when it is told to, and for how long."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from racklet_emulator.parts import find_parts

if TYPE_CHECKING:
    from types import TracebackType

UNIQUE_ID_BYTES = 8


class ChipError(Exception):
    """The emulator itself has failed; the message says how. It is of no use any more."""


class Cut(StrEnum):
    """What a loss of power leaves of the program or erase that it interrupts."""

    BEFORE = "before"  # nothing of it happened
    TORN = "torn"  # a part of it
    AFTER = "after"  # all of it, and nothing after it


class World(Protocol):
    """What surrounds the chip. Times are nanoseconds of the chip's own clock, which resets do not set back."""

    def acknowledges(self, address: int) -> bool:
        """Tell whether somebody answers at this I2C address."""

    def read_i2c(self, address: int, register: int, at_ns: int) -> bytes:
        """Return what can be read from a register on."""

    def write_i2c(self, address: int, register: int, data: bytes, at_ns: int) -> None:
        """Write a register."""

    def read_adc(self, pin: int, at_ns: int) -> int:
        """Return 16 bits, as `read_u16` does."""

    def pin_moved(self, pin: int, level: int | None, at_ns: int) -> None:
        """The chip drives a pin, or lets it float: None."""

    def uart_sent(self, byte: int, at_ns: int) -> None:
        """A byte has left the node's UART."""

    def uart_rated(self, baud: int, at_ns: int) -> None:
        """The node's UART has another rate."""

    def chip_reset(self, at_ns: int) -> None:
        """The watchdog has reset the chip, by itself or because the firmware asked for it: its pins float."""


@dataclass(slots=True)
class Inputs:
    """What reaches the chip with the next run."""

    pins: dict[int, int]
    received: list[tuple[int, int]]  # nanoseconds, and the entry of UARTDR
    usb: bytearray


class EmulatedChip:
    """A Pico with this flash. A context manager: inside it the process lives. Power comes with `power_up`.

    Without the fast core rp2040js's own does everything, which takes four times as long and comes to the same.
    Entering raises EmulatorUnavailableError when tools/emulator has not run. Everything else raises ChipError when the
    emulator fails.
    """

    def __init__(self, flash: bytes, world: World, *, unique_id: bytes, use_fast_core: bool = True) -> None:
        assert len(unique_id) == UNIQUE_ID_BYTES  # noqa: S101  of our own caller
        self._image = flash
        self._world = world
        self._unique_id = unique_id
        self._core = "fast" if use_fast_core else "slow"
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="racklet-chip-")
        self._inputs = Inputs({}, [], bytearray())
        self._received_usb = bytearray()
        self.now_ns = 0
        self.is_powered = False
        self.resets = 0  # by the watchdog

    def __enter__(self) -> Self:
        parts = find_parts()
        flash = Path(self._folder.name, "flash")
        flash.write_bytes(self._image)
        self._process = subprocess.Popen(  # noqa: S603  our own command
            [parts.node, parts.chip, parts.bootrom, flash, self._unique_id.hex(), self._core],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PATH": os.environ.get("PATH", os.defpath), "RACKLET_RP2040JS": str(parts.rp2040js)},
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
            self._process = None
        self._folder.cleanup()

    @property
    def cycles(self) -> int:
        """Cycles in which the processor executed something, since the first start."""
        return int(self._do("counts")["cycles"])

    @property
    def flash_operations(self) -> int:
        """How many times the firmware programmed or erased something."""
        return int(self._do("counts")["operations"])

    @property
    def digest(self) -> str:
        """A hash of memory and registers. Without power there is none."""
        return str(self._do("digest")["digest"])

    def power_up(self) -> None:
        """Connect the power."""
        self._do("power", on=True)
        self.is_powered = True

    def power_down(self) -> None:
        """Take the power away: what is not in flash is gone."""
        self._do("power", on=False)
        self.is_powered = False

    def reset(self) -> None:
        """Pull the RUN pin: a reset of which the chip knows nothing afterwards."""
        self._do("reset")

    def cut_power_at(self, operation: int, how: Cut = Cut.TORN) -> None:
        """Take the power away at the operation of the flash with this number from now: 1 is the next.

        `run` returns early then, and `is_powered` is False.
        """
        self._do("cut", after=operation, how=how.value)

    def keep_power(self) -> None:
        """Forget the cut that was planned."""
        self._do("cut", after=0, how="")

    def read_flash(self) -> bytes:
        """Return what is in the flash."""
        file = Path(self._folder.name, "read")
        self._do("read_flash", file=str(file))
        return file.read_bytes()

    def drive(self, pin: int, level: int) -> None:
        """Drive a pin from outside, from the next run on."""
        self._inputs.pins[pin] = level

    def receive(self, characters: list[tuple[int, int]]) -> None:
        """Let characters reach the node's UART at their times: nanoseconds, and the entry as in UARTDR."""
        self._inputs.received += characters

    def open_usb(self, *, is_open: bool) -> None:
        """Open the serial port at the computer's end, or close it."""
        self._do("open", on=is_open)

    def write_usb(self, data: bytes) -> None:
        """Send bytes to the serial port with the next run."""
        self._inputs.usb += data

    def set_usb_room(self, size: int) -> None:
        """Take so many more bytes of the serial port; what the chip sends beyond waits in the chip."""
        self._do("room", bytes=size)

    def take_usb(self) -> bytes:
        """Return what the chip has sent since the last call."""
        data = bytes(self._received_usb)
        self._received_usb.clear()
        return data

    def run(self, until_ns: int) -> None:
        """Run until then, or until something happened that may change the world: compare `now_ns`."""
        inputs, self._inputs = self._inputs, Inputs({}, [], bytearray())
        command: dict[str, Any] = {"until": until_ns}
        if inputs.pins:
            command["pins"] = list(inputs.pins.items())
        if inputs.received:
            command["received"] = inputs.received
        if inputs.usb:
            command["usb"] = base64.b64encode(inputs.usb).decode()
        done = self._do("run", **command)
        self.now_ns = round(done["at"])
        self._received_usb += base64.b64decode(done["usb"])
        if done["cut"]:
            self.is_powered = False
        for at_ns, kind, *about in done["events"]:
            self._tell(round(at_ns), kind, about)

    def _tell(self, at_ns: int, kind: str, about: list[Any]) -> None:
        match kind:
            case "pin":
                self._world.pin_moved(about[0], about[1], at_ns)
            case "uart":
                self._world.uart_sent(about[0], at_ns)
            case "baud":
                self._world.uart_rated(about[0], at_ns)
            case _:
                self.resets += 1
                self._world.chip_reset(at_ns)

    def _do(self, what: str, **arguments: object) -> dict[str, Any]:
        self._say({"do": what, **arguments})
        while "ask" in (answer := self._hear()):
            self._say({"answer": self._answer(answer["ask"], answer["about"], round(answer["at"]))})
        return answer

    def _answer(self, what: str, about: list[int], at_ns: int) -> object:
        world = self._world
        match what:
            case "address":
                return world.acknowledges(about[0])
            case "read":
                return list(world.read_i2c(about[0], about[1], at_ns))
            case "write":
                world.write_i2c(about[0], about[1], bytes(about[2:]), at_ns)
                return None
            case _:
                return world.read_adc(about[0], at_ns)

    def _say(self, message: dict[str, Any]) -> None:
        process = self._alive()
        assert process.stdin is not None  # noqa: S101  we made it so
        try:
            process.stdin.write(json.dumps(message).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError as error:
            raise ChipError("the emulator has ended; what it said is on the standard error output") from error

    def _hear(self) -> dict[str, Any]:
        process = self._alive()
        assert process.stdout is not None  # noqa: S101  we made it so
        line = process.stdout.readline()
        if not line:
            raise ChipError("the emulator has ended; what it said is on the standard error output")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _alive(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ChipError("the chip lives inside its context only")
        return self._process
