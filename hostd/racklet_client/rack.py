"""The rack, as a script sees it."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import uuid4

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from racklet.v1 import rack_pb2
from racklet_client.address import Address
from racklet_client.boot_log import boot_log_pieces
from racklet_client.connection import Connection, UnaryMethod, open_connection
from racklet_client.console import Console, ConsoleNews
from racklet_client.credentials import Credentials
from racklet_client.names import boot_resource, hat_resource, node_resource, short_name

_PAGE = 1_000  # the most that hostd gives at once
_MS_PER_S = 1_000
_SELF_TEST_S = 60  # a rail takes up to 3 s each way; the rest is for a power budget

Item = TypeVar("Item")
Presence = Callable[[bool], None]


def ignored(is_there: bool) -> None:  # noqa: FBT001 - a callback's one argument
    """Take no note of whether hostd is there."""
    del is_there


@dataclass(frozen=True, slots=True)
class NodesChange:
    """Nodes that changed; with `is_whole` they are all there are that were asked for."""

    nodes: Sequence[rack_pb2.Node]
    is_whole: bool


class Rack:
    """The rack that a hostd serves. Nodes are named "node-3" or "nodes/node-3"; numbers are as in rack.proto.

    Calls return the messages of rack.proto and raise RackError. Cancelling a call, or closing an iterator,
    frees what hostd held for it.

    A call that changes something has a `request_id`, a new UUID unless one is given: repeated with the same one it is
    answered as before, and not carried out again. So a call that was lost or timed out can be repeated without harm.

    A `read_mask` names the fields that are wanted of nodes or events, such as "measurement.supply_uw"; without, all.

    Streams that outlast a restart of hostd tell `on_presence` False when hostd is away and True when it is back.

    `connection` is for methods of the API that have none here.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._stub = connection.stub

    async def info(self) -> rack_pb2.RackInfo:
        """Return what the rack and its daemon are."""
        return (await self.connection.ask(self._stub.GetRack, rack_pb2.GetRackRequest())).rack

    async def node(self, node: str, *, read_mask: Sequence[str] = ()) -> rack_pb2.Node:
        """Return a node as it is now."""
        request = rack_pb2.GetNodeRequest(name=node_resource(node), read_mask=_mask(read_mask))
        return (await self.connection.ask(self._stub.GetNode, request, short_name(node))).node

    def nodes(self, limit: int | None = None, *, read_mask: Sequence[str] = ()) -> AsyncGenerator[rack_pb2.Node, None]:
        """Yield the nodes, by name; at most `limit`."""
        request = rack_pb2.ListNodesRequest(read_mask=_mask(read_mask))
        return self._listed(self._stub.ListNodes, request, lambda page: page.nodes, limit)

    async def watch_nodes(
        self,
        *nodes: str,
        min_interval_s: float = 0.1,
        read_mask: Sequence[str] = (),
        on_presence: Presence = ignored,
    ) -> AsyncGenerator[NodesChange, None]:
        """Yield the nodes as they are, then those that change, one change in `min_interval_s` at most.

        Without names, every node. A restart of hostd is outlasted.
        """
        request = rack_pb2.WatchNodesRequest(names=[node_resource(node) for node in nodes], read_mask=_mask(read_mask))
        request.min_interval.FromMilliseconds(round(min_interval_s * _MS_PER_S))
        is_whole = True

        def noted(is_there: bool) -> None:  # noqa: FBT001 - a callback's one argument
            nonlocal is_whole
            is_whole = True
            on_presence(is_there)

        about = short_name(nodes[0]) if len(nodes) == 1 else ""
        coming = self.connection.follow(self._stub.WatchNodes, lambda: request, about, on_presence=noted)
        async with aclosing(coming) as responses:
            async for response in responses:
                yield NodesChange(response.nodes, is_whole)
                is_whole = False

    async def on(self, node: str, *, timeout_s: float | None = None, request_id: str = "") -> rack_pb2.SetPowerResponse:
        """Switch a node on; return what was measured."""
        request = rack_pb2.SetPowerRequest(name=node, action=rack_pb2.POWER_ACTION_ON, request_id=request_id)
        return await self.set_power(request, timeout_s)

    async def off(
        self,
        node: str,
        *,
        grace_s: float | None = None,
        force: bool = False,
        timeout_s: float | None = None,
        request_id: str = "",
    ) -> rack_pb2.SetPowerResponse:
        """Ask a node to shut down, wait until it is idle, then cut; with `force` also when `grace_s` are over."""
        request = rack_pb2.SetPowerRequest(
            name=node, action=rack_pb2.POWER_ACTION_OFF, grace=_duration(grace_s), force=force, request_id=request_id
        )
        return await self.set_power(request, timeout_s)

    async def force_off(
        self, node: str, *, timeout_s: float | None = None, request_id: str = ""
    ) -> rack_pb2.SetPowerResponse:
        """Cut at once."""
        request = rack_pb2.SetPowerRequest(name=node, action=rack_pb2.POWER_ACTION_FORCE_OFF, request_id=request_id)
        return await self.set_power(request, timeout_s)

    async def cycle(
        self, node: str, *, off_time_s: float | None = None, timeout_s: float | None = None, request_id: str = ""
    ) -> rack_pb2.SetPowerResponse:
        """Cut at once, wait for `off_time_s`, and switch on again."""
        request = rack_pb2.SetPowerRequest(
            name=node, action=rack_pb2.POWER_ACTION_CYCLE, off_time=_duration(off_time_s), request_id=request_id
        )
        return await self.set_power(request, timeout_s)

    async def set_power(
        self, request: rack_pb2.SetPowerRequest, timeout_s: float | None = None
    ) -> rack_pb2.SetPowerResponse:
        """Move a supply; return what was measured. Without `timeout_s` it waits as long as it takes.

        A start waits for the power budget. When the time is over, or the call is cancelled, a start that waits is given
        up; what the HAT was asked to do it goes on doing.
        """
        own = rack_pb2.SetPowerRequest()
        own.CopyFrom(request)
        own.name = node_resource(request.name)
        own.request_id = request.request_id or _new_id()
        return await self.connection.ask(self._stub.SetPower, own, short_name(own.name), timeout_s)

    async def identify(self, node: str, seconds: float = 10) -> rack_pb2.IdentifyNodeResponse:
        """Blink the LED of a node's HAT; 0 ends it."""
        request = rack_pb2.IdentifyNodeRequest(name=node_resource(node), duration=_duration(seconds))
        return await self.connection.ask(self._stub.IdentifyNode, request, short_name(node))

    async def self_test_hat(self, node: str, *, interrupt: bool = False) -> rack_pb2.SelfTestHatResponse:
        """Test a node's HAT, for some seconds; `interrupt` cuts a node that is on, and gives its supply back."""
        request = rack_pb2.SelfTestHatRequest(name=node_resource(node), interrupt_node=interrupt)
        return await self.connection.ask(self._stub.SelfTestHat, request, short_name(node), _SELF_TEST_S)

    def hats(self, limit: int | None = None) -> AsyncGenerator[rack_pb2.SeenHat, None]:
        """Yield the HATs that are plugged in or adopted, by id; at most `limit`."""
        return self._listed(self._stub.ListHats, rack_pb2.ListHatsRequest(), lambda page: page.hats, limit)

    async def adopt(self, hat_id: str, node: str, *, replace: bool = False) -> rack_pb2.AdoptHatResponse:
        """Let a HAT be that of a node; with `replace` in the place of another, or with a new key."""
        request = rack_pb2.AdoptHatRequest(name=hat_resource(hat_id), node=node_resource(node), replace=replace)
        return await self.connection.ask(self._stub.AdoptHat, request, short_name(node))

    async def forget(self, hat_id: str) -> rack_pb2.ForgetHatResponse:
        """Know a HAT no more."""
        return await self.connection.ask(self._stub.ForgetHat, rack_pb2.ForgetHatRequest(name=hat_resource(hat_id)))

    async def identify_hat(self, hat_id: str, seconds: float = 10) -> rack_pb2.IdentifyHatResponse:
        """Blink the LED of a HAT, also of one that nobody has adopted; 0 ends it."""
        request = rack_pb2.IdentifyHatRequest(name=hat_resource(hat_id), duration=_duration(seconds))
        return await self.connection.ask(self._stub.IdentifyHat, request)

    def boots(self, node: str, limit: int | None = None) -> AsyncGenerator[rack_pb2.Boot, None]:
        """Yield the boots of a node that are kept, newest first; at most `limit`."""
        request = rack_pb2.ListBootsRequest(parent=node_resource(node))
        return self._listed(self._stub.ListBoots, request, lambda page: page.boots, limit, short_name(node))

    def boot_log(  # noqa: PLR0913 - one for each field of the request
        self,
        node: str,
        boot: int | None = None,
        *,
        offset: int = 0,
        since: datetime | None = None,
        follow: bool = False,
        following_boots: bool | None = None,
        on_presence: Presence = ignored,
    ) -> AsyncGenerator[rack_pb2.ReadBootLogResponse, None]:
        """Yield what a node sent in a boot, by default the newest: bytes, and gaps where bytes are lost.

        It begins at `offset`, or with what came at `since` or later. With `follow` it goes on with what comes, over a
        restart of hostd without loss or repetition, and into the next boots unless `boot` is given;
        `following_boots` says otherwise. Raises LostError when hostd goes and it does not follow.
        """
        if following_boots is None:
            following_boots = follow and boot is None
        request = rack_pb2.ReadBootLogRequest(
            name=boot_resource(node, boot),
            offset=offset,
            start_time=_timestamp(since),
            follow=follow,
            following_boots=following_boots,
        )
        return boot_log_pieces(self.connection, request, on_presence)

    def console(
        self,
        node: str,
        *,
        read_only: bool = False,
        take_over: bool = False,
        caller: str = "",
        news: ConsoleNews | None = None,
    ) -> Console:
        """Return the console of a node, to be entered with `async with`.

        `caller` is who calls, for the others at the console; `news` is told what happens besides what the node sends.
        """
        request = rack_pb2.AttachConsoleRequest(
            name=node_resource(node), read_only=read_only, take_over=take_over, caller=caller
        )
        return Console(self.connection, request, news)

    def events(
        self, node: str = "", limit: int | None = None, *, read_mask: Sequence[str] = ()
    ) -> AsyncGenerator[rack_pb2.Event, None]:
        """Yield the events of a node, or of the rack, newest first; at most `limit`."""
        request = rack_pb2.ListEventsRequest(node=node and node_resource(node), read_mask=_mask(read_mask))
        return self._listed(self._stub.ListEvents, request, lambda page: page.events, limit, short_name(node))

    async def watch_events(
        self,
        node: str = "",
        from_sequence: int | None = None,
        *,
        read_mask: Sequence[str] = (),
        on_presence: Presence = ignored,
    ) -> AsyncGenerator[rack_pb2.Event, None]:
        """Yield the events of a node, or of the rack, from a sequence number on, and each new one; without, new ones.

        Over a restart of hostd none is lost or repeated.
        """
        if from_sequence is None:
            newest = [event async for event in self.events(limit=1)]
            from_sequence = newest[0].sequence + 1 if newest else 1
        request = rack_pb2.WatchEventsRequest(
            node=node and node_resource(node), from_sequence=from_sequence, read_mask=_mask(read_mask)
        )
        coming = self.connection.follow(
            self._stub.WatchEvents, lambda: request, short_name(node), on_presence=on_presence
        )
        async with aclosing(coming) as responses:
            async for response in responses:
                request.from_sequence = response.event.sequence + 1
                yield response.event

    async def diagnose(self, node: str, boot: int | None = None) -> rack_pb2.DiagnoseNodeResponse:
        """Return how far a boot came, by default the newest, and what in its log tells of a failure."""
        request = rack_pb2.DiagnoseNodeRequest(name=node_resource(node), boot=boot_resource(node, boot))
        return await self.connection.ask(self._stub.DiagnoseNode, request, short_name(node))

    async def power_plan(self) -> rack_pb2.GetPowerPlanResponse:
        """Return how the power budget stands."""
        return await self.connection.ask(self._stub.GetPowerPlan, rack_pb2.GetPowerPlanRequest())

    async def set_power_budget(self, capacity_mw: int, *, request_id: str = "") -> rack_pb2.SetPowerBudgetResponse:
        """Go by another supply until hostd starts again."""
        request = rack_pb2.SetPowerBudgetRequest(capacity_mw=capacity_mw, request_id=request_id or _new_id())
        return await self.connection.ask(self._stub.SetPowerBudget, request)

    def audit_entries(self, limit: int | None = None) -> AsyncGenerator[rack_pb2.AuditEntry, None]:
        """Yield the audit log, newest first; at most `limit` entries."""
        request = rack_pb2.ListAuditEntriesRequest()
        return self._listed(self._stub.ListAuditEntries, request, lambda page: page.entries, limit)

    async def verify_audit(self) -> rack_pb2.VerifyAuditResponse:
        """Return whether anything in the audit log was changed or removed. It takes as long as reading all of it."""
        return await self.connection.ask(self._stub.VerifyAudit, rack_pb2.VerifyAuditRequest(), timeout_s=None)

    def run_faults(
        self, script: str, *, file: str = "", seed: int | None = None, dry_run: bool = False, request_id: str = ""
    ) -> AsyncGenerator[rack_pb2.RunFaultsResponse, None]:
        """Run a script of faults; yield the plan, each step and the end. Closing it gives back what the run took."""
        request = rack_pb2.RunFaultsRequest(
            script=script, file=file, seed=seed, dry_run=dry_run, request_id=request_id or _new_id()
        )
        return self.connection.stream(self._stub.RunFaults, request)

    def update_firmware(self, bundle: bytes, *names: str) -> AsyncGenerator[rack_pb2.UpdateFirmwareResponse, None]:
        """Update the firmware of these nodes' HATs, the canary first; of all without names. Yield how it goes.

        Raises RefusedError when one fails; those behind it are left as they are. Closing it ends the update: a HAT that
        is not through keeps its old firmware.
        """
        request = rack_pb2.UpdateFirmwareRequest(names=[node_resource(name) for name in names], bundle=bundle)
        return self.connection.stream(self._stub.UpdateFirmware, request)

    async def _listed(
        self,
        method: UnaryMethod,
        request: Any,  # noqa: ANN401 - one with page_size and page_token
        items_of: Callable[[Any], Sequence[Item]],
        limit: int | None,
        about: str = "",
    ) -> AsyncGenerator[Item, None]:
        """Yield the items of every page, at most `limit`."""
        left = limit
        while left is None or left > 0:
            request.page_size = _PAGE if left is None else min(left, _PAGE)
            page = await self.connection.ask(method, request, about)
            items = items_of(page)[:left]
            for item in items:
                yield item
            left = None if left is None else left - len(items)
            request.page_token = page.next_page_token
            if not request.page_token:
                return


@asynccontextmanager
async def connect(
    address: Address | str | None = None, *, credentials: Credentials | None = None
) -> AsyncIterator[Rack]:
    """Reach the rack that hostd serves at `address`, such as "unix:PATH" or "HOST:PORT"; without, as `Address.default`.

    Raises UnreachableError within 5 s when it is not there, ValueError when that is no address, CredentialsError.
    """
    async with open_connection(address, credentials) as connection:
        yield Rack(connection)


def _new_id() -> str:
    return str(uuid4())


def _mask(paths: Sequence[str]) -> FieldMask | None:
    return FieldMask(paths=paths) if paths else None


def _duration(seconds: float | None) -> Duration | None:
    if seconds is None:
        return None
    duration = Duration()
    duration.FromMilliseconds(round(seconds * _MS_PER_S))
    return duration


def _timestamp(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(moment.astimezone(UTC))
    return stamp
