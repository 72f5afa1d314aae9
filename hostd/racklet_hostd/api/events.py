"""Events."""

from collections.abc import AsyncIterator

from racklet.v1 import rack_pb2
from racklet_hostd.api import arguments, convert
from racklet_hostd.api.nodes import find_node
from racklet_hostd.api.read_mask import mask_of
from racklet_hostd.rack import Rack

_PAGE_DEFAULT = 100
_AT_ONCE = 100
_SEQUENCE_MAX = (1 << 63) - 1  # what SQLite can look up


def list_events(rack: Rack, request: rack_pb2.ListEventsRequest) -> rack_pb2.ListEventsResponse:
    """Return a page of events, newest first."""
    node = find_node(rack, request.node, "node").name if request.node else None
    size = arguments.page_size(request.page_size, _PAGE_DEFAULT)
    scope = f"events of {node or 'all'}"
    events = rack.events.store.list(node, arguments.number_position(request.page_token, scope), size + 1)
    masked = mask_of(request.read_mask, rack_pb2.Event, "sequence")
    response = rack_pb2.ListEventsResponse(events=[masked(convert.event_message(event)) for event in events[:size]])
    if len(events) > size:
        response.next_page_token = arguments.page_token(scope, str(events[size - 1].sequence))
    return response


async def watch_events(rack: Rack, request: rack_pb2.WatchEventsRequest) -> AsyncIterator[rack_pb2.WatchEventsResponse]:
    """Yield events from a sequence number on, then each new one. A reader is a sequence number and nothing else."""
    node = find_node(rack, request.node, "node").name if request.node else None
    masked = mask_of(request.read_mask, rack_pb2.Event, "sequence")
    store = rack.events.store
    sequence = min(request.from_sequence or store.newest_sequence + 1, _SEQUENCE_MAX)
    while True:
        events = store.since(sequence, _AT_ONCE, node)
        for event in events:
            sequence = event.sequence + 1
            yield rack_pb2.WatchEventsResponse(event=masked(convert.event_message(event)))
        if not events:
            await rack.events.grown.wait()
