"""The console."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from racklet.v1 import rack_pb2
from racklet_hostd.api import arguments, convert
from racklet_hostd.api.callers import demand
from racklet_hostd.api.nodes import find_node
from racklet_hostd.api.roles import CONSOLE_WRITE
from racklet_hostd.api.status import BadArgumentError
from racklet_hostd.console import Caller, Console, ConsoleSeat
from racklet_hostd.console_view import ConsoleView
from racklet_hostd.errors import RackletError
from racklet_hostd.model import HatState
from racklet_hostd.node import Node
from racklet_hostd.rack import Rack

FIRST_MESSAGE_TIMEOUT_S = 10  # a caller that says nothing holds a stream for no longer
CALLER_LENGTH = 64  # characters of what a caller says of itself
_FIRST_ONLY = ("name", "read_only", "caller", "caller_id", "from_boot")

Requests = AsyncIterator[rack_pb2.AttachConsoleRequest]
Send = Callable[[rack_pb2.AttachConsoleResponse], Awaitable[None]]


async def attach_console(rack: Rack, requests: Requests, send: Send) -> None:
    """Send what the node's console shows and type what comes, until the caller goes."""
    first = await _first(requests)
    if not first.read_only or first.take_over:
        demand(CONSOLE_WRITE, "typing on a console")
    node = find_node(rack, first.name)
    view = _view(node, first)
    seat = node.console.sit(
        _caller(first),
        rack.clock.unix_ms(),
        writes=not first.read_only,
        take_over=first.take_over,
        input_offset=first.input_offset,
    )
    try:
        async with asyncio.TaskGroup() as tasks:
            typing = tasks.create_task(_type(node.console, seat, first, requests), name="console input")
            await _show(node, seat, view, send)
            typing.cancel()
    except BaseExceptionGroup as group:
        raise _reason(group) from group
    finally:
        node.console.leave(seat)


async def _first(requests: Requests) -> rack_pb2.AttachConsoleRequest:
    try:
        async with asyncio.timeout(FIRST_MESSAGE_TIMEOUT_S):
            return await anext(requests)
    except (StopAsyncIteration, TimeoutError) as error:
        raise BadArgumentError("name", "expected a first message that names the node, found none") from error


def _caller(first: rack_pb2.AttachConsoleRequest) -> Caller:
    if len(first.caller_id) > CALLER_LENGTH:
        raise BadArgumentError(
            "caller_id", f"expected at most {CALLER_LENGTH} characters, found {len(first.caller_id)}"
        )
    return Caller("".join(char for char in first.caller[:CALLER_LENGTH] if char.isprintable()), first.caller_id)


def _view(node: Node, first: rack_pb2.AttachConsoleRequest) -> ConsoleView:
    """Return the view from where the caller was, if it said; else from now on."""
    if not first.from_boot:
        return ConsoleView(node.store)
    name, number = arguments.boot_name(first.from_boot, "from_boot")
    if name != node.name or number is None:
        raise BadArgumentError("from_boot", f"expected a boot of {node.name} by its number, found {first.from_boot}")
    return ConsoleView(node.store, number, first.from_offset)


async def _type(console: Console, seat: ConsoleSeat, first: rack_pb2.AttachConsoleRequest, requests: Requests) -> None:
    await console.type(seat, first.data, _offset(seat, first))
    async for request in requests:
        if any(getattr(request, field) for field in _FIRST_ONLY):
            field = next(field for field in _FIRST_ONLY if getattr(request, field))
            raise BadArgumentError(field, "is for the first message only")
        if request.take_over:
            demand(CONSOLE_WRITE, "taking a console over")
            console.take_over(seat)
        await console.type(seat, request.data, _offset(seat, request))
    console.stop_writing(seat)


def _offset(seat: ConsoleSeat, request: rack_pb2.AttachConsoleRequest) -> int:
    """Return where the data of a request begins in all that the caller typed."""
    if not seat.caller.key:
        return seat.typed_offset
    if request.data and request.input_offset > seat.typed_offset:
        expected = f"expected at most {seat.typed_offset}, the typed_offset"
        raise BadArgumentError("input_offset", f"{expected}, found {request.input_offset}")
    return request.input_offset


async def _show(node: Node, seat: ConsoleSeat, view: ConsoleView, send: Send) -> None:
    if node.hat.state is not HatState.ONLINE:
        seat.tell(f"the HAT is offline: {node.hat.problem}")
    told_offset = seat.typed_offset
    await send(_standing(node.console, seat, is_first=True))
    while not seat.is_gone:
        output = view.next_output()
        if not (output or seat.notices or seat.company_is_news or seat.typed_offset != told_offset):
            await node.console.bell.wait()
        for shown in output:
            await send(convert.console_message(node.name, shown))
        while seat.notices:
            await send(rack_pb2.AttachConsoleResponse(notice=seat.notices.popleft()))
        if seat.company_is_news or seat.typed_offset != told_offset:
            told_offset = seat.typed_offset
            await send(_standing(node.console, seat))


def _standing(console: Console, seat: ConsoleSeat, *, is_first: bool = False) -> rack_pb2.AttachConsoleResponse:
    """Return how far the caller's input is, and who is here if that is news."""
    message = rack_pb2.AttachConsoleResponse(typed_offset=seat.typed_offset, is_resumed=is_first and seat.is_resumed)
    if seat.company_is_news:
        seat.company_is_news = False
        message.seats.extend(
            rack_pb2.ConsoleSeat(
                caller=other.caller.name,
                writes=writes,
                is_you=other is seat,
                sit_time=convert.timestamp(other.since_ms),
            )
            for other, writes in console.seats
        )
    return message


def _reason(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that ended the call: one of hostd's own before what followed from it."""
    own = group.subgroup(RackletError) or group
    first = own.exceptions[0]
    return _reason(first) if isinstance(first, BaseExceptionGroup) else first
