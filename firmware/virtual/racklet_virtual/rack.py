"""A virtual rack: some HATs with their nodes, their ports as links in one folder."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, BinaryIO, Self

from racklet_virtual.board import HatSetup, VirtualHat
from racklet_virtual.firmware_process import Firmware, project_firmware
from racklet_virtual.hardware import MonitorPart
from racklet_virtual.node import BAUDS, Habit, Inrush, NodeProfile
from racklet_virtual.qemu_process import find_qemu
from racklet_virtual.script import FLAVOURS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path
    from types import TracebackType

MAX_NODES = 64  # of one process: a HAT takes ten descriptors
NO_INRUSH = Inrush()


class RackError(Exception):
    """The rack cannot be made as asked; the message says why."""


class VirtualRack:
    """An async context manager: inside it the HATs run; after it no process and no port is left.

    What the nodes sent stays in `folder`. Entering raises RackError when another rack uses the folder, and
    FirmwareUnavailableError from the constructor when there is nothing to run the firmware with. The nodes whose
    numbers are in `qemu` are QEMU machines; QemuUnavailableError says what they lack here. `flash` is what a new HAT
    has on its flash, for a firmware that starts from there.
    """

    def __init__(  # noqa: PLR0913  a rack has many sides, each with a default
        self,
        folder: Path,
        nodes: int = 5,
        seed: int = 1,
        *,
        speed: float = 1.0,
        habits: Mapping[int, Habit] | None = None,
        bauds: Mapping[int, int] | None = None,
        parts: Mapping[int, MonitorPart] | None = None,
        qemu: Collection[int] = (),
        inrush: Inrush = NO_INRUSH,
        firmware: Firmware | None = None,
        flash: bytes = b"",
    ) -> None:
        if not 1 <= nodes <= MAX_NODES:
            raise RackError(f"a virtual rack has 1 to {MAX_NODES} nodes, not {nodes}")
        self.folder = folder
        self.ports = folder / "ports"
        self.hats: list[VirtualHat] = []
        self._count = nodes
        self._seed = seed
        self._speed = speed
        self._habits = dict(habits or {})
        self._bauds = dict(bauds or {})
        self._parts = dict(parts or {})
        self._inrush = inrush
        self._machines = dict.fromkeys(qemu, find_qemu()) if qemu else {}
        self._firmware = firmware or project_firmware()
        self._flash = flash
        self._started_ns = time.monotonic_ns()
        self._stack = AsyncExitStack()

    def now_us(self) -> int:
        """Microseconds since the rack was made."""
        return (time.monotonic_ns() - self._started_ns) // 1000

    def hat(self, node_name: str) -> VirtualHat:
        """Return the HAT of a node. Raises RackError."""
        for hat in self.hats:
            if hat.node.name == node_name:
                return hat
        raise RackError(f"no node {node_name}; there are {', '.join(hat.node.name for hat in self.hats)}")

    def replug(self, hat: VirtualHat, slot: str) -> None:
        """Plug a HAT in again, in this slot. Raises RackError when another HAT has it."""
        if any(other.slot == slot and other.plugged for other in self.hats if other is not hat):
            raise RackError(f"slot {slot} is taken")
        hat.replug(slot)

    def config_toml(self) -> str:
        """Return the `racklet.toml` that makes hostd serve these HATs, each as that of the node it came with."""
        ports = json.dumps([str(self.ports / "*")])
        rack = f'[rack]\nname = "virtual"\nadopt = "first-use"\nports = {ports}\n'
        entries = [
            f"[[node]]\nname = {json.dumps(hat.node.name)}\nport = {json.dumps(str(hat.port))}\n" for hat in self.hats
        ]
        return "\n".join((rack, *entries))

    async def __aenter__(self) -> Self:
        self.ports.mkdir(parents=True, exist_ok=True)
        async with AsyncExitStack() as stack:
            self._lock(stack)
            self._remove_stale_ports()
            for index in range(self._count):
                hat = self._make_hat(index)
                self.hats.append(hat)
                stack.push_async_callback(hat.stop)
                hat.start()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
        with contextlib.suppress(OSError):  # somebody put something there
            self.ports.rmdir()

    def _remove_stale_ports(self) -> None:
        """A rack that was killed left its links."""
        for port in self.ports.iterdir():
            if port.is_symlink():
                port.unlink()

    def _lock(self, stack: AsyncExitStack) -> None:
        lock: BinaryIO = stack.enter_context((self.folder / "lock").open("wb"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RackError(f"another virtual rack runs in {self.folder}") from error

    def _make_hat(self, index: int) -> VirtualHat:
        number = index + 1
        name = f"node-{number}"
        seed = int.from_bytes(hashlib.sha256(f"{self._seed}:{number}".encode()).digest()[:8], "big")
        profile = NodeProfile(
            name=name,
            flavour=FLAVOURS[index % len(FLAVOURS)],
            habit=self._habits.get(number, Habit.NORMAL),
            baud=self._bauds.get(number, BAUDS[0]),
            speed=self._speed,
            seed=seed,
            inrush=self._inrush,
        )
        part = self._parts.get(number, MonitorPart.INA228)
        unique_id = b"\xe6" + seed.to_bytes(8, "big")[:7]
        setup = HatSetup(f"usb-1.{number}", unique_id, profile, seed, part, self._machines.get(number))
        hat = VirtualHat(self.folder / "hats" / name, self.ports, setup, self._firmware, self.now_us)
        image = hat.chip.flash / "flash.img"
        if self._flash and not image.exists():
            image.write_bytes(self._flash)
        return hat
