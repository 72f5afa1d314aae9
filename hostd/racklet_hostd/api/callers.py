"""Who calls, as gRPC can tell."""

import os
from typing import Any

import grpc

from racklet_hostd.api.status import NotAllowedError
from racklet_hostd.caller import Caller

_SOCKET = "unix:"


def caller_of(context: grpc.aio.ServicerContext[Any, Any]) -> Caller:
    """Return who calls.

    gRPC does not hand out the socket, so that the system cannot be asked for the process behind it. The unix socket
    lets only its owner in (and root); on loopback it may be anybody on this computer.
    """
    peer = context.peer()
    return Caller(f"uid {os.getuid()}" if peer.startswith(_SOCKET) else "loopback", peer)


def owner_of(context: grpc.aio.ServicerContext[Any, Any], deed: str) -> Caller:
    """Return who calls over the unix socket; raise NotAllowedError for anybody else.

    It stands for the role of an admin, as long as there are no roles.
    """
    caller = caller_of(context)
    if not caller.peer.startswith(_SOCKET):
        raise NotAllowedError(f"{deed} is for the owner of hostd's unix socket: call over that, not over plain TCP")
    return caller
