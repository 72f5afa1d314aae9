"""Steering a running rack from outside: JSON lines over a unix socket in its folder.

A request is `{"node": "node-2", "fault": "replug", "arguments": ["usb-1.7"]}`, or `{"status": true}`. The reply is
`{"ok": true}`, with `nodes` after a status request, or `{"ok": false, "error": "a sentence"}`.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from typing import TYPE_CHECKING, Any

from racklet_virtual.fault_catalogue import FaultError, inject
from racklet_virtual.rack import RackError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from racklet_virtual.board import VirtualHat
    from racklet_virtual.rack import VirtualRack

from contextlib import asynccontextmanager

_MAX_LINE_BYTES = 4096
_MAX_REPLY_BYTES = 1024 * 1024
_MAX_PATH_BYTES = 107  # of a unix socket
_REPLY_TIMEOUT_S = 5.0


class ControlError(Exception):
    """The running rack refused, or there is none; the message says which."""


def socket_path(folder: Path) -> Path:
    """Return where a rack in this folder listens."""
    return folder / "control"


@asynccontextmanager
async def control_server(rack: VirtualRack) -> AsyncIterator[None]:
    """Serve requests while the context lasts. Raises RackError when the folder's path is too long for a socket."""
    path = socket_path(rack.folder)
    if len(os.fsencode(path)) > _MAX_PATH_BYTES:
        raise RackError(f"the path {rack.folder} is too long for a unix socket: choose a shorter folder")
    path.unlink(missing_ok=True)
    connections = _Connections(rack)
    server = await asyncio.start_unix_server(connections.serve, path, limit=_MAX_LINE_BYTES)
    path.chmod(0o600)
    try:
        yield
    finally:
        server.close()
        connections.close()
        await server.wait_closed()
        path.unlink(missing_ok=True)


class _Connections:
    """The open connections of one server."""

    def __init__(self, rack: VirtualRack) -> None:
        self._rack = rack
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the lines of one connection until it ends."""
        self._writers.add(writer)
        try:
            while line := await reader.readline():
                writer.write(json.dumps(_answer(self._rack, line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):  # gone, or a line without end: nothing to say to either
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def close(self) -> None:
        """End them all."""
        for writer in list(self._writers):
            writer.close()


def _answer(rack: VirtualRack, line: bytes) -> dict[str, Any]:
    try:
        request = json.loads(line)
    except ValueError:
        return {"ok": False, "error": "expected a line of JSON"}
    match request:
        case {"status": True}:
            return {"ok": True, "nodes": [describe(hat) for hat in rack.hats]}
        case {"node": str(node), "fault": str(fault), **rest}:
            arguments = rest.get("arguments", [])
            if not isinstance(arguments, list):
                return {"ok": False, "error": "expected `arguments` to be a list"}
            return _inject(rack, node, fault, tuple(map(str, arguments)))
        case _:
            return {"ok": False, "error": "expected `node` and `fault`, or `status`"}


def _inject(rack: VirtualRack, node: str, fault: str, arguments: tuple[str, ...]) -> dict[str, Any]:
    try:
        inject(rack, node, fault, arguments)
    except (FaultError, RackError) as error:
        return {"ok": False, "error": str(error)}
    return {"ok": True}


def describe(hat: VirtualHat) -> dict[str, Any]:
    """Return the truth about one HAT and its node, ready for JSON."""
    node = hat.node
    boots = [{"number": boot.number, "bytes": boot.sent_bytes, "file": str(boot.path)} for boot in node.boots]
    return {
        "node": node.name,
        "slot": hat.slot,
        "port": str(hat.port) if hat.plugged else None,
        "pid": hat.chip.pid,
        "hat_starts": hat.chip.starts,
        "state": node.state,
        "phase": node.phase,
        "supply_on": node.supply_on,
        "volts": round(node.volts, 6),
        "amperes": round(node.amperes, 6),
        "joules": round(node.joules, 6),
        "uart_lost_bytes": hat.chip.uart_lost_bytes,
        "boots": boots,
    }


def ask(folder: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Send a request to the rack that runs in a folder, and return its reply. Raises ControlError."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_REPLY_TIMEOUT_S)
        try:
            connection.connect(str(socket_path(folder)))
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as lines:
                reply = json.loads(lines.readline(_MAX_REPLY_BYTES))
        except (OSError, ValueError) as error:
            raise ControlError(f"no virtual rack answers in {folder}: start one with `racklet-virtual`") from error
    if not isinstance(reply, dict) or reply.get("ok") is not True:
        raise ControlError(str(reply.get("error", "refused")) if isinstance(reply, dict) else "refused")
    return reply
