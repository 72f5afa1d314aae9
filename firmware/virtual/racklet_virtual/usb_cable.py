"""The USB serial port of one virtual HAT: a pty for the host, the process's terminal behind it, a cable between."""

from __future__ import annotations

import asyncio
import os
import select
import tty
from typing import TYPE_CHECKING

from racklet_virtual.faults import LineFaults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_BUFFER_BYTES = 4096
_HOST_POLL_S = 0.05  # a closed pty cannot be waited for
_STALL_S = 0.5  # a host that reads nothing for so long: the HAT's bytes are dropped, as the chip's USB stack does
_CHATTER_PERIOD_S = 0.01
_CTRL_C = 0x03


class _Lane:
    """Copies one way, from a descriptor to another, through a bounded buffer. It stops reading while that is full.

    When the sink takes nothing for `stall_s`, what waits is dropped; None waits for ever.
    """

    def __init__(self, pass_on: Callable[[bytes], bytes], on_end: Callable[[], None], stall_s: float | None) -> None:
        self._pass_on = pass_on
        self._on_end = on_end
        self._stall_s = stall_s
        self._loop = asyncio.get_running_loop()
        self._source: int | None = None
        self._sink: int | None = None
        self._reading = False
        self._buffer = bytearray()
        self._stall: asyncio.TimerHandle | None = None
        self.dropped_bytes = 0

    def set_source(self, source: int | None) -> None:
        """Read from here; None stops."""
        self._set_reading(on=False)
        self._source = source
        self._set_reading(on=source is not None)

    def set_sink(self, sink: int | None) -> None:
        """Write there; without a sink everything is thrown away."""
        if self._sink is not None:
            self._loop.remove_writer(self._sink)
        self._sink = sink
        self._empty()

    def put(self, data: bytes) -> None:
        """Send bytes that did not come from the source; what does not fit is dropped."""
        self._buffer += data[: _BUFFER_BYTES - len(self._buffer)]
        self._flush()

    def drain(self) -> None:
        """Copy what the source still holds."""
        while self._source is not None and self._reading and self._read():
            pass

    def _set_reading(self, *, on: bool) -> None:
        if self._source is not None and on != self._reading:
            if on:
                self._loop.add_reader(self._source, self._read)
            else:
                self._loop.remove_reader(self._source)
        self._reading = on and self._source is not None

    def _read(self) -> bool:
        assert self._source is not None  # noqa: S101  a reader has a source
        try:
            data = os.read(self._source, _BUFFER_BYTES)
        except BlockingIOError:
            return False
        except OSError:  # EIO: the other side has closed
            data = b""
        if not data:
            self.set_source(None)
            self._on_end()
            return False
        self._buffer += self._pass_on(data)
        self._flush()
        return True

    def _flush(self) -> None:
        written = self._write()
        if self._sink is None or not self._buffer:
            self._empty()
            return
        self._loop.add_writer(self._sink, self._flush)
        if len(self._buffer) >= _BUFFER_BYTES:
            self._set_reading(on=False)
        if written:
            self._forget_stall()
        if self._stall is None and self._stall_s is not None:
            self._stall = self._loop.call_later(self._stall_s, self._give_up)

    def _write(self) -> int:
        if self._sink is None or not self._buffer:
            return 0
        try:
            written = os.write(self._sink, self._buffer)
        except OSError:  # full, or closed, which the reader of that descriptor learns
            return 0
        del self._buffer[:written]
        return written

    def _give_up(self) -> None:
        self.dropped_bytes += len(self._buffer)
        self._empty()

    def _empty(self) -> None:
        self._buffer.clear()
        self._forget_stall()
        if self._sink is not None:
            self._loop.remove_writer(self._sink)
        self._set_reading(on=self._source is not None)

    def _forget_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None


