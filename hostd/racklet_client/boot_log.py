"""Reading a boot log over as many streams as it takes."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from racklet.v1 import rack_pb2
from racklet_client.connection import Connection
from racklet_client.names import short_name


@dataclass(slots=True)
class _Place:
    """How far a log was read: `request` asks for what follows."""

    request: rack_pb2.ReadBootLogRequest
    told: set[str] = field(default_factory=set)  # what takes no bytes and was told of where `request` begins

    def is_news(self, piece: rack_pb2.ReadBootLogResponse) -> bool:
        """Move on behind a piece. False when it says again, after a break, what it said before."""
        length = len(piece.data) or piece.gap.lost_bytes
        kind = str(piece.WhichOneof("piece"))
        if (piece.boot, piece.offset) != (self.request.name, self.request.offset):
            self.told.clear()
        is_news = bool(length) or kind not in self.told
        self.told = set() if length else {*self.told, kind}
        self.request.ClearField("start_time")
        self.request.name, self.request.offset = piece.boot, piece.offset + length
        return is_news


async def boot_log_pieces(
    connection: Connection, request: rack_pb2.ReadBootLogRequest, on_presence: Callable[[bool], None]
) -> AsyncGenerator[rack_pb2.ReadBootLogResponse, None]:
    """Yield the pieces that `request` asks for; one that follows goes on when hostd comes back, where it was."""
    place = _Place(request)
    about = short_name(request.name.partition("/boots/")[0])
    method = connection.stub.ReadBootLog
    if request.follow:
        coming = connection.follow(method, lambda: place.request, about, on_presence=on_presence)
    else:
        coming = connection.stream(method, request, about)
    async with aclosing(coming) as pieces:
        async for piece in pieces:
            if place.is_news(piece):
                yield piece
