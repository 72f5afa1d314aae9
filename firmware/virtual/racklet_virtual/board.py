"""One virtual HAT: the firmware in a process of its own, the electronics around it, the USB port it hangs on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from racklet_virtual.alarm import Alarm
from racklet_virtual.hardware import INPUT_VOLTS, HatHardware, MonitorPart, Pin
from racklet_virtual.microcontroller import ResetCause, VirtualMicrocontroller
from racklet_virtual.node import NodeProfile, ScriptedNode
from racklet_virtual.qemu_node import QemuNode, QemuSurroundings
from racklet_virtual.record import SentBoots
from racklet_virtual.uart_receiver import CHARACTER_BITS
from racklet_virtual.usb_cable import UsbCable
from racklet_virtual.virtual_node import VirtualNode

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from racklet_virtual.attached_node import AttachedNode
    from racklet_virtual.faults import FaultRates
    from racklet_virtual.firmware_process import Firmware
    from racklet_virtual.qemu_process import QemuImage
    from racklet_virtual.supply import Stuck

# How often a sending node's bytes are handed over: 115 bytes at 115 200 baud, and less than the chip's ring takes.
_PACE_US = 10_000
_PACE_CHARACTERS = 400
_USB_BACK_S = 0.4  # a hard reset drops the USB device until the firmware has started it again


@dataclass(frozen=True, slots=True)
class HatSetup:
    """What makes one HAT differ from the next."""

    slot: str
    unique_id: bytes
    profile: NodeProfile
    seed: int
    part: MonitorPart = MonitorPart.INA228
    machine: QemuImage | None = None  # the node is one of these; else it is scripted


class VirtualHat:
    """Lives on a running event loop, from `start` to `stop`."""

    def __init__(
        self, folder: Path, ports: Path, setup: HatSetup, firmware: Firmware, now_us: Callable[[], int]
    ) -> None:
        self.slot = setup.slot
        self.now_us = now_us
        self._machine, self._folder = setup.machine, folder
        self.hardware = HatHardware(
            setup.profile,
            SentBoots(folder / "sent"),
            part=setup.part,
            seed=setup.seed,
            make_node=self._make_node,
        )
        self.node = VirtualNode(self.hardware, now_us, self.look_again)
        self.cable = UsbCable(setup.seed)
        self._ports = ports
        self._pace_us = min(_PACE_US, _PACE_CHARACTERS * CHARACTER_BITS * 1_000_000 // setup.profile.baud)
        self.alert_wired = True  # False: the alert pin does not reach the chip, which then has the monitor's flags only
        self._alerts = 0
        self._input_back = Alarm(lambda: self._set_input(INPUT_VOLTS))
        self._tick_alarm = Alarm(self._tick)
        self._usb_back = Alarm(self.replug)
        self.chip = VirtualMicrocontroller(firmware, self, folder, setup.unique_id)

    @property
    def port(self) -> Path:
        """Its serial port while it is plugged in: a link in the ports folder, named by the slot."""
        return self._ports / self.slot

    @property
    def plugged(self) -> bool:
        """True while the port exists."""
        return self.cable.port is not None

    def start(self) -> None:
        """Plug it in and power it up."""
        self.replug()
        self.chip.start()

    async def stop(self) -> None:
        """Power it down and take its port away. Returns when its process has gone."""
        await self.chip.stop()
        await self.hardware.node.stop()
        self._tick_alarm.cancel()
        self._input_back.cancel()
        self.unplug()
        self.cable.close()
        self.hardware.record.close()

    def unplug(self) -> None:
        """Pull the USB cable. The HAT and its node run on."""
        self._usb_back.cancel()
        self.cable.unplug()

    def replug(self, slot: str | None = None) -> None:
        """Plug it in again, where it was or in another slot. Raises FileExistsError when that is taken."""
        self.unplug()
        self.slot = slot or self.slot
        self.cable.plug(self.port)

    def reset_microcontroller(self, cause: ResetCause = ResetCause.WATCHDOG) -> None:
        """Reset the chip. The electronics keep their state, the pins float."""
        self.chip.end(cause)

    def lose_power(self, duration_ms: int) -> None:
        """Take the HAT's input power away: the latch is cleared, and the chip is dead until the power is back."""
        self.hardware.lose_power(self.now_us())
        self.chip.end(ResetCause.POWER_ON, duration_ms / 1000)
        self.look_again()

    def lose_input(self, duration_ms: int) -> None:
        """Take the HAT's input power away while its chip lives on the USB's."""
        self._set_input(0.0)
        self._input_back.set(duration_ms / 1000)

    def _set_input(self, volts: float) -> None:
        self.hardware.set_input(volts, self.now_us())
        self.look_again()

    def connect_monitor(self, *, connected: bool) -> None:
        """Take the power monitor off its bus, or put it back."""
        self.hardware.monitor_connected = connected

    def damage_line(self, rates: FaultRates) -> None:
        """Damage what passes the USB cable, both ways; `FaultRates()` ends it."""
        self.cable.to_host_faults.rates = self.cable.to_hat_faults.rates = rates

    def stick_supply(self, how: Stuck | None) -> None:
        """Break the gate, or mend it with None."""
        self.hardware.advance(self.now_us())
        self.hardware.supply.stuck = how
        self.look_again()

    def drop_usb(self) -> None:
        """A hard reset takes the USB device away for a moment."""
        if self.plugged:
            self.unplug()
            self._usb_back.set(_USB_BACK_S)

    def look_again(self) -> None:
        """Ask the hardware when it next wants to be looked at."""
        change_us = self.hardware.next_change_us(self._pace_us)
        if change_us is None:
            self._tick_alarm.cancel()
        else:
            self._tick_alarm.set((change_us - self.now_us()) / 1e6)

    def _make_node(self, profile: NodeProfile, record: SentBoots) -> AttachedNode:
        if self._machine is None:
            return ScriptedNode(profile, record)
        return QemuNode(profile, record, QemuSurroundings(self._machine, self._folder, self.now_us, self._tick))

    def _tick(self) -> None:
        self.chip.serve()
        self.hardware.advance(self.now_us())
        if self.hardware.alerts != self._alerts:
            self._alerts = self.hardware.alerts
            if self.alert_wired:
                self.chip.fall(Pin.ALERT)
        entries = self.hardware.take_entries()
        if entries:
            self.chip.receive(entries)
        self.look_again()
