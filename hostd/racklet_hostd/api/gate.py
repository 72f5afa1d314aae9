"""Lets each call through or refuses it, by who calls, what role the method takes, and what is open already."""

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from racklet_hostd.api import callers
from racklet_hostd.api.methods import CarryOut, Context, Handler, form_of
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


class Gate:
    """Stands before every handler. Of a method without a row in the table of roles nobody gets through."""

    def __init__(self, door: Door, clients: Clients, clock: Clock, refused: RefusedCalls) -> None:
        self._door = door
        self._limits = clients.limits
        self._clock = clock
        self._refused = refused

    def guard(self, method: str, handler: Handler) -> Handler:
        """Return the handler with the gate before it. An error of hostd that it raises is what the call ends with.

        A response that is bytes is sent as it is.
        """
        form = form_of(handler)
        carry_out = getattr(handler, form)
        if handler.response_streaming and not inspect.iscoroutinefunction(carry_out):
            carry_out = _sending_each(carry_out)
        guarded = self._guarded(method, carry_out, _decoder(method, handler))
        return getattr(grpc, f"{form}_rpc_method_handler")(guarded, None, _encoder(handler))

    def _guarded(self, method: str, carry_out: CarryOut, decode: Callable[[Any], Any]) -> CarryOut:
        name, row = short_name(method), METHODS.get(method)

        async def guarded(raw: Any, context: Context) -> Any:  # noqa: ANN401  grpc's types know no aio
            try:
                client = self._admit(name, row, context).client
                request = decode(raw)
            except RackletError as error:
                return await refuse(context, error)
            client.calls += 1
            try:
                return await carry_out(request, context)
            except NotImplementedError:  # of a library's service
                return await refuse(context, NotServedError(f"{name} is not served here"))
            except RackletError as error:
                return await refuse(context, error)
            finally:
                client.calls -= 1

        return guarded

    def _admit(self, name: str, row: Row | None, context: Context) -> Visitor:
        """Return whose call it is. Raises the error that it is refused with."""
        visitor = self._door.visitor(context.peer())
        if visitor is None:
            raise ConnectionEndedError("the connection has ended")
        callers.begin_call(visitor.identity)
        if error := self._objection(name, row, visitor):
            self._refused.tell(visitor.identity.caller, name, error)
            raise error
        return visitor

    def _objection(self, name: str, row: Row | None, visitor: Visitor) -> RackletError | None:
        identity = visitor.identity
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


def _sending_each(generate: Callable[[Any, Context], AsyncGenerator[Any, None]]) -> CarryOut:
    """Return what sends all that a generator yields, and closes it, however the call ends."""

    async def send_each(request: Any, context: Context) -> None:  # noqa: ANN401  likewise
        async with aclosing(generate(request, context)) as responses:
            async for response in responses:
                await context.write(response)

    return send_each


def _decoder(method: str, handler: Handler) -> Callable[[Any], Any]:
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


def _encoder(handler: Handler) -> Callable[[Any], bytes]:
    """Return what makes bytes of messages; what is encoded already stays as it is."""
    serialize = handler.response_serializer

    def encode(response: Any) -> bytes:  # noqa: ANN401  likewise
        encoded: bytes = response if isinstance(response, bytes) else serialize(response)
        return encoded

    return encode
