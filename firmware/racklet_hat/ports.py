"""What the parts of the firmware want of each other. For type checkers: no HAT holds this module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from array import array


class Report(Protocol):
    """Takes an event: an EventKind, the measured value, the limit that was crossed, a further number."""

    def __call__(self, kind: int, value: int, limit: int, detail: int, /) -> None:
        """Take it."""


class Finish(Protocol):
    """Takes the final Result of a request that was pending."""

    def __call__(self, request_id: int, result: int, duration_ms: int, /) -> None:
        """Take it."""


class Rail(Protocol):
    """Switches the supply, and talks with the node by two wires."""

    def set(self) -> None:
        """Switch the supply on."""

    def clear(self) -> None:
        """Switch the supply off."""

    def ask(self, active: bool, /) -> None:
        """Press or release the node's power button."""

    def is_halted(self) -> bool:
        """Tell whether the node says that it has halted."""
        ...

    def take_alert(self) -> bool:
        """Tell whether the monitor's alert has cut the supply since the last call."""
        ...


class NodeUart(Protocol):
    """The UART that listens to the node. What it receives goes into a ring by itself.

    `ring` holds the newest config.UART_ENTRIES entries: a byte, and from bit 8 on 1 for a framing error, 2 for a parity
    error, 4 for a break, 8 for lost bytes before it.
    """

    ring: array[int]

    def total(self) -> int:
        """Return how many entries came so far, modulo 2**27; the newest stands before that place in the ring."""
        ...

    def is_low(self) -> bool:
        """Tell whether the node's line is low now."""
        ...

    def set_baud(self, baud: int, /) -> None:
        """Listen and send at this rate."""


class I2C(Protocol):
    """An I2C controller. Both raise OSError when nobody answers."""

    def readfrom_mem_into(self, address: int, register: int, buf: bytearray, /) -> None:
        """Fill `buf` from a register."""

    def writeto_mem(self, address: int, register: int, buf: bytearray, /) -> None:
        """Write `buf` to a register."""


class PowerMonitor(Protocol):
    """A power monitor. Every method may raise MonitorError, see there."""

    was_set_up: bool
    alert_ma: int
    alerted: bool
    supply_uv: int
    supply_ua: int
    supply_uw: int
    temperature_mc: int

    def read_16(self, register: int, /) -> int:
        """Return a register."""
        ...

    def configure(self) -> bool:
        """Check what it is and let it measure; tell whether it did so already and its counters went on."""
        ...

    def arm(self) -> None:
        """Let the alert tell of a current above `alert_ma`."""

    def sample(self, now_ms: int, /) -> bool:
        """Read voltage, current and power, and whether there was an alert; False when nothing new was measured."""
        ...

    def sample_temperature(self) -> None:
        """Read its own temperature."""

    def take_energy_uj(self) -> int:
        """Return the energy since this was last called; at first, all that it has counted."""
        ...

    def take_charge_uc(self) -> int:
        """Return the charge likewise, negative when it flowed back. Call it after the energy."""
        ...
