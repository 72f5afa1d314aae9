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
    """A power monitor. Every method raises MonitorError when the part does not answer or is another part."""

    supply_uv: int
    supply_ua: int
    supply_uw: int
    temperature_mc: int

    def configure(self) -> None:
        """Check what it is and let it measure. Its energy goes on counting."""

    def sample(self) -> None:
        """Read voltage, current and power."""

    def sample_temperature(self) -> None:
        """Read its own temperature."""

    def take_energy_mj(self) -> int:
        """Return the energy since this was last called, at most 2**30 - 1 mJ."""
        ...
