"""The power budget, for callers."""

from racklet.v1 import rack_pb2
from racklet_hostd.api import convert
from racklet_hostd.api.status import BadArgumentError, NoBudgetError
from racklet_hostd.budget import Claim, Phase
from racklet_hostd.rack import Rack
from racklet_hostd.rack_budget import RackBudget

_CAPACITY_LIMIT_MW = 100_000_000
_PHASES = {
    Phase.UNKNOWN: rack_pb2.POWER_PHASE_UNSPECIFIED,
    Phase.OFF: rack_pb2.POWER_PHASE_OFF,
    Phase.STARTING: rack_pb2.POWER_PHASE_STARTING,
    Phase.ON: rack_pb2.POWER_PHASE_ON,
}


def power_plan(rack: Rack) -> rack_pb2.GetPowerPlanResponse:
    """Return how the budget stands."""
    budget = rack.budget
    if budget is None:
        return rack_pb2.GetPowerPlanResponse()
    plan = budget.plan
    order = {claim.name: place for place, claim in enumerate(plan.shed_order, 1)}
    claims = {claim.name: claim for claim in plan.claims}
    return rack_pb2.GetPowerPlanResponse(
        is_configured=True,
        capacity_mw=plan.rules.capacity_mw,
        reserve_mw=plan.rules.reserve_mw,
        hard_limit_mw=plan.rules.hard_limit_mw,
        claimed_mw=plan.reserved_mw,
        drawn_mw=plan.drawn_mw,
        exceed_time=convert.timestamp(budget.exceed_unix_ms) if plan.is_exceeded else None,
        exceed_limit=convert.duration(plan.rules.exceeded_ms),
        claims=[_claim(budget, claims[node.name], order.get(node.name, 0)) for node in rack.nodes],
    )


async def set_power_budget(rack: Rack, request: rack_pb2.SetPowerBudgetRequest) -> rack_pb2.SetPowerBudgetResponse:
    """Go by another supply. Raises NoBudgetError, BadArgumentError."""
    if rack.budget is None:
        raise NoBudgetError("there is no power budget to change: set capacity_w in [power] of racklet.toml first")
    reserve_mw = rack.budget.plan.rules.reserve_mw
    if not reserve_mw < request.capacity_mw <= _CAPACITY_LIMIT_MW:
        expected = f"more than the reserve of {reserve_mw} and at most {_CAPACITY_LIMIT_MW}"
        raise BadArgumentError("capacity_mw", f"expected {expected}, found {request.capacity_mw}")
    rack.budget.set_capacity(request.capacity_mw)
    return rack_pb2.SetPowerBudgetResponse()


def _claim(budget: RackBudget, claim: Claim, shed_position: int) -> rack_pb2.PowerClaim:
    return rack_pb2.PowerClaim(
        node=convert.node_resource(claim.name),
        priority=claim.demand.priority,
        phase=_PHASES[claim.phase],
        peak_mw=claim.demand.peak_mw,
        measured_peak_mw=claim.measured_mw,
        inrush_mw=max(claim.demand.inrush_mw, claim.measured_inrush_mw),
        claim_mw=claim.counted_mw,
        drawn_mw=claim.drawn_mw,
        wait=convert.wait_message(budget, claim.name),
        shed_position=shed_position,
        is_shed=claim.shed is not None,
    )
