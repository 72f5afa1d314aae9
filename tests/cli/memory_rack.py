"""A small rack that lives in memory."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from racklet.v1 import rack_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

START_S = 1_790_000_000
PIECE_BYTES = 64
Refusal = tuple[grpc.StatusCode, str]


@dataclass
class BootLog:
    """A boot's pieces; it goes on until `is_over`."""

    pieces: list[rack_pb2.ReadBootLogResponse] = field(default_factory=list)
    end: int = 0
    is_over: bool = False


class MemoryRack:
    """The rack. Tests fill it with `add_*`, read what was asked for in `requests`, and set `refusals` by node."""

    def __init__(self) -> None:
        self.nodes: dict[str, rack_pb2.Node] = {}
        self.hats: list[rack_pb2.SeenHat] = []
        self.boots: dict[str, dict[int, BootLog]] = {}
        self.events: list[rack_pb2.Event] = []
        self.refusals: dict[str, Refusal] = {}
        self.diagnoses: dict[str, rack_pb2.DiagnoseNodeResponse] = {}
        self.power_plan = rack_pb2.GetPowerPlanResponse()
        self.audit_entries: list[rack_pb2.AuditEntry] = []
        self.audit_verdict = rack_pb2.VerifyAuditResponse()
        self.requests: list[Message] = []  # without their request ids
        self.request_ids: list[str] = []
        self.typed = bytearray()
        self.console_writer = ""
        self.tells_typed = True
        self.company: list[rack_pb2.ConsoleSeat] = []
        self.console_output: list[rack_pb2.AttachConsoleResponse] = []
        self.page_limit = 1_000
        self.is_leaving = False
        self.changed = threading.Condition()

    def add_node(self, name: str, **fields: object) -> rack_pb2.Node:
        """Add a node that is online and on, but for `fields`."""
        node = rack_pb2.Node(name=f"nodes/{name}", supply_state=rack_pb2.SUPPLY_STATE_ON, energy_uj=812_400_000)
        node.hat.state = rack_pb2.HAT_STATE_ONLINE
        node.measurement.supply_uv, node.measurement.supply_ua = 5_098_000, 612_000
        node.measurement.supply_uw = 3_120_000
        node.MergeFrom(rack_pb2.Node(**fields))  # type: ignore[arg-type]
        with self.changed:
            self.nodes[node.name] = node
            self.boots.setdefault(node.name, {})
            self.changed.notify_all()
        return node

    def add_boot(self, name: str, number: int) -> None:
        """Begin a boot, which ends the one before."""
        with self.changed:
            boots = self.boots[f"nodes/{name}"]
            for log in boots.values():
                log.is_over = True
            boots[number] = BootLog()
            self.nodes[f"nodes/{name}"].boot = f"nodes/{name}/boots/{number}"
            self.changed.notify_all()

    def add_log(self, name: str, number: int, data: bytes) -> None:
        """Let the console of a node say something, in pieces."""
        for start in range(0, len(data), PIECE_BYTES):
            part = data[start : start + PIECE_BYTES]
            self._append(name, number, len(part), data=part)

    def add_gap(self, name: str, number: int, lost_bytes: int, reason: str) -> None:
        """Lose bytes."""
        self._append(name, number, lost_bytes, gap=rack_pb2.Gap(lost_bytes=lost_bytes, reason=reason))

    def add_line_errors(self, name: str, number: int, **counts: int) -> None:
        """Say that what comes next is damaged."""
        self._append(name, number, 0, line_errors=rack_pb2.LineErrors(**counts))

    def add_event(self, kind: str, message: str, name: str = "", lost_before: int = 0) -> None:
        """Let something happen."""
        with self.changed:
            sequence = len(self.events) + 1
            self.events.append(
                rack_pb2.Event(
                    sequence=sequence,
                    event_time=stamp(sequence),
                    node=name and f"nodes/{name}",
                    kind=kind,
                    message=message,
                    lost_before=lost_before,
                )
            )
            self.changed.notify_all()

    def say(self, **fields: object) -> None:
        """Send something to whoever is attached to a console."""
        with self.changed:
            self.console_output.append(rack_pb2.AttachConsoleResponse(**fields))  # type: ignore[arg-type]
            self.changed.notify_all()

    def asked(self, request: Message) -> None:
        """Note a request."""
        bare = type(request)()
        bare.CopyFrom(request)
        with self.changed:
            if "request_id" in request.DESCRIPTOR.fields_by_name:
                self.request_ids.append(request.request_id)  # type: ignore[attr-defined]
                bare.ClearField("request_id")
            self.requests.append(bare)
            self.changed.notify_all()

    def leave(self, *, is_leaving: bool) -> None:
        """End every stream with UNAVAILABLE, as a daemon does that is about to stop."""
        with self.changed:
            self.is_leaving = is_leaving
            self.changed.notify_all()

    def wait_until(self, holds: Callable[[], bool], timeout_s: float = 20) -> None:
        """Wait until something that a client did is true."""
        with self.changed:
            assert self.changed.wait_for(holds, timeout_s)

    def _append(self, name: str, number: int, length: int, **piece: object) -> None:
        with self.changed:
            log = self.boots[f"nodes/{name}"][number]
            log.pieces.append(
                rack_pb2.ReadBootLogResponse(
                    boot=f"nodes/{name}/boots/{number}",
                    offset=log.end,
                    receive_time=stamp(log.end),
                    **piece,  # type: ignore[arg-type]
                )
            )
            log.end += length
            self.changed.notify_all()


def stamp(seconds: int) -> Timestamp:
    """Return the time so many seconds after the rack's start."""
    return Timestamp(seconds=START_S + seconds)
