"""Faults on purpose, for callers."""

import hashlib
from collections.abc import Awaitable, Callable

from racklet.v1 import rack_pb2
from racklet_hostd.api import convert
from racklet_hostd.api.request_ids import OnceRequest, RequestIds
from racklet_hostd.api.status import BadArgumentError, RequestRepeatedError, WrongScriptError
from racklet_hostd.caller import Caller
from racklet_hostd.errors import ConfigError
from racklet_hostd.faults.execution import Told
from racklet_hostd.faults.plan import Plan
from racklet_hostd.faults.script import SEED_LIMIT, Script
from racklet_hostd.rack import Rack

SCRIPT_LIMIT = 64 << 10  # characters
_FILE_LIMIT = 200

Send = Callable[[rack_pb2.RunFaultsResponse], Awaitable[None]]


async def run_faults(
    rack: Rack, request_ids: RequestIds, request: rack_pb2.RunFaultsRequest, caller: Caller, send: Send
) -> None:
    """Send the plan, then the steps of its run and its end. The run is ended when this is, however.

    Raises BadArgumentError, WrongScriptError, ScriptRefusedError, FaultsRunningError, NodeTakenError,
    RequestRepeatedError.
    """
    was_run = False

    async def run(once: OnceRequest) -> list[rack_pb2.RunFaultsResponse]:
        nonlocal was_run
        was_run = True
        return await _run(rack, request, caller, send, once)

    frame = await request_ids.once(caller, request, run)
    if not was_run:
        for message in frame:
            await send(message)


async def _run(
    rack: Rack, request: rack_pb2.RunFaultsRequest, caller: Caller, send: Send, once: OnceRequest
) -> list[rack_pb2.RunFaultsResponse]:
    """Run the script; return what a repeat is told: the plan and the end."""
    script = _script(request)
    plan = script.plan(request.seed if request.HasField("seed") else None)
    rack.faults.check(script)
    begin = rack_pb2.RunFaultsResponse(plan=_plan_message(plan))
    if request.dry_run:
        await send(begin)
        return [begin]
    async with rack.faults.running(plan, caller) as execution:
        once.begin()
        try:
            await send(begin)
            async for told in execution.steps():
                await send(rack_pb2.RunFaultsResponse(step=_step_message(told)))
        except BaseException:
            once.settle(RequestRepeatedError("RunFaults", "it broke off; what it took is given back"))
            raise
        run = execution.run
        end = rack_pb2.RunFaultsResponse(end=rack_pb2.FaultsEnd(reason=run.why_ended, problems=run.problems))
        once.settle([begin, end])
        await send(end)
        return [begin, end]


def arguments_on_record(request: rack_pb2.RunFaultsRequest) -> dict[str, object]:
    """Return what the audit log tells of a request: the script by its hash, which `sha256sum` gives of its file."""
    given: dict[str, object] = {"file": request.file, "sha256": hashlib.sha256(request.script.encode()).hexdigest()}
    if request.HasField("seed"):
        given["seed"] = request.seed
    if request.request_id:
        given["request_id"] = request.request_id
    return given | ({"dry_run": True} if request.dry_run else {})


def _script(request: rack_pb2.RunFaultsRequest) -> Script:
    if len(request.script) > SCRIPT_LIMIT:
        raise BadArgumentError("script", f"expected at most {SCRIPT_LIMIT} characters, found {len(request.script)}")
    if not (len(request.file) <= _FILE_LIMIT and request.file.isprintable()):
        raise BadArgumentError("file", f"expected at most {_FILE_LIMIT} printable characters")
    if request.seed > SEED_LIMIT:
        raise BadArgumentError("seed", f"expected 0 to {SEED_LIMIT}, found {request.seed}")
    try:
        return Script.parse(request.file or "script", request.script)
    except ConfigError as error:
        raise WrongScriptError(str(error)) from error


def _plan_message(plan: Plan) -> rack_pb2.FaultPlan:
    faults = [
        rack_pb2.PlannedFault(
            number=fault.number, node=convert.node_resource(fault.node), deed=fault.deed, trigger=fault.trigger
        )
        for fault in plan.faults
    ]
    return rack_pb2.FaultPlan(seed=plan.seed, limit=convert.duration(plan.limit_ms), faults=faults)


def _step_message(told: Told) -> rack_pb2.FaultStep:
    step = told.step
    return rack_pb2.FaultStep(
        step_time=convert.timestamp(told.unix_ms),
        kind=step.kind,
        node=convert.node_resource(step.node) if step.node else "",
        fault=step.fault,
        message=step.message,
    )
