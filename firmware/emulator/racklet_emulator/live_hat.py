"""An emulated HAT with a serial port for other programs: a pty, as a virtual HAT's."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import TYPE_CHECKING

from racklet_emulator.hat import EmulatedHat
from racklet_virtual.alarm import Alarm
from racklet_virtual.usb_cable import UsbCable

if TYPE_CHECKING:
    from pathlib import Path

    from racklet_virtual.hardware import HatHardware

_SLICE_MS = 2  # of emulated time between two looks at the port
_BUFFER_BYTES = 4096  # of the computer's driver
_USB_BACK_S = 0.4  # a reset drops the USB device for a moment
_NS_PER_S = 1_000_000_000


class LiveHat:
    """Lives on a running event loop, from `start` to `stop`; in between, `run` lets its time pass.

    Emulated time is never ahead of the computer's, and behind when the emulator is slower.
    """

    def __init__(self, flash: bytes, hardware: HatHardware, port: Path) -> None:
        self.hat = EmulatedHat(flash, hardware)
        self.cable = UsbCable(seed=0)
        self._port = port
        self._ours, self._cables = socket.socketpair()
        self._ours.settimeout(0)
        self._cables.settimeout(0)
        self._to_host = bytearray()
        self._resets = 0
        self._usb_back = Alarm(lambda: self.cable.plug(self._port))

    def start(self) -> None:
        """Plug it in and power it up. Raises EmulatorUnavailableError, and FileExistsError when the port is there."""
        self.cable.plug(self._port)
        self.cable.connect_hat(self._cables.fileno(), lambda _: None, lambda: False)
        self.hat.__enter__()

    async def run(self) -> None:
        """Let its time pass until this is cancelled."""
        loop = asyncio.get_running_loop()
        started_s = loop.time() - self.hat.chip.now_ns / _NS_PER_S
        while True:
            self._look_at_port()
            self.hat.run_ms(_SLICE_MS)
            ahead_s = self.hat.chip.now_ns / _NS_PER_S - (loop.time() - started_s)
            if ahead_s < 0:
                started_s -= ahead_s  # what was missed is missed
            await asyncio.sleep(max(0.0, ahead_s))

    def stop(self) -> None:
        """Power it down and unplug it for good."""
        self._usb_back.cancel()
        self.cable.close()
        self.hat.__exit__(None, None, None)
        self._ours.close()
        self._cables.close()

    def _look_at_port(self) -> None:
        chip = self.hat.chip
        if chip.resets != self._resets:
            self._resets = chip.resets
            self.cable.unplug()
            self._usb_back.set(_USB_BACK_S)
        chip.open_usb(is_open=self.cable.host_open)
        with contextlib.suppress(BlockingIOError):
            self.hat.write(self._ours.recv(_BUFFER_BYTES))
        self._to_host += self.hat.read()
        with contextlib.suppress(BlockingIOError):
            sent = os.write(self._ours.fileno(), self._to_host) if self._to_host else 0
            del self._to_host[:sent]
        chip.set_usb_room(_BUFFER_BYTES - len(self._to_host))
