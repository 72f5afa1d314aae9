"""Bytes that are carried between two sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from racklet_hostd.door.relay import CHUNK_BYTES, Relay

SENT_BYTES = 40 * CHUNK_BYTES  # more than the system holds for who does not read


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def pair(opened: ExitStack) -> tuple[socket.socket, socket.socket]:
    ends = socket.socketpair()
    for end in ends:
        opened.callback(end.close)
        end.setblocking(False)
    return ends


def joined(opened: ExitStack) -> tuple[socket.socket, socket.socket]:
    """Return the two far ends of what a relay carries."""
    (caller, outer), (inner, server) = pair(opened), pair(opened)
    relay = Relay(outer, inner, lambda: None)
    opened.callback(relay.end)
    relay.begin(b"")
    return caller, server


async def read_all(end: socket.socket, length: int) -> bytes:
    loop, data = asyncio.get_running_loop(), bytearray()
    while len(data) < length:
        data += await loop.sock_recv(end, 1 << 20)
    return bytes(data)


async def test_what_waits_for_a_slow_reader_is_not_mixed_with_what_others_are_sent(opened: ExitStack) -> None:
    ways = [joined(opened) for _ in range(4)]
    loop = asyncio.get_running_loop()
    texts = [bytes([number]) * SENT_BYTES for number in range(len(ways))]
    sending = asyncio.gather(
        *(loop.sock_sendall(caller, text) for (caller, _), text in zip(ways, texts, strict=True)),
        *(loop.sock_sendall(server, text) for (_, server), text in zip(ways, texts, strict=True)),
    )
    async with asyncio.timeout(20):
        for (caller, server), text in zip(ways, texts, strict=True):  # the others wait meanwhile
            assert await asyncio.gather(read_all(server, SENT_BYTES), read_all(caller, SENT_BYTES)) == [text, text]
        await sending
