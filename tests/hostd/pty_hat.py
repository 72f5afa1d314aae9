"""A HAT on a pty: the firmware's end of the link, with electronics that a test sets."""

from __future__ import annotations

import asyncio
import os
import time
import tty
from array import array
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from racklet.link.v1 import link_pb2
from racklet_link.event_queue import EventQueue
from racklet_link.hat import HatLink
from racklet_link.limits import TICK_MASK
from racklet_link.log_ring import LogRing
from racklet_link.message import Message

PUMP_S = 0.002
RING_BYTES = 64 << 10
ROOM_BYTES = 8 << 10  # what lies in the line at most


@dataclass
class Electronics:
    """What a HAT measures."""

    supply_state: int = link_pb2.SUPPLY_STATE_ON
    samples: int = 50
    supply_uv: int = 5_098_000
    supply_ua: int = 612_000
    supply_uw: int = 3_120_000
    temperature_mc: int = 31_500
    energy_uj: int = 1_000_000


class PtyHat:
    """A HAT, its USB cable, and the node's console behind it. Lives in the running event loop.

    A power request is answered with `power_result`; while that is RESULT_PENDING, `finish_power` ends it.
    """

    def __init__(self, port: Path, session: int = 1000, hat_id: bytes = b"", ring_bytes: int = RING_BYTES) -> None:
        self.port = port
        self.ring_bytes = ring_bytes
        self.session = session
        number = 8 if port.name in {"port", "node-1"} else 16 + sum(port.name.encode())  # no two HATs share an id
        self.hat_id = hat_id or bytes([1, 2, 3, 4, 5, 6, 7, number & 255])
        self.now = Electronics()
        self.power_result: int = link_pb2.RESULT_DONE
        self.power_requests: list[tuple[int, int, int, int, int]] = []
        self.identified: list[int] = []
        self.limits: list[tuple[int, ...]] = []
        self.refused_limit = 0  # the number of a field of SetLimits
        self.typed = bytearray()
        self.type_room = 256
        self.is_mute = False
        self.protocol = (2, 2)
        self.key = b""
        self.sent = 0  # bytes written to the line
        self._invalid_field = 0
        self._boot_continues = False
        self._master = -1
        self._slave = -1
        self._pending = b""
        self._timer: asyncio.TimerHandle | None = None
        self._start(session)

    def __enter__(self) -> Self:
        self.plug()
        return self

    def __exit__(self, *_: object) -> None:
        self.unplug()

    def plug(self) -> None:
        """Put the cable in."""
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.port.parent.mkdir(parents=True, exist_ok=True)
        self.port.symlink_to(os.ttyname(self._slave))
        self._pump()

    def unplug(self) -> None:
        """Pull the cable."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self.port.unlink()
            os.close(self._master)
            os.close(self._slave)
            self._pending = b""

    def restart(self) -> None:
        """Reset the microcontroller: the node goes on."""
        self._boot_continues = True
        self._start(self.session + 1)
        self._log.begin_boot(link_pb2.BOOT_CAUSE_HAT_START, self._ms(), 0)

    def have_key(self, key: bytes) -> None:
        """Be a HAT that was adopted long ago."""
        self.key = self.link._key = key

    def boot(self) -> None:
        """Begin a boot of the node."""
        self._log.begin_boot(link_pb2.BOOT_CAUSE_SUPPLY_ON, self._ms(), 0)

    def say(self, data: bytes) -> None:
        """Let the node's console say something."""
        self._log.append(data, len(data), self._ms(), 0)

    def lose(self, count: int) -> None:
        """Lose console bytes at the UART."""
        self._log.lose(count, link_pb2.GAP_REASON_UART_OVERRUN, self._ms(), 0)

    def damage(self, byte: int, error: int) -> None:
        """Let the node's console say a byte that comes with an error: 0 framing, 1 parity, 2 break."""
        self._log.append_damaged(byte, error, self._ms(), 0)

    def reset_node(self, cause: int) -> None:
        """Begin a boot of the node while its supply stays on."""
        self._log.begin_boot(cause, self._ms(), 0)

    def tell(self, kind: int, value: int = 0, limit: int = 0, detail: int = 0) -> None:
        """Let something happen."""
        self._events.put(kind, self._ms(), 0, self._log.boot, value, limit, detail)

    def finish_power(self, result: int) -> None:
        """End the power request that is pending."""
        self.link.finish(self.power_requests[-1][0], result, 1500)

    def write_raw(self, data: bytes) -> int:
        """Put bytes on the line as they are; return how many it took."""
        try:
            return os.write(self._master, data)
        except BlockingIOError:
            return 0

    @property
    def all_acknowledged(self) -> bool:
        """True when hostd has stored everything."""
        log, events = self._log, self._events
        reached = (log.boot, log.offset, events.next_sequence)
        return log.held_bytes == 0 and (log.acked_boot, log.acked_offset, events.acked_sequence) == reached

    # What the link asks of a HAT.

    def load_key(self) -> bytes:
        return self.key

    def keep_key(self, key: bytes) -> None:
        self.key = key

    def random(self, size: int) -> bytes:
        return os.urandom(size)

    def set_power(self, request_id: int, action: int, grace_ms: int, force: int, off_ms: int) -> int:
        self.power_requests.append((request_id, action, grace_ms, force, off_ms))
        return self.power_result

    def identify(self, duration_ms: int) -> int:
        self.identified.append(duration_ms)
        return link_pb2.RESULT_DONE

    def set_limits(self, slots: array[int]) -> int:
        self.limits.append(tuple(slots[:11]))
        self._invalid_field = self.refused_limit
        return link_pb2.RESULT_INVALID if self.refused_limit else link_pb2.RESULT_DONE

    def set_restore(self, _policy: int, _delay_ms: int) -> int:
        return link_pb2.RESULT_DONE

    def fill_hello(self, hello: Message) -> None:
        hello.slots[0], hello.slots[1] = self.protocol
        hello.slots[4] = self.now.supply_state
        hello.slots[8] = self._boot_continues
        hello.put_bytes(15, 1, b"hat-a")
        hello.put_bytes(17, 2, b"0.1.0")

    def fill_reply(self, reply: Message) -> None:
        reply.slots[2] = self.now.supply_state
        reply.slots[3] = self.now.supply_uv
        reply.slots[4] = self.now.supply_ua
        if reply.slots[1] == link_pb2.RESULT_INVALID:
            reply.slots[8] = self._invalid_field
            self._invalid_field = 0

    def fill_telemetry(self, telemetry: Message) -> None:
        now = self.now
        measured = (now.supply_state, now.samples, *[now.supply_uv] * 3, *[now.supply_ua] * 3)
        for slot, value in enumerate((*measured, now.supply_uw, now.temperature_mc), start=3):
            telemetry.slots[slot] = value
        telemetry.put_number(13, now.energy_uj)

    def set_clock(self, unix_ms: int) -> None:
        pass

    def type_console(self, buf: bytearray, start: int, size: int) -> int:
        taken = min(size, self.type_room)
        self.typed += buf[start : start + taken]
        return taken

    def _start(self, session: int) -> None:
        self.session = session
        self._log = LogRing(self.ring_bytes)
        self._events = EventQueue(32)
        self.link = HatLink(session, self._log, self._events, self)

    def _pump(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(PUMP_S, self._pump)
        with suppress(BlockingIOError):
            heard = os.read(self._master, 4096)
            self.link.receive(heard, len(heard), self._ms())
        if self.is_mute:
            return
        while len(self._pending) < ROOM_BYTES and (size := self.link.poll(self._ms(), 0)):
            self._pending += bytes(self.link.wire[:size])
        taken = self.write_raw(self._pending)
        self.sent += taken
        self._pending = self._pending[taken:]

    def _ms(self) -> int:
        return time.monotonic_ns() // 1_000_000 & TICK_MASK
