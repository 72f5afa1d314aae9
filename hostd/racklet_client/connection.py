"""The way to hostd. Only this module knows gRPC's channel and errors; here they become a RackError."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, Protocol, TypeAlias, TypeVar

import grpc

from racklet.v1 import rack_pb2, rack_pb2_grpc
from racklet_client.address import Address
from racklet_client.credentials import CREDENTIALS_VARIABLE, Credentials, default_credentials_folder
from racklet_client.details import refusal_of
from racklet_client.errors import LostError, RackError, UnreachableError, refused

_CONNECT_TIMEOUT_S = 5.0  # a network that drops packets looks like a slow one until then
_ANSWER_TIMEOUT_S = 20.0  # for calls that hostd answers from memory or disk
_PROBE_TIMEOUT_S = 2.0
_RETRY_PAUSE_S = 0.3  # also before the first try: a hostd that is going may answer to its last moment
_GOODBYE_S = 0.2  # until what was typed last has arrived; a call that is cancelled takes it along

_OPTIONS = [
    ("grpc.enable_http_proxy", 0),  # a rack is near, never behind the web proxy
    ("grpc.min_reconnect_backoff_ms", int(_CONNECT_TIMEOUT_S * 1_000)),  # in truth, a connection's time limit
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),  # a hostd that starts again is seen within this
]
# What gRPC says when there is no answer. hostd may say the same, and then gives a reason.
_NO_ANSWER = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED})
_GOING = frozenset({"SHUTTING_DOWN", "CONNECTION_ENDED"})  # the reasons of a hostd that will be there again

Request = TypeVar("Request")
Response = TypeVar("Response", covariant=True)  # noqa: PLC0105 - the word of the API
_ConsoleCall: TypeAlias = grpc.aio.StreamStreamCall[rack_pb2.AttachConsoleRequest, rack_pb2.AttachConsoleResponse]


UnaryMethod: TypeAlias = "grpc.aio.UnaryUnaryMultiCallable[Any, Any]"


class _ReadableCall(Protocol[Response]):
    def __aiter__(self) -> AsyncIterator[Response]: ...
    def cancel(self) -> bool: ...


class Connection:
    """An open way to hostd. `stub` holds the API's methods, to be handed to `ask`, `stream` and `follow`.

    A call that fails raises RackError and nothing else; `about` names what was asked for in its sentence.
    """

    def __init__(self, channel: grpc.aio.Channel, address: Address) -> None:
        self.address = address
        self.stub: rack_pb2_grpc.RackAsyncStub = rack_pb2_grpc.RackStub(channel)

    async def ask(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        about: str = "",
        timeout_s: float | None = _ANSWER_TIMEOUT_S,
    ) -> Response:
        """Return the answer; None as `timeout_s` waits as long as hostd takes."""
        try:
            return await method(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise await self._translated(error, about) from error

    async def stream(
        self, method: grpc.aio.UnaryStreamMultiCallable[Request, Response], request: Request, about: str = ""
    ) -> AsyncGenerator[Response, None]:
        """Yield what comes until hostd ends it. Raises LostError when it breaks off."""
        async with aclosing(self._read(method(request), about)) as responses:
            async for response in responses:
                yield response

    async def follow(
        self,
        method: grpc.aio.UnaryStreamMultiCallable[Request, Response],
        next_request: Callable[[], Request],
        about: str = "",
        *,
        on_presence: Callable[[bool], None],
    ) -> AsyncGenerator[Response, None]:
        """Like `stream`, but go on when hostd comes back, with what `next_request` asks for then.

        `on_presence` is told False when hostd is away, and True when it is back.
        """
        while True:
            try:
                async with aclosing(self._read(method(next_request()), about)) as responses:
                    async for response in responses:
                        yield response
            except LostError:
                on_presence(False)  # noqa: FBT003 - the one argument
                await self.until_it_answers()
                on_presence(True)  # noqa: FBT003 - the one argument
            else:
                return

    @asynccontextmanager
    async def console(self, first: rack_pb2.AttachConsoleRequest, about: str) -> AsyncIterator["ConsoleCall"]:
        """Attach to a console until the block ends. A refusal comes from `output`."""
        call = self.stub.AttachConsole()
        console = ConsoleCall(call, self._read(call, about))
        try:
            await console.send(first)
            yield console
        finally:
            await console.output.aclose()

    async def _read(self, call: _ReadableCall[Response], about: str) -> AsyncGenerator[Response, None]:
        try:
            async for response in call:
                yield response
        except grpc.aio.AioRpcError as error:
            raise await self._translated(error, about) from error
        finally:
            call.cancel()

    async def _translated(self, error: grpc.aio.AioRpcError, about: str) -> RackError:
        refusal = refusal_of(error.code().name, error.details() or "", error.trailing_metadata() or ())
        if refusal.reason in _GOING or (not refusal.reason and await self._is_lost(error.code())):
            return LostError(self.address.target)
        if error.code() is grpc.StatusCode.UNIMPLEMENTED:
            message = f"what answers at {self.address.target} does not know this call"
            refusal = replace(refusal, message=message)
        return refused(about, refusal)

    async def _is_lost(self, code: grpc.StatusCode) -> bool:
        """Tell whether a status that hostd gave no reason for, so that it is gRPC's, means that hostd is not there."""
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return not await self._answers()
        return code in _NO_ANSWER

    async def until_it_answers(self) -> None:
        """Wait for a hostd that went away."""
        await asyncio.sleep(_RETRY_PAUSE_S)
        while not await self._answers():  # noqa: ASYNC110 - the event is another process's
            await asyncio.sleep(_RETRY_PAUSE_S)

    async def _answers(self) -> bool:
        """Tell whether hostd is there."""
        try:
            await self.stub.GetRack(rack_pb2.GetRackRequest(), timeout=_PROBE_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            return error.code() not in _NO_ANSWER
        return True


class ConsoleCall:
    """One stream of a console: `output` is what hostd sends."""

    def __init__(self, call: _ConsoleCall, output: AsyncGenerator[rack_pb2.AttachConsoleResponse, None]) -> None:
        self._call = call
        self.output = output
        self.is_left = False

    async def send(self, request: rack_pb2.AttachConsoleRequest) -> None:
        """Send once hostd has room for it. After the end it does nothing: `output` has said why it ended."""
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await self._call.write(request)

    async def say_goodbye(self) -> None:
        """Let what was sent arrive; nothing can be sent after it."""
        self.is_left = True
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError, TimeoutError):
            await self._call.done_writing()
            async with asyncio.timeout(_GOODBYE_S):
                await self._call.code()


