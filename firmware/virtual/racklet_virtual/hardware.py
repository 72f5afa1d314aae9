"""One HAT's electronics and its node, wired to the pins of the microcontroller. Pure: time comes in as microseconds.

Whatever runs the firmware drives this: MicroPython on this computer, or an emulated RP2040.
"""

from __future__ import annotations

import math
import random
from collections import deque
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, NamedTuple

from racklet_virtual import error_budget
from racklet_virtual.ina226 import Ina226
from racklet_virtual.ina228 import Ina228, Sample
from racklet_virtual.node import NodeProfile, ScriptedNode
from racklet_virtual.supply import NODE_RESETS_VOLTS, GateLine, Supply
from racklet_virtual.uart_receiver import CHARACTER_BITS, UartReceiver

if TYPE_CHECKING:
    from collections.abc import Callable

    from racklet_virtual.attached_node import AttachedNode
    from racklet_virtual.error_budget import MonitorErrors
    from racklet_virtual.record import SentBoots


class Pin(IntEnum):
    """Where the HAT's parts hang on a Raspberry Pi Pico."""

    NODE_RX = 5
    GATE_SET = 10
    GATE_CLEAR = 11
    GATE_STATE = 12
    POWER_GOOD = 13
    ALERT = 14
    SOFT_OFF = 15
    IDENTIFY_LED = 17
    NODE_HALTED = 18
    STATUS_LED = 25
    INPUT_VOLTS = 26


MONITOR_ADDRESS = 0x40


class MonitorPart(StrEnum):
    """Which power monitor is fitted."""

    INA228 = "ina228"
    INA226 = "ina226"


INPUT_VOLTS = 12.0
_INPUT_DIVIDER = 11
_ADC_FULL_SCALE_VOLTS = 3.3
_RIPPLE = 0.02  # of the node's current, rms
_CELSIUS_PER_WATT = 2.5
_THERMAL_TAU_US = 45e6
AMBIENT_CELSIUS = 27.0
_ALERTS_KEPT = 16
# A world that was late makes its node late, instead of overrunning the UART, whose ring takes 4096 characters.
_MAX_BURST_US = 25_000
_MAX_BURST_CHARACTERS = 768


class Heard(NamedTuple):
    """Entries of the UART, 16 bits each, that came one after another."""

    start_ns: int
    took_ns: int
    entries: bytes


class NoAcknowledgeError(Exception):
    """Nothing answers at this I2C address."""

    def __init__(self, address: int) -> None:
        super().__init__(f"nothing answers at I2C address {address:#04x}")


