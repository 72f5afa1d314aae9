"""hostd's end of the link on a virtual HAT's port, in the hands of a test."""

from __future__ import annotations

import os
import struct
import tty
import zlib
from pathlib import Path
from typing import Self

from cobs import cobs

from racklet.link.v1 import link_pb2
from racklet_link.events import (
    EventReceived,
    HelloReceived,
    KeyAgreed,
    LogData,
    LogGap,
    RequestEnded,
    StoredPositions,
    Stranger,
)
from racklet_link.host import HostLink
from racklet_link.limits import MAX_PAYLOAD
from racklet_virtual.board import VirtualHat
from tests.system.rig import until

KEYS: dict[Path, bytes] = {}  # of the HATs that were adopted in this process, by their flash
_PADDING_TAG = 15 << 3 | 2  # a field that no version has, which a HAT skips


def seal(payload: bytes) -> bytes:
    """Return a frame as it stands on the wire, its closing 0x00 included."""
    return cobs.encode(payload + struct.pack("<I", zlib.crc32(payload))) + b"\0"


def padded_knock(wire_bytes: int, filler: bytes = b"\x03") -> bytes:
    """Return a knock of so many bytes on the wire, or one less where stuffing allows no other; most are `filler`."""
    knock = link_pb2.Frame(knock=link_pb2.Knock(protocol_min=2, protocol_max=2)).SerializeToString()
    frame = seal(knock)
    for count in range(MAX_PAYLOAD - len(knock) - 2):
        size = bytes([count]) if count < 0x80 else bytes([count & 0x7F | 0x80, count >> 7])
        padding = (filler * count)[:count]
        longer = seal(bytes([_PADDING_TAG]) + size + padding + knock)
        if len(longer) > wire_bytes:
            break
        frame = longer
    return frame


class LinkPort:
    """An open port with a HostLink on it. It welcomes the HAT and acknowledges nothing."""

    def __init__(self, hat: VirtualHat) -> None:
        self._hat = hat
        self._fd = os.open(hat.port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self._fd)
        self.link = HostLink(
            int.from_bytes(os.urandom(3), "little") + 1, 200, 0, key_of=self._key_of, random=os.urandom
        )
        self.hellos: list[link_pb2.Hello] = []
        self.replies: list[link_pb2.Reply] = []
        self.events: list[link_pb2.Event] = []
        self.log = bytearray()
        self.gaps: list[LogGap] = []

    def _key_of(self, _hat_id: bytes) -> bytes | None:
        return KEYS.get(self._hat.chip.flash)

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        assert os.write(self._fd, data) == len(data)

    def pump(self) -> None:
        """Take what has come, let time pass, send what is due."""
        now_ms = self._hat.now_us() // 1000
        try:
            data = os.read(self._fd, 65_536)
        except BlockingIOError:
            data = b""
        for event in [*self.link.receive(data, now_ms), *self.link.tick(now_ms)]:
            match event:
                case HelloReceived(hello):
                    self.hellos.append(hello)
                    self.link.welcome(StoredPositions(), 0, now_ms)
                case Stranger(hello):
                    self.link.adopt(hello.hat_id, now_ms)
                case KeyAgreed(_, key):
                    KEYS[self._hat.chip.flash] = key
                    self.link.knock(now_ms)
                case RequestEnded(_, reply):
                    self.replies.append(reply)
                case EventReceived(event=news):
                    self.events.append(news)
                case LogData(data=data):
                    self.log += data
                case LogGap():
                    self.gaps.append(event)
        if output := self.link.take_output():
            os.write(self._fd, output)

    async def until_up(self) -> link_pb2.Hello:
        """Wait until the HAT has said Hello; return it."""
        await until(lambda: self.pump() or (self.hellos and self.link.is_up))
        return self.hellos[-1]

    async def power_on(self) -> None:
        """Switch the supply on; return when the HAT has measured it."""
        await self.until_up()
        power_on = link_pb2.SetPower(action=link_pb2.POWER_ACTION_ON)
        self.link.request(power_on, 10_000, self._hat.now_us() // 1000)
        await until(lambda: self.pump() or self.replies)
        assert self.replies.pop().result == link_pb2.RESULT_DONE

    async def until_greeted(self) -> None:
        """Wait for a Hello that comes after what was just written."""
        before = len(self.hellos)
        await until(lambda: self.pump() or len(self.hellos) > before)

    async def until_greeted_by_knock(self) -> None:
        """Knock, and wait for the Hello that answers."""
        self.write(b"\0" + padded_knock(64))
        await self.until_greeted()

    def close(self) -> None:
        """Close the port."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
