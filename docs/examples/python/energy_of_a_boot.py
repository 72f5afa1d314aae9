"""Cycles a node and tells what its boot cost, up to the login prompt: `python energy_of_a_boot.py node-3`."""

import asyncio
import sys
from contextlib import aclosing

import racklet_client

PROMPT = b"login:"


async def main(node: str) -> None:
    """Measure one boot."""
    async with asyncio.timeout(300), racklet_client.connect() as rack:
        before = await rack.node(node)
        result = await rack.cycle(node, timeout_s=120)
        print(f"{node} is on at {result.supply_uv / 1e6:.3f} V")
        await until_prompt(rack, node)
        after = await rack.node(node)
        diagnosis = await rack.diagnose(node)
    print(f"{(after.energy_uj - before.energy_uj) / 1e6:.1f} joules until the prompt")
    for phase in diagnosis.phases:
        print(f"{phase.phase:<10} {phase.duration.ToMilliseconds() / 1e3:6.1f} s {phase.energy_uj / 1e6:8.2f} J")


async def until_prompt(rack: racklet_client.Rack, node: str) -> None:
    """Return when the newest boot has come to its login prompt."""
    tail = b""
    async with aclosing(rack.boot_log(node, follow=True)) as pieces:
        async for piece in pieces:
            tail = tail[-len(PROMPT) :] + piece.data
            if PROMPT in tail:
                return


try:
    asyncio.run(main(sys.argv[1]))
except racklet_client.RackError as error:
    sys.exit(f"{getattr(error, 'reason', '') or 'error'}: {error}")
