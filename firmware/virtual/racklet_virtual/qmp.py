"""The control channel of a QEMU machine: JSON lines, as QMP has them."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

_READ_BYTES = 64 * 1024
_MAX_LINE_BYTES = 64 * 1024  # QEMU's are some hundred bytes


class QmpError(Exception):
    """QEMU refused a command, or does not speak QMP."""


class QmpEvent(NamedTuple):
    """What QEMU tells of its machine: the event's name, and the reason it gives."""

    name: str
    reason: str


class QmpChannel:
    """Sends commands in their order, and tells every event. A channel that ended takes commands and does nothing.

    What the other end says wrongly raises QmpError in the event loop, whose log has it.
    """

    def __init__(self, connection: socket.socket, on_event: Callable[[QmpEvent], None]) -> None:
        self._connection = connection
        self._on_event = on_event
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self._then: deque[Callable[[], None] | None] = deque()  # what follows each reply that is due
        connection.settimeout(0)
        self._loop.add_reader(connection, self._hear)
        self.execute("qmp_capabilities")

    def execute(self, command: str, *, then: Callable[[], None] | None = None, **arguments: str) -> None:
        """Send a command; `then` is called when QEMU has done it."""
        line = json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n"
        try:
            self._connection.send(line)
        except OSError:  # it has ended, or it takes nothing any more and never will
            return
        self._then.append(then)

    def hear(self) -> None:
        """Take what waits now, instead of in the event loop's next turn."""
        if self._connection.fileno() >= 0:
            self._hear()

    def close(self) -> None:
        """Close it. Nothing is called any more."""
        if self._connection.fileno() >= 0:
            self._loop.remove_reader(self._connection)
            self._connection.close()

    def _hear(self) -> None:
        try:
            data = self._connection.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:  # reset: the process is gone
            data = b""
        if not data:
            self.close()
            return
        self._received += data
        *lines, rest = bytes(self._received).split(b"\n")
        self._received[:] = rest
        if len(rest) > _MAX_LINE_BYTES:
            self.close()
            raise QmpError(f"a message of more than {_MAX_LINE_BYTES} bytes")
        for line in lines:
            self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            message: dict[str, Any] = json.loads(line)
        except ValueError as error:
            raise QmpError(f"not JSON: {line[:80]!r}") from error
        if "event" in message:
            self._on_event(QmpEvent(message["event"], message.get("data", {}).get("reason", "")))
        elif "return" in message:
            then = self._then.popleft()
            if then is not None:
                then()
        elif "error" in message:
            self._then.popleft()
            raise QmpError(str(message["error"].get("desc")))
