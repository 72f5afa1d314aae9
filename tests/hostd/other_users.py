"""Run by a test as a process of its own: calls hostd as other users, which only root can become.

Reads from its arguments the socket and lists of numbers, "UID:GID,GID"; prints for each what it was allowed, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

import grpc

from tests.hostd.access_calls import allowed


async def main(socket: str, users: list[str]) -> None:
    for user in users:
        uid, _, gids = user.partition(":")
        os.seteuid(0)
        os.setgroups([int(gid) for gid in gids.split(",") if gid])
        os.seteuid(int(uid))
        options = (("grpc.use_local_subchannel_pool", 1),)
        async with grpc.aio.insecure_channel(f"unix:{socket}", options=options) as channel:
            sys.stdout.write(json.dumps({user: sorted(await allowed(channel))}) + "\n")


asyncio.run(main(sys.argv[1], sys.argv[2:]))
