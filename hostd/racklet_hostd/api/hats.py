"""The HATs: listing, adopting, forgetting, blinking."""

from racklet.v1 import rack_pb2
from racklet_hostd.api import arguments, convert
from racklet_hostd.api.status import BadArgumentError
from racklet_hostd.caller import Caller
from racklet_hostd.rack import Rack

_PAGE_DEFAULT = 100
_SCOPE = "hats"


def list_hats(rack: Rack, request: rack_pb2.ListHatsRequest) -> rack_pb2.ListHatsResponse:
    """Return a page of HATs, by id. HATs of one id stay together."""
    size = arguments.page_size(request.page_size, _PAGE_DEFAULT)
    position = arguments.page_position(request.page_token, _SCOPE)
    rest = [seen for seen in rack.hats.seen() if seen.hat_id > position]
    page = rest[:size]
    while len(page) < len(rest) and rest[len(page)].hat_id == page[-1].hat_id:
        page.append(rest[len(page)])
    response = rack_pb2.ListHatsResponse(hats=[convert.hat_message(seen) for seen in page])
    if len(rest) > len(page):
        response.next_page_token = arguments.page_token(_SCOPE, page[-1].hat_id)
    return response


def get_hat(rack: Rack, request: rack_pb2.GetHatRequest) -> rack_pb2.GetHatResponse:
    """Return one HAT."""
    return rack_pb2.GetHatResponse(hat=convert.hat_message(rack.hats.find(arguments.hat_id(request.name))))


async def adopt_hat(rack: Rack, request: rack_pb2.AdoptHatRequest, caller: Caller) -> rack_pb2.AdoptHatResponse:
    """Let a HAT be that of a node."""
    hat_id = arguments.hat_id(request.name)
    if not request.node:
        raise BadArgumentError("node", "expected nodes/NAME: the node whose HAT it shall be")
    node = rack.node(arguments.node_name(request.node, "node"))
    seen = await rack.hats.adopt(hat_id, node.name, caller.who, replaces=request.replace)
    return rack_pb2.AdoptHatResponse(hat=convert.hat_message(seen))


async def forget_hat(rack: Rack, request: rack_pb2.ForgetHatRequest, caller: Caller) -> rack_pb2.ForgetHatResponse:
    """Know a HAT no more."""
    forgotten = await rack.hats.forget(arguments.hat_id(request.name), caller.who)
    return rack_pb2.ForgetHatResponse(key_forgotten=forgotten)


async def identify_hat(rack: Rack, request: rack_pb2.IdentifyHatRequest) -> rack_pb2.IdentifyHatResponse:
    """Blink the LED of a HAT."""
    await rack.hats.identify(arguments.hat_id(request.name), arguments.identify_ms(request))
    return rack_pb2.IdentifyHatResponse()
