"""Lets each call through or refuses it, by who calls, what role the method takes, and what is open already."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError

from racklet_hostd.api import callers
from racklet_hostd.api.refused import RefusedCalls
from racklet_hostd.api.roles import METHODS, Row, short_name
from racklet_hostd.api.status import (
    BadArgumentError,
    ConnectionEndedError,
    NotAllowedError,
    NotAuthenticatedError,
    NotServedError,
    TooManyCallsError,
    refuse,
)
from racklet_hostd.clock import Clock
from racklet_hostd.door.clients import Clients
from racklet_hostd.door.door import Door, Visitor
from racklet_hostd.errors import RackletError

Context = grpc.aio.ServicerContext[Any, Any]
_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"
_Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[_Handler]]


class Gate(grpc.aio.ServerInterceptor):
    """Stands before every handler. Of a method without a row in the table of roles nobody gets through."""

    def __init__(self, door: Door, clients: Clients, clock: Clock, refused: RefusedCalls) -> None:
        self._door = door
        self._limits = clients.limits
        self._clock = clock
        self._refused = refused
        self._guarded: dict[str, tuple[_Handler, _Handler]] = {}  # as many as there are methods

    async def intercept_service(
        self, continuation: _Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> _Handler:
        """Return the handler with the gate before it."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method
        known, guarded = self._guarded.get(method, (None, None))
        if known is not handler:
            guarded = self._guard(method, handler)
            self._guarded[method] = (handler, guarded)
        return guarded

    def _guard(self, method: str, handler: Any) -> _Handler:  # noqa: ANN401  grpc's types know no aio
        form = ("unary_" if not handler.request_streaming else "stream_") + (
            "stream" if handler.response_streaming else "unary"
        )
        carry_out = getattr(handler, form)
        guard = self._guard_generator if inspect.isasyncgenfunction(carry_out) else self._guard_coroutine
        make = getattr(grpc, f"{form}_rpc_method_handler")
        decode = _decoder(method, handler)
        guarded: _Handler = make(guard(method, carry_out, decode), None, _encoder(handler))
        return guarded

    def _guard_coroutine(self, method: str, carry_out: Any, decode: Any) -> Any:  # noqa: ANN401  likewise
        async def guarded(raw: Any, context: Context) -> Any:  # noqa: ANN401  likewise
            try:
                client = self._admit(method, context).client
                request = decode(raw)
            except RackletError as error:
                return await refuse(context, error)
            client.calls += 1
            try:
                return await carry_out(request, context)
            except NotImplementedError:  # of a library's service
                return await refuse(context, NotServedError(f"{short_name(method)} is not served here"))
            except RackletError as error:  # of a stream of requests
                return await refuse(context, error)
            finally:
                client.calls -= 1

        return guarded

    def _guard_generator(self, method: str, carry_out: Any, decode: Any) -> Any:  # noqa: ANN401  likewise
        async def guarded(raw: Any, context: Context) -> AsyncIterator[Any]:  # noqa: ANN401  likewise
            try:
                client = self._admit(method, context).client
                request = decode(raw)
            except RackletError as error:
                await refuse(context, error)
                return
            client.calls += 1
            try:
                async with aclosing(carry_out(request, context)) as responses:
                    async for response in responses:
                        yield response
            except RackletError as error:  # likewise
                await refuse(context, error)
            finally:
                client.calls -= 1

        return guarded

    def _admit(self, method: str, context: Context) -> Visitor:
        """Return whose call it is. Raises the error that it is refused with."""
        visitor = self._door.visitor(context.peer())
        if visitor is None:
            raise ConnectionEndedError("the connection has ended")
        callers.begin_call(visitor.identity)
        if error := self._objection(method, visitor):
            self._refused.tell(visitor.identity.caller, short_name(method), error)
            raise error
        return visitor

    def _objection(self, method: str, visitor: Visitor) -> RackletError | None:
        identity, row, name = visitor.identity, METHODS.get(method), short_name(method)
        if not identity.is_known:
            return NotAuthenticatedError(identity.why_not)
        if identity.role is None:
            return NotAllowedError(identity.why_not)
        if row is None:
            return NotAllowedError(f"{name} is in no table of roles, so nobody may call it")
        if identity.role < row.role:
            return NotAllowedError(callers.not_allowed(name, row.role, identity.role))
        return self._too_much(visitor, row)

    def _too_much(self, visitor: Visitor, row: Row) -> RackletError | None:
        who, client, limits = visitor.identity.caller.who, visitor.client, self._limits
        if visitor.is_too_many:
            return TooManyCallsError(f"{who} has more than {limits.connections} connections open; close some")
        if client.calls >= limits.calls:
            return TooManyCallsError(f"{who} has {limits.calls} calls open; end some")
        if row.changes and not client.changes.take(self._clock.monotonic_ms()):
            rate = f"more than {limits.changes_per_second} changes a second"
            return TooManyCallsError(f"{who} asks for {rate}; wait {client.changes.wait_ms} ms")
        return None


def _decoder(method: str, handler: Any) -> Any:  # noqa: ANN401  likewise
    """Return what makes messages of bytes, behind the gate: what strangers send is not even decoded."""
    parse = handler.request_deserializer

    def decode(raw: bytes) -> Any:  # noqa: ANN401  likewise
        try:
            return parse(raw)
        except DecodeError as error:
            raise BadArgumentError(
                "request", f"expected a message of {short_name(method)}, found other bytes"
            ) from error

    async def decode_each(raws: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        async for raw in raws:
            yield decode(raw)

    return decode_each if handler.request_streaming else decode


def _encoder(handler: Any) -> Any:  # noqa: ANN401  likewise
    """Return what makes bytes of messages; what is encoded already stays as it is."""
    serialize = handler.response_serializer

    def encode(response: Any) -> bytes:  # noqa: ANN401  likewise
        encoded: bytes = response if isinstance(response, bytes) else serialize(response)
        return encoded

    return encode
