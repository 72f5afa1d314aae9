"""A client of hostd: the rack of `racklet.v1`, for scripts and for the `racklet` command. docs/api.md tells how.

    async with racklet_client.connect() as connection:
        answer = await connection.ask(connection.stub.GetRack, rack_pb2.GetRackRequest())

It knows the API and nothing of the daemon. What it returns are the messages of `racklet.v1.rack_pb2`.
"""

from racklet_client.address import ADDRESS_VARIABLE, Address
from racklet_client.connection import Connection, Console, connect
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

__all__ = [
    "ADDRESS_VARIABLE",
    "Address",
    "Connection",
    "Console",
    "Credentials",
    "CredentialsError",
    "DeadlineError",
    "InvalidArgumentError",
    "LostError",
    "NotAllowedError",
    "NotFoundError",
    "PreconditionError",
    "RackError",
    "RefusedError",
    "TryAgainError",
    "UnreachableError",
    "Violation",
    "connect",
]
