"""A serial port as a stream of bytes. The only module that knows pyserial."""

import asyncio
import errno
import math
import os
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Self

import serial  # type: ignore[import-untyped]
import serial_asyncio  # type: ignore[import-untyped]

from racklet_hostd.errors import RackletError

_BAUD = 115_200  # USB CDC has no rate, but 1200 would send a Pico into its boot loader
_WRITE_BUFFER_BYTES = 4096  # eight frames, and far more than a HAT that reads ever lets pile up
_READ_BYTES = 4096  # a terminal gives no more at once
_READS_AT_ONCE = 8  # then it is the turn of the others
_FULL_READ_BYTES = 4000  # of the 4095 that a terminal gives at most: there is more behind it

# Waking up costs as much as reading some kilobytes, and passing on more than that. So a port that has woken hostd twice
# within LOOK_MS is looked at every LOOK_MS from then on, all such ports at the same moments; after STILL_LOOKS that
# find nothing it wakes hostd again. It must not be longer: a terminal holds 4 KiB, of which 1,500,000 baud fill 3 KiB
# in this time, and a HAT that cannot send waits, and may miss what its node says.
LOOK_MS = 20
STILL_LOOKS = 2
# What is read is passed on at once when nothing was in the last GATHER_MS, else when they are over or GATHERED_BYTES
# are together. For ANSWERS_FOR_MS after a HAT was asked or typed to, everything is passed on at once.
GATHER_MS = 100
GATHERED_BYTES = 16 << 10
ANSWERS_FOR_MS = 2000

_REASONS = {
    errno.ENOENT: "there is no such port; is the HAT plugged in?",
    errno.EACCES: "hostd may not open it; on Debian, users of serial ports are in the group dialout",
    errno.EAGAIN: "another program is using it",
    errno.EBUSY: "another program is using it",
    errno.ENOTTY: "it is not a serial port",
    errno.ENXIO: "nothing is plugged in there",
    errno.EIO: "nothing is plugged in there",
    errno.EMFILE: "hostd has as many files open as it may; raise its limit (LimitNOFILE=, ulimit -n)",
}


class PortUnavailableError(RackletError):
    """A port does not open. `reason` says why, without the path."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path} does not open: {reason}")


class _Tty(serial.Serial):  # type: ignore[misc]
    """pyserial's port with the waiting taken out: the event loop has told already that the port is ready."""

    fd: int
    is_open: bool

    def open(self) -> None:
        """Open, without the two pipes by which another thread may end a read or a write that waits."""
        super().open()
        for end in ("pipe_abort_read_r", "pipe_abort_read_w", "pipe_abort_write_r", "pipe_abort_write_w"):
            os.close(getattr(self, end))
            setattr(self, end, None)

    def close(self) -> None:
        """Close."""
        if self.is_open:
            self.is_open = False
            os.close(self.fd)

    def read(self, size: int = 1) -> bytes:
        """Read without select(), which fails from descriptor 1024 on. End of file and EIO mean unplugged."""
        try:
            data = os.read(self.fd, size)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise serial.SerialException(f"unplugged: {error.strerror}") from error
        if not data:
            raise serial.SerialException("unplugged: end of file")
        return data

    def write(self, data: bytes) -> int:
        """Write what the port takes. When it is gone, that is for `read` to tell."""
        try:
            return os.write(self.fd, data)
        except BlockingIOError:
            return 0
        except OSError:
            return len(data)

    def flush(self) -> None:
        """Throw away what a HAT did not read: closing must not wait for one that hangs."""
        self.reset_output_buffer()