class UsbCable:
    """Carries bytes between the HAT's terminal and the port that a host opens.

    While no host has the port open, what the HAT sends is thrown away.
    """

    def __init__(self, seed: int) -> None:
        self.to_host_faults = LineFaults(seed * 2)
        self.to_hat_faults = LineFaults(seed * 2 + 1)
        self.port: Path | None = None
        self._watch: Callable[[bytes], None] | None = None
        self._interrupt: Callable[[], bool] | None = None
        self._loop = asyncio.get_running_loop()
        self._to_host = _Lane(self._from_hat, lambda: None, _STALL_S)
        self._to_hat = _Lane(self._from_host, self._host_closed, None)
        self._master: int | None = None
        self._slot_poll: asyncio.TimerHandle | None = None
        self._chatter: asyncio.TimerHandle | None = None

    @property
    def dropped_bytes(self) -> int:
        """Bytes thrown away because the host read nothing for half a second."""
        return self._to_host.dropped_bytes

    @property
    def chattering(self) -> bool:
        """True while garbage floods the host."""
        return self._chatter is not None

    @property
    def host_open(self) -> bool:
        """True while a host has the port open."""
        return self._master is not None and self._slot_poll is None

    def connect_hat(self, terminal: int, watch: Callable[[bytes], None], interrupt: Callable[[], bool]) -> None:
        """The HAT's process has started; `terminal` is the master of its pty.

        `watch` sees all it sends. `interrupt` is asked about every Ctrl-C from the host, and returns True when it was
        taken as such and shall not arrive as a byte.
        """
        self._watch, self._interrupt = watch, interrupt
        self._to_hat.set_sink(terminal)
        self._to_host.set_source(terminal)

    def disconnect_hat(self) -> None:
        """The HAT's process has ended: pass on its last words."""
        self._to_host.drain()
        self._to_host.set_source(None)
        self._to_hat.set_sink(None)
        self._watch = self._interrupt = None

    def say(self, text: bytes) -> None:
        """Send bytes to the host in the HAT's name."""
        self._to_host.put(text)

    def plug(self, port: Path) -> None:
        """Make a port, and link it there. Raises FileExistsError when another HAT is plugged in there."""
        self.unplug()
        self._master, slave = os.openpty()
        os.set_blocking(self._master, False)
        tty.setraw(slave)
        try:
            port.symlink_to(os.ttyname(slave))
            self.port = port
        finally:
            os.close(slave)
        self._await_host()

    def unplug(self) -> None:
        """Take the port away; a host that has it open sees its end."""
        if self._slot_poll is not None:
            self._slot_poll.cancel()
            self._slot_poll = None
        self._to_hat.set_source(None)
        self._to_host.set_sink(None)
        if self.port is not None:
            self.port.unlink(missing_ok=True)
            self.port = None
        if self._master is not None:
            os.close(self._master)
            self._master = None

    def chatter(self, bytes_per_second: int, duration_s: float) -> None:
        """Flood the host with garbage."""
        self.stop_chatter()
        count = max(1, round(bytes_per_second * _CHATTER_PERIOD_S))
        self._babble(count, self._loop.time() + duration_s)

    def stop_chatter(self) -> None:
        """End the flood."""
        if self._chatter is not None:
            self._chatter.cancel()
            self._chatter = None

    def close(self) -> None:
        """Unplug, and let go of everything."""
        self.stop_chatter()
        self.disconnect_hat()
        self.unplug()

    def _babble(self, count: int, until_s: float) -> None:
        self._to_host.put(self.to_host_faults.garbage(count))
        again = self._loop.time() < until_s
        self._chatter = self._loop.call_later(_CHATTER_PERIOD_S, self._babble, count, until_s) if again else None

    def _from_hat(self, data: bytes) -> bytes:
        if self._watch is not None:
            self._watch(data)
        return self.to_host_faults.apply(data)

    def _from_host(self, data: bytes) -> bytes:
        data = self.to_hat_faults.apply(data)
        if _CTRL_C in data and self._interrupt is not None and self._interrupt():
            data = data.replace(b"\x03", b"")
        return data

    def _host_closed(self) -> None:
        self._to_host.set_sink(None)
        self._await_host()

    def _await_host(self) -> None:
        self._slot_poll = None
        if self._master is None:
            return
        poll = select.poll()
        poll.register(self._master, 0)
        if any(events & select.POLLHUP for _, events in poll.poll(0)):
            self._slot_poll = self._loop.call_later(_HOST_POLL_S, self._await_host)
        else:
            self._to_host.set_sink(self._master)
            self._to_hat.set_source(self._master)
