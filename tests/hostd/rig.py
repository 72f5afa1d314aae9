"""hostd with HATs on ptys, in one event loop with the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from racklet.v1 import rack_pb2, rack_pb2_grpc
from racklet_hostd.clock import Clock, SystemClock
from racklet_hostd.config import RackletConfig
from racklet_hostd.daemon import Daemon
from racklet_hostd.store import Adoption, Store, StoreLimits
from tests.hostd.pty_hat import PtyHat

TIMEOUT_S = 20
KEY = b"k" * 32  # of every HAT that is adopted from the begin


class JumpingClock(SystemClock):
    """The computer's clocks, which a test can set ahead."""

    ahead_ms = 0
    unix_ahead_ms = 0

    def monotonic_ms(self) -> int:
        return super().monotonic_ms() + self.ahead_ms

    def unix_ms(self) -> int:
        return super().unix_ms() + self.unix_ahead_ms


@dataclass
class Rig:
    """A running hostd, its HATs by node name, and a client."""

    daemon: Daemon
    hats: dict[str, PtyHat]
    rack: rack_pb2_grpc.RackAsyncStub
    channel: grpc.aio.Channel
    stop: asyncio.Event
    address: str

    async def node(self, name: str = "node-1") -> rack_pb2.Node:
        return (await self.rack.GetNode(rack_pb2.GetNodeRequest(name=f"nodes/{name}"))).node

    async def until_online(self, *names: str) -> None:
        for name in names or self.hats:
            await self.until_node(lambda node: node.hat.state == rack_pb2.HAT_STATE_ONLINE, name)

    async def until_node(self, holds: Callable[[rack_pb2.Node], bool], name: str = "node-1") -> rack_pb2.Node:
        """Return the node as soon as `holds` is true of it."""
        async with asyncio.timeout(TIMEOUT_S):
            while not holds(node := await self.node(name)):  # noqa: ASYNC110 - hostd is outside of this test
                await asyncio.sleep(0.01)
        return node


async def until(holds: Callable[[], object]) -> None:
    """Return as soon as `holds` is true."""
    async with asyncio.timeout(TIMEOUT_S):
        while not holds():  # noqa: ASYNC110 - what happens on a pty rings no bell here
            await asyncio.sleep(0.005)


def config_for(folder: Path, names: tuple[str, ...] = ("node-1",), **sections: Any) -> RackletConfig:  # noqa: ANN401
    """Return a config with its state, ports and socket in `folder`, fast, on ports that the system chooses."""
    values: dict[str, Any] = {
        "rack": {"ports": [], "adopt": "first-use"},
        "node": [{"name": name, "port": str(folder / "ports" / name)} for name in names],
        "state": {"folder": str(folder / "state")},
        "grpc": {"socket": str(folder / "run" / "hostd.sock")},
        "http": {"address": "127.0.0.1:0"},
        "telemetry": {"period_ms": 50},
        "store": {"sync_period_ms": 20},
    }
    return RackletConfig.model_validate(values | sections)


@asynccontextmanager
async def running_daemon(
    config: RackletConfig,
    clock: Clock | None = None,
    limits: StoreLimits | None = None,
    hats: dict[str, PtyHat] | None = None,
) -> AsyncIterator[tuple[Daemon, asyncio.Event]]:
    """Run hostd over its state folder, where `hats` are adopted by node; stop it at the end."""
    store = Store.open(config.state.folder, limits or StoreLimits())
    try:
        for node, hat in (hats or {}).items():
            if store.adoptions.of_hat(hat.hat_id) is None:
                store.adoptions.adopt(Adoption(hat.hat_id, node, KEY, 0, "test"))
            if not hat.key:
                hat.have_key(KEY)
        daemon = Daemon(config, store, clock or SystemClock())
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(daemon.run(stop))
            await until(lambda: daemon.http.is_listening or running.done())
            try:
                yield daemon, stop
            finally:
                stop.set()
    finally:
        store.close()


@asynccontextmanager
async def running_rack(
    folder: Path,
    names: tuple[str, ...] = ("node-1",),
    *,
    clock: Clock | None = None,
    limits: StoreLimits | None = None,
    hats: dict[str, PtyHat] | None = None,
    **sections: Any,  # noqa: ANN401
) -> AsyncIterator[Rig]:
    """Run hostd with a HAT, plugged in and online, for each node. Given `hats` stay plugged in at the end."""
    config = config_for(folder, names, **sections)
    with ExitStack() as plugged:
        if hats is None:
            hats = {
                name: plugged.enter_context(PtyHat(folder / "ports" / name, 1000 * index))
                for index, name in enumerate(names, start=1)
            }
        async with (
            running_daemon(config, clock, limits, hats) as (daemon, stop),
            grpc.aio.insecure_channel(f"unix:{config.grpc.socket}") as channel,
        ):
            stub: rack_pb2_grpc.RackAsyncStub = rack_pb2_grpc.RackStub(channel)
            rig = Rig(daemon, hats, stub, channel, stop, f"unix:{config.grpc.socket}")
            await rig.until_online()
            yield rig
