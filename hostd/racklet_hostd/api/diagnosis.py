"""The boot doctor, for callers."""

import asyncio
from itertools import pairwise

from racklet.v1 import rack_pb2
from racklet_hostd.api import arguments, convert
from racklet_hostd.api.boots import boot_after, find_log
from racklet_hostd.api.nodes import find_node
from racklet_hostd.api.status import BadArgumentError
from racklet_hostd.boot_watch import LogDiagnosis
from racklet_hostd.hat_events import tells_of_leaving_on
from racklet_hostd.model import HatState, SupplyState
from racklet_hostd.node import Node
from racklet_hostd.rack import Rack
from racklet_hostd.store import BEFORE_LOG, BootCause, BootLog

MOST_BYTES = 4 << 20  # of a log; about half a second
_EVENTS_LOOKED_AT = 1000


async def diagnose_node(rack: Rack, request: rack_pb2.DiagnoseNodeRequest) -> rack_pb2.DiagnoseNodeResponse:
    """Return what the log of a boot tells. It is read again for each call, in a thread of its own."""
    node = find_node(rack, request.name)
    owner, number = arguments.boot_name(request.boot, "boot") if request.boot else (node.name, None)
    if owner != node.name:
        raise BadArgumentError("boot", f"expected a boot of {node.name}, found one of {owner}")
    log = await find_log(node, number, waits=False)
    is_live = log is node.store.newest and node.supply_state is SupplyState.ON and node.hat.state is HatState.ONLINE
    read = LogDiagnosis(log, rack.signatures)
    await asyncio.to_thread(read.catch_up, MOST_BYTES)
    end_ms = rack.clock.unix_ms() if is_live else _end_ms(rack, node, log)
    read.diagnosis.listen(end_ms, node.hat.state_ms if is_live else 0)
    read.diagnosis.break_off(end_ms)
    return _message(rack, node, read, end_ms)


def _end_ms(rack: Rack, node: Node, log: BootLog) -> int:
    """Return until when the node was on and could have said more in this boot, as far as it is known."""
    following = boot_after(node, log.number)
    latest_ms = rack.clock.unix_ms() if following is None else following.start_ms
    for event in reversed(rack.events.store.list(node.name, None, _EVENTS_LOOKED_AT)):
        if log.last_byte_ms <= event.at_ms <= latest_ms and tells_of_leaving_on(event.kind, event.message):
            return event.at_ms
    was_reset = following is not None and following.cause is not BootCause.SUPPLY_ON
    return max(latest_ms, log.last_byte_ms) if was_reset else log.last_byte_ms


def _end_uj(rack: Rack, node: Node, log: BootLog) -> int | None:
    """Return where the node's energy counter stood when the boot ended, or stands now; None when that is not known."""
    if log is node.store.newest:
        is_known = node.hat.state is HatState.ONLINE
        return node.log.watch.newest_energy_uj if is_known else None
    return rack.energy_marks.of_boot(node.name, log.number + 1).get(BEFORE_LOG)


def _message(rack: Rack, node: Node, read: LogDiagnosis, end_ms: int) -> rack_pb2.DiagnoseNodeResponse:
    phases = read.diagnosis.phases
    ends_ms = [*(phase.start_ms for phase in phases[1:]), end_ms]
    marks = rack.energy_marks.of_boot(node.name, read.log.number)
    stands_uj = [*(marks.get(phase.offset) for phase in phases), _end_uj(rack, node, read.log)]
    return rack_pb2.DiagnoseNodeResponse(
        boot=convert.boot_resource(node.name, read.log.number),
        phases=[
            rack_pb2.BootPhase(
                phase=start.phase,
                offset=start.offset,
                start_time=convert.timestamp(start.start_ms),
                duration=convert.duration(max(0, phase_end_ms - start.start_ms)),
                energy_uj=_grown_uj(*pair_uj),
            )
            for start, phase_end_ms, pair_uj in zip(phases, ends_ms, pairwise(stands_uj), strict=False)
        ],
        findings=[convert.finding_message(finding) for finding in read.diagnosis.findings],
        verdict=read.diagnosis.verdict,
        skipped_bytes=read.skipped_bytes,
    )


def _grown_uj(from_uj: int | None, to_uj: int | None) -> int | None:
    return None if from_uj is None or to_uj is None else max(0, to_uj - from_uj)
