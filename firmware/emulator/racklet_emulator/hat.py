"""An emulated HAT: the chip, the virtual rack's electronics around it, and one clock for both: the chip's."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Self

from racklet_emulator.chip import Cut, EmulatedChip
from racklet_virtual.hardware import HatHardware, NoAcknowledgeError, Pin

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_NS_PER_US = 1000
_NS_PER_MS = 1_000_000
# Pins that the electronics drive.
_INPUTS = (Pin.NODE_RX, Pin.GATE_STATE, Pin.POWER_GOOD, Pin.ALERT, Pin.NODE_HALTED)
_I2C_PULLED_UP = (20, 21)
_PACE_US = 500  # how often a sending node's characters are handed over
_LINE_DELAY_NS = (_PACE_US + 50) * _NS_PER_US  # so that each character comes at its time after all, all as late
_RATE_TOLERANCE = 0.02  # of a baud rate; a UART hears nothing wrong up to twice that
_LONGEST_REGISTER_BYTES = 5
_UNIQUE_ID = bytes.fromhex("e660583883724a32")


class OutOfTimeError(Exception):
    """What was waited for did not come within its emulated time."""

    def __init__(self, waited_ms: float) -> None:
        super().__init__(f"it did not happen within {waited_ms:g} emulated ms")


class EmulatedHat:
    """One HAT. A context manager: inside it the chip's process lives, and time passes in `run_ms` and `run_until` only.

    `flash` is the whole flash, see `racklet_emulator.image`. The HAT starts when it is entered. The computer at
    the other end of the cable has its port open and reads all that comes; `chip.set_usb_room` and `chip.open_usb`
    change that.
    """

    def __init__(
        self, flash: bytes, hardware: HatHardware, *, unique_id: bytes = _UNIQUE_ID, use_fast_core: bool = True
    ) -> None:
        self.hardware = hardware
        self.chip = EmulatedChip(flash, self, unique_id=unique_id, use_fast_core=use_fast_core)
        self.edges: list[tuple[int, int, int | None]] = []  # nanoseconds, pin, level; None floats
        self._levels: dict[int, int] = {}

    def __enter__(self) -> Self:
        self.chip.__enter__()
        for pin in _I2C_PULLED_UP:
            self.chip.drive(pin, 1)
        self.chip.set_usb_room(1 << 40)
        self.chip.open_usb(is_open=True)
        self.chip.power_up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.chip.__exit__(kind, error, trace)
        self.hardware.record.close()

    @property
    def now_us(self) -> int:
        """Emulated microseconds since the HAT was made."""
        return self.chip.now_ns // _NS_PER_US

    @property
    def now_ms(self) -> int:
        """Emulated milliseconds since the HAT was made."""
        return self.chip.now_ns // _NS_PER_MS

    def write(self, data: bytes) -> None:
        """Send bytes to the HAT's serial port."""
        self.chip.write_usb(data)

    def read(self) -> bytes:
        """Return what came from the HAT's serial port since the last call."""
        return self.chip.take_usb()

    def run_ms(self, duration_ms: float) -> None:
        """Let emulated time pass. Without power it passes as well."""
        end_ns = self.chip.now_ns + round(duration_ms * _NS_PER_MS)
        while self.chip.now_ns < end_ns:
            self._step(end_ns)

    def run_until(self, condition: Callable[[], object], limit_ms: float, *, look_every_ms: float = 1) -> None:
        """Let emulated time pass until the condition holds. Raises OutOfTimeError when it does not in time."""
        end_ns = self.chip.now_ns + round(limit_ms * _NS_PER_MS)
        while not condition():
            if self.chip.now_ns >= end_ns:
                raise OutOfTimeError(limit_ms)
            self.run_ms(min(look_every_ms, (end_ns - self.chip.now_ns) / _NS_PER_MS))

    def run_until_power_is_cut(self, limit_ms: float) -> None:
        """Let emulated time pass until `chip.cut_power_at` has struck. Raises OutOfTimeError."""
        self.run_until(lambda: not self.chip.is_powered, limit_ms)

    def lose_power(self) -> None:
        """Take the input power away: the chip stops, latch and monitor forget."""
        self.chip.power_down()
        self.hardware.release_pins(self.now_us)
        self.hardware.lose_power(self.now_us)

    def cut_power_at(self, operation: int, how: Cut = Cut.TORN) -> None:
        """Stop the chip at the operation of its flash with this number from now, as by a loss of its power.

        The electronics keep theirs; call `lose_power` afterwards when they shall not.
        """
        self.chip.cut_power_at(operation, how)

    def power_up(self) -> None:
        """Give the power back. A planned cut that has not struck is forgotten."""
        self.hardware.release_pins(self.now_us)
        self.chip.keep_power()
        self.chip.power_up()

    def reset(self) -> None:
        """Pull the RUN pin: the chip forgets all but its flash; the electronics forget nothing."""
        self.hardware.release_pins(self.now_us)
        self.chip.reset()

    def _step(self, end_ns: int) -> None:
        """Run the chip until the electronics, the chip or the caller want to be looked at."""
        hardware = self.hardware
        hardware.advance(self.now_us)
        self._drive_pins()
        self._hand_over_characters()
        change_us = hardware.next_change_us(_PACE_US)
        if change_us is not None:
            end_ns = min(end_ns, max(change_us * _NS_PER_US, self.chip.now_ns + _NS_PER_US))
        was_powered = self.chip.is_powered
        self.chip.run(end_ns)
        if was_powered and not self.chip.is_powered:
            hardware.release_pins(self.now_us)

    def _drive_pins(self) -> None:
        for pin in _INPUTS:
            level = self.hardware.pin(pin, self.now_us)
            if self._levels.get(pin) != level:
                self._levels[pin] = level
                self.edges.append((self.chip.now_ns, pin, level))
                self.chip.drive(pin, level)

    def _hand_over_characters(self) -> None:
        characters = []
        for start_ns, took_ns, packed in self.hardware.take_timed_entries():
            entries = array("H", packed)
            spacing_ns = took_ns / max(1, len(entries))
            first_ns = start_ns + _LINE_DELAY_NS
            characters += [(first_ns + round(spacing_ns * (index + 1)), entry) for index, entry in enumerate(entries)]
        if characters:
            self.chip.receive(characters)

    # The duties of `chip.World`.

    def acknowledges(self, address: int) -> bool:
        """Tell whether somebody answers at this I2C address."""
        return self.hardware.acknowledges(address)

    def read_i2c(self, address: int, register: int, at_ns: int) -> bytes:
        """Return what can be read from a register on."""
        return self.hardware.read_i2c(address, register, _LONGEST_REGISTER_BYTES, at_ns // _NS_PER_US)

    def write_i2c(self, address: int, register: int, data: bytes, at_ns: int) -> None:
        """Write a register. A part that has gone since it acknowledged its address hears nothing."""
        try:
            self.hardware.write_i2c(address, register, data, at_ns // _NS_PER_US)
        except NoAcknowledgeError:
            return

    def read_adc(self, pin: int, at_ns: int) -> int:
        """Return the voltage at a pin, as 16 bits."""
        return self.hardware.read_adc(pin, at_ns // _NS_PER_US)

    def pin_moved(self, pin: int, level: int | None, at_ns: int) -> None:
        """The chip drives a pin, or lets it float."""
        self.edges.append((at_ns, pin, level))
        self.hardware.set_pin(pin, level, at_ns // _NS_PER_US)

    def uart_sent(self, byte: int, at_ns: int) -> None:
        """A byte has left the UART: the node hears it."""
        self.hardware.node.type(bytes([byte]), at_ns // _NS_PER_US)

    def uart_rated(self, baud: int, at_ns: int) -> None:
        """The UART listens at another rate, and what was on its way is lost, as the chip has lost it.

        Divisors never meet a rate exactly: what is near the node's is the node's.
        """
        nodes = self.hardware.node.profile.baud
        self.hardware.advance(at_ns // _NS_PER_US)
        self.hardware.take_timed_entries()
        self.hardware.uart.set_baud(nodes if abs(baud - nodes) < nodes * _RATE_TOLERANCE else baud)

    def chip_reset(self, at_ns: int) -> None:
        """The watchdog has reset the chip."""
        self.hardware.release_pins(at_ns // _NS_PER_US)
