"""The audit log: every call that changes something is put on record, and the record is told."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Mapping
from typing import Any, cast

import grpc
from google.protobuf import json_format, text_format
from google.protobuf.message import Message

from racklet.v1 import rack_pb2
from racklet_hostd.api import arguments, convert
from racklet_hostd.api.callers import current_caller
from racklet_hostd.api.faults import arguments_on_record
from racklet_hostd.api.firmware import bundle_on_record
from racklet_hostd.api.methods import CarryOut, Context, Handler, form_of
from racklet_hostd.api.roles import METHODS, short_name
from racklet_hostd.api.status import AuditUnreadableError, refuse
from racklet_hostd.errors import RackletError
from racklet_hostd.rack import Rack
from racklet_hostd.store import AuditEntry

_TEXT_LIMIT = 500  # characters of an argument or outcome; what a caller sends may be long
_PAGE_DEFAULT = 100
_SCOPE = "audit"


def recorded(rack: Rack, path: str, handler: Handler) -> Handler:
    """Return a handler that puts each call on record, if its method changes something.

    It is durably there before it is carried out, and its outcome before it is answered.
    """
    row = METHODS.get(path)
    if row is None or not row.changes:
        return handler
    form = form_of(handler)
    record = _recorded_stream if handler.request_streaming else _recorded
    carry_out = record(rack, short_name(path), getattr(handler, form))
    make = getattr(grpc, f"{form}_rpc_method_handler")
    return make(carry_out, handler.request_deserializer, handler.response_serializer)


class _Record:
    """One call on record. It also stands for the call's context, so that a refusal is on record before it is sent."""

    def __init__(self, rack: Rack, method: str, context: Context) -> None:
        self._rack = rack
        self._context = context
        self._start_ms = rack.clock.monotonic_ms()
        caller = current_caller()
        self._about: dict[str, Any] = {"who": caller.who, "peer": caller.peer, "method": method}
        self._asked = 0
        self._is_open = False

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  whatever else a context has
        return getattr(self._context, name)

    async def begin(self, node: str, given: Mapping[str, Any]) -> None:
        """Put on record that it was asked for."""
        self._about |= {"node": node, "arguments": given}
        self._asked = await self._rack.audit.record("asked", **self._about)
        self._is_open = True

    async def end(self, outcome: str) -> None:
        """Put on record what came of it."""
        if self._is_open:
            self._is_open = False
            await self._rack.audit.record("ended", **self._ending(outcome))

    def leave(self) -> None:
        """Put on record that nobody waits for it any more, if its end is not yet."""
        if self._is_open:
            self._is_open = False
            self._rack.audit.append("ended", **self._ending("CANCELLED: the caller left, or hostd is shutting down"))

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()) -> None:  # noqa: ANN401
        """End the call with a status, as a context does."""
        await self.end(_cut(f"{code.name}: {details}"))
        await self._context.abort(code, details, trailing_metadata)

    def _ending(self, outcome: str) -> dict[str, Any]:
        took_ms = self._rack.clock.monotonic_ms() - self._start_ms
        return {**self._about, "asked": self._asked, "outcome": outcome, "duration_ms": took_ms}


def _recorded(rack: Rack, method: str, carry_out: CarryOut) -> CarryOut:
    async def recorded(request: Message, context: Context) -> Any:  # noqa: ANN401  a message, or nothing of who sends
        record = _Record(rack, method, context)
        await record.begin(*_described(request))
        with_record = cast("Context", record)
        return await _to_its_end(record, carry_out(request, with_record))

    return recorded


def _recorded_stream(rack: Rack, method: str, carry_out: CarryOut) -> CarryOut:
    async def recorded(requests: AsyncIterator[rack_pb2.AttachConsoleRequest], context: Context) -> None:
        record = _Record(rack, method, context)
        await _to_its_end(record, carry_out(_recorded_requests(record, requests), cast("Context", record)))

    return recorded


