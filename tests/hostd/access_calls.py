"""Calls every method as one caller after another, and says whether the role let it through."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import grpc

from racklet.v1 import rack_pb2

VIEWER = {
    "/racklet.v1.Rack/AttachConsole",
    "/racklet.v1.Rack/DiagnoseNode",
    "/racklet.v1.Rack/GetNode",
    "/racklet.v1.Rack/GetPowerPlan",
    "/racklet.v1.Rack/GetRack",
    "/racklet.v1.Rack/ListAuditEntries",
    "/racklet.v1.Rack/ListBoots",
    "/racklet.v1.Rack/GetHat",
    "/racklet.v1.Rack/ListEvents",
    "/racklet.v1.Rack/ListHats",
    "/racklet.v1.Rack/ListNodes",
    "/racklet.v1.Rack/ReadBootLog",
    "/racklet.v1.Rack/WatchEvents",
    "/racklet.v1.Rack/WatchNodes",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/List",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
}
OPERATOR = VIEWER | {
    "/racklet.v1.Rack/IdentifyHat",
    "/racklet.v1.Rack/IdentifyNode",
    "/racklet.v1.Rack/SelfTestHat",
    "/racklet.v1.Rack/SetPower",
}
ADMIN = OPERATOR | {
    "/racklet.v1.Rack/AdoptHat",
    "/racklet.v1.Rack/ForgetHat",
    "/racklet.v1.Rack/RunFaults",
    "/racklet.v1.Rack/SetPowerBudget",
    "/racklet.v1.Rack/UpdateFirmware",
    "/racklet.v1.Rack/VerifyAudit",
}
NOBODY: set[str] = set()
ALLOWED: Mapping[str, set[str]] = {"viewer": VIEWER, "operator": OPERATOR, "admin": ADMIN, "none": NOBODY}

_SILENT_S = 0.5  # WatchEvents says nothing as long as nothing happens
_ROLE_REFUSALS = (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED)


async def is_allowed(channel: grpc.aio.Channel, path: str) -> bool:
    """Call a method with an empty message, or to look on; tell whether it was refused for who calls.

    On the wire a call with one message is the same, whether the method takes one or many.
    """
    looking_on = rack_pb2.AttachConsoleRequest(read_only=True).SerializeToString()
    request = looking_on if path.endswith("AttachConsole") else b""
    call = channel.stream_stream(path)(iter([request]), timeout=_SILENT_S if path.endswith("WatchEvents") else 20)
    try:
        await call.read()
    except grpc.aio.AioRpcError as error:
        return error.code() not in _ROLE_REFUSALS
    else:
        if not call.done():
            return True
        return await call.code() not in _ROLE_REFUSALS
    finally:
        call.cancel()


async def allowed(channel: grpc.aio.Channel) -> set[str]:
    """Return the methods that are not refused."""
    paths = sorted(ADMIN)
    verdicts = await asyncio.gather(*(is_allowed(channel, path) for path in paths))
    return {path for path, verdict in zip(paths, verdicts, strict=True) if verdict}