class SerialPort(asyncio.Protocol):
    """An open port. `receive` gets what comes, all of it in order, up to GATHER_MS later.

    When the HAT is unplugged it has got all that came before `is_closed` is true.
    """

    def __init__(self, tty: _Tty, receive: Callable[[bytes], None]) -> None:
        self.dropped_bytes = 0
        self._tty = tty
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self._transport: serial_asyncio.SerialTransport | None = None
        self._is_full = False
        self._is_paused = False
        self._closed = asyncio.Event()
        self._woken_s = -math.inf
        self._next_look: asyncio.Handle | None = None  # only while the port does not wake hostd
        self._still_looks = 0
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._passed_s = -math.inf
        self._passing: asyncio.TimerHandle | None = None  # only while something is gathered
        self._answers_s = -math.inf  # until when everything is passed on at once

    @classmethod
    async def open(cls, path: Path, receive: Callable[[bytes], None]) -> Self:
        """Open `path` for this process alone, raw. Raises PortUnavailableError. Cancelling leaves it closed."""
        if not os.path.exists(path):  # noqa: ASYNC240, PTH110  a fraction of what a thread costs, and often so
            raise PortUnavailableError(path, _REASONS[errno.ENOENT])
        # In a thread, for opening a USB port means waiting for it. Several are opened at once.
        opening = asyncio.get_running_loop().run_in_executor(None, _open_tty, path)
        try:
            tty = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_unwanted)
            raise
        port = cls(tty, receive)
        port._transport, _ = await serial_asyncio.connection_for_serial(port._loop, lambda: port, tty)
        port._transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        return port

    @property
    def is_closed(self) -> bool:
        """True when the port was closed or the HAT unplugged."""
        return self._closed.is_set()

    def write(self, data: bytes) -> None:
        """Send `data`. Dropped and counted when the other side has left 4096 bytes unread: the link repeats itself."""
        if self._transport is None or self._is_full:
            self.dropped_bytes += len(data)
            return
        if not self._transport.get_write_buffer_size():
            data = data[self._tty.write(data) :]  # nearly always that is all
        if data:
            self._transport.write(data)

    def await_answer(self) -> None:
        """Pass on what comes soon without delay."""
        self._answers_s = self._loop.time() + ANSWERS_FOR_MS / 1000
        self._pass_on()

    def pause(self) -> None:
        """Read nothing until `resume`."""
        self._is_paused = True
        if self._transport is not None:
            self._transport.pause_reading()
        if self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None

    def resume(self) -> None:
        """Read again."""
        self._is_paused = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def abort(self) -> None:
        """Begin to close the port."""
        if self._transport is not None and not self._transport.is_closing():
            self.pause()
            self._transport.abort()

    async def close(self) -> None:
        """Give up the port; return when it is closed."""
        self.abort()
        await self.wait_closed()

    async def wait_closed(self) -> None:
        """Return when the port is closed, or the HAT unplugged."""
        await self._closed.wait()

    def data_received(self, data: bytes) -> None:
        """Take what came, and look at the port from now on if that is soon after the last time."""
        woken_s, self._woken_s = self._woken_s, self._loop.time()
        self._gather(data)
        if self._woken_s - woken_s < LOOK_MS / 1000 and not self._is_paused and self._transport is not None:
            self._transport.pause_reading()
            self._still_looks = 0
            self._look_later()

    def _look_later(self) -> None:
        """Look when the others are looked at as well: that wakes the process once for all of them."""
        self._next_look = self._loop.call_at(_next_of(self._loop.time(), LOOK_MS), self._look)

    def _look(self) -> None:
        self._next_look = None
        try:
            data, is_all = self._read_all()
        except serial.SerialException:
            self._pass_on()
            self.abort()
            return
        if data:
            self._gather(data)
        self._still_looks = 0 if data else self._still_looks + 1
        if self._is_paused or self._transport is None:
            return
        if self._still_looks >= STILL_LOOKS:
            self._transport.resume_reading()
        elif is_all:
            self._look_later()
        else:
            self._next_look = self._loop.call_soon(self._look)  # when the others had their turn

    def _gather(self, data: bytes) -> None:
        """Keep what came, or pass it on."""
        self._gathered.append(data)
        self._gathered_bytes += len(data)
        now_s = self._loop.time()
        is_late = now_s - self._passed_s >= GATHER_MS / 1000
        if is_late or now_s < self._answers_s or self._gathered_bytes >= GATHERED_BYTES:
            self._pass_on()
        elif self._passing is None:
            self._passing = self._loop.call_at(_next_of(now_s, GATHER_MS), self._pass_on)

    def _pass_on(self) -> None:
        if self._passing is not None:
            self._passing.cancel()
            self._passing = None
        if self._gathered:
            data = b"".join(self._gathered)
            self._gathered.clear()
            self._gathered_bytes = 0
            self._passed_s = self._loop.time()
            self._receive(data)

    def _read_all(self) -> tuple[bytes, bool]:
        """Return what there is to read, and whether it is all. Raises SerialException when the port is gone."""
        parts: list[bytes] = []
        last = _FULL_READ_BYTES
        while last >= _FULL_READ_BYTES and len(parts) < _READS_AT_ONCE:
            parts.append(self._tty.read(_READ_BYTES))
            last = len(parts[-1])
        is_refilled = last == 0 and len(parts) > 1  # what was read makes room in the terminal for what lies behind it
        return b"".join(parts), last < _FULL_READ_BYTES and not is_refilled

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the port is gone. If the HAT went, what it said last is passed on."""
        self._transport = None
        if exc is None:
            self._gathered.clear()
        self._pass_on()
        self._closed.set()

    def pause_writing(self) -> None:
        """Note that the other side does not read."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Note that the other side reads again."""
        self._is_full = False


def _next_of(now_s: float, period_ms: int) -> float:
    """Return the next moment that is a multiple of `period_ms`."""
    return (now_s * 1000 // period_ms + 1) * period_ms / 1000


def _open_tty(path: Path) -> _Tty:
    """Open a port. Raises PortUnavailableError."""
    # The timeout between bytes makes the driver say "not now" (VMIN is 1), not "end of file", when there is nothing.
    options = {"exclusive": True, "timeout": 0, "write_timeout": 0, "inter_byte_timeout": 0}
    try:
        return _Tty(str(path), baudrate=_BAUD, **options)
    except (OSError, ValueError, termios.error) as error:
        raise PortUnavailableError(path, _reason(error)) from error


def _close_unwanted(opened: asyncio.Future[_Tty]) -> None:
    """Close a port that nobody waits for any more."""
    if not opened.cancelled() and opened.exception() is None:
        opened.result().close()


def _reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number is None and isinstance(error.__context__, termios.error):
        number = error.__context__.args[0]
    return _REASONS.get(number or 0) or (os.strerror(number) if number else str(error))