async def _to_its_end(record: _Record, call: Awaitable[Any]) -> Any:  # noqa: ANN401  likewise
    """Return what a call does, with its end on record."""
    try:
        response = await call
        await record.end("OK")
    except RackletError as error:
        return await refuse(cast("Context", record), error)
    finally:
        record.leave()
    return response


async def _recorded_requests(
    record: _Record, requests: AsyncIterator[rack_pb2.AttachConsoleRequest]
) -> AsyncIterator[rack_pb2.AttachConsoleRequest]:
    """Yield the requests of a console's caller. When it becomes the writer is on record; what it types is not."""
    node, caller = "", ""
    is_first = True
    async for request in requests:
        if is_first:
            node, caller = _cut(request.name.removeprefix("nodes/")), _cut(request.caller)
        if request.take_over or (is_first and not request.read_only):
            given = {"take_over": True} if request.take_over else {}
            await record.end("OK")  # when it typed before
            await record.begin(node, {**given, **({"caller": caller} if caller else {})})
        is_first = False
        yield request


def _described(request: Message) -> tuple[str, dict[str, Any]]:
    """Return the node and the arguments of a request."""
    if isinstance(request, rack_pb2.RunFaultsRequest):
        return "", arguments_on_record(request)
    if isinstance(request, rack_pb2.UpdateFirmwareRequest):
        return "", bundle_on_record(request)
    try:
        given = json_format.MessageToDict(request, preserving_proto_field_name=True)
    except json_format.SerializeToJsonError:  # a time or duration that none is; the call is about to be refused
        return "", {"request": _cut(text_format.MessageToString(request, as_one_line=True))}
    node = _cut(str(given.pop("name", "")).removeprefix("nodes/"))
    enums = {field.name: field.enum_type.name for field in request.DESCRIPTOR.fields if field.enum_type}
    return node, {key: _argument(value, enums.get(key, "")) for key, value in given.items()}


def _argument(value: object, enum: str) -> object:
    """Return a value as it stands in the log; POWER_ACTION_FORCE_OFF of an enum PowerAction as "force-off"."""
    if not isinstance(value, str):
        return value
    prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", enum).upper() + "_"
    return _cut(value.removeprefix(prefix).lower().replace("_", "-") if enum else value)


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT_LIMIT else text[:_TEXT_LIMIT] + "…"


async def list_entries(rack: Rack, request: rack_pb2.ListAuditEntriesRequest) -> rack_pb2.ListAuditEntriesResponse:
    """Return a page of entries, newest first."""
    size = arguments.page_size(request.page_size, _PAGE_DEFAULT)
    before = arguments.number_position(request.page_token, _SCOPE)
    try:
        entries = await asyncio.to_thread(rack.audit.entries, before, size + 1)
    except OSError as error:
        raise AuditUnreadableError(f"the audit log cannot be read: {error.strerror}") from error
    response = rack_pb2.ListAuditEntriesResponse(entries=[entry_message(entry) for entry in entries[:size]])
    if len(entries) > size:
        response.next_page_token = arguments.page_token(_SCOPE, str(entries[size - 1].sequence))
    return response


async def verify(rack: Rack) -> rack_pb2.VerifyAuditResponse:
    """Return what a look at the whole log comes to."""
    try:
        verdict = await asyncio.to_thread(rack.audit.verify)
    except OSError as error:
        raise AuditUnreadableError(f"the audit log cannot be read: {error.strerror}") from error
    return rack_pb2.VerifyAuditResponse(**verdict._asdict())


def entry_message(entry: AuditEntry) -> rack_pb2.AuditEntry:
    """Return an entry as a message."""
    return rack_pb2.AuditEntry(
        sequence=entry.sequence,
        entry_time=convert.timestamp(entry.unix_ms),
        kind=entry.kind,
        asked=entry.asked,
        who=entry.who,
        peer=entry.peer,
        method=entry.method,
        node=entry.node,
        arguments=" ".join(f"{key}={_word(value)}" for key, value in entry.arguments.items()),
        outcome=entry.outcome,
        duration=convert.duration(max(0, entry.duration_ms)),
    )


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