@asynccontextmanager
async def open_connection(address: Address | str | None, credentials: Credentials | None) -> AsyncIterator[Connection]:
    """Reach hostd at `address`, such as "unix:PATH" or "HOST:PORT"; without, where `Address.default` says.

    Raises UnreachableError within 5 s when it is not there, ValueError when that is no address, CredentialsError.
    """
    place = Address.parse(address) if isinstance(address, str) else address or Address.default()
    shown = credentials or Credentials.for_address(place)
    async with _channel(place, shown) as channel:
        if not await _is_reached(channel):
            raise UnreachableError(place.target, _why_unreachable(place, shown))
        yield Connection(channel, place)


def _channel(address: Address, credentials: Credentials | None) -> grpc.aio.Channel:
    if credentials is None:
        return grpc.aio.insecure_channel(address.target, options=_OPTIONS)
    return grpc.aio.secure_channel(address.target, credentials.for_channel(), options=_OPTIONS)


def _why_unreachable(address: Address, credentials: Credentials | None) -> str:
    """Say what may be wrong. gRPC tells no more of a handshake that fails than of a hostd that is not there."""
    if credentials is not None:
        return (
            f"{address.explain()}, or one of the two does not take the other's certificate ({credentials.certificate})"
        )
    if address.is_loopback and default_credentials_folder().exists():
        return f"{address.explain()}, or it takes TLS: name your certificate with {CREDENTIALS_VARIABLE}"
    return address.explain()


async def _is_reached(channel: grpc.aio.Channel) -> bool:
    state = channel.get_state(try_to_connect=True)
    with suppress(TimeoutError):
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            while state not in {grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.TRANSIENT_FAILURE}:
                await channel.wait_for_state_change(state)
                state = channel.get_state()
    return state is grpc.ChannelConnectivity.READY
