# ruff: noqa: N802 - the API names and describes its methods
"""A small rack that lives in memory and speaks the real API on a unix socket."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from racklet.v1 import rack_pb2, rack_pb2_grpc

if TYPE_CHECKING:
    from google.protobuf.message import Message

START_S = 1_790_000_000
PIECE_BYTES = 64
Refusal = tuple[grpc.StatusCode, str]
Item = TypeVar("Item")
_PagedRequest = rack_pb2.ListNodesRequest | rack_pb2.ListBootsRequest | rack_pb2.ListEventsRequest


@dataclass
class BootLog:
    """A boot's pieces; it goes on until `is_over`."""

    pieces: list[rack_pb2.ReadBootLogResponse] = field(default_factory=list)
    end: int = 0
    is_over: bool = False


class MemoryRack(rack_pb2_grpc.RackServicer):
    """The rack. Tests fill it with `add_*`, read what was asked for in `requests`, and set `refusals` by node."""

    def __init__(self) -> None:
        self.nodes: dict[str, rack_pb2.Node] = {}
        self.boots: dict[str, dict[int, BootLog]] = {}
        self.events: list[rack_pb2.Event] = []
        self.refusals: dict[str, Refusal] = {}
        self.requests: list[Message] = []
        self.typed = bytearray()
        self.console_output: list[rack_pb2.AttachConsoleResponse] = []
        self.page_limit = 1_000
        self.changed = threading.Condition()

    # What tests do to it.

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

    def add_event(self, kind: str, message: str, name: str = "", lost_before: int = 0) -> None:
        """Let something happen."""
        with self.changed:
            sequence = len(self.events) + 1
            self.events.append(
                rack_pb2.Event(
                    sequence=sequence,
                    event_time=_stamp(sequence),
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
                    receive_time=_stamp(log.end),
                    **piece,  # type: ignore[arg-type]
                )
            )
            log.end += length
            self.changed.notify_all()

    # The API.

    def GetRack(self, request: rack_pb2.GetRackRequest, context: grpc.ServicerContext) -> rack_pb2.GetRackResponse:
        del request, context
        online = sum(node.hat.state == rack_pb2.HAT_STATE_ONLINE for node in self.nodes.values())
        info = rack_pb2.RackInfo(
            display_name="shelf", version="0.1.0", start_time=_stamp(0), node_count=len(self.nodes), online_count=online
        )
        info.supply_uw = sum(node.measurement.supply_uw for node in self.nodes.values())
        return rack_pb2.GetRackResponse(rack=info)

    def ListNodes(
        self, request: rack_pb2.ListNodesRequest, context: grpc.ServicerContext
    ) -> rack_pb2.ListNodesResponse:
        del context
        nodes, token = self._page([self.nodes[name] for name in sorted(self.nodes)], request)
        return rack_pb2.ListNodesResponse(nodes=nodes, next_page_token=token)

    def GetNode(self, request: rack_pb2.GetNodeRequest, context: grpc.ServicerContext) -> rack_pb2.GetNodeResponse:
        return rack_pb2.GetNodeResponse(node=self._node(request.name, context))

    def WatchNodes(
        self, request: rack_pb2.WatchNodesRequest, context: grpc.ServicerContext
    ) -> Iterator[rack_pb2.WatchNodesResponse]:
        self.requests.append(request)
        sent: dict[str, bytes] = {}
        names = list(request.names) or list(self.nodes)
        for name in names:
            self._node(name, context)

        def changed() -> list[rack_pb2.Node]:
            return [self.nodes[name] for name in names if sent.get(name) != self.nodes[name].SerializeToString()]

        yield rack_pb2.WatchNodesResponse(nodes=changed())
        sent = {name: self.nodes[name].SerializeToString() for name in names}
        while self._wait(context, changed):
            yield rack_pb2.WatchNodesResponse(nodes=changed())
            sent = {name: self.nodes[name].SerializeToString() for name in names}

    def SetPower(self, request: rack_pb2.SetPowerRequest, context: grpc.ServicerContext) -> rack_pb2.SetPowerResponse:
        node = self._node(request.name, context)
        self.requests.append(request)
        is_on = request.action in {rack_pb2.POWER_ACTION_ON, rack_pb2.POWER_ACTION_CYCLE}
        response = rack_pb2.SetPowerResponse(
            supply_state=rack_pb2.SUPPLY_STATE_ON if is_on else rack_pb2.SUPPLY_STATE_OFF,
            supply_uv=5_098_000 if is_on else 12_000,
            supply_ua=612_000 if is_on else 0,
        )
        response.duration.FromMilliseconds(1_240)
        with self.changed:
            node.supply_state = response.supply_state
            self.changed.notify_all()
        return response

    def IdentifyNode(
        self, request: rack_pb2.IdentifyNodeRequest, context: grpc.ServicerContext
    ) -> rack_pb2.IdentifyNodeResponse:
        self._node(request.name, context)
        self.requests.append(request)
        return rack_pb2.IdentifyNodeResponse()

    def ListBoots(
        self, request: rack_pb2.ListBootsRequest, context: grpc.ServicerContext
    ) -> rack_pb2.ListBootsResponse:
        self._node(request.parent, context)
        logs = self.boots[request.parent]
        boots, token = self._page(
            [_boot(f"{request.parent}/boots/{number}", logs[number]) for number in sorted(logs, reverse=True)], request
        )
        return rack_pb2.ListBootsResponse(boots=boots, next_page_token=token)

    def ReadBootLog(
        self, request: rack_pb2.ReadBootLogRequest, context: grpc.ServicerContext
    ) -> Iterator[rack_pb2.ReadBootLogResponse]:
        self.requests.append(request)
        node, _, which = request.name.partition("/boots/")
        self._node(node, context)
        boots = self.boots[node]
        number = max(boots, default=0) if which == "-" else int(which)
        if number not in boots:
            _refuse(context, (grpc.StatusCode.NOT_FOUND, f"there is no boot {which}"))
        if request.offset > boots[number].end and not request.follow:
            _refuse(context, (grpc.StatusCode.OUT_OF_RANGE, f"the log ends at {boots[number].end}"))
        yield from self._log_from(boots, number, request, context)

    def _log_from(
        self,
        boots: dict[int, BootLog],
        number: int,
        request: rack_pb2.ReadBootLogRequest,
        context: grpc.ServicerContext,
    ) -> Iterator[rack_pb2.ReadBootLogResponse]:
        offset: int = request.offset
        while True:
            log = boots[number]
            for piece in [_cut(piece, offset) for piece in list(log.pieces) if _end(piece) > offset]:
                yield piece
                offset = _end(piece)
            if not request.follow:
                return
            if log.is_over and log.end <= offset:
                if not request.following_boots:
                    return
                number, offset = min(other for other in boots if other > number), 0
            elif not self._wait(context, lambda: log.is_over or log.end > offset):  # noqa: B023 - called before it moves on
                return

    def AttachConsole(
        self, request_iterator: Iterator[rack_pb2.AttachConsoleRequest], context: grpc.ServicerContext
    ) -> Iterator[rack_pb2.AttachConsoleResponse]:
        first = next(request_iterator)
        self._node(first.name, context)
        with self.changed:
            self.requests.append(first)
            self.changed.notify_all()
        typist = threading.Thread(target=self._take_typed, args=(request_iterator,))
        typist.start()
        shown = 0
        while self._wait(context, lambda: len(self.console_output) > shown):  # noqa: B023 - likewise
            yield self.console_output[shown]
            shown += 1
        typist.join()

    def _take_typed(self, requests: Iterator[rack_pb2.AttachConsoleRequest]) -> None:
        with suppress(grpc.RpcError):  # the caller left
            for request in requests:
                with self.changed:
                    self.typed += request.data
                    self.changed.notify_all()
                self.say(data=request.data.replace(b"\r", b"\r\n"))

    def ListEvents(
        self, request: rack_pb2.ListEventsRequest, context: grpc.ServicerContext
    ) -> rack_pb2.ListEventsResponse:
        if request.node:
            self._node(request.node, context)
        events, token = self._page([e for e in reversed(self.events) if request.node in {"", e.node}], request)
        return rack_pb2.ListEventsResponse(events=events, next_page_token=token)

    def WatchEvents(
        self, request: rack_pb2.WatchEventsRequest, context: grpc.ServicerContext
    ) -> Iterator[rack_pb2.WatchEventsResponse]:
        self.requests.append(request)
        sequence = request.from_sequence or len(self.events) + 1
        while self._wait(context, lambda: len(self.events) >= sequence):  # noqa: B023 - likewise
            event = self.events[sequence - 1]
            sequence += 1
            if request.node in {"", event.node}:
                yield rack_pb2.WatchEventsResponse(event=event)

    def _node(self, name: str, context: grpc.ServicerContext) -> rack_pb2.Node:
        short = name.removeprefix("nodes/")
        if short in self.refusals:
            _refuse(context, self.refusals[short])
        if name not in self.nodes:
            _refuse(context, (grpc.StatusCode.NOT_FOUND, f"there is no node {short}"))
        return self.nodes[name]

    def _page(self, items: list[Item], request: _PagedRequest) -> tuple[list[Item], str]:
        self.requests.append(request)
        start = int(request.page_token or 0)
        end = start + min(request.page_size or 100, self.page_limit)
        return items[start:end], str(end) if end < len(items) else ""

    def _wait(self, context: grpc.ServicerContext, holds: Callable[[], object]) -> bool:
        """Wait until it holds; False when the caller is gone."""
        with self.changed:
            context.add_callback(self._wake)
            self.changed.wait_for(lambda: holds() or not context.is_active())
        return context.is_active()

    def _wake(self) -> None:
        with self.changed:
            self.changed.notify_all()


