"""A served rack for the client's tests."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from racklet_client import Rack, connect
from tests.cli.memory_rack import MemoryRack
from tests.cli.rack_server import RackServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RackServer]:
    """A served rack with one node; it may be stopped and started again."""
    server = RackServer(MemoryRack(), tmp_path / "r.sock")
    server.rack.add_node("node-1")
    server.start()
    yield server
    server.stop()


@pytest_asyncio.fixture
async def rack(server: RackServer) -> AsyncIterator[Rack]:
    """The same rack, as the client has it."""
    async with connect(server.address) as rack:
        yield rack