class HatHardware:
    """Everything around the microcontroller of one HAT. It keeps its state when the microcontroller resets.

    Without `errors` the power monitor has some that its data sheet allows, by the seed.
    """

    def __init__(
        self,
        profile: NodeProfile,
        record: SentBoots,
        *,
        part: MonitorPart = MonitorPart.INA228,
        errors: MonitorErrors | None = None,
        seed: int = 0,
        make_node: Callable[[NodeProfile, SentBoots], AttachedNode] = ScriptedNode,
    ) -> None:
        self.supply = Supply()
        self.node = make_node(profile, record)
        self.uart = UartReceiver(seed)
        self.record = record
        self.monitor_connected = True
        self.ambient_celsius = AMBIENT_CELSIUS
        self.input_volts = INPUT_VOLTS
        self._at_us = 0
        self._max_burst_us = min(_MAX_BURST_US, _MAX_BURST_CHARACTERS * CHARACTER_BITS * 1_000_000 // profile.baud)
        self._random = random.Random(seed)  # noqa: S311  noise
        self._celsius = AMBIENT_CELSIUS
        self._overload_amperes, self._overload_until_us = 0.0, 0
        self._inrush = profile.inrush
        self._inrush_until_us = 0
        self._driven: dict[int, int] = {}
        self._alert_due_us: int | None = None  # when a conversion ends that raises the alert
        self._alert_was_low = False
        self.alerts = 0  # how often the alert fell
        self.alerts_us: deque[int] = deque(maxlen=_ALERTS_KEPT)  # when
        self.part = part
        self.limits = error_budget.INA228 if part is MonitorPart.INA228 else error_budget.INA226
        self._errors = errors or error_budget.drawn(self.limits, seed)
        self._is_made = False
        self._monitor = self._fresh_monitor()
        self._is_made = True

    def advance(self, at_us: int) -> None:
        """Let everything happen up to `at_us`. An earlier time changes nothing."""
        late_us = at_us - self._at_us - self._max_burst_us
        if late_us > 0 and self.node.sending:
            self.node.delay(late_us)
        while (change_us := self._next_change_us()) is not None and change_us < at_us:
            self._step(max(change_us, self._at_us))
        self._step(at_us)

    def next_change_us(self, pace_us: int) -> int | None:
        """When something next happens by itself; while the node sends, at the latest `pace_us` from now."""
        times = [self._next_change_us()]
        if (free_us := self.node.line_free_us()) is not None:
            times.append(min(free_us, self._at_us + pace_us))
        if self.node.went_low:
            times.append(self._at_us)
        return min((time_us for time_us in times if time_us is not None), default=None)

    def set_pin(self, pin: int, level: int | None, at_us: int) -> None:
        """Drive a pin; None lets it float."""
        self.advance(at_us)
        if level is None:
            self._driven.pop(pin, None)
        else:
            self._driven[pin] = level
        if pin == Pin.GATE_SET:
            self.supply.set_line(GateLine.SET, level or 0, at_us)
        elif pin == Pin.GATE_CLEAR:
            self.supply.set_line(GateLine.CLEAR, level or 0, at_us)
        elif pin == Pin.SOFT_OFF:
            self.node.ask_to_stop(asked=level == 0, at_us=at_us)

    def pin(self, pin: int, at_us: int) -> int:
        """Return the level of a pin."""
        self.advance(at_us)
        match pin:
            case Pin.GATE_STATE:
                return int(self.supply.latch_on)
            case Pin.POWER_GOOD:
                return int(self.supply.good)
            case Pin.NODE_HALTED | Pin.NODE_RX:
                return int(self.node.halted if pin == Pin.NODE_HALTED else not self.node.holds_low(at_us))
            case Pin.ALERT:
                return int(not (self.monitor_connected and self._monitor.alert_low(at_us)))
            case Pin.SOFT_OFF:
                return self._driven.get(pin, 1)
            case _:
                return self._driven.get(pin, 0)

    def take_entries(self) -> bytes:
        """Return what the HAT's UART received since the last call, 16 bits each."""
        return b"".join(heard.entries for heard in self.take_timed_entries())

    def take_timed_entries(self) -> list[Heard]:
        """Return what the HAT's UART received since the last call, and when."""
        baud = self.node.profile.baud
        character_ns = CHARACTER_BITS * 1_000_000_000 // baud
        heard = []
        for sent in self.node.take_output():
            entries = self.uart.hear(sent.data, sent.start_ns, baud) if sent.data else self.uart.hear_break()
            heard.append(Heard(sent.start_ns, max(1, len(sent.data)) * character_ns, entries))
        return heard

    def release_pins(self, at_us: int) -> None:
        """The microcontroller resets: every pin floats."""
        for pin in list(self._driven):
            self.set_pin(pin, None, at_us)

    def set_input(self, volts: float, at_us: int) -> None:
        """Change the input voltage. Without any, latch and monitor lose their power; the chip on USB does not."""
        self.input_volts = volts
        if volts == 0:
            self.lose_power(at_us)

    def lose_power(self, at_us: int) -> None:
        """The input power is gone: the latch forgets that it was set, the monitor what it was told."""
        self.advance(at_us)
        self.supply.latch_on = False
        self._monitor = self._fresh_monitor()

    def acknowledges(self, address: int) -> bool:
        """Tell whether anything answers at this I2C address."""
        return address == MONITOR_ADDRESS and self.monitor_connected

    def read_i2c(self, address: int, register: int, count: int, at_us: int) -> bytes:
        """Read `count` bytes from a register on; what it does not have reads as ones. Raises NoAcknowledgeError."""
        self._address(address)
        self.advance(at_us)
        return self._monitor.read(register, at_us)[:count].ljust(count, b"\xff")

    def write_i2c(self, address: int, register: int, data: bytes, at_us: int) -> None:
        """Write a register. Raises NoAcknowledgeError."""
        self._address(address)
        self.advance(at_us)
        self._monitor.write(register, data, at_us)

    def read_adc(self, pin: int, at_us: int) -> int:
        """Return what `read_u16` gives: 12 bits of resolution in 16."""
        self.advance(at_us)
        volts = self.input_volts / _INPUT_DIVIDER if pin == Pin.INPUT_VOLTS else 0.0
        volts += self._random.gauss(0, 0.001)
        level = max(0, min(4095, round(volts / _ADC_FULL_SCALE_VOLTS * 4095)))
        return level << 4 | level >> 8

    def overload(self, amperes: float, until_us: int) -> None:
        """Draw that much more from the rail, while it is up, until then."""
        self._overload_amperes = amperes
        self._overload_until_us = until_us
        self._step(self._at_us)

    @property
    def celsius(self) -> float:
        """The temperature of the power monitor."""
        return self._celsius

    def _fresh_monitor(self) -> Ina226 | Ina228:
        seed = self._random.getrandbits(32)
        if self.part is MonitorPart.INA226:
            return Ina226(self._sense, errors=self._errors, seed=seed)
        return Ina228(self._sense, errors=self._errors, seed=seed)

    def _address(self, address: int) -> None:
        if not self.acknowledges(address):
            raise NoAcknowledgeError(address)

    def _next_change_us(self) -> int | None:
        times = [self.supply.next_change_us(), self.node.next_change_us()]
        times += [end_us for end_us in (self._overload_until_us, self._inrush_until_us) if end_us > self._at_us]
        times.append(self._alert_due_us)
        return min((time_us for time_us in times if time_us is not None), default=None)

    def _step(self, at_us: int) -> None:
        if at_us < self._at_us:
            return
        switch_ons = self.supply.switch_ons
        self.supply.advance(at_us)
        self._warm(at_us)
        self._at_us = at_us
        if self.supply.switch_ons != switch_ons:
            self.record.begin_boot(at_us)
            self._inrush_until_us = at_us + self._inrush.duration_us
        if self.supply.good or self.supply.volts < NODE_RESETS_VOLTS:
            self.node.power(on=self.supply.good, at_us=at_us)
        self.node.advance(at_us)
        self.supply.draw(self._amperes(), at_us)
        if self._is_made:  # while it is made the monitor takes its first look
            self._watch_alert()

    def _watch_alert(self) -> None:
        """Let the monitor compare when its conversion ends; it began at any moment before."""
        monitor, now_us = self._monitor, self._at_us
        if self._alert_due_us is not None and self._alert_due_us <= now_us:
            self._alert_due_us = None
            if monitor.exceeds(self.supply.amperes):
                monitor.watch(now_us)
        is_low = self.monitor_connected and monitor.is_alerting
        if is_low and not self._alert_was_low:
            self.alerts += 1
            self.alerts_us.append(now_us)
        self._alert_was_low = is_low
        if self._alert_due_us is None and monitor.exceeds(self.supply.amperes):
            self._alert_due_us = now_us + 1 + round(self._random.random() * monitor.cycle_us)

    def _amperes(self) -> float:
        amperes = self.node.amperes
        if self.supply.gate_on:
            amperes += self._overload_amperes if self._at_us < self._overload_until_us else 0.0
            amperes += self._inrush.amperes if self._at_us < self._inrush_until_us else 0.0
        return amperes

    def _warm(self, at_us: int) -> None:
        target = self.ambient_celsius + _CELSIUS_PER_WATT * self.supply.volts * self.supply.amperes
        left = math.exp((self._at_us - at_us) / _THERMAL_TAU_US)
        self._celsius = target + (self._celsius - target) * left

    def _sense(self, at_us: int) -> Sample:
        self.advance(at_us)
        totals = self.supply.totals
        return Sample(
            volts=self.supply.volts,
            amperes=self.supply.amperes * self._random.gauss(1, _RIPPLE),
            celsius=self._celsius,
            joules=totals.joules,
            coulombs=totals.coulombs,
            volt_seconds=totals.volt_seconds,
            at_us=self._at_us,
        )
