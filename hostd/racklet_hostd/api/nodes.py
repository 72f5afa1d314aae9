"""The rack and its nodes: listing, watching, power, identify."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from racklet.link.v1 import link_pb2
from racklet.v1 import rack_pb2
from racklet_hostd.api import arguments, convert
from racklet_hostd.api.encoded_nodes import EncodedNodes, changed
from racklet_hostd.api.read_mask import mask_of
from racklet_hostd.api.request_ids import OnceRequest
from racklet_hostd.api.status import BadArgumentError
from racklet_hostd.caller import Caller
from racklet_hostd.hat_self_test import Outcome, self_test
from racklet_hostd.hat_session import Answer
from racklet_hostd.node import Node
from racklet_hostd.power import Transaction, judged
from racklet_hostd.rack import Rack, name_order
from racklet_hostd.refusals import PowerFailedError, RefusedError

_PAGE_DEFAULT = 100
_WATCHED_LIMIT = 1000  # names in one request
_OUTCOMES = {
    Outcome.PASSED: rack_pb2.HAT_CHECK_OUTCOME_PASSED,
    Outcome.FAILED: rack_pb2.HAT_CHECK_OUTCOME_FAILED,
    Outcome.LOOK: rack_pb2.HAT_CHECK_OUTCOME_LOOK,
}


def list_nodes(rack: Rack, request: rack_pb2.ListNodesRequest) -> rack_pb2.ListNodesResponse:
    """Return a page of nodes, by name."""
    size = arguments.page_size(request.page_size, _PAGE_DEFAULT)
    after = arguments.name_position(request.page_token, "nodes")
    rest = [node for node in rack.nodes if not after or name_order(node.name) > name_order(after)]
    masked = mask_of(request.read_mask, rack_pb2.Node, "name")
    response = rack_pb2.ListNodesResponse(nodes=[masked(convert.node_message(node)) for node in rest[:size]])
    if len(rest) > size:
        response.next_page_token = arguments.page_token("nodes", rest[size - 1].name)
    return response


def get_node(rack: Rack, request: rack_pb2.GetNodeRequest, encoded: EncodedNodes) -> rack_pb2.GetNodeResponse | bytes:
    """Return a node as it is now; without a mask encoded already."""
    node = find_node(rack, request.name)
    if not request.read_mask.paths:
        return encoded.node(node)
    masked = mask_of(request.read_mask, rack_pb2.Node, "name")
    return rack_pb2.GetNodeResponse(node=masked(convert.node_message(node)))


def find_node(rack: Rack, resource: str, field: str = "name") -> Node:
    """Return the node of a resource name. Raises BadArgumentError, UnknownNodeError."""
    return rack.node(arguments.node_name(resource, field))


async def watch_nodes(
    rack: Rack, request: rack_pb2.WatchNodesRequest, encoded: EncodedNodes
) -> AsyncIterator[rack_pb2.WatchNodesResponse | bytes]:
    """Yield all nodes, then those that changed. What changes while nobody takes a message goes into the next one.

    Without a mask a response is encoded already.
    """
    if len(request.names) > _WATCHED_LIMIT:
        raise BadArgumentError("names", f"expected at most {_WATCHED_LIMIT}, found {len(request.names)}")
    wanted = {find_node(rack, name, "names").name for name in request.names}
    nodes = tuple(node for node in rack.nodes if not wanted or node.name in wanted)
    interval_ms = arguments.min_interval_ms(request)
    masked = mask_of(request.read_mask, rack_pb2.Node, "name")
    news = _MaskedNews() if request.read_mask.paths else None
    seen = 0  # before the first change of all
    while True:
        now = rack.changes.revision
        if news is None:
            yield encoded.changes(nodes, seen, now)
        elif (messages := news.of([masked(convert.node_message(each)) for each in changed(nodes, seen)])) or not nodes:
            yield rack_pb2.WatchNodesResponse(nodes=messages)
        seen = now
        await rack.moments.pause(interval_ms)
        while not any(node.revision > seen for node in nodes):
            await rack.changes.bell.wait()


class _MaskedNews:
    """What was sent last of each node, to tell whether what a mask leaves of it has changed."""

    def __init__(self) -> None:
        self._sent: dict[str, bytes] = {}

    def of(self, messages: Sequence[rack_pb2.Node]) -> list[rack_pb2.Node]:
        """Return those that are not as they were sent last."""
        raw = {node.name: node.SerializeToString(deterministic=True) for node in messages}
        changed = [node for node in messages if self._sent.get(node.name) != raw[node.name]]
        self._sent |= raw
        return changed


async def set_power(
    rack: Rack, request: rack_pb2.SetPowerRequest, caller: Caller, once: OnceRequest
) -> rack_pb2.SetPowerResponse:
    """Move a supply; return what was measured."""
    node = find_node(rack, request.name)
    wish = arguments.power_wish(request)

    def settle(outcome: asyncio.Future[Answer]) -> None:
        try:
            once.settle(convert.power_message(judged(node.name, wish, outcome.result())))
        except RefusedError as error:
            once.settle(error)

    def on_sent(transaction: Transaction) -> None:
        once.begin()
        transaction.outcome.add_done_callback(settle)

    return convert.power_message(await node.set_power(wish, caller, on_sent))


async def identify_node(rack: Rack, request: rack_pb2.IdentifyNodeRequest) -> rack_pb2.IdentifyNodeResponse:
    """Blink the LED of a HAT."""
    node = find_node(rack, request.name)
    reply = await node.identify(arguments.identify_ms(request))
    if reply.result != link_pb2.RESULT_DONE:
        raise PowerFailedError(node.name, reply, f"the firmware of {node.name}'s HAT does not take identify")
    return rack_pb2.IdentifyNodeResponse()


async def self_test_hat(
    rack: Rack, request: rack_pb2.SelfTestHatRequest, caller: Caller
) -> rack_pb2.SelfTestHatResponse:
    """Test the HAT of a node."""
    checks = await self_test(find_node(rack, request.name), caller, interrupt=request.interrupt_node)
    return rack_pb2.SelfTestHatResponse(
        checks=[
            rack_pb2.HatCheck(
                name=check.name, outcome=_OUTCOMES[check.outcome], measured=check.measured, expected=check.expected
            )
            for check in checks
        ]
    )
