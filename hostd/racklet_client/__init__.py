"""A client of hostd: the rack of `racklet.v1`, for scripts and for the `racklet` command. docs/api.md tells how.

    async with racklet_client.connect() as rack:
        result = await rack.cycle("node-3")
        async for piece in rack.boot_log("node-3", follow=True):
            ...

It knows the API and nothing of the daemon. What it returns are the messages of `racklet.v1.rack_pb2`.
"""

from racklet_client.address import ADDRESS_VARIABLE, Address
from racklet_client.connection import Connection
from racklet_client.console import Console, ConsoleNews
from racklet_client.credentials import Credentials
from racklet_client.errors import (
    CredentialsError,
    DeadlineError,
    InvalidArgumentError,
    LostError,
    NotAllowedError,
    NotFoundError,
    PreconditionError,
    RackError,
    RefusedError,
    TryAgainError,
    UnreachableError,
    Violation,
)
from racklet_client.names import boot_number, boot_resource, node_resource, short_name
from racklet_client.rack import NodesChange, Rack, connect

__all__ = [
    "ADDRESS_VARIABLE",
    "Address",
    "Connection",
    "Console",
    "ConsoleNews",
    "Credentials",
    "CredentialsError",
    "DeadlineError",
    "InvalidArgumentError",
    "LostError",
    "NodesChange",
    "NotAllowedError",
    "NotFoundError",
    "PreconditionError",
    "Rack",
    "RackError",
    "RefusedError",
    "TryAgainError",
    "UnreachableError",
    "Violation",
    "boot_number",
    "boot_resource",
    "connect",
    "node_resource",
    "short_name",
]
