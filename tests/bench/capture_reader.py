"""Stores what comes on a port in a file: `python -m tests.bench.capture_reader WAY SOURCE FILE`, until it is killed.

WAY is `asyncio`, plain pyserial-asyncio; `bare`, os.read and os.write in a loop over epoll; or `tcp`, which reads what
ser2net serves on that port of this computer.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import sys

import serial_asyncio

READ_BYTES = 1 << 16
CONNECT_S = 10
BAUD = 115_200


class Storing(asyncio.Protocol):
    """Writes what comes."""

    def __init__(self, file: int) -> None:
        self._file = file

    def data_received(self, data: bytes) -> None:
        """Write."""
        os.write(self._file, data)


async def store_with_asyncio(port: str, file: int) -> None:
    """Read with pyserial-asyncio as its documentation shows."""
    loop = asyncio.get_running_loop()
    await serial_asyncio.create_serial_connection(loop, lambda: Storing(file), port, baudrate=BAUD)
    await asyncio.Event().wait()


def store_bare(source: int, file: int) -> None:
    """Read whenever there is something."""
    with select.epoll() as poll:
        poll.register(source, select.EPOLLIN)
        while True:
            poll.poll()
            os.write(file, os.read(source, READ_BYTES))


def main() -> None:
    """Store until killed."""
    way, source, path = sys.argv[1:]
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    if way == "asyncio":
        asyncio.run(store_with_asyncio(source, file))
    elif way == "bare":
        store_bare(os.open(source, os.O_RDWR | os.O_NOCTTY), file)
    else:
        with socket.create_connection(("127.0.0.1", int(source)), CONNECT_S) as connection:
            store_bare(connection.fileno(), file)


if __name__ == "__main__":
    main()
