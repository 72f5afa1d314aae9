"""One node: its HAT's port is served, what the HAT tells is kept, who waits for it is woken."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from racklet.link.v1 import link_pb2
from racklet_hostd.bell import ChangeFeed, ShuttingDownError
from racklet_hostd.boot_watch import BootWatch
from racklet_hostd.caller import Caller
from racklet_hostd.claims import Claims
from racklet_hostd.clock import Clock
from racklet_hostd.console import Console
from racklet_hostd.event_log import EventLog
from racklet_hostd.hat_session import Answer, ConsoleRoom, GarbageStarted, HatNews, HatSession
from racklet_hostd.hat_settings import refusal_of
from racklet_hostd.model import Hat, HatState, Measurement, SupplyState
from racklet_hostd.node_log import NodeLog
from racklet_hostd.power import PowerSwitch, PowerWish, Transaction
from racklet_hostd.rack_budget import RackBudget
from racklet_hostd.recorder import HatRecord, Recorder
from racklet_hostd.refusals import HatOfflineError, PowerFailedError, RefusedError
from racklet_hostd.store import NodeStore
from racklet_hostd.urgent import UrgentNodes
from racklet_link.events import (
    BootStarted,
    EventReceived,
    HelloReceived,
    Incompatible,
    LinkLost,
    LogData,
    LogGap,
    TelemetryReceived,
    UpdateProgressed,
)
from racklet_link.host import LinkCounters
from racklet_link.limits import LINK_LOST_AFTER_MS, PROTOCOL_MAX, PROTOCOL_MIN
from racklet_link.requester import Operation

log = logging.getLogger(__name__)

REQUEST_TIMEOUT_MS = 5_000
_HAT_ID_BYTES = 16
_SLOTS = {1: "a", 2: "b"}  # of Hello.slot
_TEXT_LENGTH = 64  # of what a HAT says about itself


@dataclass(slots=True)
class HatTalk:
    """What a HAT has told since its last Hello.

    Attributes:
        session: the random number of its start; 0 before the first Hello.
        measures: whether it has measured.
        update: how an update of its firmware stands; None when it has not said.
    """

    session: int = 0
    measures: bool = False
    update: link_pb2.UpdateProgress | None = None


@dataclass(frozen=True, slots=True)
class Commons:
    """What the nodes of a rack share. `late` is told of power transactions whose caller has left."""

    events: EventLog
    changes: ChangeFeed
    urgent: UrgentNodes
    clock: Clock
    budget: RackBudget | None
    late: Callable[[str, Transaction], None]
    claims: Claims


class Node:
    """A node as it is now, and what can be asked of it. Lives in the event loop's thread.

    Attributes:
        revision: of the newest change of anything here, in the numbers of `changes`.
        console: who looks and who types; its bell also tells that the boot log grew.
        supply_state: as last reported.
        budget: the rack's power budget, if there is one.
        measurement: the newest; None when there is none, or the HAT is offline.
        settings: what is asked of the HAT whenever the talk with it begins.
        log: its boot logs as they grow.
        talk: what the HAT has told since its last Hello.
    """

    def __init__(self, name: str, home: Path | None, store: NodeStore, watch: BootWatch, commons: Commons) -> None:
        events, changes, clock = commons.events, commons.changes, commons.clock
        self.name = name
        self.home = self.port = home
        self.store = store
        self.supply_state = SupplyState.UNSPECIFIED
        self.measurement: Measurement | None = None
        self.hat = Hat(HatState.OFFLINE, self._where_it_is_missing(), clock.unix_ms())
        self.settings: tuple[Operation, ...] = ()
        self.console = Console(name, lambda: self._online_session)
        self.log = NodeLog(name, store, Recorder(store, events, clock), watch)
        self.revision = changes.mark()
        self._events = events
        self._changes = changes
        self._urgent = commons.urgent
        self._clock = clock
        self.budget = commons.budget
        self._claims = commons.claims
        self._power = PowerSwitch(name, clock, commons.budget, self._take_reply, lambda end: commons.late(name, end))
        self._session: HatSession | None = None  # with its HAT, or with whoever is at its home
        self.talk, self._earlier = HatTalk(), LinkCounters()
        self._supply_hat_ms = 0  # the HAT's time of `supply_state`

    def port_failed(self, problem: str) -> None:
        """Its home does not open. That matters when its HAT is nowhere else."""
        if self._session is None:
            self._go_offline(problem)

    def lend(self, session: HatSession) -> bool:
        """Take a talk at its home in which nobody has introduced himself, unless its HAT is somewhere else."""
        if self._session is not None:
            return False
        self._session, self.port = session, self.home
        self._go_offline(f"no HAT answers on {self.home}")
        return True

    def take_session(self, session: HatSession, port: Path) -> HatSession | None:
        """Its HAT has proved itself on this port; return the talk at another one that this ends."""
        before = self._session
        if before is session:
            return None
        self._session, self.port = session, port
        session.node = self.name
        if before is not None:
            self._earlier = _sum(self._earlier, before.link.counters)
        return before

    def leave(self, session: HatSession, why: str) -> None:
        """Note that a talk has ended, or turned out not to be that of its HAT."""
        if self._session is session:
            self._earlier = _sum(self._earlier, session.link.counters)
            self._session = None
            self.port = self.home
            self._go_offline(why)

    def is_served_by(self, session: HatSession | None) -> bool:
        """Tell whether this talk is that of its HAT, or at its home."""
        return session is not None and self._session is session

    def report(self, problem: str) -> None:
        """Say why its HAT is not there, for a person."""
        if self.hat.state is not HatState.ONLINE:
            self._go_offline(problem)

    def _where_it_is_missing(self) -> str:
        if self.home is None:
            return f"no HAT of {self.name} is plugged in; `racklet hats` lists those that are"
        return f"{self.home} was not opened yet"

    @property
    def link_counters(self) -> LinkCounters:
        """What went over the link since hostd started."""
        return _sum(self._earlier, self._session.link.counters) if self._session else self._earlier

    @property
    def taken_by(self) -> str:
        """Who has taken the node for himself and what for; "" when nobody has."""
        return self._claims.words(self.name)

    @property
    def is_switching(self) -> bool:
        """Whether the HAT has a power transaction to end."""
        return self._power.is_busy

    async def set_power(
        self, wish: PowerWish, caller: Caller, on_sent: Callable[[Transaction], None] | None = None
    ) -> link_pb2.Reply:
        """Move the supply; return what the HAT measured at the end. Raises RefusedError, see Claims and PowerSwitch.

        `on_sent` is called when the HAT has been asked; from then on it goes on also when nobody waits for it.
        """
        await self._claims.admit(self.name, wish, caller)
        return await self._power.set(self._talking_session, wish, caller, on_sent)

    def ask_before_off(self, ask: Callable[[HatSession], None]) -> None:
        """Have `ask` called with the HAT's session at the start of every graceful off, before the HAT is told."""
        self._power.before_off = ask

    async def identify(self, duration_ms: int) -> link_pb2.Reply:
        """Blink the HAT's LED. Raises RefusedError. Cancelling leaves the request to the HAT."""
        return await self._ask(link_pb2.Identify(duration_ms=duration_ms))

    async def test_step(self, step: link_pb2.SelfTestStep.ValueType) -> link_pb2.Reply:
        """Have the HAT test a part of itself. Raises RefusedError. Cancelling leaves the request to the HAT."""
        reply = await self._ask(link_pb2.SelfTest(step=step))
        if reply.result == link_pb2.RESULT_INVALID:
            raise PowerFailedError(self.name, reply, f"the firmware of {self.name}'s HAT has no self-test")
        return reply

    async def _ask(self, operation: Operation) -> link_pb2.Reply:
        answer = await asyncio.shield(self._talking_session().request(operation, REQUEST_TIMEOUT_MS))
        if isinstance(answer, RefusedError):
            raise answer
        return answer

    def prepare_sync(self) -> None:
        """Do what belongs before a sync."""
        if self._session is not None:
            self._session.take_kept()
        if self.log.prepare_sync():
            self._mark()

    async def ask_hat(self, operation: Operation, timeout_ms: int) -> link_pb2.Reply:
        """Return the HAT's final reply, whatever it says. Raises RefusedError. Cancelling leaves it to the HAT."""
        answer = await asyncio.shield(self._talking_session().request(operation, timeout_ms))
        if isinstance(answer, RefusedError):
            raise answer
        return answer

    def send_update(self, stream: bytes) -> None:
        """Send an update that the HAT has begun; empty ends that. `talk` tells how it goes. Raises HatOfflineError."""
        self.talk.update = None
        session = self._talking_session()
        session.link.send_update(stream, self._clock.monotonic_ms())
        session.write_output()

    def confirm_firmware(self) -> None:
        """Note that the HAT has ended the probation of its firmware."""
        self.hat = replace(self.hat, on_probation=False, fell_back=False)
        self.mark_changed()

    async def until_changed(self) -> None:
        """Return at the next change of anything in the rack."""
        await self._changes.bell.wait()

    def look(self) -> None:
        """Let the boot doctor see all that came."""
        if self.log.watch.look():
            self._mark()

    def acknowledge(self) -> None:
        """Tell the HAT what is durable. Called all the time, so the boot doctor listens here for silence."""
        is_on = self._online_session is not None and self.supply_state is SupplyState.ON
        if is_on and self.log.watch.listen(self._clock.unix_ms(), self.hat.state_ms):
            self._mark()
        session = self._online_session
        if session is not None and session.link.is_up:
            session.link.acknowledge(self.log.positions(), self._clock.monotonic_ms())
            session.write_output()

    def end_calls(self) -> None:
        """Let go of every caller, for hostd is shutting down."""
        self.console.bell.close()
        if self._session is not None:
            self._session.end_requests(HatOfflineError(self.name, str(ShuttingDownError())))

    def take_news(self, news: HatNews) -> None:
        """Act on what the HAT told. Raises StoreError when it cannot be recorded."""
        match news:
            case LogData() | BootStarted() | LogGap() | EventReceived():
                self._on_record(news)
            case HelloReceived(hello):
                self._on_hello(hello)
            case Incompatible(hello):
                self._on_incompatible(hello)
            case LinkLost():
                self._go_offline(self._silence())
            case GarbageStarted():
                self._on_garbage()
            case UpdateProgressed() | ConsoleRoom():
                self._on_answer(news)
            case TelemetryReceived(telemetry):
                self._on_telemetry(telemetry)
            case _:
                log.debug("news for nobody", extra={"node": self.name, "news": type(news).__name__})

    def _on_answer(self, answer: UpdateProgressed | ConsoleRoom) -> None:
        if isinstance(answer, UpdateProgressed):
            self.talk.update = answer.progress
            self.mark_changed()
        else:
            self.console.bell.ring()

    @property
    def _online_session(self) -> HatSession | None:
        return self._session if self.hat.state is HatState.ONLINE else None

    def _talking_session(self) -> HatSession:
        session = self._online_session
        if session is None:
            raise HatOfflineError(self.name, self.hat.problem)
        return session

    def _on_hello(self, hello: link_pb2.Hello) -> None:
        stored = self.log.attach(hello)
        if self._session is None:
            return
        self._session.link.welcome(stored, self._clock.unix_ms(), self._clock.monotonic_ms())
        self.supply_state = SupplyState.of(hello.supply_state)
        self._supply_hat_ms = hello.at_ms
        self.talk = HatTalk(hello.session)
        self._set_hat(HatState.ONLINE, "", hello, self._session.link.version)
        for setting in self.settings:
            answer = self._session.request(setting, REQUEST_TIMEOUT_MS)
            answer.add_done_callback(partial(self._on_setting, setting))

    def _on_setting(self, setting: Operation, answer: asyncio.Future[Answer]) -> None:
        result = answer.result()
        if isinstance(result, RefusedError):
            # The HAT went away or restarted: its next Hello brings the setting again.
            log.warning("setting not answered", extra={"node": self.name, "problem": str(result)})
        elif result.result != link_pb2.RESULT_DONE:
            why = refusal_of(setting, result)
            log.warning("setting refused", extra={"node": self.name, "problem": why})
            told = f"The HAT does not do as the config says: {why}. It keeps what it has; the supply is not touched."
            self._events.record(self.name, self._clock.unix_ms(), "setting_refused", told)
            if self.hat.state is HatState.ONLINE:
                self.hat = replace(self.hat, problem=f"{self.hat.problem}; {why}" if self.hat.problem else why)
                self._mark()

    def _on_incompatible(self, hello: link_pb2.Hello) -> None:
        speaks = f"speaks link protocol {hello.protocol_min} to {hello.protocol_max}"
        ours = f"this hostd {PROTOCOL_MIN} to {PROTOCOL_MAX}"
        advice = "update hostd" if hello.protocol_min > PROTOCOL_MAX else "update its firmware"
        self._set_hat(HatState.INCOMPATIBLE, f"it {speaks}, {ours}: {advice}", hello, 0)

    def _on_garbage(self) -> None:
        log.warning("garbage from the port", extra={"node": self.name, "port": str(self.port)})
        if self.hat.state is HatState.OFFLINE:
            self._go_offline(self._silence())

    def _on_telemetry(self, telemetry: link_pb2.Telemetry) -> None:
        measured = self.log.meter(telemetry)
        self.talk.measures = True
        self.supply_state = SupplyState.of(telemetry.supply_state)
        self._supply_hat_ms = telemetry.at_ms
        self.measurement = measured
        self._mark(self.measurement)

    def _on_record(self, record: HatRecord) -> None:
        self.log.take(record)
        if self.log.is_urgent:
            self._urgent.add(self.name)
        if isinstance(record, EventReceived):
            self._on_event(record.event)
        self.console.bell.ring()
        self.mark_changed()

    def _on_event(self, event: link_pb2.Event) -> None:
        log.debug("event", extra={"node": self.name, "kind": event.kind, "value": event.value})
        if event.kind == link_pb2.EVENT_KIND_SUPPLY_STATE and event.at_ms >= self._supply_hat_ms:
            self.supply_state = SupplyState.of(event.value)
            self._supply_hat_ms = event.at_ms
            self._mark()

    def _silence(self) -> str:
        """Say why nothing is heard from the HAT."""
        if self._session is not None and self._session.sends_garbage:
            return f"{self.port} sends garbage: bytes come, but no valid frame is among them"
        return f"nothing valid came from {self.port} for {LINK_LOST_AFTER_MS / 1000:.1f} s"

    def _set_hat(self, state: HatState, problem: str, hello: link_pb2.Hello, version: int) -> None:
        hat = Hat(
            state=state,
            problem=problem,
            state_ms=self._clock.unix_ms(),
            protocol_version=version,
            hat_id=hello.hat_id[:_HAT_ID_BYTES].hex(),
            board=_text(hello.board),
            firmware=_text(hello.firmware),
            slot=_SLOTS.get(hello.slot, ""),
            on_probation=hello.on_probation,
            security_version=hello.security_version,
            fell_back=hello.fell_back,
        )
        was = self.hat
        if was.state is state:
            hat = replace(hat, state_ms=was.state_ms)
        self.hat = hat
        if (was.state, was.hat_id) != (state, hat.hat_id):
            kind = state.name.lower()
            extra = {"node": self.name, "hat": hat.hat_id, "firmware": hat.firmware, "session": hello.session}
            log.info("link up" if state is HatState.ONLINE else "HAT is incompatible", extra=extra)
            told = f"The HAT {hat.hat_id} (board {hat.board}, firmware {hat.firmware}) is {kind}"
            self._tell_of_hat(f"hat_{kind}", f"{told}: {problem}." if problem else f"{told}.")
        self._mark()

    def _go_offline(self, problem: str) -> None:
        was = self.hat
        if (was.state, was.problem) == (HatState.OFFLINE, problem):
            return
        self.hat = replace(was, state=HatState.OFFLINE, problem=problem, protocol_version=0)
        if was.state is not HatState.OFFLINE:
            self.hat = replace(self.hat, state_ms=self._clock.unix_ms())
            self.measurement = None
            log.warning("link down", extra={"node": self.name, "hat": was.hat_id, "problem": problem})
            self._tell_of_hat("hat_offline", f"The HAT {was.hat_id} went offline: {problem}.")
        self._mark()

    def _tell_of_hat(self, kind: str, message: str) -> None:
        self._events.record(self.name, self._clock.unix_ms(), kind, message)
        self.console.tell_all(message)

    def _take_reply(self, reply: link_pb2.Reply) -> None:
        measured = SupplyState.of(reply.supply_state)
        if measured is not SupplyState.UNSPECIFIED:
            self.supply_state = measured
        self._mark()

    def _mark(self, measured: Measurement | None = None) -> None:
        """Tell of a change; `measured` is what is new of that."""
        if self.budget is not None:
            is_online = self.hat.state is HatState.ONLINE
            self.budget.see(self.name, self.supply_state, measured, is_online=is_online)
        self.mark_changed()

    def mark_changed(self) -> None:
        """Let everybody who watches the node look at it again."""
        self.revision = self._changes.mark()


def _text(text: str) -> str:
    """Return what a HAT says about itself, short and printable."""
    return "".join(char for char in text[:_TEXT_LENGTH] if char.isprintable())


def _sum(earlier: LinkCounters, later: LinkCounters) -> LinkCounters:
    return LinkCounters(
        earlier.frames_received + later.frames_received,
        earlier.frames_sent + later.frames_sent,
        earlier.errors + later.errors,
    )
