"""The console."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from racklet.v1 import rack_pb2
from racklet_hostd.api.nodes import find_node
from racklet_hostd.api.status import BadArgumentError
from racklet_hostd.console import Console, ConsoleSeat, ConsoleView
from racklet_hostd.errors import RackletError
from racklet_hostd.node import Node
from racklet_hostd.rack import Rack

FIRST_MESSAGE_TIMEOUT_S = 10  # a caller that says nothing holds a stream for no longer

Requests = AsyncIterator[rack_pb2.AttachConsoleRequest]
Send = Callable[[rack_pb2.AttachConsoleResponse], Awaitable[None]]


async def attach_console(rack: Rack, requests: Requests, send: Send) -> None:
    """Send what the node's console shows and type what comes, until the caller goes."""
    first = await _first(requests)
    node = find_node(rack, first.name)
    seat = node.console.sit(writes=not first.read_only, take_over=first.take_over)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_type(node.console, seat, first, requests), name="console input")
            await _show(node, seat, send)
    except BaseExceptionGroup as group:
        raise _reason(group) from group
    finally:
        node.console.leave(seat)


async def _first(requests: Requests) -> rack_pb2.AttachConsoleRequest:
    try:
        async with asyncio.timeout(FIRST_MESSAGE_TIMEOUT_S):
            return await anext(requests)
    except (StopAsyncIteration, TimeoutError) as error:
        raise BadArgumentError("name: expected a first message that names the node, found none") from error


async def _type(console: Console, seat: ConsoleSeat, first: rack_pb2.AttachConsoleRequest, requests: Requests) -> None:
    await console.type(seat, first.data)
    async for request in requests:
        if request.name or request.take_over or request.read_only:
            raise BadArgumentError("name, take_over and read_only are for the first message only")
        await console.type(seat, request.data)
    console.stop_writing(seat)


async def _show(node: Node, seat: ConsoleSeat, send: Send) -> None:
    view = ConsoleView(node.store)
    if node.hat.problem:
        seat.tell(f"the HAT is offline: {node.hat.problem}")
    while True:
        output = view.next_output()
        if not output and not seat.notices:
            await node.console.bell.wait()
        for shown in output:
            message = rack_pb2.AttachConsoleResponse(data=shown.data, lost_bytes=shown.lost_bytes, notice=shown.notice)
            await send(message)
        while seat.notices:
            await send(rack_pb2.AttachConsoleResponse(notice=seat.notices.popleft()))


def _reason(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that ended the call: one of hostd's own before what followed from it."""
    own = group.subgroup(RackletError) or group
    first = own.exceptions[0]
    return _reason(first) if isinstance(first, BaseExceptionGroup) else first
