# ruff: noqa: N802 - the API names its methods
"""Serves a rack that lives in memory by the real API, on a unix socket."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, TypeVar

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from racklet.v1 import rack_pb2, rack_pb2_grpc
from tests.cli.memory_rack import BootLog, MemoryRack, Refusal, stamp

Item = TypeVar("Item")
_PagedRequest = (
    rack_pb2.ListNodesRequest
    | rack_pb2.ListBootsRequest
    | rack_pb2.ListEventsRequest
    | rack_pb2.ListHatsRequest
    | rack_pb2.ListAuditEntriesRequest
)


class RackService(rack_pb2_grpc.RackServicer):
    """The API of a rack."""

    def __init__(self, rack: MemoryRack) -> None:
        self._rack = rack

    def GetRack(self, request: rack_pb2.GetRackRequest, context: grpc.ServicerContext) -> rack_pb2.GetRackResponse:
        del request, context
        nodes = self._rack.nodes.values()
        online = sum(node.hat.state == rack_pb2.HAT_STATE_ONLINE for node in nodes)
        info = rack_pb2.RackInfo(
            display_name="shelf",
            version="0.1.0",
            start_time=stamp(0),
            node_count=len(self._rack.nodes),
            online_count=online,
        )
        info.supply_uw = sum(node.measurement.supply_uw for node in nodes)
        return rack_pb2.GetRackResponse(rack=info)

    def ListNodes(
        self, request: rack_pb2.ListNodesRequest, context: grpc.ServicerContext
    ) -> rack_pb2.ListNodesResponse:
        del context
        nodes, token = self._page([self._rack.nodes[name] for name in sorted(self._rack.nodes)], request)
        return rack_pb2.ListNodesResponse(nodes=nodes, next_page_token=token)

    def GetNode(self, request: rack_pb2.GetNodeRequest, context: grpc.ServicerContext) -> rack_pb2.GetNodeResponse:
        return rack_pb2.GetNodeResponse(node=self._node(request.name, context))

    def WatchNodes(
        self, request: rack_pb2.WatchNodesRequest, context: grpc.ServicerContext
    ) -> Iterator[rack_pb2.WatchNodesResponse]:
        self._rack.asked(request)
        sent: dict[str, bytes] = {}
        names = list(request.names) or list(self._rack.nodes)
        for name in names:
            self._node(name, context)

        def changed() -> list[rack_pb2.Node]:
            return [
                self._rack.nodes[name] for name in names if sent.get(name) != self._rack.nodes[name].SerializeToString()
            ]

        is_there = True
        while is_there:
            with self._rack.changed:  # what changes while the response is on its way is for the next one
                response = rack_pb2.WatchNodesResponse(nodes=changed())
                sent = {name: self._rack.nodes[name].SerializeToString() for name in names}
            yield response
            is_there = self._wait(context, changed)

    def SetPower(self, request: rack_pb2.SetPowerRequest, context: grpc.ServicerContext) -> rack_pb2.SetPowerResponse:
        node = self._node(request.name, context)
        self._rack.asked(request)
        self._wait(context, lambda: not node.HasField("power_wait"))
        is_on = request.action in {rack_pb2.POWER_ACTION_ON, rack_pb2.POWER_ACTION_CYCLE}
        response = rack_pb2.SetPowerResponse(
            supply_state=rack_pb2.SUPPLY_STATE_ON if is_on else rack_pb2.SUPPLY_STATE_OFF,
            supply_uv=5_098_000 if is_on else 12_000,
            supply_ua=612_000 if is_on else 0,
        )
        response.duration.FromMilliseconds(1_240)
        with self._rack.changed:
            node.supply_state = response.supply_state
            self._rack.changed.notify_all()
        return response

    def IdentifyNode(
        self, request: rack_pb2.IdentifyNodeRequest, context: grpc.ServicerContext
    ) -> rack_pb2.IdentifyNodeResponse:
        self._node(request.name, context)
        self._rack.asked(request)
        return rack_pb2.IdentifyNodeResponse()

    def ListHats(self, request: rack_pb2.ListHatsRequest, context: grpc.ServicerContext) -> rack_pb2.ListHatsResponse:
        del context
        hats, token = self._page(self._rack.hats, request)
        return rack_pb2.ListHatsResponse(hats=hats, next_page_token=token)

    def AdoptHat(self, request: rack_pb2.AdoptHatRequest, context: grpc.ServicerContext) -> rack_pb2.AdoptHatResponse:
        self._rack.asked(request)
        hat = next((hat for hat in self._rack.hats if hat.name == request.name), None)
        if hat is None:
            _refuse(context, (grpc.StatusCode.NOT_FOUND, f"there is no HAT {request.name.removeprefix('hats/')}"))
        hat.node, hat.standing = request.node, rack_pb2.HAT_STANDING_ADOPTED
        return rack_pb2.AdoptHatResponse(hat=hat)

    def ForgetHat(
        self, request: rack_pb2.ForgetHatRequest, context: grpc.ServicerContext
    ) -> rack_pb2.ForgetHatResponse:
        del context
        self._rack.asked(request)
        hat = next(hat for hat in self._rack.hats if hat.name == request.name)
        return rack_pb2.ForgetHatResponse(key_forgotten=bool(hat.slot))

    def IdentifyHat(
        self, request: rack_pb2.IdentifyHatRequest, context: grpc.ServicerContext
    ) -> rack_pb2.IdentifyHatResponse:
        del context
        self._rack.asked(request)
        return rack_pb2.IdentifyHatResponse()

    def ListBoots(
        self, request: rack_pb2.ListBootsRequest, context: grpc.ServicerContext
    ) -> rack_pb2.ListBootsResponse:
        self._node(request.parent, context)
        logs = self._rack.boots[request.parent]
        boots, token = self._page(
            [_boot(f"{request.parent}/boots/{number}", logs[number]) for number in sorted(logs, reverse=True)], request
        )
        return rack_pb2.ListBootsResponse(boots=boots, next_page_token=token)

    def ReadBootLog(
        self, request: rack_pb2.ReadBootLogRequest, context: grpc.ServicerContext
    ) -> Iterator[rack_pb2.ReadBootLogResponse]:
        self._rack.asked(request)
        node, _, which = request.name.partition("/boots/")
        self._node(node, context)
        boots = self._rack.boots[node]
        newest = _boot_at(boots, request) if request.HasField("start_time") else max(boots, default=0)
        number = newest if which == "-" else int(which)
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
                if not _is_before(piece, request):
                    yield piece
                offset = _end(piece)
            if not request.follow and (not request.following_boots or number == max(boots)):
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
        if self._rack.console_writer and not (first.read_only or first.take_over):
            _refuse(context, (grpc.StatusCode.FAILED_PRECONDITION, f"{self._rack.console_writer} is writing"))
        self._rack.asked(first)
        writes = not first.read_only
        you = rack_pb2.ConsoleSeat(caller=first.caller, writes=writes, is_you=True, sit_time=stamp(0))
        yield rack_pb2.AttachConsoleResponse(
            seats=[you, *self._rack.company], typed_offset=first.input_offset, is_resumed=False
        )
        typist = threading.Thread(target=self._take_typed, args=(request_iterator,))
        typist.start()
        shown = 0
        while self._wait(context, lambda: len(self._rack.console_output) > shown):  # noqa: B023 - likewise
            yield self._rack.console_output[shown]
            shown += 1
        typist.join()

    def _take_typed(self, requests: Iterator[rack_pb2.AttachConsoleRequest]) -> None:
        with suppress(grpc.RpcError):  # the caller left
            for request in requests:
                if request.take_over:
                    self._rack.say(seats=[rack_pb2.ConsoleSeat(caller="you", writes=True, is_you=True)])
                    continue
                with self._rack.changed:
                    self._rack.typed += request.data
                    self._rack.changed.notify_all()
                self._rack.say(
                    data=request.data.replace(b"\r", b"\r\n"),
                    typed_offset=(request.input_offset + len(request.data)) * self._rack.tells_typed,
                )

    def ListEvents(
        self, request: rack_pb2.ListEventsRequest, context: grpc.ServicerContext
    ) -> rack_pb2.ListEventsResponse:
        if request.node:
            self._node(request.node, context)
        events, token = self._page([e for e in reversed(self._rack.events) if request.node in {"", e.node}], request)
        return rack_pb2.ListEventsResponse(events=events, next_page_token=token)

    def WatchEvents(
        self, request: rack_pb2.WatchEventsRequest, context: grpc.ServicerContext
    ) -> Iterator[rack_pb2.WatchEventsResponse]:
        self._rack.asked(request)
        sequence = request.from_sequence or len(self._rack.events) + 1
        while self._wait(context, lambda: len(self._rack.events) >= sequence):  # noqa: B023 - likewise
            event = self._rack.events[sequence - 1]
            sequence += 1
            if request.node in {"", event.node}:
                yield rack_pb2.WatchEventsResponse(event=event)

    def DiagnoseNode(
        self, request: rack_pb2.DiagnoseNodeRequest, context: grpc.ServicerContext
    ) -> rack_pb2.DiagnoseNodeResponse:
        self._node(request.name, context)
        self._rack.asked(request)
        if request.boot not in self._rack.diagnoses:
            _refuse(context, (grpc.StatusCode.NOT_FOUND, f"there is no boot {request.boot}"))
        return self._rack.diagnoses[request.boot]

    def GetPowerPlan(
        self, request: rack_pb2.GetPowerPlanRequest, context: grpc.ServicerContext
    ) -> rack_pb2.GetPowerPlanResponse:
        del request, context
        return self._rack.power_plan

    def SetPowerBudget(
        self, request: rack_pb2.SetPowerBudgetRequest, context: grpc.ServicerContext
    ) -> rack_pb2.SetPowerBudgetResponse:
        del context
        self._rack.asked(request)
        return rack_pb2.SetPowerBudgetResponse()

    def ListAuditEntries(
        self, request: rack_pb2.ListAuditEntriesRequest, context: grpc.ServicerContext
    ) -> rack_pb2.ListAuditEntriesResponse:
        del context
        entries, token = self._page(self._rack.audit_entries[::-1], request)
        return rack_pb2.ListAuditEntriesResponse(entries=entries, next_page_token=token)

    def VerifyAudit(
        self, request: rack_pb2.VerifyAuditRequest, context: grpc.ServicerContext
    ) -> rack_pb2.VerifyAuditResponse:
        del request, context
        return self._rack.audit_verdict

    def _node(self, name: str, context: grpc.ServicerContext) -> rack_pb2.Node:
        short = name.removeprefix("nodes/")
        if short in self._rack.refusals:
            _refuse(context, self._rack.refusals[short])
        if name not in self._rack.nodes:
            _refuse(context, (grpc.StatusCode.NOT_FOUND, f"there is no node {short}"))
        return self._rack.nodes[name]

    def _page(self, items: list[Item], request: _PagedRequest) -> tuple[list[Item], str]:
        self._rack.asked(request)
        start = int(request.page_token or 0)
        end = start + min(request.page_size or 100, self._rack.page_limit)
        return items[start:end], str(end) if end < len(items) else ""

    def _wait(self, context: grpc.ServicerContext, holds: Callable[[], object]) -> bool:
        """Wait until it holds; False when the caller is gone."""
        with self._rack.changed:
            context.add_callback(self._wake)
            self._rack.changed.wait_for(lambda: holds() or self._rack.is_leaving or not context.is_active())
        if self._rack.is_leaving:
            _refuse(context, (grpc.StatusCode.UNAVAILABLE, "hostd is shutting down"), "SHUTTING_DOWN")
        return context.is_active()

    def _wake(self) -> None:
        with self._rack.changed:
            self._rack.changed.notify_all()


class RackServer:
    """Serves a rack on a unix socket; may be stopped and started again."""

    def __init__(self, rack: MemoryRack, socket: Path) -> None:
        self.rack = rack
        self.address = f"unix:{socket}"
        self._server: grpc.Server | None = None

    def start(self) -> None:
        """Begin to serve."""
        self._server = grpc.server(ThreadPoolExecutor(max_workers=16))
        rack_pb2_grpc.add_RackServicer_to_server(RackService(self.rack), self._server)
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
        start_time=stamp(number),
        last_byte_time=stamp(number + 60),
        log_end=log.end,
        lost_bytes=lost_bytes,
        from_supply_on=True,
        cause=rack_pb2.BOOT_CAUSE_SUPPLY_ON,
    )


def _is_before(piece: rack_pb2.ReadBootLogResponse, request: rack_pb2.ReadBootLogRequest) -> bool:
    return piece.receive_time.ToNanoseconds() < request.start_time.ToNanoseconds()


def _boot_at(boots: dict[int, BootLog], request: rack_pb2.ReadBootLogRequest) -> int:
    begun = [number for number, log in boots.items() if log.pieces and _is_before(log.pieces[0], request)]
    return max(begun, default=min(boots, default=0))


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


def _refuse(context: grpc.ServicerContext, refusal: Refusal, reason: str = "BECAUSE") -> NoReturn:
    info = any_pb2.Any()
    info.Pack(error_details_pb2.ErrorInfo(reason=reason, domain="racklet.v1"))
    context.set_trailing_metadata((("grpc-status-details-bin", status_pb2.Status(details=[info]).SerializeToString()),))
    context.abort(*refusal)
