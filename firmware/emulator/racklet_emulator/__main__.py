"""Runs one emulated HAT with a serial port: `just emulate`."""

from __future__ import annotations

import asyncio
import json
import signal
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from racklet_emulator.firmware_files import firmware_image
from racklet_emulator.live_hat import LiveHat
from racklet_emulator.parts import EmulatorUnavailableError, find_parts
from racklet_virtual.hardware import HatHardware
from racklet_virtual.node import BAUDS, NodeProfile
from racklet_virtual.record import SentBoots

_FAILED = 1


def emulate(
    *,
    port: Annotated[Path | None, typer.Option(help="Where to link the serial port.", show_default="temporary")] = None,
    flash: Annotated[Path | None, typer.Option(help="A flash image instead of this project's firmware.")] = None,
    baud: Annotated[int, typer.Option(help=f"The rate of the node's console: {', '.join(map(str, BAUDS))}.")] = BAUDS[
        0
    ],
) -> None:
    """Run the firmware on an emulated RP2040, with an emulated HAT around it and a node on it, until Ctrl-C."""
    if baud not in BAUDS:
        raise typer.BadParameter(f"expected one of {', '.join(map(str, BAUDS))}", param_hint="--baud")
    with tempfile.TemporaryDirectory(prefix="racklet-emulated-") as name:
        folder = Path(name)
        hardware = HatHardware(NodeProfile("node-1", baud=baud), SentBoots(folder / "sent"))
        try:
            image = flash.read_bytes() if flash is not None else firmware_image(find_parts())
            asyncio.run(_run(image, hardware, (port or folder / "port").absolute()))
        except (EmulatorUnavailableError, OSError) as error:
            typer.echo(f"emulate: {error}", err=True)
            raise typer.Exit(_FAILED) from error


async def _run(image: bytes, hardware: HatHardware, port: Path) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    hat = LiveHat(image, hardware, port)
    try:
        hat.start()
        typer.echo(f"# An emulated HAT, until Ctrl-C. For a racklet.toml:\n\n{_config(port)}")
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(hat.run(), name="hat")
            await stop.wait()
            running.cancel()
    finally:
        hat.stop()


def _config(port: Path) -> str:
    return f'[[node]]\nname = "node-1"\nport = {json.dumps(str(port))}\n'


def main() -> None:
    """Run the command."""
    typer.run(emulate)


if __name__ == "__main__":
    main()
