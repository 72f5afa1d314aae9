"""A caller that dies without a word is let go: its computer lost power, or it is stopped for good."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from racklet_hostd.api import server
from tests.hostd.rig import running_rack, until

CALLER = """
import asyncio, sys
import racklet_client

async def main():
    async with racklet_client.connect(sys.argv[1]) as rack:
        async for change in rack.watch_nodes(min_interval_s=3600):
            print("watching", flush=True)

asyncio.run(main())
"""


async def test_a_caller_that_answers_no_ping_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_production = dict(server._OPTIONS)
    assert in_production["grpc.keepalive_time_ms"] + in_production["grpc.http2.ping_timeout_ms"] <= 40_000
    soon = {"grpc.keepalive_time_ms": 1_000, "grpc.http2.ping_timeout_ms": 1_000}
    monkeypatch.setattr(server, "_OPTIONS", tuple((in_production | soon).items()))
    async with running_rack(tmp_path) as rig:
        moments = rig.daemon.rack.moments
        command = [sys.executable, "-c", CALLER, rig.address]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as caller:  # noqa: ASYNC220  it starts at once
            try:
                await until(lambda: moments.waiters == 1)
                os.kill(caller.pid, signal.SIGSTOP)
                await until(lambda: moments.waiters == 0)
            finally:
                caller.kill()
        assert (await rig.node()).name == "nodes/node-1"  # others are served as before
