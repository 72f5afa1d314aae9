"""Prints the watts of every node whenever they change, asking for nothing else: `python watch_power.py`."""

import asyncio

import racklet_client


async def main() -> None:
    """Watch until Ctrl-C."""
    async with racklet_client.connect() as rack:
        watched = ["supply_state", "measurement.supply_uw"]
        async for change in rack.watch_nodes(min_interval_s=1, read_mask=watched):
            for node in change.nodes:
                print(f"{racklet_client.short_name(node.name)} {node.measurement.supply_uw / 1e6:.2f} W", flush=True)


asyncio.run(main())
