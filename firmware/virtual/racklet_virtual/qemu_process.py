"""One run of a QEMU machine: a process with a console, a control channel and a port that its init takes orders from."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from racklet_virtual.qmp import QmpChannel, QmpEvent

if TYPE_CHECKING:
    from collections.abc import Callable

_PROGRAM = "qemu-system-aarch64"
_MEMORY = "160M"  # 128 are enough for the kernel, and a person may want to try something
# Orders come with `sysrq_always_enabled` at any time of a boot, as a serial break and a letter.
_KERNEL_COMMAND_LINE = "console=ttyAMA0,{baud} sysrq_always_enabled hostname={name}"
# It ends with the rack, however that ends: from `setpriv` on the kernel sees to it, and what has lost the rack before
# that does not begin.
_WITH_THE_RACK = ("setpriv", "--pdeathsig", "KILL", "/bin/sh", "-c", '[ "$PPID" = "$0" ] && exec "$@"')
_READ_BYTES = 4096
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_STAT_UTIME, _STAT_STIME = 11, 12  # of /proc/PID/stat, counted after the name, which may hold anything


class QemuUnavailableError(Exception):
    """A QEMU node cannot be run here; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class QemuImage:
    """What a QEMU node is made of."""

    program: Path
    kernel: Path
    initramfs: Path


@dataclass(frozen=True, slots=True)
class QemuCalls:
    """Whom a QEMU process tells.

    Attributes:
        console: the console has something to read. Not told again until `read_console` has found it empty.
        event: something happened to the machine.
        ended: the process has gone. Told once.
    """

    console: Callable[[], None]
    event: Callable[[QmpEvent], None]
    ended: Callable[[QemuProcess], None]


def find_qemu() -> QemuImage:
    """Return QEMU and what `tools/qemu-node` made. Raises QemuUnavailableError."""
    for program, package in ((_PROGRAM, "qemu-system-arm"), (_WITH_THE_RACK[0], "util-linux")):
        if shutil.which(program) is None:
            raise QemuUnavailableError(
                f"a QEMU node needs `{program}`, which is not on PATH: on Debian, `sudo apt install {package}` gets it"
            )
    folder = Path(__file__).resolve().parents[3] / ".cache" / "qemu-node"
    image = QemuImage(Path(str(shutil.which(_PROGRAM))), folder / "kernel", folder / "initramfs")
    if not (image.kernel.is_file() and image.initramfs.is_file()):
        raise QemuUnavailableError("a QEMU node has nothing to boot yet: run `tools/qemu-node` in the checkout, once")
    return image


class QemuProcess:
    """Runs from the machine's power-on until `kill`, its own end, or the end of this process."""

    def __init__(self, image: QemuImage, name: str, baud: int, folder: Path, calls: QemuCalls) -> None:
        self._calls = calls
        self._loop = asyncio.get_running_loop()
        self._complaints = folder / "qemu.log"
        self._console, console = socket.socketpair()
        self._orders, orders = socket.socketpair()
        control, its_control = socket.socketpair()
        with console, orders, its_control, self._complaints.open("wb") as log:
            ends = (console.fileno(), orders.fileno(), its_control.fileno())
            self._process = subprocess.Popen(  # noqa: S603  our own command
                [*_WITH_THE_RACK, str(os.getpid()), *_command(image, name, baud, ends)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=ends,
                start_new_session=True,  # a Ctrl-C is for the rack
            )
        self._console.settimeout(0)
        self._orders.settimeout(0)
        self.control = QmpChannel(control, calls.event)
        self._pidfd = os.pidfd_open(self._process.pid)
        self._gone = asyncio.Event()
        self._loop.add_reader(self._pidfd, self._ended)
        self._await_console()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def complaint(self) -> str:
        """Return how it ended, and the last line that QEMU printed about itself."""
        lines = self._complaints.read_text("utf-8", "replace").splitlines()
        return f"QEMU ended with {self._process.returncode}: {lines[-1] if lines else 'not a word'}"

    def read_console(self) -> bytes:
        """Return what the machine said next, at most 4096 bytes; b"" when there is nothing now."""
        if self._console.fileno() < 0:
            return b""
        try:
            data = self._console.recv(_READ_BYTES)
        except BlockingIOError:
            self._await_console()
            return b""
        except OSError:  # reset: it ended with something unread that was typed
            data = b""
        if not data:
            self._close_console()
        return data

    def type(self, data: bytes) -> None:
        """Type on its console. What a machine that does not read has no room for is lost."""
        with contextlib.suppress(OSError):
            self._console.send(data)

    def order(self, word: str) -> None:
        """Tell its init what to do, once that listens."""
        with contextlib.suppress(OSError):
            self._orders.send(word.encode() + b"\n")

    def processor_s(self) -> float:
        """Return how much processor time it has used."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text("ascii", "replace")
        except OSError:  # it has just ended
            return 0.0
        fields = stat.rpartition(")")[2].split()
        return (int(fields[_STAT_UTIME]) + int(fields[_STAT_STIME])) / _TICKS_PER_S

    def kill(self) -> None:
        """Take its power away. Nothing is heard of it any more, but its end."""
        self.control.close()
        self._close_console()
        self._process.kill()

    async def gone(self) -> None:
        """Return when the process has gone."""
        await self._gone.wait()

    def _await_console(self) -> None:
        self._loop.add_reader(self._console, self._console_speaks)

    def _console_speaks(self) -> None:
        self._loop.remove_reader(self._console)
        self._calls.console()

    def _close_console(self) -> None:
        if self._console.fileno() >= 0:
            self._loop.remove_reader(self._console)
            self._console.close()
            self._orders.close()

    def _ended(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._process.wait()
        self.control.hear()  # its last word may wait there
        self.control.close()
        self._gone.set()
        self._calls.ended(self)


def _command(image: QemuImage, name: str, baud: int, ends: tuple[int, int, int]) -> list[str]:
    console, orders, control = ends
    return [
        str(image.program),
        *("-name", name, "-nodefaults", "-no-user-config", "-display", "none"),
        *("-machine", "virt", "-cpu", "cortex-a53", "-m", _MEMORY),
        *("-kernel", str(image.kernel), "-initrd", str(image.initramfs)),
        *("-append", _KERNEL_COMMAND_LINE.format(baud=baud, name=name)),
        *("-chardev", f"socket,id=console,fd={console}", "-serial", "chardev:console"),
        *("-chardev", f"socket,id=orders,fd={orders}", "-device", "virtio-serial-device"),
        *("-device", "virtserialport,chardev=orders,name=racklet.orders"),
        *("-chardev", f"socket,id=control,fd={control}", "-mon", "chardev=control,mode=control"),
    ]
