"""A HAT in virtual time: the firmware's own parts, run by this Python, on the virtual rack's electronics."""

from __future__ import annotations

import errno
import hashlib
from typing import TYPE_CHECKING

from racklet.link.v1 import link_pb2
from racklet_hat import config
from racklet_hat.ina228 import Ina228
from racklet_hat.limits import Limits
from racklet_hat.meter import Meter
from racklet_hat.power_gate import PowerGate
from racklet_link.event_queue import EventQueue
from racklet_link.hat import HatLink
from racklet_link.limits import TICK_MASK
from racklet_link.log_ring import LogRing
from racklet_virtual.hardware import HatHardware, NoAcknowledgeError, Pin
from racklet_virtual.node import NodeProfile
from racklet_virtual.record import SentBoots
from tools.account.profile_node import Load, ProfileNode

if TYPE_CHECKING:
    from array import array
    from collections.abc import Sequence
    from pathlib import Path

    from racklet_link.message import Message

TURN_MS = 20  # of the meter, as in the firmware; the link has its turn with it, four times as seldom as there
HAT_ID = bytes.fromhex("e66118604b3f5a21")
KEY = bytes(range(32))
_PULSE_US = 1_500
_FRAMES_MAX = 16  # of a turn
_TURNS_SHIFT = 30
_FAST_CURRENT = 8  # in the limits

# Slots: see racklet_link.messages.
_HELLO_RESET_CAUSE = 3
_HELLO_SUPPLY_STATE = 4
_HELLO_BOOT_CONTINUES = 8
_HELLO_BOARD = 15
_HELLO_FIRMWARE = 17
_HELLO_COUNTERS_CONTINUE = 19
_REPLY_SUPPLY_STATE = 2
_REPLY_SUPPLY_UV = 3
_REPLY_SUPPLY_UA = 4
_TELEMETRY_SUPPLY_STATE = 3
_TELEMETRY_BOOT = 21


def electronics(folder: Path, loads: Sequence[Load], seed: int) -> HatHardware:
    """Return a HAT's electronics with a node that follows `loads`, and a monitor with errors by the seed."""

    def make_node(profile: NodeProfile, record: SentBoots) -> ProfileNode:
        return ProfileNode(profile, record, loads)

    return HatHardware(NodeProfile("node-1"), SentBoots(folder), seed=seed, make_node=make_node)


class Wires:
    """The microcontroller's pins and its I2C bus, at a time that is set and that a pulse moves on."""

    def __init__(self, hardware: HatHardware) -> None:
        self.hardware = hardware
        self.at_us = 0
        self._alerts = hardware.alerts

    def set(self) -> None:
        """Switch the supply on."""
        self._pulse(Pin.GATE_SET)

    def clear(self) -> None:
        """Switch the supply off."""
        self._pulse(Pin.GATE_CLEAR)

    def ask(self, active: bool) -> None:  # noqa: FBT001  as in ports.Rail
        """Press or release the node's power button."""
        self.hardware.set_pin(Pin.SOFT_OFF, 0 if active else None, self.at_us)

    def is_set(self) -> bool:
        """Tell what the latch holds."""
        return bool(self.hardware.pin(Pin.GATE_STATE, self.at_us))

    def is_halted(self) -> bool:
        """Tell whether the node says that it has halted."""
        return bool(self.hardware.pin(Pin.NODE_HALTED, self.at_us))

    def take_alert(self) -> bool:
        """Cut the supply if the alert fell since the last call, as the interrupt would have; tell whether it did."""
        if self.hardware.alerts == self._alerts:
            return False
        self._alerts = self.hardware.alerts
        self.clear()
        return True

    def readfrom_mem_into(self, address: int, register: int, buf: bytearray) -> None:
        """Fill `buf` from a register. Raises OSError when nobody answers."""
        try:
            buf[:] = self.hardware.read_i2c(address, register, len(buf), self.at_us)
        except NoAcknowledgeError as error:
            raise OSError(errno.EIO, str(error)) from error

    def writeto_mem(self, address: int, register: int, buf: bytearray) -> None:
        """Write `buf` to a register. Raises OSError when nobody answers."""
        try:
            self.hardware.write_i2c(address, register, bytes(buf), self.at_us)
        except NoAcknowledgeError as error:
            raise OSError(errno.EIO, str(error)) from error

    def _pulse(self, pin: Pin) -> None:
        self.hardware.set_pin(pin, 1, self.at_us)
        self.at_us += _PULSE_US
        self.hardware.set_pin(pin, None, self.at_us)


