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
FULL_BYTES = 4000  # of the 4095 that a terminal gives at most: there is more behind it

# Waking up costs as much as taking in some kilobytes. So a port that has woken hostd twice within SOON_MS is looked at
# from then on, when about LOOKED_FOR_BYTES will have come at the rate of late: after LOOK_MS at the earliest, SOON_MS
# at the latest, all such ports at the same moments. When nothing has come for SOON_MS it wakes hostd again. A terminal
# holds 12 KiB; what comes beyond waits in the HAT's ring. At 1,500,000 baud a look comes every 100 ms.
LOOK_MS = 20
SOON_MS = 125
LOOKED_FOR_BYTES = 15_000

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


Receive = Callable[[bytes], bool | None]


class SerialPort(asyncio.Protocol):
    """An open port. `receive` gets what comes, all of it in order, up to SOON_MS later; b"" when nothing came then.

    It returns whether what follows should come sooner, after LOOK_MS. When the HAT is unplugged it has got all that
    came before `is_closed` is true.
    """

    def __init__(self, tty: _Tty, receive: Receive) -> None:
        self.dropped_bytes = 0
        self._tty = tty
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self._transport: serial_asyncio.SerialTransport | None = None
        self._is_full = False
        self._is_paused = False
        self._closed = asyncio.Event()
        self._read_s = -math.inf
        self._next_look: asyncio.Handle | None = None  # only while the port does not wake hostd
        self._counted_s = 0.0  # since when
        self._counted_bytes = 0  # so many came

    @classmethod
    async def open(cls, path: Path, receive: Receive) -> Self:
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

    def hurry(self) -> None:
        """Take in what comes next after LOOK_MS at most."""
        if self._next_look is not None:
            self._next_look.cancel()
            self._look_in(LOOK_MS)

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
        read_s, self._read_s = self._read_s, self._loop.time()
        soon_ms = LOOK_MS if self._receive(data) else SOON_MS
        if self._read_s - read_s < soon_ms / 1000 and not self._is_paused and self._transport is not None:
            self._transport.pause_reading()
            self._counted_s, self._counted_bytes = self._read_s, 0
            self._look_in(LOOK_MS)

    def _look_in(self, delay_ms: float) -> None:
        """Look by then, when others are looked at as well: that wakes the process once for all of them."""
        grid_ms = LOOK_MS if delay_ms < SOON_MS else SOON_MS
        at_ms = (self._loop.time() * 1000 + delay_ms) // grid_ms * grid_ms
        self._next_look = self._loop.call_at(at_ms / 1000, self._look)

    def _look(self) -> None:
        self._next_look = None
        try:
            data, is_more = self._read_all()
        except serial.SerialException:
            self.abort()
            return
        now_s = self._loop.time()
        if data:
            self._read_s = now_s
            self._counted_bytes += len(data)
        is_urgent = self._receive(data)
        if self._is_paused or self._transport is None:
            return
        if is_more:
            self._next_look = self._loop.call_soon(self._look)  # when the others had their turn
        elif now_s - self._read_s < SOON_MS / 1000:
            self._look_in(LOOK_MS if is_urgent else self._period_ms())
        else:
            self._transport.resume_reading()

    def _period_ms(self) -> float:
        """Return how long to wait for LOOKED_FOR_BYTES, by what came since this was asked last."""
        passed_ms = (self._read_s - self._counted_s) * 1000
        count, self._counted_s, self._counted_bytes = self._counted_bytes, self._read_s, 0
        return min(SOON_MS, max(LOOK_MS, passed_ms * LOOKED_FOR_BYTES / count)) if count else SOON_MS

    def _read_all(self) -> tuple[bytes, bool]:
        """Return what there is to read, and whether there is more. Raises SerialException when the port is gone."""
        parts = [self._tty.read(_READ_BYTES)]
        while len(parts[-1]) >= FULL_BYTES and len(parts) < _READS_AT_ONCE:
            try:
                parts.append(self._tty.read(_READ_BYTES))
            except serial.SerialException:
                break  # what was read comes first; the next look tells
        return b"".join(parts), len(parts[-1]) >= FULL_BYTES

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's
        """Note that the port is gone."""
        self._transport = None
        self._closed.set()

    def pause_writing(self) -> None:
        """Note that the other side does not read."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Note that the other side reads again."""
        self._is_full = False


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
