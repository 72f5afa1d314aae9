"""Who calls, as gRPC can tell."""

import os
from typing import Any

import grpc

from racklet_hostd.caller import Caller


def caller_of(context: grpc.aio.ServicerContext[Any, Any]) -> Caller:
    """Return who calls.

    gRPC does not hand out the socket, so that the system cannot be asked for the process behind it. The unix socket
    lets only its owner in (and root); on loopback it may be anybody on this computer.
    """
    peer = context.peer()
    return Caller(f"uid {os.getuid()}" if peer.startswith("unix:") else "loopback", peer)