class HatRun:
    """One start of a HAT's microcontroller: what `racklet_hat.app` joins, joined in the same order.

    That module itself needs a MicroPython. Left out are the node's console, the waveform and the restore policy.
    """

    hat_id = HAT_ID

    def __init__(self, hardware: HatHardware, session: int, reset_cause: int, now_ms: int) -> None:
        self.session = session
        self._talks = 0
        self.wires = Wires(hardware)
        self._now_ms = now_ms
        self.wires.at_us = now_ms * 1000
        self._log = LogRing(config.LOG_RING_BYTES)
        self._events = EventQueue(config.EVENTS_KEPT)
        self._limits = Limits()
        monitor = Ina228(self.wires, config.MONITOR_ADDRESS, config.MONITOR_SHUNT_UOHM)
        monitor.alert_ma = self._limits.values[_FAST_CURRENT]
        self._meter = Meter(monitor)
        self._meter.sample(now_ms & TICK_MASK)  # before Hello, which tells whether its counters continue
        self._reset_cause = reset_cause
        self._was_on = self.wires.is_set()
        self.gate = PowerGate(self.wires, self._limits, self._report, self._finish, self._was_on)
        self.link = HatLink(session, self._log, self._events, self)
        self._report(link_pb2.EVENT_KIND_HAT_STARTED, reset_cause, 0, 0)
        if self._was_on:
            self._log.begin_boot(link_pb2.BOOT_CAUSE_HAT_START, now_ms & TICK_MASK, now_ms >> _TURNS_SHIFT)

    def turn(self, now_ms: int, heard: bytes) -> bytes:
        """Measure, let the gate act, hear and speak."""
        self._now_ms = now_ms
        ticks_ms = now_ms & TICK_MASK
        wires, meter = self.wires, self._meter
        wires.at_us = max(wires.at_us, now_ms * 1000)
        valid = meter.sample(ticks_ms)
        monitor = meter.monitor
        alerted = wires.take_alert() or (valid and monitor.alerted)
        self.gate.step(monitor.supply_uv, monitor.supply_ua, monitor.temperature_mc, valid, ticks_ms, alerted)
        self.link.receive(heard, len(heard), ticks_ms)
        said = bytearray()
        for _ in range(_FRAMES_MAX):
            size = self.link.poll(ticks_ms, now_ms >> _TURNS_SHIFT)
            if size == 0:
                break
            said += self.link.wire[:size]
        return bytes(said)

    def _report(self, kind: int, value: int, limit: int, detail: int) -> None:
        ticks_ms, turns = self._now_ms & TICK_MASK, self._now_ms >> _TURNS_SHIFT
        if kind == link_pb2.EVENT_KIND_SUPPLY_STATE and value == link_pb2.SUPPLY_STATE_STARTING:
            self._log.begin_boot(link_pb2.BOOT_CAUSE_SUPPLY_ON, ticks_ms, turns)
        self._events.put(kind, ticks_ms, turns, self._log.boot, value, limit, detail)

    def _finish(self, request_id: int, result: int, duration_ms: int) -> None:
        self.link.finish(request_id, result, duration_ms)

    # The duties of `HatLink`.

    def load_key(self) -> bytes:
        """Return the key that it shares with hostd."""
        return KEY

    def keep_key(self, _key: bytes) -> None:
        """Nobody gives it another one."""

    def random(self, size: int) -> bytes:
        """Return bytes that are new with every talk of every start, and the same in every run."""
        self._talks += 1
        return hashlib.sha256(b"%d:%d" % (self.session, self._talks)).digest()[:size]

    def set_power(self, request_id: int, action: int, grace_ms: int, force: int, off_ms: int) -> int:
        """Begin a power transaction."""
        return self.gate.request(request_id, action, grace_ms, force, off_ms, self._now_ms & TICK_MASK)

    def identify(self, _duration_ms: int) -> int:
        """Blink a LED that nobody sees."""
        return link_pb2.RESULT_DONE

    def set_limits(self, slots: array[int]) -> int:
        """Replace the protection limits."""
        return link_pb2.RESULT_INVALID if self._limits.take(slots) else link_pb2.RESULT_DONE

    def set_restore(self, _policy: int, _delay_ms: int) -> int:
        """Refuse: there is no flash here that could keep a policy."""
        return link_pb2.RESULT_INVALID

    def set_clock(self, _unix_ms: int) -> None:
        """Do as the firmware does when request ids may begin again."""
        if not self.gate.request_id:
            self.gate.told_id = 0

    def type_console(self, _buf: bytearray, _start: int, size: int) -> int:
        """Take it; nobody listens on the node's console."""
        return size

    def fill_hello(self, hello: Message) -> None:
        """Tell who this is."""
        hello.slots[_HELLO_RESET_CAUSE] = self._reset_cause
        hello.slots[_HELLO_SUPPLY_STATE] = self.gate.state
        hello.slots[_HELLO_BOOT_CONTINUES] = self._was_on
        hello.slots[_HELLO_COUNTERS_CONTINUE] = self._meter.continues
        hello.put_bytes(_HELLO_BOARD, 1, config.BOARD)
        hello.put_bytes(_HELLO_FIRMWARE, 2, config.FIRMWARE)

    def fill_reply(self, reply: Message) -> None:
        """Tell the supply as measured."""
        reply.slots[_REPLY_SUPPLY_STATE] = self.gate.state
        if self._meter.valid:
            reply.slots[_REPLY_SUPPLY_UV] = self.gate.supply_uv
            reply.slots[_REPLY_SUPPLY_UA] = self.gate.supply_ua

    def fill_telemetry(self, telemetry: Message) -> None:
        """Tell the newest measurement."""
        self._meter.fill(telemetry.slots)
        telemetry.slots[_TELEMETRY_SUPPLY_STATE] = self.gate.state
        telemetry.slots[_TELEMETRY_BOOT] = self._log.boot
