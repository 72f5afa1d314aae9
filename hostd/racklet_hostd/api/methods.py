"""The methods of all services, by their paths."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import grpc

Context = grpc.aio.ServicerContext[Any, Any]
Handler = Any  # a grpc.RpcMethodHandler; grpc's types know no aio
CarryOut = Callable[[Any, Context], Awaitable[Any]]


class Methods(grpc.GenericRpcHandler):
    """Takes the methods that generated code adds to a server, and finds the one that is called.

    gRPC is not told of each: a grpc.aio server waits for calls of every method it knows with a task of its own, and
    goes over all these tasks at each call. `wrap` is given the path and the handler of a method, and returns the
    handler to use.
    """

    def __init__(self, wrap: Callable[[str, Handler], Handler]) -> None:
        self._wrap = wrap
        self._handlers: dict[str, Handler] = {}

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        """Take the methods of a service."""
        for name, handler in handlers.items():
            path = f"/{service}/{name}"
            self._handlers[path] = self._wrap(path, handler)

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Take nothing: they find the same methods once more."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler:
        """Return the handler of the method that is called; None when there is none."""
        return self._handlers.get(handler_call_details.method)


def form_of(handler: Handler) -> str:
    """Return the name of the attribute of a handler that is what carries it out, such as "unary_stream"."""
    request = "stream" if handler.request_streaming else "unary"
    response = "stream" if handler.response_streaming else "unary"
    return f"{request}_{response}"
