"""What hostd knows, as messages of the API."""

import struct
from collections.abc import Iterator

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from racklet.link.v1 import link_pb2
from racklet.v1 import rack_pb2
from racklet_hostd.budget import words
from racklet_hostd.console_view import ConsoleOutput
from racklet_hostd.doctor.diagnosis import Finding
from racklet_hostd.model import Hat, HatState, Measurement, SeenHat, SupplyState
from racklet_hostd.node import Node
from racklet_hostd.power import PowerSteps
from racklet_hostd.rack import Rack
from racklet_hostd.rack_budget import RackBudget
from racklet_hostd.store import BootCause, BootSummary, Chunk, Event, Piece

_SAMPLE = struct.Struct("<hh")  # of a waveform: millivolts, milliamperes

_NS_PER_MS = 1_000_000
_MS_PER_S = 1000
_DAMAGE = ("crc", "cobs", "oversize", "malformed")
_HAT_STATES = {
    HatState.ONLINE: rack_pb2.HAT_STATE_ONLINE,
    HatState.OFFLINE: rack_pb2.HAT_STATE_OFFLINE,
    HatState.INCOMPATIBLE: rack_pb2.HAT_STATE_INCOMPATIBLE,
}

_BOOT_CAUSES = {
    BootCause.SUPPLY_ON: rack_pb2.BOOT_CAUSE_SUPPLY_ON,
    BootCause.FOUND_RUNNING: rack_pb2.BOOT_CAUSE_FOUND_RUNNING,
    BootCause.BREAK: rack_pb2.BOOT_CAUSE_BREAK,
    BootCause.BOOTLOADER: rack_pb2.BOOT_CAUSE_BOOTLOADER,
}


def node_resource(name: str) -> str:
    """Return the resource name of a node."""
    return f"nodes/{name}"


def hat_message(seen: SeenHat) -> rack_pb2.SeenHat:
    """Return a HAT as it is now."""
    return rack_pb2.SeenHat(
        name=f"hats/{seen.hat_id}",
        standing=rack_pb2.HatStanding.ValueType(seen.standing),
        slot=seen.slot,
        node=node_resource(seen.node) if seen.node else "",
        problem=seen.problem,
        board=seen.board,
        firmware=seen.firmware,
        seen_time=timestamp(seen.seen_ms),
    )


def boot_resource(node: str, number: int) -> str:
    """Return the resource name of a boot."""
    return f"nodes/{node}/boots/{number}"


