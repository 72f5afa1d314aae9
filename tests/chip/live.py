"""An emulated HAT that lives on the test's event loop, with a serial port for other programs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from racklet_emulator.live_hat import LiveHat
from racklet_virtual.hardware import HatHardware
from racklet_virtual.node import NodeProfile
from racklet_virtual.record import SentBoots


@asynccontextmanager
async def live_hat(flash: bytes, folder: Path, profile: NodeProfile | None = None) -> AsyncIterator[LiveHat]:
    """Run a HAT with this flash; its port is `folder / "port"`."""
    hardware = HatHardware(profile or NodeProfile("node-1"), SentBoots(folder / "sent"), seed=1)
    live = LiveHat(flash, hardware, folder / "port")
    live.start()
    try:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(live.run(), name="hat")
            yield live
            running.cancel()
    finally:
        live.stop()
