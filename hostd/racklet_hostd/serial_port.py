"""A serial port as a stream of bytes. The only module that knows pyserial."""

import asyncio
import errno
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

_REASONS = {
    errno.ENOENT: "there is no such port; is the HAT plugged in?",
    errno.EACCES: "hostd may not open it; on Debian, users of serial ports are in the group dialout",
    errno.EAGAIN: "another program is using it",
    errno.EBUSY: "another program is using it",
    errno.ENOTTY: "it is not a serial port",
    errno.ENXIO: "nothing is plugged in there",
    errno.EIO: "nothing is plugged in there",
}


class PortUnavailableError(RackletError):
    """A port does not open. `reason` says why, without the path."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path} does not open: {reason}")


class _Tty(serial.Serial):  # type: ignore[misc]
    """pyserial's port with the waiting taken out: the event loop has told already that the port is ready."""

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
    """An open port. `receive` gets what comes, at most 1024 bytes a turn of the event loop."""

    def __init__(self, receive: Callable[[bytes], None]) -> None:
        self.dropped_bytes = 0
        self._receive = receive
        self._transport: serial_asyncio.SerialTransport | None = None
        self._is_full = False
        self._is_closed = asyncio.Event()

    @classmethod
    async def open(cls, path: Path, receive: Callable[[bytes], None]) -> Self:
        """Open `path` for this process alone, raw. Raises PortUnavailableError."""
        try:
            tty = _Tty(str(path), baudrate=_BAUD, exclusive=True, timeout=0, write_timeout=0)
        except (OSError, ValueError, termios.error) as error:
            raise PortUnavailableError(path, _reason(error)) from error
        port = cls(receive)
        loop = asyncio.get_running_loop()
        port._transport, _ = await serial_asyncio.connection_for_serial(loop, lambda: port, tty)
        port._transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        return port

    @property
    def is_closed(self) -> bool:
        """True when the port was closed or the HAT unplugged."""
        return self._is_closed.is_set()

    def write(self, data: bytes) -> None:
        """Send `data`. Dropped and counted when the other side has left 4096 bytes unread: the link repeats itself."""
        if self._transport is None or self._is_full:
            self.dropped_bytes += len(data)
        elif data:
            self._transport.write(data)

    def pause(self) -> None:
        """Read nothing until `resume`."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    async def close(self) -> None:
        """Give up the port; return when it is closed."""
        if self._transport is not None:
            if not self._transport.is_closing():
                self._transport.abort()
            await self._is_closed.wait()

    async def wait_closed(self, timeout_ms: int) -> None:
        """Return when the port is closed, or after `timeout_ms`."""
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await self._is_closed.wait()
        except TimeoutError:
            return

    def data_received(self, data: bytes) -> None:
        """Pass on what came."""
        self._receive(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio.Protocol's name
        """Note that the port is gone."""
        self._transport = None
        self._is_closed.set()

    def pause_writing(self) -> None:
        """Note that the other side does not read."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Note that the other side reads again."""
        self._is_full = False


def _reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number is None and isinstance(error.__context__, termios.error):
        number = error.__context__.args[0]
    return _REASONS.get(number or 0) or (os.strerror(number) if number else str(error))