def timestamp(unix_ms: int) -> Timestamp:
    """Return unix milliseconds as a Timestamp."""
    return Timestamp(seconds=unix_ms // _MS_PER_S, nanos=unix_ms % _MS_PER_S * _NS_PER_MS)


def duration(span_ms: int) -> Duration:
    """Return milliseconds, not negative, as a Duration."""
    return Duration(seconds=span_ms // _MS_PER_S, nanos=span_ms % _MS_PER_S * _NS_PER_MS)


def supply_state(state: SupplyState) -> rack_pb2.SupplyState.ValueType:
    """Return the state, which has the same number in the API."""
    return rack_pb2.SupplyState.ValueType(state)


def rack_message(rack: Rack) -> rack_pb2.RackInfo:
    """Return the rack as a message."""
    nodes = rack.nodes
    return rack_pb2.RackInfo(
        display_name=rack.name,
        version=rack.version,
        start_time=timestamp(rack.start_ms),
        node_count=len(nodes),
        online_count=sum(node.hat.state is HatState.ONLINE for node in nodes),
        supply_uw=sum(node.measurement.supply_uw for node in nodes if node.measurement),
    )


def node_message(node: Node) -> rack_pb2.Node:
    """Return a node as it is now."""
    newest = node.store.newest
    return rack_pb2.Node(
        name=node_resource(node.name),
        supply_state=supply_state(node.supply_state),
        measurement=_measurement(node.measurement) if node.measurement else None,
        energy_uj=node.store.energy_uj,
        charge_uc=node.store.totals.charge_uc,
        boot=boot_resource(node.name, newest.number) if newest else "",
        log_end=newest.end if newest else 0,
        last_line=node.log.last_line,
        hat=_hat(node, node.hat),
        phase=node.log.watch.phase or "",
        findings=node.log.watch.findings,
        taken_by=node.taken_by,
        power_wait=wait_message(node.budget, node.name) if node.budget else None,
    )


def wait_message(budget: RackBudget, node: str) -> rack_pb2.PowerWait | None:
    """Return why a start of a node waits; None when none does."""
    wait = budget.waits.get(node)
    if wait is None:
        return None
    return rack_pb2.PowerWait(
        position=wait.position,
        reason=words.wait_reason(wait, budget.plan.rules.limit_mw),
        wait_time=timestamp(budget.wait_since_unix_ms(node)),
    )


def boot_message(node: str, boot: BootSummary) -> rack_pb2.Boot:
    """Return a boot as a message."""
    return rack_pb2.Boot(
        name=boot_resource(node, boot.number),
        start_time=timestamp(boot.start_ms),
        last_byte_time=timestamp(boot.last_byte_ms),
        log_end=boot.end,
        lost_bytes=boot.lost_bytes,
        from_supply_on=boot.cause is BootCause.SUPPLY_ON,
        cause=_BOOT_CAUSES[boot.cause],
    )


def piece_messages(boot: str, piece: Piece) -> Iterator[rack_pb2.ReadBootLogResponse]:
    """Yield a piece of the log of `boot`, a resource name: before damaged bytes, what was wrong with them."""
    message = rack_pb2.ReadBootLogResponse(boot=boot, offset=piece.offset, receive_time=timestamp(piece.at_ms))
    if isinstance(piece, Chunk):
        if piece.damage is not None:
            errors = rack_pb2.LineErrors(**piece.damage._asdict())
            yield rack_pb2.ReadBootLogResponse(
                boot=boot, offset=piece.offset, receive_time=message.receive_time, line_errors=errors
            )
        message.data = piece.data
    else:
        message.gap.lost_bytes = piece.lost_bytes
        message.gap.reason = piece.reason
    yield message


def console_message(node: str, shown: ConsoleOutput) -> rack_pb2.AttachConsoleResponse:
    """Return what a console shows next as a message."""
    return rack_pb2.AttachConsoleResponse(
        data=shown.data,
        lost_bytes=shown.lost_bytes,
        notice=shown.notice,
        boot=boot_resource(node, shown.boot) if shown.boot else "",
        offset=shown.offset,
    )


def event_message(event: Event) -> rack_pb2.Event:
    """Return an event as a message."""
    return rack_pb2.Event(
        sequence=event.sequence,
        event_time=timestamp(event.at_ms),
        node=node_resource(event.node) if event.node else "",
        kind=event.kind,
        message=event.message,
        lost_before=event.lost_before,
        about=event.about,
        first_index=event.first_index,
        supply_mv=[mv for mv, _ in _SAMPLE.iter_unpack(event.samples)],
        supply_ma=[ma for _, ma in _SAMPLE.iter_unpack(event.samples)],
    )


def finding_message(finding: Finding) -> rack_pb2.Finding:
    """Return a finding as a message."""
    return rack_pb2.Finding(
        signature=finding.signature,
        phase=finding.phase,
        offset=finding.offset,
        find_time=timestamp(finding.at_ms),
        line=finding.line,
        meaning=finding.meaning,
        advice=finding.advice,
        count=finding.count,
    )


def power_message(reply: link_pb2.Reply) -> rack_pb2.SetPowerResponse:
    """Return what a HAT measured at the end of a power transaction."""
    return rack_pb2.SetPowerResponse(
        supply_state=supply_state(SupplyState.of(reply.supply_state)),
        supply_uv=reply.supply_uv,
        supply_ua=reply.supply_ua,
        duration=duration(reply.duration_ms),
        before_state=supply_state(SupplyState.of(reply.before_state)),
        lowest_ua=reply.lowest_ua,
        node_asked=bool(reply.detail & PowerSteps.ASKED),
        halt_signal_stuck=bool(reply.detail & PowerSteps.HALT_WAS_HIGH),
        halt_signal_seen=bool(reply.detail & PowerSteps.HALT_ROSE),
        halt_current_seen=bool(reply.detail & PowerSteps.CURRENT_FELL),
        supply_cut=bool(reply.detail & PowerSteps.CUT),
        supply_set=bool(reply.detail & PowerSteps.SET),
    )


def bad_frames(node: Node) -> int:
    """Return how many frames of a node's HAT came damaged since hostd started."""
    errors = node.link_counters.errors
    return sum(errors[reason] for reason in _DAMAGE)


def _hat(node: Node, hat: Hat) -> rack_pb2.Hat:
    return rack_pb2.Hat(
        hat_id=hat.hat_id,
        board=hat.board,
        firmware=hat.firmware,
        state=_HAT_STATES[hat.state],
        problem=hat.problem,
        port=str(node.port),
        protocol_version=hat.protocol_version,
        state_time=timestamp(hat.state_ms),
        bad_frames=bad_frames(node),
        slot=hat.slot,
        on_probation=hat.on_probation,
        security_version=hat.security_version,
    )


def _measurement(measured: Measurement) -> rack_pb2.Measurement:
    return rack_pb2.Measurement(
        measure_time=timestamp(measured.measure_ms),
        supply_uv=measured.supply_uv,
        supply_min_uv=measured.supply_min_uv,
        supply_max_uv=measured.supply_max_uv,
        supply_ua=measured.supply_ua,
        supply_min_ua=measured.supply_min_ua,
        supply_max_ua=measured.supply_max_ua,
        supply_uw=measured.supply_uw,
        temperature_mc=measured.temperature_mc,
        input_uv=measured.input_uv,
        samples=measured.samples,
    )
