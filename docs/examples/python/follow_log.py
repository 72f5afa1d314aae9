"""Writes what a node sends to stdout: `python follow_log.py node-3`.

A restart of hostd loses nothing, and repeats nothing.
"""

import asyncio
import sys
from contextlib import aclosing

import racklet_client


def on_presence(is_there: bool) -> None:
    """Say whether hostd is there."""
    print("hostd is back" if is_there else "hostd went away", file=sys.stderr, flush=True)


async def main(node: str) -> None:
    """Follow the newest boot, and those after it."""
    async with (
        racklet_client.connect() as rack,
        aclosing(rack.boot_log(node, follow=True, on_presence=on_presence)) as pieces,
    ):
        async for piece in pieces:
            if piece.WhichOneof("piece") == "gap":
                print(f"{piece.gap.lost_bytes} bytes lost: {piece.gap.reason}", file=sys.stderr)
            sys.stdout.buffer.write(piece.data)
            sys.stdout.flush()


asyncio.run(main(sys.argv[1]))