class RackServer:
    """Serves a rack on a unix socket; may be stopped and started again."""

    def __init__(self, rack: MemoryRack, socket: Path) -> None:
        self.rack = rack
        self.address = f"unix:{socket}"
        self._server: grpc.Server | None = None

    def start(self) -> None:
        """Begin to serve."""
        self._server = grpc.server(ThreadPoolExecutor(max_workers=16))
        rack_pb2_grpc.add_RackServicer_to_server(self.rack, self._server)
        self._server.add_insecure_port(self.address)
        self._server.start()

    def stop(self) -> None:
        """Break off every call and close the socket."""
        if self._server:
            self._server.stop(None).wait(10)
            self._server = None


def _boot(name: str, log: BootLog) -> rack_pb2.Boot:
    lost_bytes = sum(piece.gap.lost_bytes for piece in log.pieces)
    number = int(name.rpartition("/")[2])
    return rack_pb2.Boot(
        name=name,
        start_time=_stamp(number),
        last_byte_time=_stamp(number + 60),
        log_end=log.end,
        lost_bytes=lost_bytes,
        from_supply_on=True,
    )


def _end(piece: rack_pb2.ReadBootLogResponse) -> int:
    return piece.offset + (len(piece.data) or piece.gap.lost_bytes)


def _cut(piece: rack_pb2.ReadBootLogResponse, offset: int) -> rack_pb2.ReadBootLogResponse:
    skip = offset - piece.offset
    if skip <= 0:
        return piece
    rest = rack_pb2.ReadBootLogResponse()
    rest.CopyFrom(piece)
    rest.offset = offset
    if piece.HasField("data"):
        rest.data = piece.data[skip:]
    else:
        rest.gap.lost_bytes -= skip
    return rest


def _stamp(seconds: int) -> Timestamp:
    return Timestamp(seconds=START_S + seconds)


def _refuse(context: grpc.ServicerContext, refusal: Refusal) -> NoReturn:
    context.abort(*refusal)
