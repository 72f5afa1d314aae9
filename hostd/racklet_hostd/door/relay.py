"""Carries the bytes of a connection to gRPC and back."""

import asyncio
import socket
import ssl
from collections.abc import Callable

CHUNK_BYTES = 64 << 10  # more than a record of TLS, so that none stays behind in OpenSSL where epoll does not see it
STALL_S = 40  # gRPC's own keepalive gives up a caller that takes nothing after as long

_BUFFER = memoryview(bytearray(CHUNK_BYTES))  # of all relays: they read in one thread, and leave nothing in it

NOT_NOW = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Relay:
    """Joins two sockets that do not block until one of them ends, or takes nothing for STALL_S. Then both are closed.

    It holds at most CHUNK_BYTES for each direction: who does not take them is not read from the other side.
    """

    def __init__(self, outer: socket.socket, inner: socket.socket, on_end: Callable[[], None]) -> None:
        self._sockets = (outer, inner)
        self._on_end = on_end
        self._inward = _Way(outer, inner, self.end)
        self._outward = _Way(inner, outer, self.end)
        self._is_over = False

    def begin(self, first: bytes) -> None:
        """Carry; `first` is what was read of `outer` already."""
        self._outward.begin(b"")
        self._inward.begin(first)  # last: when that cannot be sent, both are ended here

    def end(self) -> None:
        """Close both sides, once."""
        if self._is_over:
            return
        self._is_over = True
        self._inward.end()
        self._outward.end()
        for each in self._sockets:
            each.close()
        self._on_end()


class _Way:
    """One direction."""

    def __init__(self, source: socket.socket, sink: socket.socket, end: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._source = source
        self._sink = sink
        self._end = end
        self._rest = memoryview(b"")  # what the sink does not take; nothing is read meanwhile
        self._stall: asyncio.TimerHandle | None = None

    def begin(self, first: bytes) -> None:
        self._loop.add_reader(self._source, self._read)
        self._send(memoryview(first))

    def end(self) -> None:
        self._loop.remove_reader(self._source)
        self._loop.remove_writer(self._sink)
        self._forget_stall()

    def _read(self) -> None:
        try:
            count = self._source.recv_into(_BUFFER)
        except NOT_NOW:
            return
        except OSError:
            count = 0
        if count:
            self._send(_BUFFER[:count])
        else:
            self._end()  # nothing waits for the sink while the source is read

    def _send(self, data: memoryview) -> None:
        try:
            while data:
                data = data[self._sink.send(data) :]
        except NOT_NOW:
            self._wait(data)
        except OSError:
            self._end()
        else:
            if self._rest:
                self._go_on()

    def _wait(self, data: memoryview) -> None:
        if not self._rest:
            self._loop.remove_reader(self._source)
            self._loop.add_writer(self._sink, self._send_rest)
            data = memoryview(bytes(data))  # what is read into the buffer next shall not be sent in its place
        if len(data) != len(self._rest):
            self._forget_stall()
            self._stall = self._loop.call_later(STALL_S, self._end)
        self._rest = data

    def _send_rest(self) -> None:
        self._send(self._rest)

    def _go_on(self) -> None:
        self._rest = memoryview(b"")
        self._forget_stall()
        self._loop.remove_writer(self._sink)
        self._loop.add_reader(self._source, self._read)

    def _forget_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
