"""MicroPython at a serial port: what it is, what is on its file system, and how that is changed."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import serial  # type: ignore[import-untyped]
from mpremote.transport import TransportError, TransportExecError  # type: ignore[import-untyped]
from mpremote.transport_serial import SerialTransport  # type: ignore[import-untyped]

from tools.flash.errors import FlashError, NoHatError, NoMicroPythonError, NoPortError, NoSpaceError, PortBusyError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import TracebackType

OLDEST: Final = (1, 26)
_ANSWER_S = 10
_SILENCE_S = 3  # of one read: a sector of the flash is erased in 0.4 s
_WRITTEN_AT_ONCE: Final = 1024  # bytes; each piece waits for an answer, and takes some of the heap to be compiled
_LEAVE: Final = b"\x03\x04\x03\x02"  # whatever is pasted or runs ends, and the REPL is the one for people
_NOT_OPENED: Final = {
    errno.ENOENT: (NoPortError, "there is no port {port}; is the HAT plugged in?"),
    errno.EACCES: (NoPortError, "{port} may not be opened by you; on Debian, join the group dialout"),
    errno.EAGAIN: (PortBusyError, "{port} is held by another program; stop hostd, or whatever has it open"),
    errno.EBUSY: (PortBusyError, "{port} is held by another program; stop hostd, or whatever has it open"),
}
_WHAT_IT_IS = """
import sys, os, json
try:
    import machine
    ident = machine.unique_id().hex()
except (ImportError, AttributeError):
    ident = ""
about = os.statvfs("/")
imp = sys.implementation
print(json.dumps([imp.name, list(imp.version[:3]), getattr(imp, "_machine", ""), getattr(imp, "_mpy", 0), sys.platform,
    ident, about[0] * about[3]]))
"""
_HASHES = """
import hashlib, binascii, os, json
def files(folder):
    for name in os.listdir(folder):
        path = folder + "/" + name if folder != "/" else "/" + name
        if os.stat(path)[0] & 0x4000:
            for each in files(path):
                yield each
        else:
            yield path
for path in files("/"):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while True:
            chunk = file.read(512)
            if not chunk:
                break
            digest.update(chunk)
    print(json.dumps([path[1:], binascii.hexlify(digest.digest()).decode()]))
"""


@dataclass(frozen=True, slots=True)
class WhatItIs:
    """What MicroPython says about itself. `hat_id` is "" where there is no microcontroller."""

    name: str
    version: tuple[int, ...]
    board: str
    mpy: int
    platform: str
    hat_id: str
    free_bytes: int


class MicroPython:
    """A context manager: inside it the board stands at its raw REPL. Raises FlashError."""

    def __init__(self, port: Path) -> None:
        self._port = port
        _check_openable(port)
        try:
            self._transport = SerialTransport(str(port), timeout=_SILENCE_S)
        except (TransportError, OSError) as error:
            raise PortBusyError(f"{port} does not open: {error}") from error

    def __enter__(self) -> Self:
        if not (self._reach_repl() or self._reach_repl()):  # somebody may have left it in the middle of something
            self._transport.close()
            raise NoMicroPythonError(
                f"nothing at {self._port} answers as MicroPython; is it the HAT's port? A bare Pico needs MicroPython"
                " first: docs/updates.md"
            )
        return self

    def _reach_repl(self) -> bool:
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # it prints what it hears when that is no REPL
                self._transport.enter_raw_repl(soft_reset=True, timeout_overall=_ANSWER_S)
        except (TransportError, OSError, serial.SerialException):
            with contextlib.suppress(OSError, serial.SerialException):
                self._transport.serial.write(_LEAVE)
            return False
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError, serial.SerialException):
            self._transport.close()

    def what_it_is(self) -> WhatItIs:
        """Ask it. Raises NoHatError when it cannot say."""
        try:
            name, version, board, mpy, platform, hat_id, free = json.loads(self._exec(_WHAT_IT_IS))
        except (FlashError, ValueError) as error:
            raise NoHatError(f"what is at {self._port} is MicroPython of a kind that no HAT has") from error
        return WhatItIs(name, tuple(version), board, mpy, platform, hat_id, free)

    def hashes(self) -> dict[str, str]:
        """Return the SHA-256 of every file, by its path."""
        return dict(json.loads(line) for line in self._exec(_HASHES).splitlines())

    def remove(self, paths: Iterable[str]) -> None:
        """Remove files, and folders that are empty then."""
        for path in paths:
            self._exec(f"import os\nos.remove({'/' + path!r})")
            folder = path.rpartition("/")[0]
            if folder:
                self._exec(f"try:\n os.rmdir({'/' + folder!r})\nexcept OSError:\n pass")

    def write(self, path: str, content: bytes) -> None:
        """Write a file as a whole: beside it first, then in its place. Raises NoSpaceError."""
        parts = path.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            folder = "/" + "/".join(parts[:depth])
            self._exec(
                f"import os\ntry:\n os.mkdir({folder!r})\nexcept OSError as error:\n if error.errno != 17: raise"
            )
        try:
            self._transport.fs_writefile("/new", content, chunk_size=_WRITTEN_AT_ONCE)
        except (TransportError, OSError) as error:
            raise self._translated(error) from error
        self._exec(f"import os\nos.rename('/new', {'/' + path!r})")

    def reset(self) -> None:
        """Let the board start anew, as its watchdog does."""
        with contextlib.suppress(TransportError, OSError, serial.SerialException):
            self._transport.exec_raw_no_follow("import machine\nmachine.reset()")

    def _exec(self, code: str) -> str:
        try:
            output: Any = self._transport.exec(code)
        except (TransportError, OSError, serial.SerialException) as error:
            raise self._translated(error) from error
        return str(output.decode())

    def _translated(self, error: Exception) -> FlashError:
        text = error.error_output if isinstance(error, TransportExecError) else str(error)
        if "ENOSPC" in text or "OSError: 28" in text or getattr(error, "errno", 0) == errno.ENOSPC:
            return NoSpaceError("the HAT's flash is full; remove what is not the firmware's: `mpremote fs ls`")
        last = text.strip().splitlines()[-1:] or ["it was unplugged"]
        return FlashError(f"the HAT at {self._port} broke off: {last[0]}; run this again")


def _check_openable(port: Path) -> None:
    """Raise the error that says best why the port cannot be used."""
    try:
        if not stat.S_ISCHR(port.stat().st_mode):
            raise NoPortError(f"{port} is no serial port")
        serial.Serial(str(port), exclusive=True).close()
    except (OSError, serial.SerialException) as error:
        number = error.errno or errno.EIO
        kind, sentence = _NOT_OPENED.get(number, (NoPortError, f"{{port}} does not open: {os.strerror(number)}"))
        raise kind(sentence.format(port=port)) from error
