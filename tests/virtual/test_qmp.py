"""The control channel of a QEMU machine, with QEMU's end played by hand."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from racklet_virtual.qmp import QmpChannel, QmpError, QmpEvent
from tests.virtual.conftest import until

GREETING = b'{"QMP": {"version": {}, "capabilities": ["oob"]}}\r\n'


class Peer:
    """QEMU's end, and what the channel told."""

    def __init__(self) -> None:
        ours, self.end = socket.socketpair()
        self.end.settimeout(5)
        self.events: list[QmpEvent] = []
        self.complaints: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self.complaints.append(context))
        self.channel = QmpChannel(ours, self.events.append)

    def commands(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.end.recv(4096).splitlines()]


@pytest_asyncio.fixture
async def peer() -> AsyncIterator[Peer]:
    """A channel, and the other end of it."""
    peer = Peer()
    yield peer
    peer.channel.close()
    peer.end.close()


async def test_commands_go_out_in_order_and_what_follows_waits_for_the_reply(peer: Peer) -> None:
    done: list[str] = []
    peer.channel.execute("stop", then=lambda: done.append("stop"))
    peer.channel.execute("chardev-send-break", id="console", then=lambda: done.append("break"))
    sent = peer.commands()
    assert [command["execute"] for command in sent] == ["qmp_capabilities", "stop", "chardev-send-break"]
    assert sent[2]["arguments"] == {"id": "console"}
    peer.end.send(GREETING + b'{"return": {}}\r\n{"return": {}}\r\n')
    await until(lambda: done)
    assert done == ["stop"]
    peer.end.send(b'{"return": {}}\r\n')
    await until(lambda: done == ["stop", "break"])


async def test_events_are_told_also_when_they_come_in_pieces(peer: Peer) -> None:
    event = (
        b'{"event": "RESET", "data": {"guest": true, "reason": "guest-reset"}, "timestamp": {}}\r\n{"event": "STOP"}\n'
    )
    for byte in GREETING + event:
        peer.end.send(bytes([byte]))
        await asyncio.sleep(0)
    await until(lambda: peer.events == [QmpEvent("RESET", "guest-reset"), QmpEvent("STOP", "")])


async def test_a_refused_command_is_an_error_that_says_why(peer: Peer) -> None:
    done: list[str] = []
    peer.channel.execute("bogus", then=lambda: done.append("bogus"))
    peer.end.send(
        b'{"return": {}}\n{"error": {"class": "CommandNotFound", "desc": "The command bogus is not known"}}\n'
    )
    await until(lambda: peer.complaints)
    assert isinstance(peer.complaints[0]["exception"], QmpError)
    assert "bogus is not known" in str(peer.complaints[0]["exception"])
    assert done == []


async def test_what_is_not_json_is_an_error(peer: Peer) -> None:
    peer.end.send(b"hello\n")
    await until(lambda: peer.complaints)
    assert isinstance(peer.complaints[0]["exception"], QmpError)


async def test_a_message_without_an_end_closes_the_channel(peer: Peer) -> None:
    peer.end.settimeout(0)
    sent = 0

    def push() -> bool:
        nonlocal sent
        try:
            sent += peer.end.send(b"x" * 10_000)
        except BlockingIOError:
            pass
        except OSError:  # closed
            return True
        return False

    await until(push)
    assert sent < 1_000_000
    assert isinstance(peer.complaints[0]["exception"], QmpError)


async def test_a_channel_that_ended_takes_commands_and_does_nothing(peer: Peer) -> None:
    peer.end.close()
    await until(lambda: peer.channel._connection.fileno() < 0)
    peer.channel.execute("stop")
    peer.channel.hear()
    assert peer.complaints == []
