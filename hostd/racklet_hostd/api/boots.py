"""Boots and their logs."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import zip_longest

from racklet.v1 import rack_pb2
from racklet_hostd.api import arguments, convert
from racklet_hostd.api.nodes import find_node
from racklet_hostd.api.status import BeyondEndError, NoBootYetError
from racklet_hostd.node import Node
from racklet_hostd.rack import Rack
from racklet_hostd.store import BootLog, Chunk, Piece

MESSAGE_BYTES = 32 << 10
READ_BYTES = 64 << 10  # at a time, of what is on disk
LIVE_BYTES = 32 << 10  # what is nearer to the end is in memory or just written: no need to ask a thread for it
SAME_TIME_MS = 50  # the bytes of one message came within so long
CHUNK_MS = 45  # those of one chunk do: the HAT gathers for 40 ms, and looks every 5 ms
_PAGE_DEFAULT = 50
_BOOTS_AT_ONCE = 100


def list_boots(rack: Rack, request: rack_pb2.ListBootsRequest) -> rack_pb2.ListBootsResponse:
    """Return a page of boots, newest first."""
    node = find_node(rack, request.parent, "parent")
    size = arguments.page_size(request.page_size, _PAGE_DEFAULT)
    scope = f"boots of {node.name}"
    boots = node.store.boots(arguments.number_position(request.page_token, scope), size + 1)
    response = rack_pb2.ListBootsResponse(boots=[convert.boot_message(node.name, boot) for boot in boots[:size]])
    if len(boots) > size:
        response.next_page_token = arguments.page_token(scope, str(boots[size - 1].number))
    return response


async def read_boot_log(
    rack: Rack, request: rack_pb2.ReadBootLogRequest
) -> AsyncIterator[rack_pb2.ReadBootLogResponse]:
    """Yield the pieces of a log from an offset or a time on, and with `follow` what comes until the boot ends.

    A reader is an offset and at most READ_BYTES, however slow it is.
    """
    name, number = arguments.boot_name(request.name)
    node = rack.node(name)
    log, offset = await _beginning(node, number, request)
    while True:
        async for piece in _pieces(node, log, offset, follow=request.follow):
            for message in convert.piece_messages(convert.boot_resource(name, log.number), piece):
                yield message
        following = boot_after(node, log.number) if request.following_boots else None
        if following is None:
            return
        log, offset = following, 0


async def _beginning(node: Node, number: int | None, request: rack_pb2.ReadBootLogRequest) -> tuple[BootLog, int]:
    """Return the boot log and the offset to begin at."""
    from_ms = arguments.start_ms(request)
    log = await find_log(node, number, waits=request.follow and request.following_boots)
    if from_ms is not None:
        if number is None or request.following_boots:
            then = node.store.boot_at(from_ms)
            log = then if then is not None and (number is None or then.number > number) else log
        return log, await asyncio.to_thread(log.offset_at, from_ms)
    if request.offset > log.end and not request.follow:
        raise BeyondEndError(node.name, log.number, log.end, request.offset)
    return log, request.offset


async def find_log(node: Node, number: int | None, *, waits: bool) -> BootLog:
    """Return the log of a boot; with `waits`, also of one that is still to come, or to come again from the HAT."""
    while waits and _is_ahead(node, number):
        await node.console.bell.wait()
    if number is not None:
        return node.store.boot_log(number)
    newest = node.store.newest
    if newest is None:
        raise NoBootYetError(node.name)
    return newest


def _is_ahead(node: Node, number: int | None) -> bool:
    newest = node.store.newest
    return newest is None or (number is not None and number > newest.number)


async def _pieces(node: Node, log: BootLog, offset: int, *, follow: bool) -> AsyncIterator[Piece]:
    while True:
        # Asked before reading, so that what a boot got before the next one began is not missed.
        has_ended = node.store.newest is not None and node.store.newest.number != log.number
        pieces = await _read(log, offset) if offset <= log.end else []
        for piece in _merged(pieces):
            yield piece
        if pieces:
            offset = pieces[-1].end
        elif has_ended or not follow:
            return
        elif log.end <= offset:
            await node.console.bell.wait()


async def _read(log: BootLog, offset: int) -> list[Piece]:
    if log.end - offset <= LIVE_BYTES:
        return log.read(offset, LIVE_BYTES)
    return await asyncio.to_thread(log.read, offset, READ_BYTES)


def _merged(pieces: list[Piece]) -> Iterator[Piece]:
    """Yield the pieces, with chunks whose bytes all came within SAME_TIME_MS as one, of at most MESSAGE_BYTES."""
    held: list[Chunk] = []
    for piece, following in zip_longest(pieces, pieces[1:]):
        if held and not _belongs(piece, following, held[0]):
            yield _joined(held)
            held = []
        if isinstance(piece, Chunk):
            held.append(piece)
        else:
            yield piece
    if held:
        yield _joined(held)


def _belongs(piece: Piece, following: Piece | None, first: Chunk) -> bool:
    """Tell whether the last byte of `piece`, which came before the `following` one, is near enough to the first."""
    if not isinstance(piece, Chunk) or piece.damage is not None or piece.end - first.offset > MESSAGE_BYTES:
        return False
    last_ms = piece.at_ms + CHUNK_MS
    if following is not None and following.at_ms >= piece.at_ms:
        last_ms = min(last_ms, following.at_ms)
    return first.at_ms <= piece.at_ms and last_ms - first.at_ms <= SAME_TIME_MS


def _joined(chunks: list[Chunk]) -> Chunk:
    return chunks[0]._replace(data=b"".join(chunk.data for chunk in chunks))


def boot_after(node: Node, number: int) -> BootLog | None:
    """Return the oldest boot that is newer than `number`; they are few, since a reader follows."""
    found: int | None = None
    before: int | None = None
    while True:
        boots = node.store.boots(before, _BOOTS_AT_ONCE)
        newer = [boot.number for boot in boots if boot.number > number]
        if newer:
            found = before = newer[-1]
        if len(newer) < _BOOTS_AT_ONCE:
            return None if found is None else node.store.boot_log(found)
