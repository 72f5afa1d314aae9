"""HATs swapped and moved while their nodes boot, and a rogue with a copied id: what docs/hotswap.md says comes of it.

What each node sent and drew is known here from the virtual rack itself; what hostd made of it is asked of hostd.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
from rich.table import Table

from racklet.v1 import rack_pb2
from racklet_virtual.board import HatSetup, VirtualHat
from racklet_virtual.firmware_process import project_firmware
from racklet_virtual.node import NodeProfile
from racklet_virtual.script import NodeState
from tools.account.verdict import print_verdict
from tools.rig import Rig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from rich.console import Console

    from tools.account.verdict import Promise

NODES = 3
_SEED = 1
_INTO_BOOT_BYTES = 2_000
_OTHER_SLOT = "usb-1.7"
_ROGUE_SLOT = "usb-1.8"
_PATIENCE_S = 60
_STORED_WITHIN_S = 10
_SERVED_WITHIN_S = 3.0  # 2 s by promise, and a busy computer


async def account(console: Console) -> bool:
    """Run it, print it, and tell whether it held."""
    async with Rig(NODES, _SEED) as rig:
        hats = rig.rack.hats
        for hat in hats:
            await rig.until_online(hat.node.name)
            await rig.set_power(hat.node.name, rack_pb2.POWER_ACTION_ON)
        await _until(lambda: _are_booting(hats))
        before = await _hats(rig)
        console.print(
            "Three nodes boot. node-1 and node-2 are swapped, node-1's HAT is reset as well, node-3 is moved."
        )
        served_s = await _swap(rig, hats)
        after = await _hats(rig)
        async with _rogue(rig, before["node-1"]):
            refused = await _until(lambda: _is_refused(rig))
            await _until(lambda: _have_booted(hats))
            logs = [await _log_verdict(rig, hat) for hat in hats]
            metric = await _refusals(rig)
        _print_slots(console, before, after)
        swapped = {"node-1": before["node-2"].slot, "node-2": before["node-1"].slot, "node-3": _OTHER_SLOT}
        promises = [
            (
                "each node is where its HAT is",
                ", ".join(f"{name} in {after[name].slot}" for name in sorted(after)),
                {name: hat.slot for name, hat in after.items()} == swapped,
            ),
            ("all of them soon", f"after {served_s:.1f} s", served_s <= _SERVED_WITHIN_S),
            *logs,
            *[await _energy_verdict(rig, hat) for hat in hats],
            (
                "no supply moved",
                ", ".join(f"{hat.node.name} started {hat.node.starts} time" for hat in hats),
                all(hat.node.supply_on and hat.node.starts == 1 for hat in hats),
            ),
            ("a rogue with node-1's id is refused", f"after {refused:.1f} s, with the event hat_refused", True),
            ("and counted", f"racklet_hat_refusals_total in {_ROGUE_SLOT}: {metric:.0f}", metric >= 1),
        ]
        return print_verdict(console, promises)


async def _swap(rig: Rig, hats: list[VirtualHat]) -> float:
    """Swap the first two, move the third; return how long it took until all were served again."""
    first, second, third = hats
    slots = first.slot, second.slot
    for hat in hats:
        hat.unplug()
    await _until(lambda: _count_online(rig, 0))
    first.reset_microcontroller()  # its log goes on in another slot, and whose it is the new start must tell
    rig.rack.replug(first, slots[1])
    rig.rack.replug(second, slots[0])
    rig.rack.replug(third, _OTHER_SLOT)
    return await _until(lambda: _count_online(rig, NODES))


@asynccontextmanager
async def _rogue(rig: Rig, model: rack_pb2.SeenHat) -> AsyncIterator[None]:
    """Plug in another HAT with the id of `model`."""
    profile = NodeProfile(name="rogue", seed=_SEED)
    setup = HatSetup(_ROGUE_SLOT, bytes.fromhex(model.name.removeprefix("hats/")), profile, _SEED)
    hat = VirtualHat(rig.folder / "rack" / "hats" / "rogue", rig.rack.ports, setup, project_firmware(), rig.rack.now_us)
    hat.start()
    try:
        yield
    finally:
        await hat.stop()


async def _hats(rig: Rig) -> dict[str, rack_pb2.SeenHat]:
    """Return the adopted HATs by their nodes."""
    found = [hat async for hat in rig.client.hats() if hat.standing == rack_pb2.HAT_STANDING_ADOPTED]
    return {hat.node.removeprefix("nodes/"): hat for hat in found}


async def _count_online(rig: Rig, count: int) -> bool:
    return (await rig.client.info()).online_count == count


async def _is_refused(rig: Rig) -> bool:
    return any([event.kind == "hat_refused" async for event in rig.client.events(limit=20)])


async def _are_booting(hats: list[VirtualHat]) -> bool:
    return all(hat.node.boots and hat.node.boots[-1].sent_bytes >= _INTO_BOOT_BYTES for hat in hats)


async def _have_booted(hats: list[VirtualHat]) -> bool:
    return all(hat.node.state in {NodeState.IDLE, NodeState.WORKING} for hat in hats)


async def _log_verdict(rig: Rig, hat: VirtualHat) -> Promise:
    """Hold the node's only boot log against what it sent: the same bytes, less what a reset of the HAT's MCU took."""
    name = hat.node.name
    sent = hat.node.sent(hat.node.boots[-1])
    pieces: list[bytes] = []
    gaps: list[str] = []

    async def is_whole() -> bool:
        pieces.clear()
        gaps.clear()
        async for piece in rig.client.boot_log(name, 1):
            if piece.WhichOneof("piece") == "gap":
                gaps.append(piece.gap.reason)
            else:
                pieces.append(piece.data)
        return sent.endswith(pieces[-1][-100:]) if pieces else False

    await _until(is_whole, _STORED_WITHIN_S)
    boots = [boot.name async for boot in rig.client.boots(name)]
    stored = b"".join(pieces)
    is_in_order, at = True, 0
    for piece in pieces:
        found = sent.find(piece, at)
        is_in_order &= found >= 0
        at = max(at, found + len(piece))
    seen = f"{len(stored):,} of {len(sent):,} bytes in {len(boots)} boot; gaps: {', '.join(gaps) or 'none'}"
    is_allowed = not gaps if stored == sent else set(gaps) == {"hat_restart"}
    return f"{name}'s log is {name}'s alone", seen, is_in_order and is_allowed and len(boots) == 1


async def _energy_verdict(rig: Rig, hat: VirtualHat) -> Promise:
    """Hold the node's joules against those that its board took: never more."""
    told_j = (await rig.client.node(hat.node.name)).energy_uj / 1e6
    taken_j = hat.node.joules
    seen = f"{told_j:.1f} J told of {taken_j:.1f} J taken"
    return f"{hat.node.name}'s joules are its own", seen, 0 < told_j <= 1.02 * taken_j


async def _refusals(rig: Rig) -> float:
    async with aiohttp.ClientSession() as session, session.get(f"http://{rig.http}/metrics") as response:
        lines = (await response.text()).splitlines()
    name = f'racklet_hat_refusals_total{{slot="{_ROGUE_SLOT}"}}'
    return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name)), 0.0)


def _print_slots(console: Console, before: dict[str, rack_pb2.SeenHat], after: dict[str, rack_pb2.SeenHat]) -> None:
    table = Table("node", "HAT", "slot before", "slot after", box=None)
    for name in sorted(before):
        hat_id = before[name].name.removeprefix("hats/")
        table.add_row(name, hat_id, before[name].slot, after[name].slot if name in after else "-")
    console.print(table)


async def _until(happened: Callable[[], Awaitable[bool]], within_s: float = _PATIENCE_S) -> float:
    """Wait until `happened`; return how long that took, in seconds. Raises TimeoutError."""
    start_s = time.monotonic()
    async with asyncio.timeout(within_s):
        while not await happened():  # noqa: ASYNC110 - what is waited for happens in other processes
            await asyncio.sleep(0.05)
    return time.monotonic() - start_s
