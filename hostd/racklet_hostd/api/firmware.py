"""Updates of HATs' firmware, for callers."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Final

from racklet.v1 import rack_pb2
from racklet_bundle.bundle import Bundle
from racklet_bundle.errors import BundleError
from racklet_hostd.api import convert, nodes
from racklet_hostd.api.status import BadArgumentError
from racklet_hostd.caller import Caller
from racklet_hostd.firmware_rollout import Stage, Standing
from racklet_hostd.rack import Rack

Send = Callable[[rack_pb2.UpdateFirmwareResponse], Awaitable[None]]

_STAGES: Final = {
    Stage.SENDING: rack_pb2.UPDATE_STAGE_SENDING,
    Stage.WAITING: rack_pb2.UPDATE_STAGE_WAITING,
    Stage.CHECKING: rack_pb2.UPDATE_STAGE_CHECKING,
    Stage.STARTING: rack_pb2.UPDATE_STAGE_STARTING,
    Stage.PROBATION: rack_pb2.UPDATE_STAGE_PROBATION,
    Stage.DONE: rack_pb2.UPDATE_STAGE_DONE,
    Stage.CURRENT: rack_pb2.UPDATE_STAGE_CURRENT,
    Stage.FAILED: rack_pb2.UPDATE_STAGE_FAILED,
    Stage.LEFT: rack_pb2.UPDATE_STAGE_LEFT,
}


async def update_firmware(rack: Rack, request: rack_pb2.UpdateFirmwareRequest, caller: Caller, send: Send) -> None:
    """Send how it goes until all HATs are updated. Raises BadArgumentError, UnknownNodeError and as `Rollout.run`."""
    try:
        bundle = Bundle.decode(request.bundle)
    except BundleError as error:
        raise BadArgumentError("bundle", str(error)) from error
    if not bundle.signature:
        raise BadArgumentError("bundle", "it is not signed; `racklet firmware sign` does that")
    chosen = [nodes.find_node(rack, name, "names") for name in dict.fromkeys(request.names)] or rack.nodes

    async def tell(standing: Standing) -> None:
        await send(
            rack_pb2.UpdateFirmwareResponse(
                name=convert.node_resource(standing.node),
                stage=_STAGES[standing.stage],
                done_bytes=standing.done_bytes,
                total_bytes=standing.total_bytes,
                message=standing.message,
            )
        )

    await rack.firmware.run(chosen, bundle, caller, tell)


def bundle_on_record(request: rack_pb2.UpdateFirmwareRequest) -> dict[str, object]:
    """Return what the audit log tells of a request: the bundle by its hash, which `sha256sum` gives of its file."""
    names = " ".join(name.removeprefix("nodes/")[:100] for name in request.names[:20])
    return {"nodes": names or "all", "sha256": hashlib.sha256(request.bundle).hexdigest()}
