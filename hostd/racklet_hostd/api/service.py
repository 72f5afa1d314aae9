"""The service `racklet.v1.Rack`: each method in the module it is about. With the errors they raise the gate refuses."""

# ruff: noqa: N802, ARG002  rack.proto names the methods, and all of them take a context

from collections.abc import AsyncIterator
from functools import partial

import grpc

from racklet.v1 import rack_pb2, rack_pb2_grpc
from racklet_hostd.api import audit, boots, console, convert, diagnosis, events, faults, firmware, hats, nodes, power
from racklet_hostd.api.callers import current_caller
from racklet_hostd.api.encoded_nodes import EncodedNodes
from racklet_hostd.api.request_ids import RequestIds
from racklet_hostd.rack import Rack

Context = grpc.aio.ServicerContext[object, object]


class RackService(rack_pb2_grpc.RackServicer):
    """The rack, for callers. rack.proto states what each method does."""

    def __init__(self, rack: Rack, request_ids: RequestIds) -> None:
        self._rack = rack
        self._encoded = EncodedNodes()
        self._request_ids = request_ids

    async def GetRack(self, request: rack_pb2.GetRackRequest, context: Context) -> rack_pb2.GetRackResponse:
        """Tell about the rack."""
        return rack_pb2.GetRackResponse(rack=convert.rack_message(self._rack))

    async def ListNodes(self, request: rack_pb2.ListNodesRequest, context: Context) -> rack_pb2.ListNodesResponse:
        """List the nodes."""
        return nodes.list_nodes(self._rack, request)

    async def GetNode(  # type: ignore[override]  # what is encoded already the gate sends as it is
        self, request: rack_pb2.GetNodeRequest, context: Context
    ) -> rack_pb2.GetNodeResponse | bytes:
        """Tell about one node."""
        return nodes.get_node(self._rack, request, self._encoded)

    def WatchNodes(  # type: ignore[override]  # likewise
        self, request: rack_pb2.WatchNodesRequest, context: Context
    ) -> AsyncIterator[rack_pb2.WatchNodesResponse | bytes]:
        """Send the nodes, then each change."""
        return nodes.watch_nodes(self._rack, request, self._encoded)

    async def SetPower(self, request: rack_pb2.SetPowerRequest, context: Context) -> rack_pb2.SetPowerResponse:
        """Move a supply."""
        caller = current_caller()
        set_power = partial(nodes.set_power, self._rack, request, caller)
        return await self._request_ids.once(caller, request, set_power)

    async def IdentifyNode(
        self, request: rack_pb2.IdentifyNodeRequest, context: Context
    ) -> rack_pb2.IdentifyNodeResponse:
        """Blink an LED."""
        return await nodes.identify_node(self._rack, request)

    async def ListHats(self, request: rack_pb2.ListHatsRequest, context: Context) -> rack_pb2.ListHatsResponse:
        """List the HATs."""
        return hats.list_hats(self._rack, request)

    async def GetHat(self, request: rack_pb2.GetHatRequest, context: Context) -> rack_pb2.GetHatResponse:
        """Tell about one HAT."""
        return hats.get_hat(self._rack, request)

    async def AdoptHat(self, request: rack_pb2.AdoptHatRequest, context: Context) -> rack_pb2.AdoptHatResponse:
        """Adopt a HAT."""
        return await hats.adopt_hat(self._rack, request, current_caller())

    async def ForgetHat(self, request: rack_pb2.ForgetHatRequest, context: Context) -> rack_pb2.ForgetHatResponse:
        """Forget a HAT."""
        return await hats.forget_hat(self._rack, request, current_caller())

    async def IdentifyHat(self, request: rack_pb2.IdentifyHatRequest, context: Context) -> rack_pb2.IdentifyHatResponse:
        """Blink an LED."""
        return await hats.identify_hat(self._rack, request)

    async def ListBoots(self, request: rack_pb2.ListBootsRequest, context: Context) -> rack_pb2.ListBootsResponse:
        """List the boots of a node."""
        return boots.list_boots(self._rack, request)

    def ReadBootLog(
        self, request: rack_pb2.ReadBootLogRequest, context: Context
    ) -> AsyncIterator[rack_pb2.ReadBootLogResponse]:
        """Send a boot log."""
        return boots.read_boot_log(self._rack, request)

    async def AttachConsole(  # type: ignore[override]  # of the two forms grpc takes, the one that can be cancelled whole
        self, request_iterator: AsyncIterator[rack_pb2.AttachConsoleRequest], context: Context
    ) -> None:
        """Attach to a console."""
        await console.attach_console(self._rack, request_iterator, context.write)

    async def ListEvents(self, request: rack_pb2.ListEventsRequest, context: Context) -> rack_pb2.ListEventsResponse:
        """List events."""
        return events.list_events(self._rack, request)

    def WatchEvents(
        self, request: rack_pb2.WatchEventsRequest, context: Context
    ) -> AsyncIterator[rack_pb2.WatchEventsResponse]:
        """Send events, then each new one."""
        return events.watch_events(self._rack, request)

    async def DiagnoseNode(
        self, request: rack_pb2.DiagnoseNodeRequest, context: Context
    ) -> rack_pb2.DiagnoseNodeResponse:
        """Diagnose a boot."""
        return await diagnosis.diagnose_node(self._rack, request)

    async def GetPowerPlan(
        self,
        request: rack_pb2.GetPowerPlanRequest,
        context: Context,
    ) -> rack_pb2.GetPowerPlanResponse:
        """Tell how the power budget stands."""
        return power.power_plan(self._rack)

    async def SetPowerBudget(
        self, request: rack_pb2.SetPowerBudgetRequest, context: Context
    ) -> rack_pb2.SetPowerBudgetResponse:
        """Change the power budget."""
        set_budget = partial(power.set_power_budget, self._rack, request)
        return await self._request_ids.once(current_caller(), request, lambda _: set_budget())

    async def ListAuditEntries(
        self, request: rack_pb2.ListAuditEntriesRequest, context: Context
    ) -> rack_pb2.ListAuditEntriesResponse:
        """List the audit log."""
        return await audit.list_entries(self._rack, request)

    async def VerifyAudit(
        self,
        request: rack_pb2.VerifyAuditRequest,
        context: Context,
    ) -> rack_pb2.VerifyAuditResponse:
        """Verify the audit log."""
        return await audit.verify(self._rack)

    async def RunFaults(  # type: ignore[override]  # likewise
        self, request: rack_pb2.RunFaultsRequest, context: Context
    ) -> None:
        """Run a script of faults."""
        await faults.run_faults(self._rack, self._request_ids, request, current_caller(), context.write)

    async def SelfTestHat(self, request: rack_pb2.SelfTestHatRequest, context: Context) -> rack_pb2.SelfTestHatResponse:
        """Test a HAT."""
        return await nodes.self_test_hat(self._rack, request, current_caller())

    async def UpdateFirmware(  # type: ignore[override]  # likewise
        self, request: rack_pb2.UpdateFirmwareRequest, context: Context
    ) -> None:
        """Update firmware."""
        await firmware.update_firmware(self._rack, request, current_caller(), context.write)
